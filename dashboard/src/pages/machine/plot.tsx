/** One plot of one quantity over time. All plots of a page share their crosshair. */
import 'uplot/dist/uPlot.min.css';
import { useComputedColorScheme } from '@mantine/core';
import { useEffect, useMemo, useRef, useState } from 'react';
import uPlot from 'uplot';
import type { Series } from '@/api/types';
import { formatClock, formatMoment, formatNumber, formatRate } from '@/kit/format';
import { useElementWidth } from '@/kit/use-width';
import { toColumns, type PanelSpec } from './columns';
import classes from './plots.module.css';

const HEIGHT_PX = 132;

interface PlotProps {
  panel: PanelSpec;
  series: readonly Series[];
  fromMs: number;
  toMs: number;
  resolutionMs: number;
}

const EMPTY: uPlot.AlignedData = [[]];

type Table = [number[], ...(number | null)[][]];

export function Plot({ panel, series, fromMs, toMs, resolutionMs }: PlotProps) {
  const { ref, width } = useElementWidth<HTMLDivElement>();
  const scheme = useComputedColorScheme('light');
  const plot = useRef<uPlot | null>(null);
  const [hovered, setHovered] = useState<number | null>(null);

  const data = useMemo(() => {
    const tables = panel.metrics.map((metric): Table => {
      const { at, mean, max, min } = toColumns(series.find((each) => each.metric === metric)?.points ?? [], resolutionMs);
      return [at, mean, max, min];
    });
    // Nulls stay: they are the gaps.
    if (tables.length === 1 && tables[0] !== undefined) return tables[0];
    return uPlot.join(tables, tables.map(() => [1, 1, 1, 1])) as unknown as Table;
  }, [panel, series, resolutionMs]);

  const latest = useRef({ data: EMPTY, from: 0, to: 0 });
  useEffect(() => {
    latest.current = { data: data as unknown as uPlot.AlignedData, from: fromMs / 1_000, to: toMs / 1_000 };
    plot.current?.setData(latest.current.data);
  }, [data, fromMs, toMs]);

  const { title, unit, range } = panel;
  const count = panel.metrics.length;
  useEffect(() => {
    const box = ref.current;
    if (box === null || width === 0) return undefined;
    const colour = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const strokes = [colour('--plot-1'), colour('--plot-2')];
    const axis = { stroke: colour('--muted'), font: '11px system-ui, sans-serif', grid: { stroke: colour('--line'), width: 1 }, ticks: { show: false } };
    const made = new uPlot(
      {
        width,
        height: HEIGHT_PX,
        legend: { show: false },
        padding: [8, 6, 0, 0],
        cursor: { sync: { key: 'machine', setSeries: false }, drag: { x: false, y: false }, points: { size: 7 } },
        scales: {
          x: { time: true, range: () => [latest.current.from, latest.current.to] },
          y: range === null ? { range: (_, low, high) => padded(low, high) } : { range },
        },
        axes: [
          { ...axis, size: 24, space: 70, values: (_, splits) => splits.map((split) => formatClock(split * 1_000).slice(0, 5)) },
          { ...axis, size: 46, space: 28, values: (_, splits) => axisLabels(splits, unit) },
        ],
        series: [
          {},
          ...strokes.slice(0, count).flatMap((stroke) => [
            { stroke, width: 1.6, points: { show: false }, spanGaps: false },
            { stroke: 'transparent', width: 0, points: { show: false } },
            { stroke: 'transparent', width: 0, points: { show: false } },
          ]),
        ],
        bands: strokes.slice(0, count).map((stroke, index) => ({ series: [2 + index * 3, 3 + index * 3] as [number, number], fill: `${stroke}33` })),
        hooks: { setCursor: [(self) => setHovered(self.cursor.idx ?? null)] },
      },
      latest.current.data,
      box,
    );
    plot.current = made;
    return () => {
      made.destroy();
      plot.current = null;
    };
  }, [ref, width, scheme, count, range, unit]);

  const at = hovered === null ? null : (data[0]?.[hovered] ?? null);
  const values = panel.metrics.map((_, index) => {
    const column = data[1 + index * 3] ?? [];
    return hovered === null ? column.findLast((value) => value !== null && value !== undefined) : column[hovered];
  });
  return (
    <figure className={classes.panel} aria-label={`${title}, latest ${values.map((value) => withUnit(value, unit)).join(', ')}`}>
      <figcaption className={classes.caption} title={panel.about}>
        <h3>{title}</h3>
        {at !== null && <span className={classes.at}>{formatMoment(at * 1_000, toMs)}</span>}
        <span className={classes.values}>
          {values.map((value, index) => (
            <span key={panel.names[index]} className={classes.value}>
              {count > 1 && <><i className={classes.swatch} data-index={index} />{panel.names[index]} </>}
              <strong>{withUnit(value, unit)}</strong>
            </span>
          ))}
        </span>
      </figcaption>
      <div ref={ref} className={classes.canvas} />
    </figure>
  );
}

function padded(low: number | null, high: number | null): [number, number] {
  if (low === null || high === null || !Number.isFinite(low) || !Number.isFinite(high)) return [0, 1];
  const room = Math.max((high - low) * 0.12, Math.abs(high) * 0.02, 0.5);
  return [low >= 0 && low - room < 0 ? 0 : low - room, high + room];
}

/** As many decimals as it takes to tell two neighbours apart. */
function axisLabels(splits: number[], unit: string): string[] {
  if (unit === 'B/s') return splits.map((split) => formatRate(split).replace(/ ?B\/s$/, '').replace(/\.0(?= )/, ''));
  const step = Math.abs((splits[1] ?? 1) - (splits[0] ?? 0));
  const digits = step === 0 || step >= 1 ? 0 : Math.min(3, Math.ceil(-Math.log10(step)));
  return splits.map((split) => split.toFixed(digits));
}

function withUnit(value: number | null | undefined, unit: string): string {
  if (value === null || value === undefined) return '–';
  if (unit === 'B/s') return formatRate(value);
  const digits = unit === '%' ? 0 : unit === '°C' ? 1 : 2;
  return `${formatNumber(value, digits)}${unit === '' ? '' : ` ${unit}`}`;
}
