// A stand-in for the fleet server: the REST API, `/ws` and the built dashboard, over the made-up world of `world.mjs`.
//
//   node mock/server.mjs [--port 7700] [--machines 24] [--rate 40] [--sign-in]
//
// `--rate` is how many rows change each second. `--sign-in` has people sign in, with the names and passwords of `access.mjs`: `ada` with
// `ada ada ada`. `POST /mock/…` makes trouble for tests: see `trouble` below.

import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { parseArgs } from 'node:util';
import { WebSocketServer } from 'ws';
import { Access } from './access.mjs';
import { within } from './acting.mjs';
import { accessRoutes, NONE } from './access-routes.mjs';
import { Commands } from './commands.mjs';
import { Recordings } from './recordings.mjs';
import { check, Desires } from './desired.mjs';
import { filterError, matchesFilter, sortRows } from './query.mjs';
import { Refused } from './refused.mjs';
import { SEVERITIES, World } from './world.mjs';

const { values: options } = parseArgs({
  options: {
    port: { type: 'string', default: '7700' },
    machines: { type: 'string', default: '24' },
    rate: { type: 'string', default: '40' },
    'sign-in': { type: 'boolean', default: false },
    dist: { type: 'string', default: fileURLToPath(new URL('../dist', import.meta.url)) },
  },
});
const world = new World(Number(options.machines));
const rate = Number(options.rate);
const desires = new Desires();
const commands = new Commands();
const recordings = new Recordings();
const access = new Access({ signIn: options['sign-in'], rows: () => world.rows(Date.now()) });

access.proposals.send = ({ method, path, if_match, if_none_match, body }, as, second) => {
  const url = new URL(path, 'http://localhost');
  const headers = { ...(if_match !== undefined && { 'if-match': if_match }), ...(if_none_match !== undefined && { 'if-none-match': if_none_match }) };
  return answer({ method, headers, as, kept: body, socket: {} }, url.pathname.slice('/api/v1/'.length), url.searchParams, second);
};

/** What goes wrong on purpose: `{fail: 'prefix', status}` and `{delay_ms}`. */
const trouble = { fail: null, status: 500, delay_ms: 0 };

const invalid = (at, detail) => new Refused(400, 'Invalid request', detail, 'MST-A001', [{ at, detail }]);
const notFound = () => new Refused(404, 'No such machine', 'There is no machine with this id.', 'MST-A004');

function moment(query, name, otherwise) {
  const text = query.get(name);
  if (text === null) return otherwise;
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) throw invalid(`query.${name}`, `"${text}" is not a time like 2026-11-21T07:00:00.123Z`);
  return ms;
}

function limited(query, otherwise = 100) {
  const limit = Number(query.get('limit') ?? otherwise);
  if (!Number.isInteger(limit) || limit < 1 || limit > 1000) throw invalid('query.limit', 'limit is 1 to 1000');
  return limit;
}

function machines(query, who) {
  const now = Date.now();
  const at = moment(query, 'at', now);
  if (at > now) throw invalid('query.at', 'it is in the future');
  const filter = query.get('filter') ?? '';
  const wrong = filterError(filter);
  if (wrong) throw invalid('query.filter', wrong);
  const rows = sortRows(world.rows(at).filter((row) => access.sees(who, row) && matchesFilter(filter, row)), query.get('sort') ?? 'name');
  const start = Number(query.get('cursor') ?? 0);
  const limit = limited(query);
  const items = rows.slice(start, start + limit);
  const next_cursor = start + limit < rows.length ? String(start + limit) : null;
  return { items, next_cursor, total: rows.length, at: new Date(at).toISOString(), past: query.has('at'), position: world.position(at) };
}

function events(query, machine) {
  return world.events({
    from: moment(query, 'from', 0),
    to: moment(query, 'to', Date.now()),
    before: query.has('cursor') ? Number(query.get('cursor')) : undefined,
    limit: limited(query),
    severity: query.get('severity'),
    kind: query.get('kind'),
    machine: machine ?? query.get('machine'),
  });
}

