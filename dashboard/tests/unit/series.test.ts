import { describe, expect, it } from 'vitest';
import type { Point, Series } from '../../src/api/types';
import { mergeEvents } from '../../src/events/merge';
import { checkLabels, toLabels, toPairs } from '../../src/pages/machine/label-pairs';
import { appendSamples, panels, toColumns } from '../../src/pages/machine/columns';

const START = Date.parse('2026-11-21T07:00:00.000Z');
const at = (seconds: number) => new Date(START + seconds * 1_000).toISOString();
const point = (seconds: number, value: number): Point => ({ at: at(seconds), min: value, mean: value, max: value, count: 1 });
const series = (metric: string, ...points: Point[]): Series => ({ metric, unit: '%', about: '', points });

const sample = (metric: string, seconds: number, value: number) => ({ metric, value, quality: 'good' as const, at: at(seconds) });
const event = (position: number) => ({
  position, machine_id: 'm', machine_name: 'm', kind: 'k', severity: 'info' as const, message: '', occurred_at: at(0), recorded_at: at(0),
});

describe('plots', () => {
  it('breaks the line where nothing was heard', () => {
    const columns = toColumns([point(0, 1), point(5, 2), point(10, 3), point(600, 4)], 2_000);
    expect(columns.mean).toEqual([1, 2, 3, null, 4]);
  });

  it('does not call slow reporting a gap', () => {
    expect(toColumns([point(0, 1), point(40, 2), point(80, 3)], 2_000).mean).toEqual([1, 2, 3]);
    expect(toColumns([point(0, 1), point(300, 2), point(600, 3), point(1_200, 4)], 2_000).mean).toEqual([1, 2, 3, 4]);
  });

  it('does not draw what is not to be used', () => {
    const bad = { ...sample('cpu.percent', 5, 99), quality: 'bad' as const };
    const [found] = appendSamples([series('cpu.percent', point(0, 1))], [{ samples: [bad] }], START);
    expect(found?.points).toHaveLength(1);
  });

  it('appends live samples once, takes new metrics, and forgets what left the span', () => {
    const found = appendSamples(
      [series('cpu.percent', point(0, 1), point(5, 2))],
      [{ samples: [sample('cpu.percent', 5, 9), sample('cpu.percent', 10, 3), sample('custom.thing', 10, 7)] }],
      START + 5_000,
    );
    expect(found.map((each) => [each.metric, each.points.map((one) => one.mean)])).toEqual([['cpu.percent', [2, 3]], ['custom.thing', [7]]]);
  });

  it('makes a panel for each metric that was measured, the two of the network together', () => {
    const found = panels([
      series('zz.custom', point(0, 1)), series('network.transmit_bytes_per_s', point(0, 1)), series('network.receive_bytes_per_s', point(0, 1)),
      series('cpu.percent', point(0, 1)), series('battery.percent'),
    ]);
    expect(found.map((panel) => panel.title)).toEqual(['Processor', 'Network', 'zz.custom']);
  });
});

describe('events', () => {
  it('are listed newest first, each once', () => {
    expect(mergeEvents([event(7), event(5)], [event(6), event(5), event(4)]).map((each) => each.position)).toEqual([7, 6, 5, 4]);
  });
});

describe('labels', () => {
  it('are checked row by row', () => {
    const pairs = [{ row: 0, key: 'line', value: '3' }, { row: 1, key: ' line', value: '4' }, { row: 2, key: 'bad key', value: '' }, { row: 3, key: '', value: '' }];
    expect([...checkLabels(pairs).keys()]).toEqual([1, 2, 3]);
    expect(toLabels(toPairs({ 'site/hall': 'b 2' }))).toEqual({ 'site/hall': 'b 2' });
  });
});
