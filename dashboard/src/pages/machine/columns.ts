/** From points of the API to what a plot draws: columns of numbers, with holes where nothing was heard. */
import type { Point, Series } from '@/api/types';
import type { TelemetryItem } from '@/live/messages';

export interface PlotColumns {
  /** Seconds since 1970. */
  at: number[];
  mean: (number | null)[];
  min: (number | null)[];
  max: (number | null)[];
}

/** However often a machine reports, a silence of this length is a gap. */
const GAP_LEAST_MS = 60_000;

/** A silence counts as a gap when it is far longer than the usual distance of the points around it. */
export function gapMs(times: readonly number[], resolutionMs: number): number {
  const distances: number[] = [];
  for (let index = 1; index < times.length; index += 1) distances.push((times[index] ?? 0) - (times[index - 1] ?? 0));
  distances.sort((a, b) => a - b);
  const median = distances[Math.floor(distances.length / 2)] ?? 0;
  return Math.max(GAP_LEAST_MS, 4 * median, 3 * resolutionMs);
}

export function toColumns(points: readonly Point[], resolutionMs: number): PlotColumns {
  const times = points.map((point) => Date.parse(point.at));
  const gap = gapMs(times, resolutionMs);
  const columns: PlotColumns = { at: [], mean: [], min: [], max: [] };
  const push = (ms: number, mean: number | null, min: number | null, max: number | null) => {
    columns.at.push(ms / 1_000);
    columns.mean.push(mean);
    columns.min.push(min);
    columns.max.push(max);
  };
  points.forEach((point, index) => {
    const ms = times[index] ?? 0;
    const before = times[index - 1];
    if (before !== undefined && ms - before > gap) push(before + 1, null, null, null);
    push(ms, point.mean, point.min, point.max);
  });
  return columns;
}

/** Adds what the socket told to the series that were asked for; what is older than the span goes. */
export function appendSamples(series: readonly Series[], items: readonly TelemetryItem[], fromMs: number): Series[] {
  const byMetric = new Map(series.map((each) => [each.metric, { ...each, points: [...each.points] }]));
  for (const { samples } of items) {
    for (const sample of samples) {
      // What is not to be used is not drawn.
      if (sample.quality === 'bad') continue;
      let target = byMetric.get(sample.metric);
      if (target === undefined) {
        target = { metric: sample.metric, unit: sample.unit ?? '', about: '', points: [] };
        byMetric.set(sample.metric, target);
      }
      const last = target.points.at(-1);
      if (last !== undefined && Date.parse(last.at) >= Date.parse(sample.at)) continue;
      const { at, value } = sample;
      target.points.push({ at, min: sample.min ?? value, mean: value, max: sample.max ?? value, count: sample.count ?? 1 });
    }
  }
  for (const each of byMetric.values()) {
    const first = each.points.findIndex((point) => Date.parse(point.at) >= fromMs);
    if (first > 0) each.points.splice(0, first);
  }
  return [...byMetric.values()];
}

export interface PanelSpec {
  title: string;
  unit: string;
  metrics: string[];
  names: string[];
  about: string;
  /** Fixed ends of the scale, where the quantity has them. */
  range: [number, number] | null;
}

const KNOWN: Omit<PanelSpec, 'unit' | 'about'>[] = [
  { title: 'Processor', metrics: ['cpu.percent'], names: ['CPU'], range: [0, 100] },
  { title: 'Memory', metrics: ['memory.percent'], names: ['Memory'], range: [0, 100] },
  { title: 'Temperature', metrics: ['temperature.celsius'], names: ['Hottest'], range: null },
  { title: 'Battery', metrics: ['battery.percent'], names: ['Charge'], range: [0, 100] },
  { title: 'Speed', metrics: ['speed.m_per_s'], names: ['Speed'], range: null },
  { title: 'Network', metrics: ['network.receive_bytes_per_s', 'network.transmit_bytes_per_s'], names: ['Received', 'Sent'], range: null },
  { title: 'Load', metrics: ['load.1m'], names: ['1 min'], range: null },
  { title: 'Disk', metrics: ['disk.percent'], names: ['Fullest'], range: [0, 100] },
  { title: 'Battery voltage', metrics: ['battery.volts'], names: ['Voltage'], range: null },
  { title: 'Battery current', metrics: ['battery.amperes'], names: ['Current'], range: null },
];

/** One panel for each known metric that has points, in a fixed order; then the others, by name. */
export function panels(series: readonly Series[]): PanelSpec[] {
  const byMetric = new Map(series.filter((each) => each.points.length > 0).map((each) => [each.metric, each]));
  const found: PanelSpec[] = [];
  for (const known of KNOWN) {
    const first = known.metrics.map((metric) => byMetric.get(metric)).find((each) => each !== undefined);
    for (const metric of known.metrics) byMetric.delete(metric);
    if (first !== undefined) found.push({ ...known, unit: first.unit, about: first.about });
  }
  for (const each of [...byMetric.values()].toSorted((a, b) => a.metric.localeCompare(b.metric))) {
    found.push({ title: each.metric, metrics: [each.metric], names: [each.metric], unit: each.unit, about: each.about, range: null });
  }
  return found;
}
