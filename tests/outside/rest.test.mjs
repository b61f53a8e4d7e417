// The REST API against its own document: what is refused says where, nothing is ever answered with 5xx.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import net from "node:net";
import { after, before, describe, test } from "node:test";
import Ajv2020 from "ajv/dist/2020.js";

import { Machine, payloads, until } from "./lib/machine.mjs";
import { Server } from "./lib/server.mjs";

let server;
let machine;
let document;
let fits;
before(async () => {
  server = await Server.start();
  machine = await Machine.welcomed(server, {}, { minor: 1, commands: ["identify", "resume"] });
  machine.record("state", payloads.state("frida"));
  for (let i = 0; i < 30; i += 1) machine.record("event", payloads.event(`${i}`));
  machine.say("telemetry", payloads.telemetry(20));
  machine.say("log", payloads.log(5));
  await machine.acknowledged();
  await until(async () => (await server.json(`/api/v1/machines/${machine.id}`)).summary?.name === "frida");
  document = await server.json("/api/v1/openapi.json");
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  ajv.addSchema({ $id: "urn:muster:openapi", ...document });
  fits = (schema) => ajv.compile(JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"urn:muster:openapi#/')));
});
after(async () => {
  await machine.settled();
  await machine.end();
  await server.stop();
});

async function problem(path, status, options) {
  const answer = await server.get(path, options);
  const text = await answer.text();
  assert.equal(answer.status, status, `${path}: ${text}`);
  assert.equal(answer.headers.get("content-type"), "application/problem+json", path);
  const body = JSON.parse(text);
  assert.equal(body.status, status);
  assert.match(body.code, /^MST-[A-Z]\d{3}$/);
  assert.equal(body.type, `urn:muster:problem:${body.code}`);
  assert.ok(body.title.length > 0 && body.detail.length > 0);
  return body;
}

const put = (body, headers = {}) => ({
  method: "PUT",
  body: typeof body === "string" ? body : JSON.stringify(body),
  headers: { "content-type": "application/json", ...headers },
});

describe("what is refused", { concurrency: 8 }, () => {
  const wrong = [
    ["/api/v1/machines?limit=0", "limit"],
    ["/api/v1/machines?limit=1001", "limit"],
    ["/api/v1/machines?limit=-1", "limit"],
    ["/api/v1/machines?limit=many", "limit"],
    ["/api/v1/machines?sort=colour", "sort"],
    ["/api/v1/machines?filter=battery%3C%3C", "filter"],
    ["/api/v1/machines?filter=colour%3Dred", "filter"],
    ["/api/v1/machines?cursor=nonsense", "cursor"],
    ["/api/v1/machines?at=yesterday", "at"],
    ["/api/v1/machines?at=2999-01-01T00:00:00Z", "at"],
    ["/api/v1/machines?colour=red", "colour"],
    ["/api/v1/events?severity=loud", "severity"],
    ["/api/v1/events?machine=frida", "machine"],
    ["/api/v1/events?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "from"],
    ["/api/v1/events?limit=99999999999999999999", "limit"],
  ];
  for (const [path, place] of wrong) {
    test(`row 36: ${path} → 400 with the place`, async () => {
      const body = await problem(path, 400);
      assert.ok(JSON.stringify(body).includes(place), JSON.stringify(body));
      assert.deepEqual(body.errors.map((error) => error.at), [`query.${place}`]);
    });
  }

  test("row 36: a machine id that is none → 400, a machine that is not there → 404", async () => {
    await problem("/api/v1/machines/frida", 400);
    await problem(`/api/v1/machines/${randomUUID()}`, 404);
    await problem(`/api/v1/machines/${randomUUID()}/events`, 404);
    await problem(`/api/v1/machines/${randomUUID()}/labels`, 404);
  });

  test("row 36: paths that are not there → 404 problem", async () => {
    for (const path of ["/api", "/api/", "/api/v1", "/api/v2/machines", "/api/v1/robots", "/api/v1/machines/x/y/z", "/api/v1/%00", "/api/v1/..%2f..%2fetc%2fpasswd"]) {
      await problem(path, 404);
    }
  });

  test("row 40: no way out of the dashboard's folder", async () => {
    for (const path of ["/../../etc/passwd", "/..%2f..%2fetc%2fpasswd", "/assets/..%5c..%5c..%5cetc%5cpasswd", "/%2e%2e/%2e%2e/etc/passwd"]) {
      // By hand, because a client would tidy the path up.
      const answer = await new Promise((resolve, reject) => {
        const socket = net.connect(server.port, "127.0.0.1");
        let text = "";
        socket.on("data", (data) => (text += data));
        socket.on("end", () => resolve(text));
        socket.on("error", reject);
        socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
      });
      assert.doesNotMatch(answer, /root:/);
      assert.doesNotMatch(answer, /^HTTP\/1.1 5/);
    }
  });

  test("row 36: a method that is not accepted → 405 problem", async () => {
    for (const method of ["POST", "DELETE", "PATCH", "PUT"]) await problem("/api/v1/machines", 405, { method });
    await problem(`/api/v1/machines/${machine.id}/labels`, 405, { method: "POST" });
  });

  test("row 36: bodies that are none", async () => {
    const path = `/api/v1/machines/${machine.id}/labels`;
    const any = { "if-match": "*" };
    await problem(path, 400, put("{", any));
    await problem(path, 415, put({ labels: {} }, { ...any, "content-type": "text/plain" }));
    await problem(path, 413, put({ labels: { a: "x".repeat(3_000_000) } }, any));
    for (const body of [[], {}, { labels: [] }, { labels: { a: 1 } }, { labels: { "": "x" } }]) {
      const answer = await server.get(path, put(body, any));
      assert.ok([400, 422].includes(answer.status), `${JSON.stringify(body)}: ${answer.status}`);
      assert.equal(answer.headers.get("content-type"), "application/problem+json");
    }
    const many = Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`k${i}`, "v"]));
    await problem(path, 422, put({ labels: many }, any));
    await problem(`/api/v1/machines/${machine.id}/display-name`, 422, put({ display_name: "x".repeat(10_000) }, any));
  });

  test("row 36: a body with a field that does not exist is refused like a parameter that does not", async () => {
    const answer = await server.get(`/api/v1/machines/${machine.id}/labels`, put({ labels: {}, colour: 1 }, { "if-match": "*" }));
    assert.ok([400, 422].includes(answer.status), `${answer.status}`);
  });

  test("row 36: a request that never ends its head is let go", async () => {
    const socket = net.connect(server.port, "127.0.0.1");
    const started = Date.now();
    socket.on("error", () => {});
    socket.write("GET / HTTP/1.1\r\nHost: x\r\n");
    await new Promise((resolve) => socket.on("close", resolve));
    assert.ok(Date.now() - started < 13_000);
  });

  test("row 36: a head of 100 KiB → 4xx, and the server goes on", async () => {
    const answer = await new Promise((resolve) => {
      const socket = net.connect(server.port, "127.0.0.1");
      let text = "";
      socket.on("data", (data) => (text += data));
      socket.on("error", () => {});
      socket.on("close", () => resolve(text));
      socket.write(`GET / HTTP/1.1\r\nHost: x\r\nX-Long: ${"x".repeat(100_000)}\r\n\r\n`);
    });
    assert.match(answer, /^(HTTP\/1.1 4\d\d|$)/);
    assert.equal((await server.get("/api/v1/fleet/summary")).status, 200);
  });
});

