// A fleet that is made up: every figure is a function of the machine's number and the time, so that any moment of the
// past can be asked for and two answers never disagree. For development and for the tests that a real server cannot
// serve (10,000 machines, errors, a server that goes away). No part of Muster runs on it.

import { updatesOf } from './releases.mjs';

const KINDS = ['lekiwi', 'car', 'pi'];
const REGIONS = ['munich', 'berlin', 'oslo'];
const PLACES = { munich: [48.1374, 11.5755], berlin: [52.52, 13.405], oslo: [59.9139, 10.7522] };
const NAMES = ['frida', 'bruno', 'clara', 'emil', 'gerda', 'hugo', 'ida', 'jonas', 'karla', 'lotte', 'moritz', 'nora'];
export const STATUS_WORDS = ['failed', 'lost', 'attention', 'updating', 'parked', 'ok', 'unknown'];
export const SEVERITIES = ['debug', 'info', 'warning', 'error', 'critical'];
const SLOT_MS = 5_000;

/** A number in 0..1 from any numbers: a hash, not a random generator. */
export function noise(...parts) {
  let h = 2166136261;
  for (const part of parts) {
    let value = Math.floor(part) >>> 0;
    for (let i = 0; i < 4; i += 1) {
      h = Math.imul(h ^ (value & 255), 16777619);
      value >>>= 8;
    }
  }
  h ^= h >>> 15;
  h = Math.imul(h, 2246822507);
  h ^= h >>> 13;
  return (h >>> 0) / 4294967296;
}

const round = (value, digits = 1) => Number(value.toFixed(digits));
const iso = (ms) => new Date(ms).toISOString();
const hex = (value, width) => value.toString(16).padStart(width, '0');

export function machineId(index) {
  return `0192f0c1-${hex(Math.floor(index / 65536), 4)}-7${hex(index % 4096, 3)}-8000-${hex(index + 1, 12)}`;
}

export class World {
  constructor(machines, startedAt = Date.now()) {
    this.count = machines;
    this.startedAt = startedAt;
    this.historyFrom = startedAt - 30 * 3600_000;
    this.ids = Array.from({ length: machines }, (_, index) => machineId(index));
    this.byId = new Map(this.ids.map((id, index) => [id, index]));
    this.profiles = new Map();
    /** The last stop of a machine, by its index. */
    this.stops = new Map();
  }

  profile(index) {
    return this.profiles.get(index) ?? { display_name: null, labels: { line: String(1 + (index % 4)) }, version: 1 };
  }

  name(index) {
    const kind = KINDS[index % 3];
    const own = index < 36 ? `${kind}-${NAMES[Math.floor(index / 3)]}` : `${kind}-${String(index).padStart(5, '0')}`;
    return this.profile(index).display_name ?? own;
  }

  /** What ails a machine at a moment: whole quarters of an hour share one fate. */
  fate(index, t) {
    if (index === 5 && this.count <= 100) return 'lost';
    const quarter = Math.floor((t - index * 7_919) / 900_000);
    const draw = noise(index, quarter, 1);
    if (draw < 0.015) return 'estop';
    if (draw < 0.03) return 'failed';
    if (draw < 0.055) return 'lost';
    if (draw < 0.1) return 'hot';
    if (draw < 0.13) return 'updating';
    if (draw < 0.2) return 'parked';
    if (draw < 0.21) return 'limited';
    return 'well';
  }

