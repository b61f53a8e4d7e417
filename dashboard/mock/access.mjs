// People, sessions, tokens, policies and the audit log of the made-up fleet: enough for the pages, with no protection at all. A password is
// compared as it stands here, every authenticator shows 123456, and CEL is understood as far as `machine.labels.KEY == "VALUE"`,
// `action == "WORD"` and `true`.
//
// Two postures, as in the real server: everybody is let in (the default), or `--sign-in`.

import { randomBytes } from 'node:crypto';
import { acting } from './acting.mjs';
import { Audit } from './audit.mjs';
import { Identities } from './identities.mjs';
import { Proposals } from './proposals.mjs';
import { matchesFilter } from './query.mjs';
import { Refused } from './refused.mjs';

const ALL = ['read', 'stop', 'operate', 'diagnose', 'deploy', 'configure', 'enrol', 'administer', 'audit'];
const ROLES = {
  viewer: ['read'],
  operator: ['read', 'stop', 'operate', 'diagnose'],
  engineer: ['read', 'diagnose', 'deploy', 'configure'],
  admin: ALL,
};
const DESCRIPTIONS = {
  viewer: 'Sees machines, what they report and what happened.',
  operator: 'Sees, stops, takes control, has recordings made and brought.',
  engineer: 'Sees, decides what runs, changes labels, names and calibrations.',
  admin: 'Everything, people and policies too.',
};
const CODE = '123456';
const SESSION_MS = 12 * 3_600_000;
/** Wrong passwords before the next one has to wait. */
const FREE_TRIES = 5;

const iso = (ms) => new Date(ms).toISOString();
const secret = (prefix) => `${prefix}${randomBytes(24).toString('base64url')}`;
const tag = (version) => `"${version}"`;

function person(name, display_name, grants, more = {}) {
  return {
    name, display_name, grants, disabled: false, has_password: true, second_factor: false, created_at: '2026-10-01T08:00:00.000Z',
    signed_in_at: '2026-11-20T07:12:00.000Z', version: 1, password: `${name} ${name} ${name}`, ...more,
  };
}

const PEOPLE = [
  person('ada', 'Ada Lovelace', [{ role: 'admin', scope: '*' }]),
  person('grace', 'Grace Hopper', [{ role: 'engineer', scope: '*' }], { second_factor: true }),
  person('oskar', 'Oskar Sala', [{ role: 'operator', scope: 'label.line=1' }, { role: 'viewer', scope: 'label.line=2' }]),
  person('vera', '', [{ role: 'viewer', scope: 'label.line=1' }]),
  person('wall', 'Screen in hall 3', [{ role: 'viewer', scope: '*' }], { has_password: false, signed_in_at: undefined }),
  person('yuri', 'Yuri Knorozov', [], { disabled: true }),
];
const LOCAL = person('local', '', [{ role: 'admin', scope: '*' }]);

export class Access {
  people = new Map();
  sessions = new Map();
  tokens = new Map();
  policies = new Map();
  failures = new Map();
  audit = new Audit();
  setUpToken = null;

  constructor({ signIn, rows }) {
    this.signIn = signIn;
    this.rows = rows;
    this.identities = new Identities({ rows, audit: this.audit });
    this.proposals = new Proposals({ access: this });
    for (const each of PEOPLE) this.people.set(each.name, structuredClone(each));
    this.policies.set('night', {
      name: 'night', effect: 'forbid', permissions: ['deploy', 'configure'], condition: 'machine.labels.line == "3"',
      description: 'Line 3 is being rebuilt: nothing is changed on it', version: 1, updated_at: '2026-11-02T10:00:00.000Z',
    });
    this.policies.set('line-4', {
      name: 'line-4', effect: 'second_person', permissions: ['deploy', 'configure'], condition: 'machine.labels.line == "4"',
      description: 'Line 4 moves people: nothing on it is changed by one person alone', version: 1, updated_at: '2026-11-18T08:30:00.000Z',
    });
    const day = 86_400_000;
    this.tokens.set('t-3f9a', {
      id: 't-3f9a', name: 'nightly report', owner: 'ada', grants: [{ role: 'viewer', scope: '*' }], created_at: iso(Date.now() - 40 * day),
      expires_at: iso(Date.now() + 50 * day), used_at: iso(Date.now() - 6 * 3_600_000), used_from: '10.4.0.17',
    });
    this.sessions.set(secret('old'), {
      id: 's-11c2', person: 'grace', created_at: iso(Date.now() - 5_400_000), used_at: iso(Date.now() - 120_000), expires_at: iso(Date.now() + 37_800_000),
      from: '10.4.0.23', agent: 'Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0',
    });
    if (signIn) this.proposals.seed(rows());
  }

  /** Trouble for tests: `{needs_set_up: true}`, `{end_sessions: true}`. */
  trouble({ needs_set_up, end_sessions }) {
    if (needs_set_up) {
      this.people.clear();
      this.setUpToken = 'first';
    }
    if (needs_set_up || end_sessions) this.sessions.clear();
  }

