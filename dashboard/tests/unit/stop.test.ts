import { describe, expect, it } from 'vitest';
import type { Stop } from '../../src/api/types';
import { formatTook, isShown, outcome, steps, tally, verdict } from '../../src/stop/progress';
import { row } from './row';

const ISSUED = Date.parse('2026-11-21T07:00:00.000Z');
const at = (ms: number) => new Date(ISSUED + ms).toISOString();

function stop(part: Partial<Stop> = {}): Stop {
  return {
    command_id: 's1', issuer: 'local', reason: 'smoke', issued_at: at(0), expires_at: at(600_000), answer: null, answer_reason: null,
    answered_at: null, standing_at: null, at_rest_at: null, released_at: null, at_rest: null, ...part,
  };
}

const ACCEPTED: Partial<Stop> = { answer: 'accepted', answered_at: at(12), at_rest: false };
const STANDING: Partial<Stop> = { ...ACCEPTED, standing_at: at(31) };
const RESTING: Partial<Stop> = { ...STANDING, at_rest_at: at(840), at_rest: true };
const RELEASED: Partial<Stop> = { ...RESTING, released_at: at(60_000) };
const REFUSED: Partial<Stop> = { answer: 'refused', answer_reason: 'nothing moves here', answered_at: at(9) };
const NOW = ISSUED + 1_000;
const LATE = ISSUED + 600_000;

describe('the steps of a stop', () => {
  const told = (part: Partial<Stop>, now = NOW) => steps(stop(part), now).map(({ name, state, ms }) => `${name} ${state}${ms === null ? '' : ` ${ms}`}`);

  it.each([
    ['asked for', {}, NOW, ['requested done', 'received waiting', 'standing waiting', 'at rest waiting']],
    ['received', ACCEPTED, NOW, ['requested done', 'received done 12', 'standing waiting', 'at rest waiting']],
    ['known already', { ...ACCEPTED, answer: 'duplicate' }, NOW, ['requested done', 'received done 12', 'standing waiting', 'at rest waiting']],
    ['standing', STANDING, NOW, ['requested done', 'received done 12', 'standing done 31', 'at rest waiting']],
    ['at rest', RESTING, NOW, ['requested done', 'received done 12', 'standing done 31', 'at rest done 840']],
    ['standing without measurement', { ...STANDING, at_rest: null }, NOW, ['requested done', 'received done 12', 'standing done 31', 'at rest unknown']],
    ['let go before it was at rest', { ...STANDING, released_at: at(50) }, NOW, ['requested done', 'received done 12', 'standing done 31', 'at rest unknown']],
    ['refused', REFUSED, NOW, ['requested done', 'received failed', 'standing failed', 'at rest failed']],
    ['too late', {}, LATE, ['requested done', 'received failed', 'standing failed', 'at rest failed']],
  ] as [string, Partial<Stop>, number, string[]][])('%s', (_, part, now, expected) => {
    expect(told(part, now)).toEqual(expected);
  });
});

describe('what became of a stop', () => {
  it.each([
    [{}, true, NOW, 'told', /has not answered/],
    [{}, false, NOW, 'away', /told when it comes back/],
    [{}, false, LATE, 'too late', /never told/],
    [ACCEPTED, true, LATE, 'received', /does not show yet/],
    [STANDING, true, NOW, 'standing', /not at rest yet/],
    [{ ...STANDING, at_rest: null }, true, NOW, 'standing', /does not measure/],
    [RESTING, true, NOW, 'standing', /nothing moves any more/],
    [RELEASED, true, NOW, 'released', /let go at the machine/],
    [REFUSED, true, NOW, 'refused', /nothing moves here/],
  ] as [Partial<Stop>, boolean, number, string, RegExp][])('%o', (part, present, now, word, sentence) => {
    expect(outcome(stop(part), present, now)).toBe(word);
    expect(verdict(stop(part), present, now)).toMatch(sentence);
  });

  it('is shown as long as it holds the machine, and else for an hour', () => {
    const later = ISSUED + 86_400_000;
    expect(isShown(stop(RESTING), later)).toBe(true);
    expect(isShown(stop(RELEASED), later)).toBe(false);
    expect(isShown(stop(RELEASED), ISSUED + 3_600_000)).toBe(true);
    expect(isShown(stop(REFUSED), later)).toBe(false);
  });

  it.each([[0, '0 ms'], [840.4, '840 ms'], [1_240, '1.2 s'], [59_960, '1 min 0 s'], [185_000, '3 min 5 s']])('takes %d ms: %s', (ms, text) => {
    expect(formatTook(ms)).toBe(text);
  });
});

describe('a selection', () => {
  it('counts how far each machine is, and names those that are not known to stand', () => {
    const rows = new Map([
      ['a', row('a', { last_stop: stop(RESTING) })],
      ['b', row('b', { last_stop: stop(STANDING) })],
      ['c', row('c', { last_stop: stop(), presence: 'lost' })],
      ['d', row('d', { last_stop: stop({ ...RESTING, command_id: 'newer' }) })],
      ['e', row('e', { last_stop: stop(RELEASED) })],
      ['f', row('f')],
    ]);
    const asked = [...rows.keys(), 'g'].map((id) => ({ machine_id: id, machine_name: id.toUpperCase(), command_id: 's1' }));
    const sum = tally(asked, (id) => rows.get(id), NOW);
    expect([sum.asked, sum.received, sum.standing, sum.resting]).toEqual([7, 3, 2, 1]);
    expect(sum.left.map((each) => `${each.name}: ${each.why}`)).toEqual([
      'c: It is away. It is told when it comes back, if that is in time; until then its own failsafe decides.',
      'd: A newer stop took the place of this one.',
      'e: It stood, and was let go at the machine since.',
      'f: Nothing is known yet.',
      'G: Nothing is known yet.',
    ]);
  });
});
