/**
 * The life of the one socket, as a pure state machine: the driver in `client.ts` opens, closes and waits as the state
 * says. Nothing here reads a clock or draws a random number.
 */

export const BACKOFF_FIRST_MS = 500;
export const BACKOFF_MAX_MS = 8_000;
/** A ping goes out when nothing was heard for this long. */
export const PING_AFTER_MS = 5_000;
/** The connection counts as dead when nothing was heard for this long. */
export const DEAD_AFTER_MS = 12_000;
/** The same without a WebSocket: there are no pings, but the server says something every 15 s. */
export const STREAM_DEAD_AFTER_MS = 35_000;
/** An attempt that has not opened by then is given up. */
export const OPEN_WITHIN_MS = 8_000;
/** From then on the screen says "lost" instead of "reconnecting". */
export const LOST_AFTER_MS = 10_000;

/** A WebSocket, or server-sent events where none gets through. */
export type Way = 'socket' | 'stream';

export type Connection =
  /** `since`: when there was last a connection, or when the page was opened. */
  | { kind: 'connecting'; attempt: number; since: number; startedAt: number }
  | { kind: 'live'; way: Way; since: number; heardAt: number; pingedAt: number | null }
  | { kind: 'waiting'; attempt: number; since: number; retryAt: number };

export type ConnectionEvent =
  | { type: 'opened'; way: Way }
  | { type: 'heard' }
  | { type: 'closed' }
  /** The network came back, or the person pressed "retry". */
  | { type: 'hurry' }
  /** Nobody is signed in: no further try until somebody hurries. */
  | { type: 'hold' }
  | { type: 'tick' };

export function begin(now: number): Connection {
  return { kind: 'connecting', attempt: 0, since: now, startedAt: now };
}

/** Full jitter: anywhere between nothing and an exponentially growing bound, so that a fleet of screens spreads out. */
export function backoffMs(attempt: number, random: number): number {
  const bound = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(attempt, 10));
  return Math.round(bound * random);
}

export function advance(state: Connection, event: ConnectionEvent, now: number, random: number): Connection {
  if (event.type === 'hold') return { kind: 'waiting', attempt: 0, since: state.kind === 'live' ? state.heardAt : state.since, retryAt: Infinity };
  switch (state.kind) {
    case 'connecting':
      if (event.type === 'opened') return { kind: 'live', way: event.way, since: now, heardAt: now, pingedAt: null };
      if (event.type === 'closed' || (event.type === 'tick' && now - state.startedAt >= OPEN_WITHIN_MS)) {
        return wait(state.attempt, state.since, now, random);
      }
      return state;
    case 'live':
      // The WebSocket got through after all.
      if (event.type === 'opened') return { ...state, way: event.way, heardAt: now, pingedAt: null };
      if (event.type === 'heard') return { ...state, heardAt: now, pingedAt: null };
      if (event.type === 'closed') return wait(0, state.heardAt, now, random);
      if (event.type === 'tick') {
        if (now - state.heardAt >= (state.way === 'socket' ? DEAD_AFTER_MS : STREAM_DEAD_AFTER_MS)) return wait(0, state.heardAt, now, random);
        if (state.way === 'socket' && state.pingedAt === null && now - state.heardAt >= PING_AFTER_MS) return { ...state, pingedAt: now };
      }
      return state;
    case 'waiting':
      if (event.type === 'hurry' || (event.type === 'tick' && now >= state.retryAt)) {
        return { kind: 'connecting', attempt: state.attempt + 1, since: state.since, startedAt: now };
      }
      return state;
  }
}

function wait(attempt: number, since: number, now: number, random: number): Connection {
  return { kind: 'waiting', attempt, since, retryAt: now + backoffMs(attempt, random) };
}

/** What the screen calls it. */
export type Face = 'connecting' | 'live' | 'reconnecting' | 'lost';

export function face(state: Connection, now: number, everLive: boolean): Face {
  if (state.kind === 'live') return 'live';
  if (now - state.since >= LOST_AFTER_MS) return 'lost';
  return everLive ? 'reconnecting' : 'connecting';
}
