// The routes about people and what they may, over `access.mjs`.

import { CODE, checkPassword, checkPolicy, rolesDocument, secret, tag } from './access.mjs';
import { Refused } from './refused.mjs';

const QR = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 21 21" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h21v21H0z"/><path d="M2 2h5v5H2zM14 2h5v5h-5zM2 14h5v5H2zM9 3h1v2h2v1H9zM9 8h3v2H9zM13 9h2v3h-2zM9 12h2v1h2v3h-1v2h-3v-2h1v-2H9zM15 14h3v2h-1v2h-2z"/></svg>';
const iso = (ms) => new Date(ms).toISOString();
const notFound = (what) => new Refused(404, `No such ${what}`, `There is no such ${what}.`, 'MST-A004');
const NONE = Symbol.for('no content');
const lastAdmin = () => new Refused(409, 'The last admin stays', 'Nobody else could administer the fleet any more.', 'MST-A046');

const shownPerson = (kept) => ({ ...kept, password: undefined });

/** Compares versions as everywhere: throws, or says whether it is new. */
function based(request, kept) {
  if (request.headers['if-none-match'] === '*') {
    if (kept !== undefined) throw new Refused(412, 'It is there already', 'There is one with this name already.', 'MST-A005');
    return;
  }
  const expected = request.headers['if-match'];
  if (expected === undefined) throw new Refused(428, 'If-Match is missing', 'Give the ETag that was read, or *.', 'MST-A006');
  if (kept === undefined || (expected !== '*' && expected !== tag(kept.version))) {
    throw new Refused(412, 'Changed meanwhile', 'Somebody else changed this meanwhile.', 'MST-A005');
  }
}

export { NONE };

/** An answer, `NONE`, or undefined where the path is about something else. */
export async function accessRoutes(access, request, path, query, body) {
  const who = access.who(request);
  const { method } = request;
  if (path === 'me' && method === 'GET') return access.me(who);
  if (path === 'session' && method === 'POST') return access.signInWith(await body(), request);
  if (path === 'set-up') return access.setUp(await body(), request);
  if (who === null) {
    throw new Refused(401, 'Nobody is signed in', 'Sign in, or send a token.', 'MST-A040');
  }
  if (path === 'session') {
    const session = access.session(request);
    for (const [value, kept] of access.sessions) if (kept === session) access.sessions.delete(value);
    return NONE;
  }
  if (path === 'me/second-factor') return secondFactor(access, who, method, body);
  if (path === 'roles') return rolesDocument();
  if (path === 'access/mine') return access.check(who, { person: who.name, machine: query.get('machine') ?? undefined }, true);
  if (path === 'access/check') return access.check(who, await body());
  if (path === 'people' || path.startsWith('people/')) return people(access, who, request, path.split('/').slice(1), query, body);
  if (path === 'policies' || path.startsWith('policies/')) return policies(access, who, request, path.split('/')[1], query, body);
  if (path === 'sessions' || path.startsWith('sessions/')) return sessions(access, who, request, path.split('/')[1], query);
  if (path === 'tokens' || path.startsWith('tokens/')) return tokens(access, who, method, path.split('/')[1], body);
  if (path === 'proposals' || path.startsWith('proposals/')) return access.proposals.answer(who, method, path.split('/').slice(1), query, body);
  if (path === 'audit' || path.startsWith('audit/')) return audit(access, who, path, query);
  if (/^(identities|enrolments|certificate-authorities)(\/|$)/.test(path)) {
    access.needEverywhere(who, 'enrol');
    if (!access.signIn) throw new Refused(409, 'There are no identities here', 'this server lets in everybody on its computer: machines need no certificates, and there are none', 'MST-A069');
    return (await access.identities.answer(who, method, path, query, body)) ?? NONE;
  }
  return undefined;
}