/** Everything that is asked passes here, also what was kept until a second person approved it. */
async function answer(request, path, query, second = null) {
  if (request.method !== 'GET') request.kept = await bodyOf(request);
  return within({ request, path, query, second }, () => answered(request, path, query));
}

async function answered(request, path, query) {
  const body = async () => JSON.parse((await bodyOf(request)) || '{}');
  const found = await accessRoutes(access, request, path, query, body);
  return found === undefined ? fleet(request, path, query, access.who(request)) : found;
}

/** What it takes to change something of a machine. */
function needed(request, part, body) {
  if (request.method === 'GET') return 'read';
  if (part === 'stop') return 'stop';
  if (part === 'commands') return body.kind.startsWith('record.') ? 'diagnose' : 'operate';
  return 'configure';
}

async function fleet(request, path, query, who) {
  if (path === 'openapi.json') {
    return { openapi: '3.1.0', info: { title: 'Muster (mock)', version: '0.1.0' }, paths: { '/api/v1/machines': { get: { summary: 'Machines', responses: { 200: { description: 'A page of machines.' } } } } } };
  }
  if (path === 'machines') return machines(query, who);
  if (path === 'events') return events(query);
  if (path === 'fleet/summary') return world.summary(moment(query, 'at', Date.now()), query.has('at'));
  if (path === 'fleet/timeline') {
    return world.timeline(moment(query, 'from', Date.now() - 3600_000), moment(query, 'to', Date.now()), Number(query.get('buckets') ?? 60));
  }
  if (path === 'calibration/check') {
    const looked = check(JSON.parse(await bodyOf(request)));
    if (looked === null) throw new Refused(422, 'The body cannot be read', 'it is no profile: kind and input are needed', 'MST-A003');
    return looked;
  }
  if (path === 'stop') return stop(JSON.parse(await bodyOf(request)), who);
  const found = /^machines\/([^/]+)(?:\/(.*))?$/.exec(path);
  const index = found ? world.byId.get(found[1]) : undefined;
  if (!found) throw new Refused(404, 'No such page', `There is nothing at /api/v1/${path}.`, 'MST-A004');
  if (index === undefined) throw notFound();
  const given = request.method === 'POST' ? JSON.parse(await bodyOf(request)) : null;
  access.need(who, needed(request, found[2] ?? '', given), world.row(index, Date.now()), notFound);
  const to = moment(query, 'to', Date.now());
  switch (found[2]) {
    case undefined: {
      const machine = world.machine(index, moment(query, 'at', Date.now()), query.has('at'));
      machine.accepts = commands.list(found[1]).accepts;
      Object.assign(machine.reported, commands.reported(found[1], machine.summary.kind));
      Object.assign(machine.reported, recordings.reported(found[1], machine.summary.kind, Date.now()));
      if (!query.has('at')) Object.assign(machine.reported, desires.reported(found[1], Date.now()));
      return machine;
    }
    case 'desired': return { document: desires.shown(found[1], Date.now()), etag: `"${desires.version(found[1])}"` };
    case 'desired/calibration/history': return desires.history(found[1], 'calibration');
    case 'desired/calibration': return desire(request, found[1], 'calibration', who);
    case 'events': return events(query, found[1]);
    case 'telemetry':
      return world.telemetry(index, moment(query, 'from', to - 900_000), to, Number(query.get('points') ?? 300), query.get('metrics')?.split(',') ?? null);
    case 'logs': return world.logs(index, to, query.has('cursor') ? Number(query.get('cursor')) : undefined, limited(query), query.get('severity'));
    case 'stop': return stop({ machines: [found[1]], ...given }, who);
    case 'commands': {
      if (request.method === 'GET') return commands.list(found[1]);
      const { summary } = world.machine(index, Date.now(), false);
      const told = commands.give(found[1], summary.name, given, Date.now());
      recordings.command(found[1], told.command, Date.now());
      return told;
    }
    case 'recordings': return recordings.list(found[1], world.machine(index, Date.now(), false).summary.kind, Date.now());
    case 'labels':
    case 'display-name': return edit(request, index, found[2], who);
    default: {
      if (request.method !== 'DELETE' || !found[2].startsWith('recordings/')) throw new Refused(404, 'No such page', `There is nothing at /api/v1/${path}.`, 'MST-A004');
      recordings.remove(found[1], found[2].slice('recordings/'.length));
      return {};
    }
  }
}