  vitals(index, t) {
    const wave = (period, phase) => Math.sin((t / period + noise(index, phase) * 10) * 2 * Math.PI);
    const fate = this.fate(index, t);
    const kind = KINDS[index % 3];
    const cycle = (t / 5_400_000 + noise(index, 3)) % 1;
    const battery = cycle < 0.75 ? 100 - (cycle / 0.75) * 88 : 12 + ((cycle - 0.75) / 0.25) * 88;
    const charging = cycle >= 0.75;
    const cpu = 28 + 18 * wave(600_000, 4) + 9 * wave(47_000, 5) + 6 * noise(index, t / 1000, 6);
    const driving = kind !== 'pi' && !charging && fate === 'well';
    return {
      cpu: Math.max(1, Math.min(100, cpu + (fate === 'hot' ? 35 : 0))),
      load: Math.max(0, cpu / 25),
      memory: 41 + 9 * wave(2_400_000, 7) + 2 * noise(index, t / 1000, 8),
      disk: 30 + 50 * noise(index, 9) + (t % 86_400_000) / 86_400_000,
      temperature: 44 + 6 * wave(900_000, 10) + cpu / 9 + (fate === 'hot' ? 28 : 0) + noise(index, t / 1000, 11),
      battery: kind === 'pi' ? null : battery,
      charging: kind === 'pi' ? null : charging,
      speed: kind === 'pi' ? null : driving ? Math.max(0, 0.9 + 0.8 * wave(80_000, 12)) * (kind === 'car' ? 9 : 1) : 0,
      receive: 4_000 + 3_000 * wave(70_000, 13) + 900 * noise(index, t / 1000, 14),
      transmit: 2_200 + 1_200 * wave(50_000, 15) + 400 * noise(index, t / 1000, 16),
      fate,
      kind,
    };
  }

  row(index, t) {
    const v = this.vitals(index, t);
    const region = REGIONS[Math.floor(index / 3) % 3];
    const [lat, lon] = PLACES[region];
    const lost = v.fate === 'lost';
    const heard = lost ? Math.floor((t - index * 7_919) / 900_000) * 900_000 + index * 7_919 + 4_000 : t - (t + index * 613) % 15_000 % 6_000;
    const [status, reason] = {
      estop: ['failed', 'emergency stop, latched'],
      failed: ['failed', 'motor driver left does not answer'],
      lost: ['lost', 'not heard of'],
      hot: ['attention', `temperature ${round(v.temperature)} °C is above 75 °C`],
      updating: ['updating', 'installing'],
      parked: ['parked', ''],
      limited: ['attention', 'limited by safety'],
      well: ['ok', ''],
    }[v.fate];
    const mode = v.fate === 'parked' ? 'parked' : v.charging ? 'charging' : v.kind === 'pi' ? 'working' : 'driving';
    const profile = this.profile(index);
    const stop = this.lastStop(index, t, lost);
    return {
      id: this.ids[index],
      name: this.name(index),
      kind: v.kind,
      region,
      labels: profile.labels,
      status,
      status_reason: reason,
      presence: lost ? 'lost' : 'online',
      presence_since: iso(lost ? heard + 60_000 : Math.min(t, this.historyFrom + index * 10)),
      mode,
      safety: v.fate === 'estop' ? 'estop_latched' : stop?.standing_at ? 'protective_stop' : v.fate === 'limited' ? 'limited' : 'operational',
      battery_percent: v.battery === null ? null : round(v.battery),
      charging: v.charging,
      temperature_celsius: round(v.temperature),
      cpu_percent: round(v.cpu),
      memory_percent: round(v.memory),
      disk_percent: round(v.disk),
      speed_m_per_s: v.speed === null ? null : round(v.speed, 2),
      latitude_degrees: round(lat + (noise(index, 20) - 0.5) / 50, 6),
      longitude_degrees: round(lon + (noise(index, 21) - 0.5) / 50, 6),
      version: noise(index, 22) < 0.9 ? '0.1.0' : '0.0.9',
      last_seen: iso(heard),
      reported_at: iso(heard),
      ...(stop && { last_stop: stop }),
    };
  }

  /** Asks a machine to stop: it answers, stands and is at rest a while later, unless it is lost. */
  stop(index, reason, t, issuer = 'local') {
    const issued = { command_id: machineId(1_000_000 + index * 1_000 + this.stops.size), issuer, reason, issued_at: iso(t), expires_at: iso(t + 600_000) };
    this.stops.set(index, issued);
    return issued;
  }

  lastStop(index, t, lost) {
    const issued = this.stops.get(index);
    if (issued === undefined || t < Date.parse(issued.issued_at)) return undefined;
    const after = (ms) => (!lost && t - Date.parse(issued.issued_at) >= ms ? iso(Date.parse(issued.issued_at) + ms) : null);
    const answered_at = after(14);
    return {
      ...issued, answer: answered_at && 'accepted', answer_reason: null, answered_at, standing_at: after(38), at_rest_at: after(1_240),
      released_at: null, at_rest: after(1_240) !== null,
    };
  }

