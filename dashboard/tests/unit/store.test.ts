import { describe, expect, it, vi } from 'vitest';
import { parseFilter, type Filter } from '../../src/fleet/filter';
import { formatSort, Order, parseSort } from '../../src/fleet/order';
import { FleetStore } from '../../src/fleet/store';
import { row } from './row';

const rows = (...each: ReturnType<typeof row>[]) => new Map(each.map((one) => [one.id, one]));

function storeWithFrames() {
  const waiting: (() => void)[] = [];
  const store = new FleetStore((flush) => waiting.push(flush));
  const frame = () => {
    for (const flush of waiting.splice(0)) flush();
  };
  return { store, frame, waiting };
}

describe('store of machines', () => {
  it('takes many messages in one frame and tells only the rows that changed', () => {
    const { store, frame, waiting } = storeWithFrames();
    store.replace([row('a'), row('b')]);
    frame();
    const [a, b, any] = [vi.fn(), vi.fn(), vi.fn()];
    store.watchRow('a', a);
    store.watchRow('b', b);
    store.watch(any);
    store.merge([row('a', { cpu_percent: 1 })]);
    store.merge([row('a', { cpu_percent: 2 })]);
    expect(waiting).toHaveLength(1);
    frame();
    expect(store.row('a')?.cpu_percent).toBe(2);
    expect([a.mock.calls.length, b.mock.calls.length, any.mock.calls.length]).toEqual([1, 0, 1]);
  });

  it('replaces everything at another moment', () => {
    const { store, frame } = storeWithFrames();
    store.replace([row('a'), row('b')]);
    frame();
    store.replace([row('b')]);
    frame();
    expect([...store.rows().keys()]).toEqual(['b']);
  });

  it('keeps what stands on the screen while a snapshot comes in pieces, and then drops what is gone', () => {
    const { store, frame } = storeWithFrames();
    store.replace([row('a'), row('b'), row('c')]);
    frame();
    store.renew([row('a')]);
    frame();
    expect(store.rows().size).toBe(3);
    store.merge([row('b')]);
    store.sweep();
    expect([...store.rows().keys()]).toEqual(['a', 'b']);
  });

  it('never lets an older answer write over what the socket said', () => {
    const { store, frame } = storeWithFrames();
    store.merge([row('a', { cpu_percent: 99 })]);
    store.supply([row('a'), row('b')]);
    frame();
    expect(store.row('a')?.cpu_percent).toBe(99);
    expect(store.row('b')).toBeDefined();
  });

  it('counts as loaded when the fleet is empty', () => {
    const { store, frame } = storeWithFrames();
    expect(store.loaded()).toBe(false);
    store.renew([]);
    frame();
    expect(store.loaded()).toBe(true);
  });
});

describe('order of rows', () => {
  const all: Filter = { terms: [] };

  it('sorts the worst status first, then by name', () => {
    const order = new Order(all, parseSort(undefined));
    const shown = order.update(rows(row('d'), row('c', { status: 'lost' }), row('b', { status: 'failed' }), row('a')));
    expect(shown).toEqual(['b', 'c', 'a', 'd']);
  });

  it('puts what is not known last, either way', () => {
    const machines = rows(row('a', { battery_percent: null }), row('b', { battery_percent: 5 }), row('c', { battery_percent: 90 }));
    expect(new Order(all, parseSort('battery')).update(machines)).toEqual(['b', 'c', 'a']);
    expect(new Order(all, parseSort('-battery')).update(machines)).toEqual(['c', 'b', 'a']);
  });

  it('follows changes, and gives the same array while nothing moves', () => {
    const order = new Order(all, parseSort('cpu'));
    const machines = rows(row('a', { cpu_percent: 1 }), row('b', { cpu_percent: 2 }));
    const first = order.update(machines);
    expect(order.update(machines)).toBe(first);
    machines.set('a', row('a', { cpu_percent: 1.5 }));
    expect(order.update(machines)).toBe(first);
    machines.set('a', row('a', { cpu_percent: 3 }));
    expect(order.update(machines)).toEqual(['b', 'a']);
    machines.delete('b');
    expect(order.update(machines)).toEqual(['a']);
  });

  it('filters as rows change', () => {
    const parsed = parseFilter('battery<20');
    const order = new Order(parsed.ok ? parsed.filter : all, parseSort('name'));
    const machines = rows(row('a', { battery_percent: 50 }), row('b', { battery_percent: 10 }));
    expect(order.update(machines)).toEqual(['b']);
    machines.set('a', row('a', { battery_percent: 19 }));
    expect(order.update(machines)).toEqual(['a', 'b']);
  });

  it('keeps the sort in the address bar short', () => {
    expect(parseSort('-label.line')).toEqual({ field: 'label.line', descending: true });
    expect(parseSort('nonsense')).toEqual({ field: 'status', descending: false });
    expect(formatSort({ field: 'status', descending: false })).toBeUndefined();
    expect(formatSort({ field: 'cpu', descending: true })).toBe('-cpu');
  });
});
