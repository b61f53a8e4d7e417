/** How a machine's safety is said in words: why it stands, what comes next, its failsafe table, its limits. */
import type { Machine } from '@/api/types';
import { plural, words } from '@/kit/format';

export type Operation = NonNullable<Machine['reported']['operation']>;
export type SafetySetup = NonNullable<Machine['reported']['safety']>;
export type FailsafeRow = SafetySetup['failsafe'][number];
export type GateDecision = NonNullable<Machine['reported']['gate']>['decisions'][number];

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

/** A condition with the threshold from which on it holds, where it has one. */
function condition(word: string, { battery_low_percent: low, too_hot_celsius: hot }: SafetySetup): string {
  const said = CONDITIONS[word] ?? words(word);
  if (word === 'battery_low' && low !== undefined) return `${said} (below ${low} %)`;
  if (word === 'too_hot' && hot !== undefined) return `${said} (above ${hot} °C)`;
  return said;
}

export function inWords(row: FailsafeRow, report: SafetySetup): RowWords {
  return {
    when: condition(row.when, report),
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

function fence({ areas, keep_out: out, decelerates_m_per_s2: brakes }: NonNullable<SafetySetup['fence']>): string {
  const keptOut = out > 0 ? `, kept out of ${out}` : '';
  return `${plural(areas, 'area')}${keptOut}; it brakes in time, with ${brakes} m/s²`;
}

const STARTS: Partial<Record<string, string>> = { explicit: 'waits to be resumed at the machine', automatic: 'may move by itself' };

const REASONS: Partial<Record<string, string>> = {
  standing: 'the machine stands',
  not_the_holder: 'somebody else moves the machine, or nobody claimed it',
  replayed: 'it, or a later one, was there before',
  expired: 'its time was over',
  too_far_ahead: 'it wanted to hold for longer than any command may',
  not_a_number: 'it is no number',
  above_limit: 'the actuator may not do more',
  limited: 'the machine’s limits are tightened',
};

const NAMES: Partial<Record<string, string>> = {
  service: 'who services the machine',
  local_manual: 'somebody at the machine',
  teleop: 'a remote operator',
  mission: 'the mission',
  none: 'nobody',
};

export interface DecisionWords { what: string; who: string; why: string; times: string }

/** A decision of the gate: what was asked for and what became of it, in whose name, why. */
export function decided(row: GateDecision): DecisionWords {
  const asked = row.asked === undefined ? 'no number' : String(Number(row.asked.toPrecision(4)));
  return {
    what: row.passed === undefined ? `${asked} refused` : `${asked} cut to ${Number(row.passed.toPrecision(4))}`,
    who: NAMES[row.authority] ?? words(row.authority),
    why: REASONS[row.reason] ?? words(row.reason),
    times: row.times === 1 ? 'once' : `${row.times.toLocaleString('en')} times`,
  };
}

export interface Grant { name: string; granted: boolean; detail: string }

/** What the computer gave the thread of the safety loop; nothing where it has none of its own. */
export function grants(report: SafetySetup): Grant[] {
  const thread = report.thread;
  if (thread === undefined) return [];
  return [
    {
      name: 'Before all other programs',
      granted: thread.priority !== undefined,
      detail: thread.priority === undefined ? thread.priority_refused ?? 'refused' : `real-time priority ${thread.priority}`,
    },
    { name: 'Memory that stays in place', granted: thread.memory_locked, detail: thread.memory_locked ? 'locked' : thread.memory_refused ?? 'refused' },
  ];
}

/** What its safety is made of: name and value. */
export function setup(report: SafetySetup): [string, string][] {
  const circuits = [report.estop_circuit && 'emergency stop', report.tamper_circuit && 'case'].filter((each) => each !== false);
  return [
    ['Greatest speed', report.speed_max === undefined ? 'no limit' : `${report.speed_max} m/s`],
    ['While limited', `${Math.round(report.limited_to * 100)} % of that`],
    ['Comes to rest within', formatSpan(report.stop_within_ms)],
    ['Motion', report.measures_motion ? 'measured' : 'not measured'],
    ['Circuits', circuits.length === 0 ? 'none' : circuits.join(', ')],
    ...(report.fence === undefined ? [] : [['Fence', fence(report.fence)] as [string, string]]),
    ['Emergency stop', ACTIONS[report.on_estop] ?? words(report.on_estop)],
    ['After a start', STARTS[report.start] ?? words(report.start)],
    ['After a power cut', STARTS[report.after_power_cut] ?? words(report.after_power_cut)],
  ];
}
