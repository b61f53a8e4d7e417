import { describe, expect, it } from 'vitest';
import { actInWords, outcomeInWords, parted, readable, told } from '../../src/access/acts';
import { ApiError } from '../../src/api/client';
import type { AccessChecked, Proposal } from '../../src/api/types';
import { asksForSecond, decided } from '../../src/kit/permit';
import { waitsAs } from '../../src/kit/refused';

const proposal = (more: Partial<Proposal> = {}): Proposal => ({
  id: 'p-1', state: 'waiting', person: 'grace', by: 'session', from: '127.0.0.1', action: 'machines.label', method: 'PUT', path: '/api/v1/machines/0192/labels',
  permission: 'configure', machine: '0192', machine_name: 'car-frida', policy: 'line-4', policy_description: 'Line 4 moves people', created_at: '2026-11-22T08:00:00.000Z',
  expires_at: '2026-11-23T08:00:00.000Z', may_decide: false, why: 'you proposed it', ...more,
});
/** Without a machine. */
const fleet = (action: string, method: string, path: string): Proposal => {
  const { machine: _, machine_name: __, ...rest } = proposal({ action, method, path });
  return rest;
};

describe('what is proposed, in words', () => {
  it.each([
    [proposal(), 'change the labels of car-frida'],
    [proposal({ method: 'DELETE' }), 'take all labels of car-frida away'],
    [proposal({ machine_name: '' }), 'change the labels of 0192'],
    [proposal({ action: 'machines.desire', path: '/api/v1/machines/0192/desired/calibration' }), 'change the desired calibration of car-frida'],
    [fleet('people.remove', 'DELETE', '/api/v1/people/ada%40example.com?reason=left'), 'remove the person ada@example.com'],
    [fleet('policies.change', 'PUT', '/api/v1/policies/night'), 'add or change the policy night'],
    [fleet('enrolments.make', 'POST', '/api/v1/enrolments'), 'make a token for a machine that enrols'],
    // What is new on the server is told by its own word.
    [fleet('rollouts.begin', 'POST', '/api/v1/rollouts'), 'rollouts.begin'],
    [fleet('people.remove', 'DELETE', '/api/v1/people/%E0%A4%A'), 'remove the person %E0%A4%A'],
  ])('%#', (given, words) => {
    expect(actInWords(given)).toBe(words);
  });
});

describe('what came of it', () => {
  it.each([
    [{ state: 'waiting' }, ''],
    [{ state: 'done', decided_by: 'ada' }, 'approved by ada'],
    [{ state: 'done', decided_by: 'ada', decision_reason: 'as agreed' }, 'approved by ada: “as agreed”'],
    [{ state: 'failed', decided_by: 'ada', detail: 'changed meanwhile (MST-A012)' }, 'approved by ada, and it could not be done: changed meanwhile (MST-A012)'],
    [{ state: 'refused', decided_by: 'ada', decision_reason: 'not now' }, 'refused by ada: “not now”'],
    [{ state: 'withdrawn' }, 'taken back by grace'],
    [{ state: 'expired' }, 'nobody decided in time'],
    [{ state: 'expired', detail: 'the server was started again' }, 'the server was started again'],
  ] as [Partial<Proposal>, string][])('%j', (more, words) => {
    expect(outcomeInWords(proposal(more))).toBe(words);
  });

  it('is parted: what ends first for whoever may decide comes first, what was decided last begins the rest', () => {
    const items = [
      proposal({ id: 'late', may_decide: true, expires_at: '2026-11-23T09:00:00.000Z' }), proposal({ id: 'soon', may_decide: true }), proposal({ id: 'own' }),
      proposal({ id: 'older', state: 'done', decided_at: '2026-11-20T00:00:00.000Z' }), proposal({ id: 'newer', state: 'refused', decided_at: '2026-11-21T00:00:00.000Z' }),
      proposal({ id: 'doing', state: 'doing', decided_at: '2026-11-22T00:00:00.000Z' }),
    ];
    const { forYou, others, decided: ended } = parted(items);
    expect(forYou.map((each) => each.id)).toEqual(['soon', 'late']);
    expect(others.map((each) => each.id)).toEqual(['own']);
    expect(ended.map((each) => each.id)).toEqual(['doing', 'newer', 'older']);
  });
});

describe('what an act answered', () => {
  it('keeps what is told once apart, however deep it lies', () => {
    const { secrets, text } = told('{"secret":"mstt_abc","token":{"id":"t-1","token":"mste_x"}}');
    expect(secrets).toEqual([['secret', 'mstt_abc'], ['token', 'mste_x']]);
    expect(text).not.toMatch(/mst[te]_/);
    expect(text).toContain('"id": "t-1"');
  });

  it('is shown as it came where it is no JSON, or holds nothing of that kind', () => {
    expect(told('plain')).toEqual({ secrets: [], text: 'plain' });
    expect(told('{"labels":{}}').secrets).toEqual([]);
    expect(readable('{"a":1}')).toBe('{\n  "a": 1\n}');
    expect(readable('{"cut')).toBe('{"cut');
  });
});

describe('a second person', () => {
  const problem = { type: '', title: '', status: 403, detail: 'the policy line-4 asks for a second person', code: 'MST-A080' };

  it('is waited for only where there is a proposal', () => {
    expect(waitsAs(new ApiError({ ...problem, proposal: 'p-1' }))).toBe('p-1');
    expect(waitsAs(new ApiError(problem))).toBeNull();
    expect(waitsAs(new ApiError({ ...problem, code: 'MST-A045', proposal: 'p-1' }))).toBeNull();
    expect(waitsAs(new Error('else'))).toBeNull();
    expect(waitsAs(null)).toBeNull();
  });

  it('leaves what needs one allowed, and says so', () => {
    const checked: AccessChecked = {
      person: 'ada',
      decisions: [{ permission: 'configure', allowed: true, rule: 'admin', second_person: 'line-4' }, { permission: 'deploy', allowed: false, rule: 'no', second_person: 'line-4' }],
    };
    expect(decided('configure', checked)).toEqual({ allowed: true, why: '', second: 'line-4' });
    expect(decided('deploy', checked)).toEqual({ allowed: false, why: 'No.' });
    expect(asksForSecond('line-4')).toBe('A second person must approve it: the policy line-4 asks for one.');
  });
});