function stop({ machines: ids, filter, all, reason }, who) {
  const now = Date.now();
  const seen = world.rows(now).filter((row) => access.sees(who, row));
  const selected = seen.filter((row) => all === true || ids?.includes(row.id) || (filter !== undefined && matchesFilter(filter, row)));
  const meant = selected.filter((row) => access.decide(who, 'stop', row).allowed);
  const refused = selected.filter((row) => !meant.includes(row)).map((row) => ({ machine_id: row.id, code: 'MST-A045', detail: access.decide(who, 'stop', row).rule }));
  if (selected.length === 0) throw new Refused(422, 'No machine is selected', 'no machine passes the filter', 'MST-A019');
  const stops = meant.map((row) => {
    const { command_id, issued_at, expires_at } = world.stop(world.byId.get(row.id), reason, now, who.name);
    return { machine_id: row.id, machine_name: row.name, command_id, issued_at, expires_at, told: row.presence !== 'lost' };
  });
  access.audit.add({ person: who.name, action: 'machines.stop', objects: meant.slice(0, 20).map((row) => ({ kind: 'machine', id: row.id, name: row.name })), reason, status: 202 });
  return { issuer: who.name, reason, stops, refused };
}

async function desire(request, id, section, who) {
  const expected = request.headers['if-match'];
  if (expected === undefined) throw new Refused(428, 'If-Match is missing', 'Give the ETag that was read, or *.', 'MST-A006');
  if (expected !== '*' && expected !== `"${desires.version(id)}"`) throw new Refused(412, 'Changed meanwhile', 'Somebody else changed this meanwhile.', 'MST-A005');
  const body = JSON.parse(await bodyOf(request));
  desires.put(id, section, body, Date.now());
  access.audit.add({ person: who.name, action: 'machines.desire', objects: [named(id)], reason: body.reason, detail: section });
  return { document: desires.shown(id, Date.now()), etag: `"${desires.version(id)}"` };
}

const named = (id) => ({ kind: 'machine', id, name: world.row(world.byId.get(id), Date.now()).name });

async function edit(request, index, what, who) {
  const profile = world.profile(index);
  if (request.method !== 'GET') {
    const expected = request.headers['if-match'];
    if (expected === undefined) throw new Refused(428, 'If-Match is missing', 'Give the ETag that was read, or *.', 'MST-A008');
    if (expected !== '*' && expected !== `"${profile.version}"`) throw new Refused(412, 'Changed meanwhile', 'Somebody else changed this meanwhile.', 'MST-A012');
    const body = request.method === 'DELETE' ? { labels: {}, display_name: null } : JSON.parse(await bodyOf(request));
    const next = { ...profile, version: profile.version + 1 };
    if (what === 'labels') next.labels = body.labels;
    else next.display_name = body.display_name;
    world.profiles.set(index, next);
    access.audit.add({ person: who.name, action: what === 'labels' ? 'machines.label' : 'machines.name', objects: [named(world.ids[index])] });
  }
  const { labels, display_name, version } = world.profile(index);
  return { document: what === 'labels' ? { labels } : { display_name }, etag: `"${version}"` };
}

async function bodyOf(request) {
  if (request.kept !== undefined) return request.kept;
  let body = '';
  for await (const piece of request) body += piece;
  return body;
}

// The policy of the real server, so that a page that breaks it breaks here.
const POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'";

const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.json': 'application/json' };

async function file(path) {
  const safe = normalize(path).replace(/^(\.\.[/\\])+/, '');
  const name = extname(safe) === '' ? 'index.html' : safe;
  return [TYPES[extname(name)] ?? 'application/octet-stream', await readFile(join(options.dist, name))];
}

