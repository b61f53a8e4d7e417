// Acts of the made-up fleet that wait for a second person, as in `crates/fleet/src/access/proposals.rs`.

import { randomBytes } from 'node:crypto';
import { acting } from './acting.mjs';
import { Refused } from './refused.mjs';

const LIFETIME_MS = 24 * 3_600_000;
const SECRETS = new Set(['password', 'current', 'code', 'token', 'device_code', 'secret']);
const DOTS = '••••••';

const iso = (ms) => new Date(ms).toISOString();
const hidden = (text) => (text === '' ? '' : JSON.stringify(JSON.parse(text, (key, value) => (SECRETS.has(key) && typeof value === 'string' ? DOTS : value))));
const notWaiting = (state) => new Refused(409, 'It does not wait any more', `it is ${state} already`, 'MST-A081');

const objectOf = ({ id, name: called }) => ({ kind: 'machine', id, name: called });
const labels = (machine, value) => ({ method: 'PUT', path: `/api/v1/machines/${machine.id}/labels`, if_match: '"1"', body: JSON.stringify({ labels: { line: '4', hall: value } }) });
const name = (machine, display_name) => ({ method: 'PUT', path: `/api/v1/machines/${machine.id}/display-name`, if_match: '"1"', body: JSON.stringify({ display_name }) });

export class Proposals {
  kept = new Map();
  /** Sends a kept request through the server again; the server puts it here. */
  send = null;

  constructor({ access }) {
    this.access = access;
  }

  /** Lets through what needs no second person, or has one; everything else waits from here on. */
  must(who, permission, row, policyName) {
    const act = acting();
    if (policyName === undefined || act?.action === undefined || act.second !== null) return;
    const policy = this.access.policies.get(policyName);
    const { request, path, query, action } = act;
    const asked = {
      method: request.method, path: `/api/v1/${path}${query.size === 0 ? '' : `?${query}`}`, body: request.kept ?? '',
      ...(request.headers['if-match'] !== undefined && { if_match: request.headers['if-match'] }),
      ...(request.headers['if-none-match'] !== undefined && { if_none_match: request.headers['if-none-match'] }),
    };
    const same = [...this.kept.values()].find((each) => each.state === 'waiting' && each.person === who.name && JSON.stringify(each.request) === JSON.stringify(asked));
    const proposal = same ?? this.add({
      person: who.name, action, request: asked, permission, policy,
      reason: (asked.body === '' ? undefined : JSON.parse(asked.body).reason) ?? query.get('reason') ?? '', ...(row !== null && { machine: row.id, machine_name: row.name }),
    });
    if (same === undefined) {
      const objects = [{ kind: 'proposal', id: proposal.id }, ...(row === null ? [] : [{ kind: 'machine', id: row.id, name: row.name }])];
      this.access.audit.add({ person: who.name, action, objects, reason: proposal.reason, outcome: 'proposed', status: 403, rule: `${who.name} may; the policy ${policy.name} asks for a second person: ${policy.description}` });
    }
    const detail = `the policy ${policy.name} asks for a second person: ${policy.description}; it waits as the proposal ${proposal.id} until somebody else approves it`;
    throw new Refused(403, 'It waits for a second person', detail, 'MST-A080', [], {}, { proposal: proposal.id });
  }

  add({ policy, ...proposal }, at = Date.now()) {
    const kept = {
      id: `p-${randomBytes(4).toString('hex')}`, state: 'waiting', by: 'session', from: '127.0.0.1', policy: policy.name, policy_description: policy.description,
      created_at: iso(at), expires_at: iso(at + LIFETIME_MS), reason: '', ...proposal,
    };
    this.kept.set(kept.id, kept);
    return kept;
  }

  mayDecide(who, { state, person, permission, machine }) {
    if (state !== 'waiting') return { may_decide: false, why: `it is ${state} already` };
    if (person === who.name) return { may_decide: false, why: 'you proposed it: it takes somebody else' };
    const row = machine === undefined ? null : this.access.rows().find((each) => each.id === machine);
    const grants = row === null ? who.grants.filter((each) => each.scope === '*') : who.grants;
    const { allowed, rule } = this.access.alone(who, permission, row, grants, null);
    return { may_decide: allowed, why: rule };
  }

  sees(who, proposal) {
    return proposal.person === who.name || this.mayDecide(who, { ...proposal, state: 'waiting', person: '' }).may_decide || this.access.alone(who, 'audit', null, who.grants, null).allowed;
  }

  shown(who, { request, answer, ...kept }, whole = false) {
    const { method, path, if_match, if_none_match, body } = request;
    return {
      ...kept, method, path, ...(if_match !== undefined && { if_match }), ...(if_none_match !== undefined && { if_none_match }), ...this.mayDecide(who, kept),
      ...(whole && body !== '' && { body: hidden(body) }), ...(whole && kept.person === who.name && answer !== undefined && { answer }),
    };
  }