describe("remote stop", () => {
  const post = (body) => ({ ...put(body), method: "POST" });

  test("row 36: what is answered fits the document, and shows in the machine's row", async () => {
    const one = `/api/v1/machines/${machine.id}/stop`;
    for (const [path, body] of [
      [one, { reason: "drill" }],
      ["/api/v1/stop", { machines: [machine.id, randomUUID()], reason: "drill", expires_in_s: 86_400 }],
      ["/api/v1/stop", { filter: "name=frida", reason: "x".repeat(500), expires_in_s: 1 }],
      ["/api/v1/stop", { all: true, reason: "Übung – alle" }],
    ]) {
      const answer = await server.get(path, post(body));
      const issued = await answer.json();
      assert.equal(answer.status, 202, JSON.stringify(issued));
      const described = document.paths[path.replace(machine.id, "{id}")].post.responses[202].content["application/json"].schema;
      const check = fits(described);
      assert.ok(check(issued), JSON.stringify(check.errors));
      const [{ command_id: id }] = issued.stops;
      const command = await machine.next("command");
      assert.equal(command.payload.id, id);
      assert.equal(command.payload.reason, body.reason);
      assert.equal(Date.parse(command.payload.expires) - Date.parse(command.payload.issued), (body.expires_in_s ?? 600) * 1_000);
      const shown = await server.json(`/api/v1/machines/${machine.id}`);
      assert.equal(shown.summary.last_stop.command_id, id);
      const { items } = await server.json("/api/v1/machines?filter=name%3Dfrida");
      assert.deepEqual(items[0].last_stop, shown.summary.last_stop);
    }
  });

  test("row 36: nothing takes a stop back", async () => {
    for (const method of ["DELETE", "PUT", "PATCH", "GET"]) {
      await problem(`/api/v1/machines/${machine.id}/stop`, 405, { method });
      await problem("/api/v1/stop", 405, { method });
    }
    for (const path of ["start", "resume", "release", "reset", "unstop"]) await problem(`/api/v1/machines/${machine.id}/${path}`, 404, { method: "POST" });
    const verbs = Object.entries(document.paths).flatMap(([path, item]) => Object.keys(item).map((method) => `${method} ${path}`));
    // Of machines: what is changed about people, and about who may be a machine, has rows of its own; releases lie on the server.
    const ofPeople = /api\/v1\/(session|device|set-up|people|me|sessions|tokens|policies|proposals|rollouts|updates|access|identities|enrolments|certificate-authorities|releases)\b/;
    const changes = verbs.filter((verb) => !verb.startsWith("get ") && !ofPeople.test(verb));
    assert.deepEqual(changes.toSorted(), [
      "delete /api/v1/machines/{id}/desired/{section}", "delete /api/v1/machines/{id}/display-name", "delete /api/v1/machines/{id}/labels",
      "delete /api/v1/machines/{id}/recordings/{file}",
      "post /api/v1/calibration/check", "post /api/v1/machines/{id}/commands", "post /api/v1/machines/{id}/stop", "post /api/v1/stop",
      "put /api/v1/machines/{id}/desired/{section}", "put /api/v1/machines/{id}/display-name", "put /api/v1/machines/{id}/labels",
    ]);
  });

  test("row 36: a stop without a reason, or without machines, is refused with its place", async () => {
    for (const body of [{}, { reason: 1 }, { reason: "x", colour: 1 }, []]) await problem("/api/v1/stop", 422, post(body));
    for (const [body, place] of [
      [{ all: true, reason: "" }, "reason"],
      [{ all: true, reason: "x".repeat(501) }, "reason"],
      [{ all: true, reason: "a\u0007" }, "reason"],
      [{ all: true, reason: "x", expires_in_s: 0 }, "expires_in_s"],
      [{ all: true, reason: "x", expires_in_s: 86_401 }, "expires_in_s"],
      [{ filter: "colour=red", reason: "x" }, "filter"],
      [{ all: true, machines: [], reason: "x" }, "machines"],
    ]) {
      const body_ = await problem("/api/v1/stop", 422, post(body));
      assert.deepEqual(body_.errors.map((error) => error.at), [`body.${place}`], JSON.stringify(body));
    }
    const nobody = await problem("/api/v1/stop", 422, post({ filter: "name=nobody", reason: "x" }));
    assert.equal(nobody.code, "MST-A019");
    await problem("/api/v1/stop", 415, { ...post({ all: true, reason: "x" }), headers: { "content-type": "text/plain" } });
  });
});

