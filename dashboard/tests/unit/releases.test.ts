import { describe, expect, test } from 'vitest';
import { foremost, told } from '@/pages/machine/releases';

const update = (phase: string, more = {}) => ({ number: 1, act: 'install', version: '1.4.0', manifest: '0'.repeat(64), phase, fetched_bytes: 0, to_fetch_bytes: 0, since: '2026-11-22T07:00:00.000Z', ...more }) as Parameters<typeof told>[0];

describe('releases of a machine', () => {
  test('the update that is furthest from its end stands for the machine', () => {
    const products = [
      { product: 'a', update: update('confirmed') },
      { product: 'b', update: update('probation') },
      { product: 'c', update: update('rolled_back') },
      { product: 'd' },
    ];
    expect(foremost({ products })?.product).toBe('b');
    expect(foremost({ products: [] })).toBeUndefined();
    expect(foremost(undefined)).toBeUndefined();
  });

  test('an update is told in one line, with what came of it', () => {
    expect(told(update('waiting'))).toBe('to 1.4.0: waiting');
    expect(told(update('rolled_back', { act: 'go_back' }))).toBe('back from 1.4.0: rolled back');
    expect(told(update('fetching', { fetched_bytes: 2_000_000, to_fetch_bytes: 8_000_000 }))).toMatch(/^to 1\.4\.0: fetching, .+ of .+$/);
  });
});