async function secondFactor(access, who, method, body) {
  if (method === 'POST' && who.second_factor) throw new Refused(409, 'It cannot be done as things stand', 'there is a second factor already: remove it first', 'MST-A048');
  if (method === 'POST') return { secret: 'JBSWY3DPEHPK3PXP', address: `otpauth://totp/Muster:${who.name}?secret=JBSWY3DPEHPK3PXP&issuer=Muster`, qr_svg: QR };
  const { code } = await body();
  if (code !== CODE) throw new Refused(401, 'A code is needed', 'the code is wrong, or was used already', 'MST-A042', [{ at: 'body.code', detail: 'the code is wrong, or was used already' }]);
  who.second_factor = true;
  who.version += 1;
  access.audit.add({ person: who.name, action: 'people.second_factor', objects: [{ kind: 'person', id: who.name }] });
  return { codes: Array.from({ length: 10 }, (_, i) => `${String(1_203_911 * (i + 3)).slice(0, 5)}-${String(7_713_337 * (i + 5)).slice(0, 5)}`) };
}

async function people(access, who, request, [name, part], query, body) {
  const { method } = request;
  const own = name === who.name;
  if (part === 'password') {
    const { current, password } = await body();
    if (!own) access.needEverywhere(who, 'administer');
    const kept = access.people.get(name);
    if (own && current !== kept.password) throw new Refused(422, 'The body is not accepted', 'The password so far is wrong.', 'MST-A003', [{ at: 'body.current', detail: 'it is not this one' }]);
    checkPassword(password);
    kept.password = password;
    kept.has_password = true;
    kept.version += 1;
    access.audit.add({ person: who.name, action: 'people.password', objects: [{ kind: 'person', id: name }] });
    return NONE;
  }
  if (part === 'second-factor') {
    if (!own) access.needEverywhere(who, 'administer');
    const kept = access.people.get(name);
    kept.second_factor = false;
    kept.version += 1;
    return NONE;
  }
  if (!(own && method === 'GET')) access.needEverywhere(who, 'administer');
  if (name === undefined) return { items: [...access.people.values()].map(shownPerson).toSorted((a, b) => a.name.localeCompare(b.name)) };
  const kept = access.people.get(name);
  if (method === 'GET') {
    if (kept === undefined) throw notFound('person');
    return { document: shownPerson(kept), etag: tag(kept.version) };
  }
  based(request, kept);
  const others = [...access.people.values()].filter((each) => each.name !== name && !each.disabled && each.grants.some((grant) => grant.role === 'admin' && grant.scope === '*'));
  if (method === 'DELETE') {
    if (others.length === 0) throw lastAdmin();
    access.people.delete(name);
    access.audit.add({ person: who.name, action: 'people.remove', objects: [{ kind: 'person', id: name }], reason: query.get('reason') ?? '' });
    return NONE;
  }
  const wanted = await body();
  const wrong = wanted.grants.findIndex(({ scope }) => scope !== '*' && !scope.split(' ').every((term) => /^(label\.[^=~!<>]+|id)[=~]\S+$/.test(term)));
  if (wrong >= 0) throw new Refused(422, 'The body is not accepted', 'A scope is not accepted.', 'MST-A003', [{ at: `body.grants.${wrong}.scope`, detail: 'only label.KEY=VALUE, label.KEY~PART and id=ID are accepted in a scope' }]);
  if (wanted.password !== undefined) checkPassword(wanted.password);
  const admin = !wanted.disabled && wanted.grants.some((grant) => grant.role === 'admin' && grant.scope === '*');
  if (!admin && others.length === 0) throw lastAdmin();
  const { reason, password, ...rest } = wanted;
  const next = {
    ...(kept ?? { name, has_password: false, second_factor: false, created_at: iso(Date.now()), password: '', version: 0 }),
    ...rest, ...(password !== undefined && { password, has_password: true }), version: (kept?.version ?? 0) + 1,
  };
  access.people.set(name, next);
  if (next.disabled) for (const [value, session] of access.sessions) if (session.person === name) access.sessions.delete(value);
  access.audit.add({ person: who.name, action: kept === undefined ? 'people.add' : 'people.change', objects: [{ kind: 'person', id: name, name: next.display_name }], reason });
  return { document: shownPerson(next), etag: tag(next.version) };
}

