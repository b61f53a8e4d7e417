import { describe, expect, it } from 'vitest';
import { chosenValues, matches, parseFilter, toggleTerms, withValues } from '../../src/fleet/filter';
import { row } from './row';

const frida = row('0192f0c1', {
  name: 'Frida', kind: 'lekiwi', region: 'berlin', labels: { line: '3' }, battery_percent: 15, mode: 'driving', temperature_celsius: null,
});

function passes(text: string): boolean {
  const parsed = parseFilter(text);
  if (!parsed.ok) throw new Error(parsed.message);
  return matches(parsed.filter, frida);
}

describe('filter', () => {
  it.each([
    ['', true],
    ['frida', true],
    ['FRI', true],
    ['0192', true],
    ['line=3', null],
    ['label.line=3', true],
    ['label.line=4', false],
    ['label.rack=1', false],
    ['label.rack!=1', true],
    ['kind=lekiwi region=munich|berlin', true],
    ['kind=lekiwi,region=munich', false],
    ['kind!=car|pi', true],
    ['kind!=car|lekiwi', false],
    ['name~rid', true],
    ['battery<20', true],
    ['battery<=15 battery>=15 battery=15', true],
    ['battery!=15', false],
    ['battery>15', false],
    ['temperature<100', false],
    ['temperature!=1', false],
    ['status=ok', true],
    ['mode=driving|parked', true],
  ])('%s → %s', (text, expected) => {
    if (expected === null) expect(parseFilter(text).ok).toBe(false);
    else expect(passes(text)).toBe(expected);
  });

  it.each([
    ['kindd=car', 'there is no field “kindd”'],
    ['label.=x', 'there is no field “label.”'],
    ['kind=', 'has no value'],
    ['kind=a||b', 'has no value'],
    ['kind<3', 'holds words'],
    ['battery=full', '“full” is not a number'],
    ['battery<0x10', 'is not a number'],
    ['status=broken', '“status” is never “broken”: accepted are failed, lost'],
    ['<20', 'there is no field “”'],
    ['x'.repeat(1025), 'at most 1024 bytes'],
    [Array.from({ length: 33 }, () => 'a').join(' '), 'at most 1024 bytes and 32 terms'],
  ])('%s is refused', (text, message) => {
    const parsed = parseFilter(text);
    expect(parsed.ok).toBe(false);
    if (!parsed.ok) expect(parsed.message).toContain(message);
  });

  it('reads and writes the terms of the quick filters', () => {
    expect(chosenValues('frida kind=car|pi battery<20', 'kind')).toEqual(['car', 'pi']);
    expect(withValues('frida kind=car', 'kind', ['pi', 'car'])).toBe('frida kind=pi|car');
    expect(withValues('frida kind=car', 'kind', [])).toBe('frida');
    expect(toggleTerms('frida', ['battery<20'])).toBe('frida battery<20');
    expect(toggleTerms('frida battery<20', ['battery<20'])).toBe('frida');
  });
});
