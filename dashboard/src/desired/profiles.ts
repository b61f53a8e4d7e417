/** Calibration profiles as they lie in the desired section, and as people edit them. */
import type { CalibrationProfile, Desired, DesiredPast, DeviceCalibration, Machine } from '@/api/types';

export const SECTION = 'calibration';

export interface DesiredProfile {
  profile: CalibrationProfile;
  overrule?: boolean;
}

export type DesiredProfiles = Record<string, DesiredProfile>;

/** The profiles that are desired; none where the section is not there. */
export function profilesOf(desired: Desired): DesiredProfiles {
  const section = desired.sections.find((each) => each.name === SECTION);
  return (section?.content ?? {}) as DesiredProfiles;
}

export interface DeviceRow {
  device: string;
  /** What the machine reports; none where it never had a profile. */
  reported: DeviceCalibration | null;
  desired: DesiredProfile | null;
}

/** Each device that has a profile or should have one, by name. */
export function rows(machine: Machine, desired: Desired | undefined): DeviceRow[] {
  const reported = new Map((machine.reported.calibration?.devices ?? []).map((each) => [each.device, each]));
  const profiles = desired === undefined ? {} : profilesOf(desired);
  const names = [...new Set([...reported.keys(), ...Object.keys(profiles)])].toSorted((a, b) => a.localeCompare(b));
  return names.map((device) => ({ device, reported: reported.get(device) ?? null, desired: profiles[device] ?? null }));
}

export interface EarlierProfile {
  version: number;
  reason: string;
  changedAt: string;
  profile: CalibrationProfile;
}

/** The profiles that were desired of a device, newest first, each once in a row. */
export function earlier(history: readonly DesiredPast[], device: string): EarlierProfile[] {
  const found: EarlierProfile[] = [];
  // Oldest first, so that the change that brought a profile is the one that is told, and not a later one of another device.
  for (const past of history.toReversed()) {
    const profile = (past.content as DesiredProfiles | null)?.[device]?.profile;
    if (profile === undefined) continue;
    if (JSON.stringify(found.at(-1)?.profile) === JSON.stringify(profile)) continue;
    found.push({ version: past.version, reason: past.reason, changedAt: past.changed_at, profile });
  }
  return found.toReversed();
}

/** What a person begins with where nothing is there yet. */
export const TEMPLATE = {
  kind: 'sensor',
  unit: '°C',
  input: { min: -40, max: 125 },
  stages: [{ offset: { add: 0 } }, { scale: { factor: 1 } }],
  author: '',
  note: '',
};

/** What stands in the editor, or why it is no JSON. */
export function parse(text: string): { value: unknown } | { wrong: string } {
  try {
    return { value: JSON.parse(text) as unknown };
  } catch (error) {
    return { wrong: error instanceof Error ? error.message : String(error) };
  }
}
