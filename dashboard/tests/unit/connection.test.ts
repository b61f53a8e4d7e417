import { describe, expect, it } from 'vitest';
import { ServerClock } from '../../src/live/clock';
import {
  advance, backoffMs, BACKOFF_MAX_MS, begin, DEAD_AFTER_MS, face, LOST_AFTER_MS, OPEN_WITHIN_MS, PING_AFTER_MS, STREAM_DEAD_AFTER_MS,
  type Connection, type ConnectionEvent,
} from '../../src/live/connection';

const event = (type: ConnectionEvent['type']): ConnectionEvent => (type === 'opened' ? { type, way: 'socket' } : { type });

function run(start: Connection, ...steps: [ConnectionEvent['type'], number][]): Connection {
  return steps.reduce((state, [type, now]) => advance(state, event(type), now, 0.5), start);
}

describe('connection', () => {
  it('goes live, is lost, waits, tries again and heals', () => {
    let state = run(begin(0), ['opened', 100]);
    expect(state.kind).toBe('live');
    state = run(state, ['heard', 900], ['closed', 1_000]);
    expect(state).toEqual({ kind: 'waiting', attempt: 0, since: 900, retryAt: 1_250 });
    expect(run(state, ['tick', 1_200])).toBe(state);
    state = run(state, ['tick', 1_250]);
    expect(state).toEqual({ kind: 'connecting', attempt: 1, since: 900, startedAt: 1_250 });
    state = run(state, ['closed', 1_300]);
    expect(state).toMatchObject({ kind: 'waiting', attempt: 1, since: 900, retryAt: 1_800 });
    state = run(state, ['hurry', 1_301], ['opened', 1_400]);
    expect(state).toMatchObject({ kind: 'live', since: 1_400 });
  });

  it('stays away while nobody is signed in, until somebody hurries it', () => {
    const held = run(begin(0), ['opened', 100], ['heard', 900], ['hold', 1_000]);
    expect(held).toEqual({ kind: 'waiting', attempt: 0, since: 900, retryAt: Infinity });
    expect(run(held, ['tick', 86_400_000])).toBe(held);
    expect(run(held, ['hurry', 86_400_000])).toMatchObject({ kind: 'connecting', since: 900 });
  });

  it('knows a stream for one: no pings, more patience, and a WebSocket that takes over', () => {
    const live = advance(begin(0), { type: 'opened', way: 'stream' }, 0, 0.5);
    expect(run(live, ['tick', DEAD_AFTER_MS])).toBe(live);
    expect(advance(live, { type: 'opened', way: 'socket' }, 5, 0.5)).toMatchObject({ kind: 'live', way: 'socket', heardAt: 5 });
    expect(run(live, ['tick', STREAM_DEAD_AFTER_MS])).toMatchObject({ kind: 'waiting' });
  });

  it('asks when it hears nothing, and gives up a silent connection', () => {
    const live = run(begin(0), ['opened', 0]);
    const asked = run(live, ['tick', PING_AFTER_MS]);
    expect(asked).toMatchObject({ kind: 'live', pingedAt: PING_AFTER_MS });
    expect(run(asked, ['heard', PING_AFTER_MS + 50])).toMatchObject({ kind: 'live', pingedAt: null });
    expect(run(asked, ['tick', DEAD_AFTER_MS])).toMatchObject({ kind: 'waiting', since: 0 });
  });

  it('gives up an attempt that does not open', () => {
    expect(run(begin(0), ['tick', OPEN_WITHIN_MS - 1]).kind).toBe('connecting');
    expect(run(begin(0), ['tick', OPEN_WITHIN_MS]).kind).toBe('waiting');
  });

  it('spreads attempts, and never waits longer than the bound', () => {
    expect(backoffMs(0, 0)).toBe(0);
    expect(backoffMs(0, 1)).toBe(500);
    expect(backoffMs(3, 1)).toBe(4_000);
    for (const attempt of [5, 20, 4_000]) expect(backoffMs(attempt, 1)).toBe(BACKOFF_MAX_MS);
  });

  it('says lost only after a while', () => {
    const waiting = run(begin(0), ['opened', 0], ['closed', 1_000]);
    expect(face(waiting, 1_000, true)).toBe('reconnecting');
    expect(face(waiting, LOST_AFTER_MS, true)).toBe('lost');
    expect(face(begin(0), 500, false)).toBe('connecting');
    expect(face(begin(0), LOST_AFTER_MS, false)).toBe('lost');
  });
});

describe('server clock', () => {
  it('trusts the fastest answer, follows slowly, and jumps when the clock was set', () => {
    const clock = new ServerClock();
    expect(clock.now(5_000)).toBe(5_000);
    clock.observe(1_000_000, 0);
    expect(clock.now(0)).toBe(1_000_000);
    clock.observe(1_000_900, 1_000);
    expect(clock.now(0)).toBeGreaterThan(999_990);
    clock.observe(1_002_005, 2_000);
    expect(clock.now(0)).toBe(1_000_005);
    clock.observe(500_000, 3_000);
    expect(clock.now(3_000)).toBe(500_000);
  });
});
