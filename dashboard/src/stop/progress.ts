/** How far a remote stop got, by what the machine itself reported. The times are the server's; nothing is reckoned here. */
import type { MachineSummary, Stop } from '@/api/types';

export type StepState = 'done' | 'waiting' | 'failed' | 'unknown';

export interface Step {
  name: 'requested' | 'received' | 'standing' | 'at rest';
  state: StepState;
  /** Since the stop was asked for. */
  ms: number | null;
}

const time = (at: string | null) => (at === null ? null : Date.parse(at));
const since = (stop: Stop, at: string | null) => {
  const ms = time(at);
  return ms === null ? null : Math.max(0, ms - Date.parse(stop.issued_at));
};

export const isReceived = (stop: Stop) => stop.answer === 'accepted' || stop.answer === 'duplicate';
const isRefused = (stop: Stop) => stop.answer !== null && !isReceived(stop);
const isTooLate = (stop: Stop, now: number) => stop.answer === null && stop.standing_at === null && now >= Date.parse(stop.expires_at);

export function steps(stop: Stop, now: number): Step[] {
  const over = isRefused(stop) || isTooLate(stop, now);
  const step = (name: Step['name'], at: string | null, otherwise: StepState): Step => ({
    name, state: at === null ? otherwise : 'done', ms: since(stop, at),
  });
  const received = isReceived(stop) ? stop.answered_at : null;
  // Who let it go took away what more there was to wait for; who measures nothing is never known to be at rest.
  const rest: StepState = stop.released_at !== null || (stop.standing_at !== null && stop.at_rest === null) ? 'unknown' : 'waiting';
  return [
    { name: 'requested', state: 'done', ms: null },
    step('received', received, over ? 'failed' : 'waiting'),
    step('standing', stop.standing_at, over ? 'failed' : 'waiting'),
    step('at rest', stop.at_rest_at, over ? 'failed' : rest),
  ];
}

export type Outcome = 'standing' | 'released' | 'received' | 'told' | 'away' | 'refused' | 'too late';

export function outcome(stop: Stop, present: boolean, now: number): Outcome {
  if (stop.released_at !== null) return 'released';
  if (stop.standing_at !== null) return 'standing';
  if (isReceived(stop)) return 'received';
  if (isRefused(stop)) return 'refused';
  if (isTooLate(stop, now)) return 'too late';
  return present ? 'told' : 'away';
}

/** The same in a sentence. */
export function verdict(stop: Stop, present: boolean, now: number): string {
  switch (outcome(stop, present, now)) {
    case 'released': return 'It stood, and was let go at the machine since.';
    case 'standing':
      if (stop.at_rest_at !== null) return 'It stands, and nothing moves any more. Only somebody at the machine can let it move again.';
      return stop.at_rest === null
        ? 'It stands. This machine does not measure whether anything moves. Only somebody at the machine can let it move again.'
        : 'It stands, and is not at rest yet.';
    case 'received': return 'It has the stop; its state does not show yet that it stands.';
    case 'refused': return `It did not stop: ${stop.answer_reason ?? stop.answer ?? 'it refused'}.`;
    case 'too late': return 'It was never told: its time ran out before the machine came back.';
    case 'told': return 'It was told and has not answered yet.';
    case 'away': return 'It is away. It is told when it comes back, if that is in time; until then its own failsafe decides.';
  }
}

/** A stop that is over is shown for so long. */
const SHOWN_MS = 3_600_000;

/** Whether people should still see it: as long as it holds the machine or may reach it, and for an hour. */
export function isShown(stop: Stop, now: number): boolean {
  const holds = stop.standing_at !== null && stop.released_at === null;
  const latest = Math.max(Date.parse(stop.issued_at), Date.parse(stop.expires_at), time(stop.released_at) ?? 0);
  return holds || now - latest < SHOWN_MS;
}

/** `12 ms`, `1.4 s`, `3 min 5 s`. */
export function formatTook(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  const tenths = Math.round(ms / 100) / 10;
  if (tenths < 60) return `${tenths.toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

export interface Asked {
  machine_id: string;
  machine_name: string;
  command_id: string;
}

export interface Left {
  id: string;
  name: string;
  why: string;
}

export interface Tally {
  asked: number;
  received: number;
  standing: number;
  resting: number;
  /** Those of which it is not known that they stand. */
  left: Left[];
}

/** How far a selection of machines is. */
export function tally(asked: readonly Asked[], row: (id: string) => MachineSummary | undefined, now: number): Tally {
  const sum: Tally = { asked: asked.length, received: 0, standing: 0, resting: 0, left: [] };
  for (const { machine_id: id, machine_name: name, command_id: command } of asked) {
    const shown = row(id);
    const stop = shown?.last_stop;
    const leave = (why: string) => sum.left.push({ id, name: shown?.name ?? name, why });
    if (shown === undefined || stop === undefined) {
      leave('Nothing is known yet.');
    } else if (stop.command_id !== command) {
      leave('A newer stop took the place of this one.');
    } else {
      if (isReceived(stop)) sum.received += 1;
      if (stop.standing_at !== null && stop.released_at === null) {
        sum.standing += 1;
        if (stop.at_rest_at !== null) sum.resting += 1;
      } else {
        leave(verdict(stop, shown.presence !== 'lost', now));
      }
    }
  }
  return sum;
}