  session(request) {
    const found = /(?:^|; )muster_session=([^;]+)/.exec(request.headers.cookie ?? '');
    const kept = found === null ? undefined : this.sessions.get(found[1]);
    return kept === undefined || Date.parse(kept.expires_at) < Date.now() ? null : kept;
  }

  /** Who asks; null where nobody is signed in. */
  who(request) {
    if (!this.signIn) return LOCAL;
    if (request.as !== undefined) return request.as;
    const session = this.session(request);
    const found = session === null ? undefined : this.people.get(session.person);
    return found === undefined || found.disabled ? null : found;
  }

  /** Whether somebody may, and by which rule. `row` null is the fleet as such. */
  decide(who, permission, row, grants = who.grants, extra = null) {
    const decision = this.alone(who, permission, row, grants, extra);
    const waits = decision.allowed && this.signIn && permission !== 'read' && permission !== 'stop' ? this.policyThatWaits(permission, row, extra) : undefined;
    return waits === undefined ? decision : { ...decision, second_person: waits.name };
  }

  policyThatWaits(permission, row, extra = null) {
    const action = acting()?.action ?? 'something';
    return [...this.policies.values(), ...(extra === null ? [] : [extra])].find((policy) =>
      policy.effect === 'second_person' && (policy.permissions.length === 0 || policy.permissions.includes(permission)) && holds(policy.condition, row, action));
  }

  /** As `decide`, as if nobody ever waited for a second person. */
  alone(who, permission, row, grants, extra) {
    for (const policy of [...this.policies.values(), ...(extra === null ? [] : [extra])]) {
      if (policy.effect === 'second_person') continue;
      if (policy.permissions.length > 0 && !policy.permissions.includes(permission)) continue;
      if (row === null || !holds(policy.condition, row)) continue;
      if (policy.effect === 'forbid') return { allowed: false, rule: `the policy ${policy.name} forbids ${permission}: ${policy.description}` };
      return { allowed: true, rule: `the policy ${policy.name} permits it: ${policy.description}` };
    }
    const reaching = grants.find((each) => ROLES[each.role].includes(permission) && (row === null || each.scope === '*' || matchesFilter(each.scope, row)));
    if (reaching !== undefined) return { allowed: true, rule: `${who.name} has ${inWords(reaching)}` };
    const held = Object.keys(ROLES).filter((role) => ROLES[role].includes(permission));
    return { allowed: false, rule: `needs ${permission}, which ${held.join(' and ')} ${held.length === 1 ? 'holds' : 'hold'}; ${who.name} has ${grants.map(inWords).join(', ') || 'no grant'}` };
  }

  sees(who, row) {
    return this.decide(who, 'read', row).allowed;
  }

  /** Throws where somebody may not; what they may not even see is not there. */
  need(who, permission, row, notFound) {
    if (row !== null && !this.sees(who, row)) throw notFound();
    const { allowed, rule, second_person: policy } = this.decide(who, permission, row);
    if (allowed) return this.proposals.must(who, permission, row, policy);
    this.audit.add({ person: who.name, action: `${permission}.try`, objects: row === null ? [] : [{ kind: 'machine', id: row.id, name: row.name }], outcome: 'refused', status: 403, rule });
    throw new Refused(403, 'Not allowed', rule, 'MST-A045');
  }

  needEverywhere(who, permission) {
    const held = who.grants.some((each) => each.scope === '*' && ROLES[each.role].includes(permission));
    if (!held) throw new Refused(403, 'Not allowed', this.decide(who, permission, null, who.grants.filter((each) => each.scope === '*')).rule, 'MST-A045');
    this.proposals.must(who, permission, null, this.decide(who, permission, null).second_person);
  }

  me(who) {
    if (who === null) {
      return { signed_in: false, grants: [], permissions: [], permissions_everywhere: [], trusts_loopback: false, needs_set_up: this.people.size === 0, second_factor: false };
    }
    return {
      signed_in: true, name: who.name, display_name: who.display_name, by: this.signIn ? 'session' : 'posture', grants: who.grants,
      permissions: holdsOf(who.grants), permissions_everywhere: holdsOf(who.grants.filter((each) => each.scope === '*')),
      trusts_loopback: !this.signIn, needs_set_up: false, second_factor: who.second_factor,
      ...(this.signIn && { expires_at: iso(Date.now() + SESSION_MS) }),
    };
  }

  enter(name, request) {
    const value = secret('msts_');
    const now = Date.now();
    const session = { id: `s-${randomBytes(2).toString('hex')}`, person: name, created_at: iso(now), used_at: iso(now), expires_at: iso(now + SESSION_MS), from: '127.0.0.1', agent: request.headers['user-agent'] ?? '' };
    this.sessions.set(value, session);
    const kept = this.people.get(name);
    kept.signed_in_at = iso(now);
    this.audit.add({ person: name, by: 'session', by_id: session.id, action: 'session.begin', outcome: 'done', status: 200 });
    return { document: { name, expires_at: session.expires_at }, headers: { 'set-cookie': `muster_session=${value}; HttpOnly; SameSite=Strict; Path=/` } };
  }

