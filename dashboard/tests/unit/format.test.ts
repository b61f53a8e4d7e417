import { describe, expect, it } from 'vitest';
import { compass, formatAge, formatAgo, formatBytes, formatMoment, formatRate, formatUtc, fromLocalInput, plural, toLocalInput } from '../../src/kit/format';

describe('format', () => {
  it.each([
    [-5_000, 'now'], [999, 'now'], [1_000, '1 s'], [59_999, '59 s'], [60_000, '1 min'], [3_599_000, '59 min'],
    [3_600_000, '1 h'], [4_320_000, '1 h 12 min'], [86_400_000, '1 d'], [273_600_000, '3 d 4 h'], [Number.NaN, '–'],
  ])('%d ms old is %s', (ms, text) => {
    expect(formatAge(ms)).toBe(text);
  });

  it('says ago only where that is English', () => {
    expect(formatAgo(0)).toBe('now');
    expect(formatAgo(5_000)).toBe('5 s ago');
  });

  it('shows the day only when it is another one', () => {
    const noon = new Date(2026, 10, 21, 12, 0, 5).getTime();
    expect(formatMoment(noon, noon + 60_000)).toBe('12:00:05');
    expect(formatMoment(noon, noon + 86_400_000)).toBe('2026-11-21 12:00:05');
    expect(formatUtc(Date.UTC(2026, 10, 21, 7, 0, 0, 123))).toBe('2026-11-21 07:00:00.123 UTC');
  });

  it('carries a moment through the input field', () => {
    const moment = new Date(2026, 2, 9, 4, 5, 6).getTime();
    expect(toLocalInput(moment)).toBe('2026-03-09T04:05:06');
    expect(fromLocalInput(toLocalInput(moment))).toBe(moment);
    expect(fromLocalInput('')).toBeNull();
  });

  it('writes sizes, rates, counts and headings', () => {
    expect([formatBytes(512), formatBytes(1536), formatBytes(8 * 2 ** 30)]).toEqual(['512 B', '1.5 KiB', '8.0 GiB']);
    expect([formatRate(999), formatRate(1_500), formatRate(250_000)]).toEqual(['999 B/s', '1.5 kB/s', '250 kB/s']);
    expect([plural(1, 'machine'), plural(10_000, 'machine')]).toEqual(['1 machine', '10,000 machines']);
    expect([compass(0), compass(359), compass(92), compass(-45)]).toEqual(['N', 'N', 'E', 'NW']);
  });
});
