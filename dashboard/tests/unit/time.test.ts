import { describe, expect, it } from 'vitest';
import {
  BUCKETS, formatAt, momentAt, pan, parseMoment, positionOf, shift, ticks, windowFor,
} from '../../src/time/moment';

const HOUR = 3_600_000;
const NOW = Date.parse('2026-11-21T14:00:07.300Z');
const BUCKET = HOUR / BUCKETS;

describe('time travel', () => {
  it('reads moments from the address bar, and nothing else', () => {
    expect(parseMoment('2026-11-21T07:00:00.123Z')).toBe(Date.parse('2026-11-21T07:00:00.123Z'));
    expect(parseMoment(formatAt(NOW))).toBe(NOW);
    for (const text of ['yesterday', '12', '2026-13-45T00:00:00Z', '', undefined, 5]) expect(parseMoment(text)).toBeNull();
  });

  it('ends the window at the next bucket while live', () => {
    const window = windowFor(null, NOW, HOUR, null);
    expect(window.to).toBeGreaterThanOrEqual(NOW);
    expect(window.to - NOW).toBeLessThan(BUCKET);
    expect(window.to % BUCKET).toBe(0);
    expect(window.to - window.from).toBe(HOUR);
  });

  it('does not move the window while the moment stays inside', () => {
    const window = windowFor(NOW - 10 * HOUR, NOW, HOUR, null);
    expect(positionOf(NOW - 10 * HOUR, window)).toBeCloseTo(0.5, 1);
    expect(windowFor(NOW - 10 * HOUR - 1_000, NOW, HOUR, window)).toBe(window);
    expect(windowFor(NOW - 20 * HOUR, NOW, HOUR, window)).not.toEqual(window);
    expect(windowFor(NOW - HOUR / 2, NOW, HOUR, null)).toEqual(windowFor(null, NOW, HOUR, null));
  });

  it('goes from a place on the track to a moment and back', () => {
    const window = windowFor(null, NOW, HOUR, null);
    const moment = momentAt(0.25, window, NOW);
    expect(moment).not.toBeNull();
    expect(positionOf(moment ?? 0, window)).toBeCloseTo(0.25, 3);
    expect((moment ?? 1) % 1_000).toBe(0);
    expect(momentAt(1, window, NOW)).toBeNull();
    expect(momentAt(-5, window, NOW)).toBe(window.from);
  });

  it('pans, but not beyond now', () => {
    const window = windowFor(null, NOW, HOUR, null);
    const earlier = pan(window, -0.5, NOW);
    expect(window.to - earlier.to).toBe(HOUR / 2);
    expect(pan(earlier, 3, NOW)).toEqual(window);
  });

  it('shifts a moment, arrives at live, and stops where history begins', () => {
    expect(shift(NOW - 5_000, 1_000, NOW, null)).toBe(NOW - 4_000);
    expect(shift(NOW - 500, 1_000, NOW, null)).toBeNull();
    expect(shift(NOW - 5_000, -60_000, NOW, NOW - 20_000)).toBe(NOW - 20_000);
  });

  it('writes round times under the track', () => {
    const window = windowFor(null, NOW, HOUR, null);
    const found = ticks(window, 7);
    expect(found.length).toBeGreaterThanOrEqual(5);
    expect(found.length).toBeLessThanOrEqual(8);
    expect(found.every((tick) => tick % (10 * 60_000) === 0)).toBe(true);
  });
});