async function policies(access, who, request, name, query, body) {
  if (request.method !== 'GET') access.needEverywhere(who, 'administer');
  if (name === undefined) return { items: [...access.policies.values()].toSorted((a, b) => a.name.localeCompare(b.name)) };
  const kept = access.policies.get(name);
  if (request.method === 'GET') {
    if (kept === undefined) throw notFound('policy');
    return { document: kept, etag: tag(kept.version) };
  }
  based(request, kept);
  if (request.method === 'DELETE') {
    access.policies.delete(name);
    access.audit.add({ person: who.name, action: 'policies.remove', objects: [{ kind: 'policy', id: name }], reason: query.get('reason') ?? '' });
    return NONE;
  }
  const { reason, ...wanted } = await body();
  checkPolicy(wanted);
  const next = { name, ...wanted, version: (kept?.version ?? 0) + 1, updated_at: iso(Date.now()) };
  access.policies.set(name, next);
  access.audit.add({ person: who.name, action: 'policies.change', objects: [{ kind: 'policy', id: name }], reason });
  return { document: next, etag: tag(next.version) };
}

function administers(access, who) {
  return who.grants.some((each) => each.role === 'admin' && each.scope === '*');
}

function sessions(access, who, request, id, query) {
  const mine = access.session(request);
  const seen = [...access.sessions].filter(([, each]) => each.person === who.name || administers(access, who));
  if (id === undefined) {
    const items = seen.filter(([, each]) => !query.has('person') || each.person === query.get('person')).map(([, each]) => ({ ...each, current: each === mine }));
    return { items: items.toSorted((a, b) => b.created_at.localeCompare(a.created_at)) };
  }
  const found = seen.find(([, each]) => each.id === id);
  if (found === undefined) throw notFound('session');
  access.sessions.delete(found[0]);
  access.audit.add({ person: who.name, action: 'sessions.end', objects: [{ kind: 'session', id }] });
  return NONE;
}

async function tokens(access, who, method, id, body) {
  const seen = [...access.tokens.values()].filter((each) => each.owner === who.name || administers(access, who));
  if (method === 'GET') return { items: seen.toSorted((a, b) => b.created_at.localeCompare(a.created_at)) };
  if (method === 'DELETE') {
    if (!seen.some((each) => each.id === id)) throw notFound('token');
    access.tokens.delete(id);
    access.audit.add({ person: who.name, action: 'tokens.revoke', objects: [{ kind: 'token', id }] });
    return NONE;
  }
  const { name, grants, owner, expires_in_s = 7_776_000 } = await body();
  if (!access.people.has(owner ?? who.name)) throw new Refused(409, 'It cannot be done as things stand', 'everybody on this computer is let in here: nobody needs a token', 'MST-A048');
  const token = {
    id: `t-${secret('').slice(0, 4).toLowerCase()}`, name, owner: owner ?? who.name, grants: grants ?? [],
    created_at: iso(Date.now()), expires_at: iso(Date.now() + expires_in_s * 1_000),
  };
  access.tokens.set(token.id, token);
  access.audit.add({ person: who.name, action: 'tokens.make', objects: [{ kind: 'token', id: token.id, name }] });
  return { document: { secret: secret('mstt_'), token }, status: 201 };
}

function audit(access, who, path, query) {
  access.needEverywhere(who, 'audit');
  if (path === 'audit/check') return access.audit.checked();
  if (path === 'audit/export') {
    const items = access.audit.entries;
    if (query.get('format') === 'csv') return { text: `position,at,person,action,outcome\n${items.map((each) => [each.position, each.at, each.person, each.action, each.outcome].join(',')).join('\n')}\n`, type: 'text/csv', file: 'audit.csv' };
    return { text: `${items.map((each) => JSON.stringify(each)).join('\n')}\n`, type: 'application/x-ndjson', file: 'audit.jsonl' };
  }
  return access.audit.page(query);
}
