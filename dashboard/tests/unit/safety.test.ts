import { describe, expect, it } from 'vitest';
import { decided, grants, inWords, setup, type GateDecision, type SafetySetup } from '@/safety/words';

const REPORT: SafetySetup = {
  estop_circuit: true, tamper_circuit: false, measures_motion: true, stop_within_ms: 15_000, limited_to: 0.25,
  on_estop: 'power_off', start: 'explicit', after_power_cut: 'explicit', failsafe: [],
};

const REFUSED: GateDecision = {
  actuator: 'wheel', authority: 'local_manual', reason: 'standing', asked: 0.123456, times: 1_284,
  first_at: '2026-11-21T07:00:00.000Z', last_at: '2026-11-21T07:21:00.000Z',
};

describe('what the gate held back', () => {
  it('is said with what was asked, by whom, why and how often', () => {
    expect(decided(REFUSED)).toEqual({ what: '0.1235 refused', who: 'somebody at the machine', why: 'the machine stands', times: '1,284 times' });
  });

  it('is said with what passed of it', () => {
    const { what, why, times } = decided({ ...REFUSED, reason: 'above_limit', asked: -5, passed: -1, times: 1 });
    expect([what, why, times]).toEqual(['-5 cut to -1', 'the actuator may not do more', 'once']);
  });

  it('is said also where it was no number, or for a reason that this version does not know', () => {
    const { what, why } = decided({ ...REFUSED, asked: undefined, reason: 'too_early' });
    expect([what, why]).toEqual(['no number refused', 'too early']);
  });
});

describe('what a safety loop was granted', () => {
  it('is nothing where it has no thread', () => expect(grants(REPORT)).toEqual([]));

  it('is said, and why not', () => {
    const [priority, memory] = grants({ ...REPORT, thread: { priority: 60, memory_locked: false, memory_refused: 'not permitted' } });
    expect([priority?.granted, priority?.detail]).toEqual([true, 'real-time priority 60']);
    expect([memory?.granted, memory?.detail]).toEqual([false, 'not permitted']);
  });
});

describe('a set-up', () => {
  it('says the thresholds of its rows', () => {
    const row = { when: 'battery_low', after_ms: 30_000, action: 'warn', clears: 'with_condition' };
    expect(inWords(row, { ...REPORT, battery_low_percent: 10 }).when).toBe('the battery is low (below 10 %)');
    expect(inWords(row, REPORT).when).toBe('the battery is low');
  });

  it('says its fence in short, and nothing where there is none', () => {
    const fence = { areas: 1, keep_out: 2, decelerates_m_per_s2: 0.8, margin_m: 0.5 };
    const said = setup({ ...REPORT, fence }).find(([name]) => name === 'Fence');
    expect(said?.[1]).toBe('1 area, kept out of 2; it brakes in time, with 0.8 m/s²');
    expect(setup(REPORT).some(([name]) => name === 'Fence')).toBe(false);
  });
});
