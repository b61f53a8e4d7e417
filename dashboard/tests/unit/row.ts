import type { MachineSummary } from '../../src/api/types';

/** A machine to test with. */
export function row(id: string, part: Partial<MachineSummary> = {}): MachineSummary {
  return {
    id, name: id, kind: 'car', region: 'munich', labels: {}, status: 'ok', status_reason: '', presence: 'online',
    presence_since: '2026-11-21T07:00:00.000Z', mode: 'idle', safety: 'operational', battery_percent: 50, charging: false,
    temperature_celsius: 40, cpu_percent: 10, memory_percent: 20, disk_percent: 30, speed_m_per_s: 0,
    latitude_degrees: null, longitude_degrees: null, version: '0.1.0', last_seen: '2026-11-21T07:00:00.000Z',
    reported_at: null, ...part,
  };
}