const server = createServer(async (request, response) => {
  const url = new URL(request.url, 'http://localhost');
  const reply = (status, type, body, headers = {}) => {
    const zipped = body.length > 1024 && (request.headers['accept-encoding'] ?? '').includes('gzip');
    response.writeHead(status, { 'content-type': type, ...(zipped && { 'content-encoding': 'gzip' }), ...headers });
    response.end(zipped ? gzipSync(body, { level: 1 }) : body);
  };
  try {
    if (url.pathname.startsWith('/mock/')) {
      Object.assign(trouble, JSON.parse((await bodyOf(request)) || '{}'));
      if (url.pathname === '/mock/access') access.trouble(trouble);
      if (url.pathname === '/mock/drop' || trouble.end_sessions) for (const socket of sockets.clients) socket.terminate();
      reply(200, 'application/json', JSON.stringify(trouble));
    } else if (url.pathname.startsWith('/api/v1/')) {
      const path = url.pathname.slice('/api/v1/'.length);
      if (trouble.delay_ms > 0) await new Promise((done) => setTimeout(done, trouble.delay_ms));
      if (trouble.fail !== null && path.startsWith(trouble.fail)) {
        throw new Refused(trouble.status, 'Trouble on purpose', 'The store does not answer: database is locked.', 'MST-S001');
      }
      if (path === 'stream') {
        if (access.who(request) === null) throw new Refused(401, 'Nobody is signed in', 'Sign in, or send a token.', 'MST-A040');
        stream(response, url.searchParams);
        return;
      }
      const found = await answer(request, path, url.searchParams);
      if (found === NONE) {
        response.writeHead(204).end();
        return;
      }
      if (found.text !== undefined) {
        reply(200, found.type, found.text, { 'content-disposition': `attachment; filename="${found.file}"` });
        return;
      }
      const status = found.status ?? (request.method === 'POST' && path.endsWith('stop') ? 202 : 200);
      reply(status, 'application/json', JSON.stringify(found.document ?? found), { ...(found.etag !== undefined && { etag: found.etag }), ...found.headers });
    } else {
      const [type, body] = await file(url.pathname);
      reply(200, type, body, { 'content-security-policy': POLICY, 'cache-control': 'no-cache' });
    }
  } catch (error) {
    const problem = error instanceof Refused ? error.problem : null;
    if (problem) reply(problem.status, 'application/problem+json', JSON.stringify(problem), error.headers);
    else reply(error.code === 'ENOENT' ? 404 : 500, 'text/plain', String(error.message));
  }
});

const sockets = new WebSocketServer({ server, path: '/ws', perMessageDeflate: false, verifyClient: ({ req }) => access.who(req) !== null });

sockets.on('connection', (socket, request) => {
  const who = access.who(request);
  const subscriptions = new Map();
  socket.on('message', (raw) => {
    const message = JSON.parse(raw);
    if (message.type === 'ping') socket.send(JSON.stringify({ type: 'pong', id: message.id ?? null, server_time: new Date().toISOString() }));
    if (message.type === 'unsubscribe') {
      subscriptions.delete(message.id);
      socket.send(JSON.stringify({ type: 'unsubscribed', id: message.id }));
    }
    if (message.type === 'subscribe') {
      const subscription = { ...message, next: 0, due: 0, told: Date.now() };
      subscriptions.set(message.id, subscription);
      // In pieces, as the real server does it.
      const items = seenBy(who, snapshot(subscription));
      for (let start = 0; start === 0 || start < items.length; start += 500) {
        send('snapshot', subscription, items.slice(start, start + 500), start + 500 < items.length);
      }
    }
  });
  const send = (type, { id }, items, more = false) =>
    socket.send(JSON.stringify({ type, id, position: world.position(Date.now()), server_time: new Date().toISOString(), items, ...(more && { more }) }));
  const timer = setInterval(() => {
    for (const subscription of subscriptions.values()) {
      const items = seenBy(who, changes(subscription));
      if (items.length > 0) send('update', subscription, items);
    }
  }, 250);
  socket.on('close', () => clearInterval(timer));
});

