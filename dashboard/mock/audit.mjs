// The audit log of the made-up fleet: some entries of yesterday, and what was done since.

import { acting } from './acting.mjs';

const iso = (ms) => new Date(ms).toISOString();

const EARLIER = [
  { person: 'ada', by: 'session', by_id: 's-77aa', action: 'people.change', objects: [{ kind: 'person', id: 'oskar', name: 'Oskar Sala' }], reason: 'he runs line 1 from Monday on', detail: 'granted operator on label.line=1', rule: 'ada has admin', status: 200, outcome: 'done' },
  { person: 'oskar', by: 'session', by_id: 's-90b1', action: 'machines.stop', objects: [{ kind: 'machine', id: '0192f0c1-0000-7000-8000-000000000001', name: 'lekiwi-frida' }], reason: 'a box fell off', rule: 'oskar has operator on label.line=1', status: 202, outcome: 'done' },
  { person: 'vera', by: 'session', by_id: 's-02fe', action: 'machines.stop', objects: [{ kind: 'machine', id: '0192f0c1-0000-7000-8000-000000000001', name: 'lekiwi-frida' }], rule: 'needs stop, which operator and admin hold; vera has viewer on label.line=1', status: 403, outcome: 'refused' },
  { person: 'grace', by: 'token', by_id: 't-3f9a', action: 'machines.desire', objects: [{ kind: 'machine', id: '0192f0c1-0001-7001-8000-000000000002', name: 'car-frida' }], reason: 'new wheel', detail: 'calibration', rule: 'grace has engineer', status: 503, outcome: 'failed' },
  { person: '', by: '', action: 'session.begin', objects: [{ kind: 'person', id: 'root' }], from: '203.0.113.9', detail: 'wrong name, password or code', status: 401, outcome: 'refused' },
];

export class Audit {
  entries = [];

  constructor() {
    const from = Date.now() - 20 * 3_600_000;
    for (let i = 0; i < 260; i += 1) this.add(EARLIER[(i * 7 + (i % 3)) % EARLIER.length], from + i * 240_000);
  }

  add(entry, at = Date.now()) {
    // What a second person approved is an act of both.
    const act = acting();
    const both = act?.second ? { by: 'proposal', by_id: act.proposal, second_person: act.second } : {};
    this.entries.push({ position: this.entries.length + 1, at: iso(at), person: '', by: 'session', objects: [], from: '127.0.0.1', outcome: 'done', status: 200, ...entry, ...both });
  }

  page(query) {
    const passes = (entry) =>
      (!query.has('person') || entry.person === query.get('person'))
      && (!query.has('action') || entry.action === query.get('action') || entry.action.startsWith(`${query.get('action')}.`))
      && (!query.has('outcome') || entry.outcome === query.get('outcome'))
      && (!query.has('object') || entry.objects.some((each) => each.id === query.get('object')))
      && (!query.has('from') || entry.at >= iso(Date.parse(query.get('from'))))
      && (!query.has('to') || entry.at <= iso(Date.parse(query.get('to'))))
      && (!query.has('after') || entry.position > Number(query.get('after')));
    const ascending = query.get('order') === 'asc';
    const cursor = query.has('cursor') ? Number(query.get('cursor')) : null;
    const found = this.entries.filter(passes).filter((entry) => cursor === null || (ascending ? entry.position > cursor : entry.position < cursor));
    if (!ascending) found.reverse();
    const limit = Number(query.get('limit') ?? 100);
    const items = found.slice(0, limit);
    return { items, head: this.entries.length, ...(found.length > limit && { next_cursor: String(items.at(-1).position) }) };
  }

  checked() {
    return { sound: true, entries: this.entries.length, head_hash: '9f2c'.repeat(16), findings: [] };
  }
}