describe("other commands", () => {
  const path = () => `/api/v1/machines/${machine.id}/commands`;
  const post = (body) => ({ ...put(body), method: "POST" });

  test("row 36: what is answered fits the document, and the answer of the machine shows", async () => {
    const answer = await server.get(path(), post({ kind: "identify", reason: "which is it", expires_in_s: 60 }));
    const told = await answer.json();
    assert.equal(answer.status, 202, JSON.stringify(told));
    const { get, post: posted } = document.paths["/api/v1/machines/{id}/commands"];
    const check = fits(posted.responses[202].content["application/json"].schema);
    assert.ok(check(told), JSON.stringify(check.errors));
    assert.equal(told.told, true);
    const command = await machine.next("command");
    assert.equal(command.payload.id, told.command.command_id);
    assert.equal(command.payload.kind, "identify");
    assert.equal(Date.parse(command.payload.expires) - Date.parse(command.payload.issued), 60_000);
    machine.record("response", { command_id: command.payload.id, outcome: "refused", reason: "it has no lamp" });
    await machine.acknowledged();
    const list = await server.json(path());
    const listed = fits(get.responses[200].content["application/json"].schema);
    assert.ok(listed(list), JSON.stringify(listed.errors));
    assert.deepEqual(list.accepts, ["identify", "resume"]);
    assert.equal(list.items[0].answer_reason, "it has no lamp");
  });

  test("row 36: nothing lets a machine move, also where it says that it could be asked to", async () => {
    for (const kind of ["resume", "reset", "mission.resume", "start"]) {
      const refused = await problem(path(), 422, post({ kind, reason: "x" }));
      assert.deepEqual(refused.errors.map((error) => error.at), ["body.kind"]);
    }
    await problem(path(), 422, post({ kind: "stop", reason: "x" }));
    await problem(path(), 422, post({ kind: "identify", reason: "x", arguments: {} }));
    await problem(path(), 415, { ...post({ kind: "identify", reason: "x" }), headers: { "content-type": "text/plain" } });
    await problem(`/api/v1/machines/${randomUUID()}/commands`, 404);
    for (const method of ["DELETE", "PUT", "PATCH"]) await problem(path(), 405, { method });
  });
});