  rows(t) {
    if (t < this.historyFrom) return [];
    return this.ids.map((_, index) => this.row(index, t));
  }

  machine(index, t, past) {
    const row = this.row(index, t);
    const v = this.vitals(index, t);
    const profile = this.profile(index);
    const problems = row.status === 'failed' || row.status === 'attention'
      ? [{ kind: row.safety === 'estop_latched' ? 'safety.estop' : 'thermal.high', severity: row.status === 'failed' ? 'error' : 'warning', message: row.status_reason }]
      : [];
    return {
      summary: row,
      reported: {
        identity: { name: row.name, kind: row.kind, region: row.region },
        hardware: { vendor: 'Raspberry Pi Ltd', model: 'Raspberry Pi 5 Model B Rev 1.0', serial: hex(index * 7919 + 1e9, 16), architecture: 'aarch64', processor: 'Cortex-A76', processors: 4, memory_bytes: 8 * 2 ** 30 },
        network: { hostname: row.name, interfaces: [
          { name: 'eth0', mac: `dc:a6:32:00:${hex((index >> 8) & 255, 2)}:${hex(index & 255, 2)}`, addresses: [`10.0.${(index >> 8) & 255}.${index & 255}`, 'fe80::dea6:32ff:fe00:1'], up: true, speed_mbit_per_s: 1000 },
          { name: 'wlan0', mac: 'dc:a6:32:ff:00:01', addresses: [], up: false },
        ] },
        platform: { os: 'Debian GNU/Linux 12 (bookworm)', kernel: '6.6.31+rpt-rpi-2712', boot_id: machineId(index + 500_000), booted_at: iso(this.historyFrom - 86_400_000 * (1 + index % 9)) },
        deployment: { agent_version: row.version },
        updates: updatesOf(row, iso(this.historyFrom)),
        operation: { mode: row.mode, safety: row.safety, authority: row.mode === 'driving' ? 'mission' : 'none', mission: row.mode === 'driving' ? 'running' : 'idle' },
        resources: { cpu_percent: row.cpu_percent, load_1m: round(v.load, 2), memory_used_bytes: Math.round(8 * 2 ** 30 * v.memory / 100), memory_percent: row.memory_percent, disks: [
          { mount: '/', size_bytes: 62e9, used_bytes: Math.round(62e9 * v.disk / 100), used_percent: row.disk_percent },
          { mount: '/boot/firmware', size_bytes: 535e6, used_bytes: 77e6, used_percent: 14.4 },
        ] },
        ...(v.battery !== null && { power: { battery_percent: row.battery_percent, charging: v.charging, external_supply: v.charging, volts: round(10.8 + v.battery / 55, 2), amperes: round(v.charging ? -3.1 : 1.4 + v.cpu / 60, 2) } }),
        thermal: { highest_celsius: row.temperature_celsius, zones: [{ name: 'cpu-thermal', celsius: row.temperature_celsius }, { name: 'rp1_adc', celsius: round(v.temperature - 6.3) }] },
        ...(v.kind !== 'pi' && { location: { latitude_degrees: row.latitude_degrees, longitude_degrees: row.longitude_degrees, heading_degrees: round((t / 1000 + index * 40) % 360), speed_m_per_s: row.speed_m_per_s } }),
        nodes: { nodes: ['health', 'location', 'power', 'state', 'telemetry', 'thermal', 'uplink'].map((name, i) => ({ name, status: i === 4 && row.status === 'attention' ? 'restarting' : 'running', restarts: i === 4 ? 2 : 0, ...(i === 4 && { last_failure: 'no sign of life for 10 s' }) })) },
        health: { level: row.status === 'failed' ? 'failed' : row.status === 'attention' ? 'degraded' : 'ok', problems },
      },
      sections_reported_at: {
        ...Object.fromEntries(['identity', 'hardware', 'platform', 'deployment', 'nodes'].map((section) => [section, iso(this.historyFrom)])),
        ...Object.fromEntries(['network', 'operation', 'health'].map((section, i) => [section, iso(Math.max(this.historyFrom, t - 40_000 * (i + 1) * (1 + index % 7)))])),
        ...Object.fromEntries(['resources', 'thermal', 'power', 'location'].map((section, i) => [section, iso(Date.parse(row.last_seen) - 1_000 * ((index + 7 * i) % 25))])),
      },
      state_version: Math.floor((t - this.historyFrom) / 60_000),
      display_name: profile.display_name,
      profile_version: profile.version,
      presence_reason: row.presence === 'lost' ? 'no heartbeat for 90 s' : 'connected',
      registered_at: iso(this.historyFrom + index * 10),
      session: 17,
      boot_id: machineId(index + 500_000),
      highest_record: 88_121,
      at: iso(t),
      past,
      position: this.position(t),
    };
  }

