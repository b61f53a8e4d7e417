// What is desired of the made-up machines, and calibrations of them: enough for the page, not for a machine. Of the stages of a profile it
// knows scale and offset.

const CURVE_POINTS = 33;
/** How long a machine takes to become what is desired. */
const APPLIED_AFTER_MS = 400;

export class Desires {
  #machines = new Map();

  #of(id) {
    if (!this.#machines.has(id)) this.#machines.set(id, { version: 0, sections: new Map(), past: [], calibrations: new Map(), appliedAt: 0 });
    return this.#machines.get(id);
  }

  /** As `GET …/desired` answers. */
  shown(id, now) {
    const kept = this.#of(id);
    const applied = now >= kept.appliedAt;
    const sections = [...kept.sections.values()].map((section) => ({ ...section, status: applied ? 'applied' : 'pending' }));
    return {
      machine_id: id,
      version: kept.version,
      held_version: applied ? kept.version : kept.version - 1,
      converged: applied,
      sections,
    };
  }

  version(id) {
    return this.#of(id).version;
  }

  put(id, name, { content, reason }, now) {
    const kept = this.#of(id);
    kept.version += 1;
    const section = { name, version: kept.version, content, issuer: 'local', reason, changed_at: new Date(now).toISOString() };
    kept.sections.set(name, section);
    kept.past.unshift({ section: name, version: kept.version, content, issuer: 'local', reason, changed_at: section.changed_at });
    kept.appliedAt = now + APPLIED_AFTER_MS;
    if (name === 'calibration') {
      for (const [device, { profile }] of Object.entries(content)) {
        const before = kept.calibrations.get(device);
        const same = JSON.stringify(before?.profile) === JSON.stringify(profile);
        const versions = (before?.versions ?? 0) + (same ? 0 : 1);
        if (!same) kept.calibrations.set(device, { device, version: versions, source: 'desired', since: section.changed_at, versions, profile });
      }
    }
  }

  history(id, section) {
    const items = this.#of(id).past.filter((past) => past.section === section).slice(0, 50);
    return { items: items.map(({ version, content, issuer, reason, changed_at }) => ({ version, content, issuer, reason, changed_at })), complete: true };
  }

  /** What the machine reports of it. */
  reported(id, now) {
    const kept = this.#machines.get(id);
    if (kept === undefined || now < kept.appliedAt || kept.calibrations.size === 0) return {};
    const devices = [...kept.calibrations.values()].toSorted((a, b) => a.device.localeCompare(b.device));
    return { calibration: { devices } };
  }
}

/** As `POST /api/v1/calibration/check` answers; none where it is no profile. */
export function check(profile) {
  if (!['motor', 'sensor'].includes(profile?.kind) || typeof profile.input !== 'object') return null;
  const refusals = [];
  for (const [index, stage] of (profile.stages ?? []).entries()) {
    if (stage.scale?.factor === 0) refusals.push({ at: `stages[${index}].scale.factor`, detail: '0 makes everything the same: another number is accepted' });
  }
  if (refusals.length > 0) return { accepted: false, refusals, curve: null };
  const { min, max } = profile.input;
  const out = (value) => (profile.stages ?? []).reduce((sum, stage) => sum * (stage.scale?.factor ?? 1) + (stage.offset?.add ?? 0), value);
  const curve = Array.from({ length: CURVE_POINTS }, (_, step) => {
    const value = min + ((max - min) * step) / (CURVE_POINTS - 1);
    return [value, out(value)];
  });
  return { accepted: true, refusals, curve };
}
