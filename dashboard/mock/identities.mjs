// Certificates of the made-up machines, tokens for more of them, and the authority that issues. Nothing is signed.

import { randomBytes, randomUUID } from 'node:crypto';
import { Refused } from './refused.mjs';

const DAY = 86_400_000;
const LIFE = 90 * DAY;
const iso = (ms) => new Date(ms).toISOString();
const hex = (seed, length) => Array.from({ length }, (_, i) => ((seed * 31 + i * 17 + ((seed + i) % 7) * 5) % 16).toString(16)).join('');

export class Identities {
  changes = new Map();
  enrolments = new Map();
  authorities = [{ generation: 1, not_before: '2026-03-02T09:00:00.000Z' }];

  constructor({ rows, audit }) {
    this.rows = rows;
    this.audit = audit;
    this.put({ kind: 'lekiwi', labels: { site: 'munich' } }, 'ada', Date.now() - 1_200_000);
  }

  put({ kind = null, name = null, labels = {}, expires_in_s = 3_600, policy = 'accept' }, by, now, machine = null) {
    const id = randomUUID();
    const enrolment = { id, machine_id: machine, kind, name, labels, policy, created_at: iso(now), created_by: by, expires_at: iso(now + expires_in_s * 1_000), used_at: null };
    this.enrolments.set(id, enrolment);
    return enrolment;
  }

  shownEnrolment(enrolment, now) {
    const state = enrolment.used_at !== null ? 'used' : Date.parse(enrolment.expires_at) < now ? 'expired' : 'open';
    return { ...enrolment, state };
  }

  /** Of every machine; some wait, one was shut out, one ends soon, one was cloned. */
  shown(row, index, now) {
    const issued = now - (index === 2 ? LIFE - 4 * DAY : ((index * 5) % 55) * DAY);
    const changed = this.changes.get(row.id) ?? {};
    const standing = changed.standing ?? (index === 5 || index === 11 ? 'pending' : index === 8 ? 'revoked' : 'accepted');
    const certificate = {
      serial: hex(index + 3, 32), fingerprint: hex(index + 11, 64), authority: 1, issued_at: iso(issued), not_after: iso(issued + LIFE),
      first_used_at: standing === 'pending' ? null : iso(issued + 60_000), superseded_at: null,
    };
    const earlier = { ...certificate, serial: hex(index + 40, 32), fingerprint: hex(index + 50, 64), issued_at: iso(issued - 60 * DAY), not_after: iso(issued + 30 * DAY), first_used_at: iso(issued - 60 * DAY), superseded_at: iso(issued + 60_000) };
    return {
      machine_id: row.id, name: row.name, kind: row.kind, labels: row.labels, standing, standing_since: changed.since ?? iso(issued - (standing === 'pending' ? -1 : 100) * DAY),
      reason: standing === 'revoked' ? (changed.reason ?? 'its key was on a laptop that was stolen') : null, enrolled_at: iso(issued - 100 * DAY),
      connected: standing === 'accepted' && row.presence !== 'lost', not_after: standing === 'revoked' ? null : certificate.not_after,
      renew_asked: changed.renew === true, cloned_at: index === 14 ? iso(now - 7_200_000) : null, certificates: standing === 'pending' ? [certificate] : [certificate, earlier],
    };
  }

  all(now) {
    return this.rows().map((row, index) => this.shown(row, index, now));
  }

  async answer(who, method, path, query, body) {
    const now = Date.now();
    const [kind, id, act] = path.split('/');
    if (kind === 'certificate-authorities') {
      if (method === 'POST') {
        this.authorities.unshift({ generation: this.authorities.length + 1, not_before: iso(now) });
        this.note(who, 'authorities.rotate', []);
      }
      const total = this.rows().length - 1;
      const items = this.authorities.map(({ generation, not_before }, i) => ({
        generation, not_before, fingerprint: hex(generation * 13, 64), not_after: iso(Date.parse(not_before) + 3_650 * DAY), issues: i === 0, certificates: generation === 1 ? total : 0,
      }));
      return { document: { items, pem: '-----BEGIN CERTIFICATE-----\nbWFkZSB1cA==\n-----END CERTIFICATE-----\n' }, status: method === 'POST' ? 201 : 200 };
    }
    if (kind === 'enrolments') {
      if (method === 'GET') return { items: [...this.enrolments.values()].map((each) => this.shownEnrolment(each, now)).toReversed() };
      if (method === 'DELETE') {
        if (!this.enrolments.delete(id)) throw new Refused(404, 'There is no such enrolment', 'There is no such enrolment.', 'MST-A047');
        this.note(who, 'enrolments.withdraw', [{ kind: 'enrolment', id }]);
        return null;
      }
      const wanted = await body();
      if (wanted.kind !== undefined && !/^[a-z0-9-]{1,32}$/.test(wanted.kind)) {
        throw new Refused(422, 'The body is wrong', 'kind: 1 to 32 lower-case letters, digits and dashes are accepted', 'MST-A002', [{ at: 'body.kind', detail: '1 to 32 lower-case letters, digits and dashes are accepted' }]);
      }
      return this.made(who, wanted, now, null);
    }
    if (id === undefined) {
      const limit = Number(query.get('limit') ?? 100);
      const items = this.all(now).filter((each) => !query.has('cursor') || each.machine_id > query.get('cursor'));
      return { items: items.slice(0, limit), total: this.rows().length, next_cursor: items.length > limit ? items[limit - 1].machine_id : null };
    }
    const found = this.all(now).find((each) => each.machine_id === id);
    if (found === undefined) throw new Refused(404, 'It has not enrolled', 'There is no identity of this machine.', 'MST-A047');
    const object = { kind: 'machine', id, name: found.name };
    if (act === 'enrolment') return this.made(who, {}, now, id);
    if (act === 'accept') this.changes.set(id, { standing: 'accepted', since: iso(now) });
    if (act === 'renew') this.changes.set(id, { ...this.changes.get(id), renew: true });
    if (act === 'revoke') {
      const { reason } = await body();
      this.changes.set(id, { standing: 'revoked', since: iso(now), reason });
      this.note(who, 'identities.revoke', [object], reason);
    } else if (act !== undefined) this.note(who, `identities.${act}`, [object]);
    return this.all(now).find((each) => each.machine_id === id);
  }

  made(who, wanted, now, machine) {
    const enrolment = this.put(wanted, who.name, now, machine);
    this.note(who, 'enrolments.make', [{ kind: 'enrolment', id: enrolment.id }]);
    return { document: { enrolment: this.shownEnrolment(enrolment, now), token: `mste_${randomBytes(32).toString('hex')}.${hex(5, 64)}` }, status: 201 };
  }

  note(who, action, objects, reason = '') {
    this.audit.add({ person: who.name, action, objects, reason });
  }
}