  position(t) {
    return Math.max(0, Math.floor((t - this.historyFrom) / SLOT_MS)) + 1;
  }

  /** The event of a slot of five seconds, where it has one. */
  eventIn(slot) {
    if (this.count === 0) return null;
    const at = slot * SLOT_MS;
    if (at < this.historyFrom) return null;
    const draw = noise(slot, 30);
    if (draw > 0.45) return null;
    const index = Math.floor(noise(slot, 31) * this.count);
    const [kind, severity, message] = draw < 0.004 ? ['safety.estop', 'critical', 'Emergency stop pressed at the machine.']
      : draw < 0.02 ? ['node.failed', 'error', 'Node telemetry failed too often and stays stopped.']
      : draw < 0.06 ? ['thermal.high', 'warning', 'cpu-thermal is at 81.2 °C, above 75 °C.']
      : draw < 0.1 ? ['presence.lost', 'warning', 'Not heard of for 90 s.']
      : draw < 0.2 ? ['presence.online', 'info', 'Connected.']
      : draw < 0.3 ? ['power.charging', 'info', 'Started charging at 14 %.']
      : draw < 0.42 ? ['mission.succeeded', 'info', 'Reached dock 3.']
      : ['debug.trace', 'debug', 'Buffer flushed.'];
    const when = at + Math.floor(noise(slot, 32) * SLOT_MS);
    return {
      position: this.position(at), machine_id: this.ids[index], machine_name: this.name(index), kind, severity, message,
      occurred_at: iso(when), recorded_at: iso(when + 40),
      data: { slot, zone: 'cpu-thermal', celsius: 81.2, limit_celsius: 75 },
      ...(draw < 0.1 && { correlation_id: `c-${slot}` }),
    };
  }

  /** Events newest first, from `from` to `to`, from before position `before`; at most `limit`, looking at most so far. */
  events({ from, to, before, limit, severity, kind, machine }) {
    const least = severity ? SEVERITIES.indexOf(severity) : 0;
    const items = [];
    const bottom = Math.max(from, this.historyFrom);
    let slot = Math.floor(to / SLOT_MS);
    if (before !== undefined) slot = Math.min(slot, Math.floor(this.historyFrom / SLOT_MS) + before - 1);
    for (let looked = 0; slot * SLOT_MS + SLOT_MS > bottom; slot -= 1, looked += 1) {
      if (items.length >= limit || looked > 20_000) {
        return { items, next_cursor: String(slot - Math.floor(this.historyFrom / SLOT_MS) + 1), searched_to: iso((slot + 1) * SLOT_MS), position: this.position(Date.now()) };
      }
      const event = this.eventIn(slot);
      if (event === null) continue;
      const when = Date.parse(event.recorded_at);
      if (when < from || when > to) continue;
      if (SEVERITIES.indexOf(event.severity) < least) continue;
      if (kind && event.kind !== kind && !event.kind.startsWith(`${kind}.`)) continue;
      if (machine && event.machine_id !== machine) continue;
      items.push(event);
    }
    return { items, next_cursor: null, searched_to: iso(bottom), position: this.position(Date.now()) };
  }

  timeline(from, to, count) {
    const size = (to - from) / count;
    const buckets = Array.from({ length: count }, (_, i) => ({ at: iso(from + i * size), events: 0, warnings: 0, errors: 0 }));
    for (let slot = Math.floor(Math.max(from, this.historyFrom) / SLOT_MS); slot * SLOT_MS <= to; slot += 1) {
      const event = this.eventIn(slot);
      if (event === null) continue;
      const bucket = buckets[Math.floor((Date.parse(event.recorded_at) - from) / size)];
      if (bucket === undefined) continue;
      bucket.events += 1;
      if (event.severity === 'warning') bucket.warnings += 1;
      if (event.severity === 'error' || event.severity === 'critical') bucket.errors += 1;
    }
    return { buckets, bucket_ms: size, searched_to: iso(Math.max(from, this.historyFrom)) };
  }