describe("row 39: two people edit at once", () => {
  test("row 39: a change without If-Match → 428", async () => {
    await problem(`/api/v1/machines/${machine.id}/labels`, 428, put({ labels: { line: "3" } }));
    await problem(`/api/v1/machines/${machine.id}/display-name`, 428, put({ display_name: "Frida" }));
    await problem(`/api/v1/machines/${machine.id}/labels`, 428, { method: "DELETE" });
  });

  test("row 39: what was changed is what is read right after", async () => {
    const path = `/api/v1/machines/${machine.id}/labels`;
    for (let round = 0; round < 20; round += 1) {
      const labels = { round: `${round}` };
      const changed = await server.get(path, put({ labels }, { "if-match": "*" }));
      const read = await server.get(path);
      assert.deepEqual((await read.json()).labels, labels);
      assert.equal(read.headers.get("etag"), changed.headers.get("etag"));
    }
  });

  test("row 39: the second of two changes → 412 with the current version, and nothing is lost", async () => {
    const path = `/api/v1/machines/${machine.id}/labels`;
    const tag = (await server.get(path, put({ labels: {} }, { "if-match": "*" }))).headers.get("etag");
    const first = await server.get(path, put({ labels: { line: "3" } }, { "if-match": tag }));
    assert.equal(first.status, 200);
    const current = first.headers.get("etag");
    assert.notEqual(current, tag);
    const body = await problem(path, 412, put({ labels: { line: "4" } }, { "if-match": tag }));
    assert.ok(JSON.stringify(body.errors).includes(current.replaceAll('"', "")), JSON.stringify(body));
    const second = await server.get(path, put({ labels: { line: "4" } }, { "if-match": current }));
    assert.equal(second.status, 200);
    assert.deepEqual((await second.json()).labels, { line: "4" });
  });

  test("row 39: of twenty changes at once on one version exactly one is made", async () => {
    const path = `/api/v1/machines/${machine.id}/labels`;
    const tag = (await server.get(path, put({ labels: {} }, { "if-match": "*" }))).headers.get("etag");
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => server.get(path, put({ labels: { n: `${i}` } }, { "if-match": tag }))),
    );
    const statuses = answers.map((answer) => answer.status).sort();
    assert.deepEqual(statuses, [200, ...Array(19).fill(412)]);
  });
});