/** The same as server-sent events. */
function stream(response, query) {
  const resume = query.get('resume_after');
  const subscription = { topics: query.get('topics').split(','), next: 0, due: 0, told: Date.now(), ...(resume !== null && { resume_after: Number(resume) }) };
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const send = (type, items) => {
    const message = { type, id: 'stream', position: world.position(Date.now()), server_time: new Date().toISOString(), items };
    response.write(`event: ${type}\ndata: ${JSON.stringify(message)}\n\n`);
  };
  send('snapshot', snapshot(subscription));
  const timer = setInterval(() => {
    const items = changes(subscription);
    if (items.length > 0) send('update', items);
  }, 250);
  response.on('close', () => clearInterval(timer));
}

/** What of it somebody may see. */
function seenBy(who, items) {
  if (!options['sign-in']) return items;
  return items.filter(({ topic }) => {
    const index = world.byId.get(topic.split('.')[1]);
    return index === undefined || access.sees(who, world.row(index, Date.now()));
  });
}

const state = (index, t) => ({ topic: `machine.${world.ids[index]}.state`, data: world.row(index, t) });
const event = (each) => ({ topic: `machine.${each.machine_id}.event.${each.kind}`, data: each });

function snapshot({ topics, filters, resume_after }) {
  const now = Date.now();
  return topics.flatMap((topic) => {
    const parts = topic.split('.');
    if (topic === 'fleet.summary') return [{ topic, data: { ...world.summary(now, false), history_from: null } }];
    if (topic === 'machine.*.state') return world.ids.map((_, index) => state(index, now));
    if (parts[2] === 'state' && world.byId.has(parts[1])) return [state(world.byId.get(parts[1]), now)];
    if (parts[2] === 'event' && resume_after !== undefined) {
      return world.events({ from: 0, to: now, limit: 1000, severity: filters?.severity, kind: filters?.event_types?.[0], machine: parts[1] === '*' ? filters?.machines?.[0] : parts[1] })
        .items.filter((each) => each.position > resume_after).toReversed().map(event);
    }
    return [];
  });
}

function changes(subscription) {
  const now = Date.now();
  const { topics, filters } = subscription;
  const items = [];
  for (const topic of topics) {
    const parts = topic.split('.');
    if (topic === 'fleet.summary' && now - subscription.due >= 1_000) {
      subscription.due = now;
      items.push({ topic, data: { ...world.summary(now, false), history_from: null } });
    } else if (topic === 'machine.*.state') {
      for (let i = 0; i < rate / 4 && world.count > 0; i += 1) {
        subscription.next = (subscription.next + 1) % world.count;
        items.push(state(subscription.next, now));
      }
    } else if (parts[2] === 'state' && world.byId.has(parts[1])) {
      items.push(state(world.byId.get(parts[1]), now));
    } else if (parts[2] === 'telemetry' && now - (subscription.sampled ?? 0) >= 2_000) {
      subscription.sampled = now;
      const index = world.byId.get(parts[1]);
      const series = world.telemetry(index, now - 5_000, now, 1, null).series;
      const samples = series.flatMap(({ metric, unit, points }) => points.slice(-1).map((p) => ({ metric, unit, value: p.mean, quality: 'good', at: new Date(now).toISOString() })));
      items.push({ topic: `machine.${parts[1]}.telemetry`, data: { samples } });
    } else if (parts[2] === 'event') {
      const machine = parts[1] === '*' ? filters?.machines?.[0] : parts[1];
      const found = world.events({ from: subscription.told + 1, to: now, limit: 100, severity: filters?.severity, kind: filters?.event_types?.[0], machine });
      items.push(...found.items.toReversed().map(event));
      subscription.told = now;
    } else if (parts[2] === 'log') {
      const slot = Math.floor(now / 3_000);
      if (subscription.slot !== slot) {
        subscription.slot = slot;
        const line = world.logIn(world.byId.get(parts[1]), slot);
        const least = filters?.severity ? SEVERITIES.indexOf(filters.severity) : 0;
        if (line && SEVERITIES.indexOf(line.severity) >= least) items.push({ topic: `machine.${parts[1]}.log`, data: line });
      }
    }
  }
  return items;
}

server.listen(Number(options.port), '127.0.0.1', () => {
  console.log(`mock fleet server with ${options.machines} machines on http://127.0.0.1:${server.address().port}`);
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(0));