  summary(t, past) {
    const rows = this.rows(t);
    const tally = (of, words = []) => {
      const counts = Object.fromEntries(words.map((word) => [word, 0]));
      for (const row of rows) counts[of(row)] = (counts[of(row)] ?? 0) + 1;
      return counts;
    };
    return {
      total: rows.length,
      by_status: tally((row) => row.status, STATUS_WORDS),
      by_presence: tally((row) => row.presence, ['online', 'degraded', 'lost']),
      by_kind: tally((row) => row.kind),
      by_region: tally((row) => row.region),
      by_mode: tally((row) => row.mode),
      by_version: tally((row) => row.version),
      low_battery: rows.filter((row) => row.battery_percent !== null && row.battery_percent < 20 && !row.charging).length,
      at: iso(t), past, position: this.position(t),
      history_from: this.count === 0 ? null : iso(this.historyFrom),
      server_time: iso(Date.now()), server_version: '0.1.0-mock',
    };
  }

  telemetry(index, from, to, points, metrics) {
    const v0 = this.vitals(index, to);
    const all = [
      ['cpu.percent', '%', 'Processor time in use over all processors.', 'cpu'],
      ['load.1m', '', 'Run-queue length averaged over one minute.', 'load'],
      ['memory.percent', '%', 'Memory that is neither free nor reclaimable.', 'memory'],
      ['disk.percent', '%', 'The fullest disk.', 'disk'],
      ['temperature.celsius', '°C', 'The hottest thermal zone.', 'temperature'],
      ...(v0.battery === null ? [] : [['battery.percent', '%', 'Charge of the battery.', 'battery'], ['speed.m_per_s', 'm/s', 'Speed over ground.', 'speed']]),
      ['network.receive_bytes_per_s', 'B/s', 'Received over all interfaces but loopback.', 'receive'],
      ['network.transmit_bytes_per_s', 'B/s', 'Sent over all interfaces but loopback.', 'transmit'],
    ].filter(([name]) => metrics === null || metrics.includes(name));
    const start = Math.max(from, this.historyFrom);
    const step = Math.max(5_000, (to - from) / points);
    const series = all.map(([metric, unit, about]) => ({ metric, unit, about, points: [] }));
    for (let t = Math.ceil(start / step) * step; t <= to; t += step) {
      // Every machine was out of sight for six minutes of each hour: a gap that must be seen.
      if ((t + index * 91_000) % 3_600_000 < 360_000) continue;
      const v = this.vitals(index, t);
      all.forEach(([, , , key], i) => {
        const mean = round(v[key], 2);
        const spread = step > 10_000 ? Math.abs(mean) * 0.06 : 0;
        series[i].points.push({ at: iso(t), min: round(mean - spread, 2), mean, max: round(mean + spread, 2), count: Math.max(1, Math.round(step / 5_000)) });
      });
    }
    return { machine_id: this.ids[index], from: iso(from), to: iso(to), series };
  }

  logs(index, to, before, limit, severity) {
    const least = severity ? SEVERITIES.indexOf(severity) : 0;
    const items = [];
    let slot = before ?? Math.floor(to / 3_000);
    for (; items.length < limit && slot * 3_000 > this.historyFrom; slot -= 1) {
      const line = this.logIn(index, slot);
      if (line !== null && SEVERITIES.indexOf(line.severity) >= least) items.push(line);
    }
    return { items, next_cursor: slot * 3_000 > this.historyFrom ? String(slot) : null };
  }

  logIn(index, slot) {
    const draw = noise(index, slot, 40);
    if (draw > 0.4) return null;
    const [severity, target, message] = draw < 0.01 ? ['error', 'power', 'reading the fuel gauge failed: timed out']
      : draw < 0.04 ? ['warning', 'uplink', 'round trip took 812 ms']
      : draw < 0.2 ? ['info', 'state', 'reported the section resources']
      : ['debug', 'telemetry', 'sent 11 samples'];
    return { at: iso(slot * 3_000), severity, target, message, fields: { samples: 11, took_ms: Math.round(draw * 100) } };
  }
}
