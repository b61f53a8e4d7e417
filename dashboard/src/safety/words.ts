/** How a machine's safety is said in words: why it stands, what comes next, its failsafe table, its limits. */
import type { Machine } from '@/api/types';
import { words } from '@/kit/format';

export type Operation = NonNullable<Machine['reported']['operation']>;
export type SafetySetup = NonNullable<Machine['reported']['safety']>;
export type FailsafeRow = SafetySetup['failsafe'][number];

const CAUSES: Partial<Record<string, string>> = {
  estop: 'the emergency stop is pressed or its circuit is broken',
  estop_asked: 'somebody at the machine asked for it',
  tamper: 'the case is open',
  runaway: 'it moved faster than it may',
  moved_unpowered: 'it moved without power',
  output_failed: 'its power could not be switched',
  rule_latched: 'a failsafe latched',
  started: 'it waits to be resumed at the machine after its start',
  ended_unknown: 'nobody knows how it ended; it waits to be resumed at the machine',
  asked: 'it was asked to stop; it waits to be resumed at the machine',
  not_resumed: 'it was reset; it waits to be resumed at the machine',
  late: 'its safety loop came too late; it waits to be resumed at the machine',
  rule_held: 'a failsafe waits to be acknowledged at the machine',
  unmeasured: 'its motion is not measured',
  link_lost: 'there is no link to the server',
};

export const cause = (word: string) => CAUSES[word] ?? words(word);

const CONDITIONS: Partial<Record<string, string>> = {
  link_lost: 'there is no link to the server',
  teleop_lost: 'the operator is not heard of',
  node_lost: 'a part of the runtime has failed',
  battery_low: 'the battery is low',
  too_hot: 'something is too hot',
  outside_fence: 'it is outside of where it may be',
  position_lost: 'it does not know where it is',
};

const ACTIONS: Partial<Record<string, string>> = {
  warn: 'it is told',
  limit: 'its limits are tightened',
  hold: 'it comes to rest and stays there, under power',
  controlled_stop: 'it comes to rest, then its power is taken',
  power_off: 'its power is taken at once',
};

const CLEARS: Partial<Record<string, string>> = {
  with_condition: 'until that is over',
  acknowledged: 'until that is over and somebody at the machine resumes it',
  reset: 'until that is over and somebody at the machine resets and resumes it',
};

export function formatSpan(ms: number): string {
  if (ms < 1_000) return `${ms} ms`;
  if (ms < 120_000) return `${Number((ms / 1_000).toFixed(1))} s`;
  return `${Number((ms / 60_000).toFixed(1))} min`;
}

export interface RowWords { when: string; after: string; what: string; until: string }

export function inWords(row: FailsafeRow): RowWords {
  return {
    when: CONDITIONS[row.when] ?? words(row.when),
    after: row.after_ms === 0 ? 'at once' : `after ${formatSpan(row.after_ms)}`,
    what: ACTIONS[row.action] ?? words(row.action),
    until: CLEARS[row.clears] ?? words(row.clears),
  };
}

/** What somebody has to do before the machine may move, in order; nothing where nothing has to be done. */
export function nextSteps({ safety, held_by: causes = [] }: Operation): string[] {
  const has = (word: string) => causes.includes(word);
  if (safety === 'estop_latched' || safety === 'fault_latched') {
    const first = [
      ...(has('estop') ? ['Pull out the emergency stop button at the machine'] : []),
      ...(has('tamper') ? ['Shut its case'] : []),
      ...(safety === 'fault_latched' ? ['Look at the machine, and mend what is wrong'] : []),
    ];
    return [...first, 'Reset it at the machine', 'Resume it at the machine'];
  }
  if (safety === 'protective_stop') {
    const resumed = ['started', 'ended_unknown', 'asked', 'not_resumed', 'late', 'rule_held'].some(has);
    const passing = causes.filter((word) => ['unmeasured', 'link_lost', 'too_hot', 'battery_low', 'position_lost', 'outside_fence', 'node_lost', 'teleop_lost'].includes(word));
    const wait = passing.length > 0 ? [`Wait until this is over: ${passing.map(cause).join(', ')}`] : [];
    return resumed ? [...wait, 'Resume it at the machine'] : wait;
  }
  return [];
}

const STARTS: Partial<Record<string, string>> = { explicit: 'waits to be resumed at the machine', automatic: 'may move by itself' };

/** What its safety is made of: name and value. */
export function setup(report: SafetySetup): [string, string][] {
  const circuits = [report.estop_circuit && 'emergency stop', report.tamper_circuit && 'case'].filter((each) => each !== false);
  return [
    ['Greatest speed', report.speed_max === undefined ? 'no limit' : `${report.speed_max} m/s`],
    ['While limited', `${Math.round(report.limited_to * 100)} % of that`],
    ['Comes to rest within', formatSpan(report.stop_within_ms)],
    ['Motion', report.measures_motion ? 'measured' : 'not measured'],
    ['Circuits', circuits.length === 0 ? 'none' : circuits.join(', ')],
    ['Emergency stop', ACTIONS[report.on_estop] ?? words(report.on_estop)],
    ['After a start', STARTS[report.start] ?? words(report.start)],
    ['After a power cut', STARTS[report.after_power_cut] ?? words(report.after_power_cut)],
  ];
}
