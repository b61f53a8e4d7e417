// Commands of people, and the faults that they put into simulated machines.

const POSSIBLE = ['over_speed', 'runaway_motor', 'relay_stuck_on', 'relay_stuck_off', 'brown_out', 'board_overheated', 'speed_silent', 'speed_frozen', 'estop_pressed', 'case_open', 'link_lost'];

const DECISIONS = [
  { actuator: 'arm', authority: 'local_manual', reason: 'standing', asked: 0.4, times: 1_284, first_at: '2026-11-21T07:00:00.000Z', last_at: '2026-11-21T07:21:00.000Z' },
  { actuator: 'wheel', authority: 'local_manual', reason: 'above_limit', asked: 2.345678, passed: 0.6, times: 1, first_at: '2026-11-21T06:00:00.000Z', last_at: '2026-11-21T06:00:00.000Z' },
  { actuator: 'wheel', authority: 'service', reason: 'not_a_number', times: 3, first_at: '2026-11-20T06:00:00.000Z', last_at: '2026-11-20T06:10:00.000Z' },
];

const iso = (ms) => new Date(ms).toISOString();

export class Commands {
  given = new Map();
  faults = new Map();

  list(id) {
    return { machine_id: id, accepts: ['fault', 'identify', 'record.mark', 'record.upload', 'stop'], items: this.given.get(id) ?? [] };
  }

  give(id, name, { kind, arguments: args, reason }, now) {
    const command = {
      command_id: `command-${now}`, kind, issuer: 'local', reason, issued_at: iso(now), expires_at: iso(now + 30_000),
      ...(args !== undefined && { arguments: args }), answer: 'accepted', answer_reason: null, answered_at: iso(now + 4),
    };
    this.given.set(id, [command, ...(this.given.get(id) ?? [])].slice(0, 16));
    if (kind === 'fault') {
      const others = (this.faults.get(id) ?? []).filter((each) => args.fault !== undefined && each.fault !== args.fault);
      const added = args.clear === true ? [] : [{ fault: args.fault, ...(args.for_s !== undefined && { for_s: args.for_s }) }];
      this.faults.set(id, [...others, ...added]);
    }
    return { machine_id: id, machine_name: name, told: true, command };
  }

  /** The sections of a machine that come of it. */
  reported(id, kind) {
    if (kind === 'pi') return {};
    return {
      safety: {
        estop_circuit: true, tamper_circuit: true, measures_motion: true, speed_max: kind === 'car' ? 20 : 0.6, stop_within_ms: 15_000, limited_to: 0.25,
        on_estop: 'power_off', start: 'automatic', after_power_cut: 'automatic',
        failsafe: [
          { when: 'link_lost', after_ms: 120_000, action: 'controlled_stop', clears: 'with_condition' },
          ...(kind === 'lekiwi' ? [{ when: 'battery_low', after_ms: 30_000, action: 'warn', clears: 'with_condition' }, { when: 'outside_fence', after_ms: 0, action: 'hold', clears: 'acknowledged' }] : []),
        ],
        ...(kind === 'lekiwi' && {
          battery_low_percent: 10, fence: { areas: 1, keep_out: 2, decelerates_m_per_s2: 0.8, margin_m: 0.5 },
          thread: { priority: 60, memory_locked: false, memory_refused: 'only 8388608 bytes may be locked: LimitMEMLOCK=infinity gives it' },
        }),
      },
      // A robot has actuators of its own; of every second one the gate held something back.
      ...(kind === 'lekiwi' && { gate: { decisions: parseInt(id.slice(-2), 16) % 2 === 0 ? [] : DECISIONS } }),
      simulation: { possible: POSSIBLE, faults: this.faults.get(id) ?? [] },
    };
  }
}