  signInWith({ name, password, code }, request) {
    const wrong = this.failures.get(name) ?? { count: 0, until: 0 };
    if (wrong.until > Date.now()) {
      const seconds = Math.ceil((wrong.until - Date.now()) / 1_000);
      throw new Refused(429, 'Too many tries', `Too many wrong tries: wait ${seconds} s.`, 'MST-A043', [], { 'retry-after': String(seconds) });
    }
    const found = this.people.get(name);
    const fail = (...why) => {
      const count = wrong.count + 1;
      this.failures.set(name, { count, until: count >= FREE_TRIES ? Date.now() + 2_000 * 2 ** (count - FREE_TRIES) : 0 });
      this.audit.add({ person: '', action: 'session.begin', objects: [{ kind: 'person', id: name }], outcome: 'refused', status: 401, detail: 'wrong name, password or code' });
      throw why.length > 0 ? new Refused(...why) : new Refused(401, 'Not signed in', 'the name or the password is wrong', 'MST-A041');
    };
    if (found === undefined || found.disabled || !found.has_password || found.password !== password) return fail();
    if (found.second_factor && (code === undefined || code === '')) {
      throw new Refused(401, 'A code is needed', 'a code is asked for besides', 'MST-A042', [{ at: 'body.code', detail: 'a code is asked for besides' }]);
    }
    if (found.second_factor && code !== CODE) return fail(401, 'A code is needed', 'the code is wrong, or was used already', 'MST-A042', [{ at: 'body.code', detail: 'the code is wrong, or was used already' }]);
    this.failures.delete(name);
    return this.enter(name, request);
  }

  setUp({ token, name, password }, request) {
    if (this.setUpToken === null || token !== this.setUpToken) {
      throw new Refused(403, 'This link is not valid', 'The set-up link was used already, or is older than an hour.', 'MST-A044');
    }
    checkPassword(password);
    this.setUpToken = null;
    this.people.set(name, person(name, '', [{ role: 'admin', scope: '*' }], { password }));
    return this.enter(name, request);
  }

  check(who, { person: name, machine, grants, policy }, own = false) {
    if (!own) this.needEverywhere(who, 'administer');
    const subject = name === who.name ? who : this.people.get(name);
    if (subject === undefined) throw new Refused(404, 'No such person', `There is nobody called ${name}.`, 'MST-A004');
    if (policy !== undefined && policy.condition !== '') compile(policy.condition, 'body.condition');
    const row = machine === undefined ? null : this.rows().find((each) => each.id === machine);
    if (row === undefined) throw new Refused(404, 'No such machine', 'There is no machine with this id.', 'MST-A004');
    const extra = policy === undefined ? null : { name: 'tried', ...policy };
    const decisions = ALL.map((permission) => {
      if (row !== null) return { permission, ...this.decide(subject, permission, row, grants ?? subject.grants, extra) };
      const reached = this.rows().filter((each) => this.decide(subject, permission, each, grants ?? subject.grants, extra).allowed).length;
      return { permission, ...this.decide(subject, permission, null, grants ?? subject.grants, extra), machines: reached };
    });
    return { person: subject.name, decisions };
  }
}

const holdsOf = (grants) => ALL.filter((each) => grants.some((grant) => ROLES[grant.role].includes(each)));
const inWords = ({ role, scope }) => (scope === '*' ? role : `${role} on ${scope}`);

const CEL = /^machine\.labels\.(\w+) == "([^"]*)"$/;

const ACTION = /^action == "([^"]*)"$/;

function compile(condition, at) {
  if (condition === 'true' || CEL.test(condition) || ACTION.test(condition)) return;
  throw new Refused(422, 'The body is not accepted', 'The expression cannot be read.', 'MST-A003', [{ at, detail: `1:1: this stand-in only reads machine.labels.KEY == "VALUE", not ${condition}` }]);
}

function holds(condition, row, action = '') {
  const found = CEL.exec(condition);
  return condition === 'true' || ACTION.exec(condition)?.[1] === action || (found !== null && row !== null && row.labels[found[1]] === found[2]);
}

export function checkPolicy(body) {
  compile(body.condition, 'body.condition');
}

export function checkPassword(password, at = 'body.password') {
  if ([...(password ?? '')].length < 12) throw new Refused(422, 'The body is not accepted', 'The password is too short.', 'MST-A003', [{ at, detail: 'a password has 12 to 256 characters' }]);
}

export function rolesDocument() {
  return { items: Object.entries(ROLES).map(([role, permissions]) => ({ role, permissions, description: DESCRIPTIONS[role] })) };
}

export { tag, CODE, secret };