// Values that break things. Each stands alone, and in every parameter of every path.
const odd = [
  "", " ", "0", "-1", "1e9", "18446744073709551616", "NaN", "null", "true", "[]", "{}", "%", "%zz", "%00", "%ff%fe",
  "'", '"', "' OR 1=1 --", "; DROP TABLE events", "../../etc/passwd", "${7*7}", "<script>", "\\", "*", ">", "a.b.c", "..",
  "😀", "\u202e", "x".repeat(5_000), "1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z", "2026-13-45T99:99:99Z",
  "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "machine.*.state", "name", "-name", "kind=car|pi battery<20",
];

test("row 36: odd values in every parameter of every GET: never 5xx, problems are problems, answers fit their schema", async (t) => {
  const head = async (path) => {
    const abort = new AbortController();
    const answer = await server.get(path, { signal: abort.signal });
    const stream = answer.headers.get("content-type")?.startsWith("text/event-stream");
    const text = stream ? "" : await answer.text();
    if (stream) abort.abort();
    return { status: answer.status, type: answer.headers.get("content-type"), text, stream };
  };
  const schemas = new Map();
  let asked = 0;
  const look = async (template, path) => {
    const { status, type, text, stream } = await head(path);
    asked += 1;
    assert.ok(status < 500, `${path} → ${status} ${text}`);
    if (stream) return;
    const described = document.paths[template].get.responses;
    assert.ok(status in described || status === 404, `${path} → ${status}, which ${template} does not describe: ${text}`);
    if (status >= 400) assert.equal(type, "application/problem+json", `${path} → ${status} ${text}`);
    const schema = described[status]?.content?.[status >= 400 ? "application/problem+json" : "application/json"]?.schema;
    if (schema === undefined) return;
    const key = `${template} ${status}`;
    if (!schemas.has(key)) schemas.set(key, fits(schema));
    const check = schemas.get(key);
    assert.ok(check(JSON.parse(text)), `${path} → ${status}: ${JSON.stringify(check.errors)} in ${text.slice(0, 500)}`);
  };
  const jobs = [];
  for (const [template, { get }] of Object.entries(document.paths)) {
    if (get === undefined) continue;
    const parameters = get.parameters ?? [];
    const fill = (values) => template.replaceAll(/\{(\w+)\}/g, (_, name) => values[name] ?? machine.id);
    const needed = template.endsWith("/stream") ? "topics=fleet.summary&" : template.endsWith("/telemetry") ? "metric=cpu.percent&" : "";
    jobs.push(() => look(template, `${fill({})}?${needed}`));
    for (const parameter of parameters.filter((parameter) => parameter.in !== "header")) {
      for (const value of odd) {
        for (const written of value.startsWith("%") ? [value, encodeURIComponent(value)] : [encodeURIComponent(value)]) {
          if (parameter.in === "query") jobs.push(() => look(template, `${fill({})}?${parameter.name}=${written}`));
          else if (written !== "" && written !== "..") jobs.push(() => look(template, fill({ [parameter.name]: written })));
        }
      }
    }
    jobs.push(() => look(template, `${fill({})}?${odd.map((value) => `${encodeURIComponent(value)}=1`).join("&")}`));
  }
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      for (let job = jobs.pop(); job !== undefined; job = jobs.pop()) await job();
    }),
  );
  t.diagnostic(`${asked} requests`);
});