  async answer(who, method, [id, part], query, body) {
    if (id === undefined) {
      const seen = [...this.kept.values()].toReversed().filter((each) => this.sees(who, each)).map((each) => this.shown(who, each));
      const items = seen.filter((each) => !query.has('state') || each.state === query.get('state'));
      return { items: items.toSorted((a, b) => Number(a.state !== 'waiting') - Number(b.state !== 'waiting')), for_you: seen.filter((each) => each.may_decide).length };
    }
    const kept = this.kept.get(id);
    if (kept === undefined || !this.sees(who, kept)) throw new Refused(404, 'There is no such thing', `there is no proposal "${id}"`, 'MST-A047');
    // Its own `status` is what the act was answered with.
    if (method === 'GET') return { document: this.shown(who, kept, true), status: 200 };
    if (kept.state !== 'waiting') throw notWaiting(kept.state);
    const objects = [{ kind: 'proposal', id, name: kept.action }];
    if (method === 'DELETE') {
      if (kept.person !== who.name) throw new Refused(403, 'Not allowed', `only ${kept.person} can take it back; you can refuse it`, 'MST-A045');
      Object.assign(kept, { state: 'withdrawn', decided_at: iso(Date.now()) });
      this.access.audit.add({ person: who.name, action: 'proposals.withdraw', objects, status: 204 });
      return Symbol.for('no content');
    }
    const { reason = '' } = await body();
    const { may_decide: may, why } = this.mayDecide(who, kept);
    if (!may) throw new Refused(403, 'Not allowed', why, 'MST-A045');
    if (part === 'refuse' && reason.trim() === '') throw new Refused(422, 'The body is wrong', 'a reason of 1 to 500 characters is needed', 'MST-A003', [{ at: 'body.reason', detail: 'a reason is needed' }]);
    Object.assign(kept, { decided_by: who.name, decided_at: iso(Date.now()), ...(reason !== '' && { decision_reason: reason }), state: part === 'refuse' ? 'refused' : 'doing' });
    if (part !== 'refuse') await this.carryOut(kept, who);
    this.access.audit.add({ person: who.name, action: `proposals.${part}`, objects, reason, detail: part === 'refuse' ? '' : `${kept.action} → ${kept.status}` });
    return { document: this.shown(who, kept, true), status: 200 };
  }

  async carryOut(kept, second) {
    const person = this.access.people.get(kept.person);
    try {
      const done = await this.send(kept.request, person, { person: second.name, proposal: kept.id });
      const document = typeof done === 'symbol' ? undefined : (done.document ?? done);
      Object.assign(kept, { state: 'done', status: done.status ?? (document === undefined ? 204 : 200), ...(document !== undefined && { answer: JSON.stringify(document) }) });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      Object.assign(kept, { state: 'failed', status: error.problem.status, detail: `${error.problem.detail} (${error.problem.code})` });
    }
  }

  /** Some that are there from the beginning. */
  seed(rows) {
    const policy = this.access.policies.get('line-4');
    const on = rows.filter((row) => row.labels.line === '4');
    const hour = 3_600_000;
    const now = Date.now();
    const of = (machine) => ({ permission: 'configure', policy, machine: machine.id, machine_name: machine.name });
    const calibration = { wheels: { profile: { kind: 'range', input: 'counts', output: 'm_per_s', unit: 'm/s', stages: [{ scale: { factor: 0.00117 } }] } } };
    const ended = (hours) => ({ decided_at: iso(now - hours * hour) });
    this.add({ person: 'grace', action: 'machines.label', ...of(on[4]), request: labels(on[4], '2'), state: 'expired', detail: 'nobody decided in time', ...ended(30) }, now - 54 * hour);
    this.add({ person: 'ada', action: 'machines.name', ...of(on[3]), request: name(on[3], 'shuttle four'), state: 'refused', decided_by: 'grace', decision_reason: 'the sign on it says otherwise', ...ended(27) }, now - 28 * hour);
    this.add({ person: 'grace', action: 'machines.label', ...of(on[2]), request: labels(on[2], '3'), state: 'failed', decided_by: 'ada', detail: 'somebody else changed it meanwhile (MST-A012)', status: 412, ...ended(25) }, now - 26 * hour);
    const done = this.add({ person: 'grace', action: 'machines.name', ...of(on[1]), request: name(on[1], 'shuttle two'), state: 'done', decided_by: 'ada', status: 200, decision_reason: 'as agreed on Friday', ...ended(5) }, now - 7 * hour);
    const own = this.add({ person: 'ada', action: 'machines.label', ...of(on[3]), request: labels(on[3], '1') }, now - 2 * hour);
    this.add({ person: 'grace', action: 'machines.label', ...of(on[0]), request: labels(on[0], '2') }, now - 0.5 * hour);
    this.add({
      person: 'grace', action: 'machines.desire', ...of(on[1]), reason: 'new wheels since this morning', by: 'token', from: '10.4.0.23',
      request: { method: 'PUT', path: `/api/v1/machines/${on[1].id}/desired/calibration`, if_match: '"0"', body: JSON.stringify({ content: calibration, reason: 'new wheels since this morning' }) },
    }, now - 22.6 * hour);
    this.access.audit.add({ person: 'grace', by: 'proposal', by_id: done.id, second_person: 'ada', action: 'machines.name', objects: [objectOf(on[1])], rule: 'grace has engineer; ada has admin', detail: 'shuttle two' }, now - 5 * hour);
    this.access.audit.add({ person: 'ada', action: 'machines.label', objects: [{ kind: 'proposal', id: own.id }, objectOf(on[3])], outcome: 'proposed', status: 403, rule: `ada has admin; the policy line-4 asks for a second person: ${policy.description}` }, now - 2 * hour);
  }
}
