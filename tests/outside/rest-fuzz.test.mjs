// The REST API under requests made up from its own document. `MUSTER_FUZZ_SEED` repeats a run, `MUSTER_FUZZ_REQUESTS` makes it
// longer: 14,000 requests in the suite, as many as you like by hand.

import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";

import { fuzz, newSeed } from "./lib/fuzz.mjs";
import { Machine, payloads } from "./lib/machine.mjs";
import { Server } from "./lib/server.mjs";

const seed = Number(process.env.MUSTER_FUZZ_SEED ?? newSeed());
const rounds = Number(process.env.MUSTER_FUZZ_REQUESTS ?? 14_000);

const told = ({ index, made, fault }) => `request ${index} of seed ${seed}: ${JSON.stringify(made)}\n  → ${fault}`;

/** Recordings that are on the server: more than are removed before one is downloaded. */
const files = Array.from({ length: 12 }, (_, i) => `kept-20261121T0700${10 + i}.000Z-20261121T080000.000Z-made_up.mcap`);

async function brought(server, machine, file) {
  const body = { kind: "record.upload", arguments: { file }, reason: "made up" };
  const told = await server.get(`/api/v1/machines/${machine.id}/commands`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  assert.equal(told.status, 202);
  const { payload } = await machine.next("command");
  machine.record("response", { command_id: payload.id, outcome: "accepted" });
  await machine.acknowledged();
  const content = "recorded";
  const digest = createHash("sha256").update(content).digest("base64");
  const headers = { "content-type": "application/partial-upload", "upload-offset": "0", "upload-length": `${content.length}`, "repr-digest": `sha-256=:${digest}:` };
  const piece = await server.get(`/machine/${machine.id}/uploads/${payload.id}`, { method: "PATCH", headers, body: content });
  assert.equal(piece.status, 204);
}

describe("the API", () => {
  let server;
  let machine;
  before(async () => {
    server = await Server.start();
    machine = await Machine.welcomed(server, {}, { minor: 1, commands: ["identify", "record.upload"] });
    machine.record("state", payloads.state("frida"));
    for (let i = 0; i < 40; i += 1) machine.record("event", payloads.event(`${i}`));
    machine.say("telemetry", payloads.telemetry(100));
    machine.say("log", payloads.log(20));
    await machine.acknowledged();
    for (const file of files) await brought(server, machine, file);
  });
  after(async () => {
    await machine.end();
    await server.stop();
  });

  test("row 36: no request made up from the document is answered with 5xx, or otherwise than the document says", async (t) => {
    const document = await server.json("/api/v1/openapi.json");
    const cursors = [];
    for (const path of ["machines?limit=1", "events?limit=1", "events?limit=1&order=asc", `machines/${machine.id}/logs?limit=1`]) {
      cursors.push((await server.json(`/api/v1/${path}`)).next_cursor ?? "7b7d");
    }
    const known = {
      uuids: [machine.id, machine.id, machine.id, randomUUID(), "00000000-0000-0000-0000-000000000000"],
      properties: { kind: ["identify", "identify", "identify", "record.upload", "stop", "resume", "sensor", "sensor"], content: [{}, {}, {}, {}, {}, { x: 1 }],
        expires_in_s: [60, 300, 600, 600, 0], scope: ["*", "*", "label.site=munich", "kind=car"], condition: ["person.name == 'nobody'", "machine.labels.site ==", "false"],
        password: ["a password that is long enough", "another that is long enough", "a third one for good measure", "short"], owner: ["ada", "nobody"], person: ["ada", "local", "nobody"], reason: ["made up", "made up", ""] },
      parameters: {
        section: ["calibration", "calibration", "workloads", "nonsense"],
        file: files,
        name: ["ada", "ada", "ada", "bea", "Not A Name"],
        reason: ["made up", "made up", ""],
        "If-None-Match": ["*", "x"],
        filter: ["kind=host", "battery<20 status=ok", "name~fri", "label.line=3", "frida", "-kind=car", "cpu>50", "seen>10"],
        sort: ["name", "-name", "battery", "-cpu", "status", "seen"],
        cursor: cursors,
        topics: [">", "machine.*.state", `machine.${machine.id}.>,fleet.summary`, "machine.*.event.>"],
        machines: [machine.id],
        metrics: ["cpu.percent", "cpu.percent,memory.percent"],
        // Mostly one that fits, or too few changes get behind the check of the version.
        "If-Match": ["*", "*", "*", "*", "*", '"0"', '"1"', 'W/"1"'],
      },
    };
    const { faults, seen, sent } = await fuzz(server.url, document, { seed, rounds, known });
    t.diagnostic(`seed ${seed}: ${sent} requests, ${seen.size} different answers`);
    assert.deepEqual(faults.map(told), []);
    assert.equal(sent, rounds);
    // It got behind the first check: every operation was also carried out, but for those of people who sign in, whom there are none of here.
    // Nor are there identities of machines, where everybody on the computer is let in: that is answered with 409.
    const identities = /identities|enrolments|certificate-authorities/;
    // The way to a provider and back only leads elsewhere, and here is no provider.
    const elsewhere = /session\/(provider|callback)/;
    // Nor is there a second person, and so nothing that waits for one.
    const proposals = /proposals\/\{/;
    // Nor is there a release that could be rolled out.
    const rollouts = /rollouts\/|rollouts$/;
    // Releases have content whose SHA-256 nobody makes up, and there are none here.
    const releases = /releases\/(missing|blobs|metadata|\{)/;
    const signedIn = /session|set-up|second-factor|tokens|password/;
    for (const [path, item] of Object.entries(document.paths)) {
      for (const [method, operation] of Object.entries(item)) {
        const [success] = Object.keys(operation.responses).filter((status) => status.startsWith("2"));
        if (identities.test(path) || proposals.test(path) || (rollouts.test(path) && !(method === "get" && path.endsWith("rollouts"))) || releases.test(path) || elsewhere.test(path) || path.includes("/device") || (method !== "get" && signedIn.test(path))) continue;
        assert.ok(seen.has(`${method} ${path} ${success}`), `${method} ${path} was never answered with ${success}`);
      }
    }
    assert.doesNotMatch(server.said, /panicked/);
    await machine.settled();
  });
});

// A server that says one thing and does another, in one way at a time.
describe("the fuzzer finds", () => {
  const document = {
    openapi: "3.1.0",
    info: { title: "liar", version: "1" },
    components: {
      schemas: {
        Thing: { type: "object", required: ["name", "size"], properties: { name: { type: "string" }, size: { type: ["number", "null"] } } },
        Problem: { type: "object", required: ["detail"], properties: { detail: { type: "string" } } },
      },
    },
    paths: {
      "/things/{id}": {
        parameters: [{ name: "id", in: "path", required: true, schema: { type: "string", format: "uuid" } }],
        get: {
          parameters: [{ name: "limit", in: "query", schema: { type: "integer" } }],
          responses: {
            200: { content: { "application/json": { schema: { $ref: "#/components/schemas/Thing" } } } },
            400: { content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } } },
          },
        },
        put: {
          requestBody: { content: { "application/json": { schema: { $ref: "#/components/schemas/Thing" } } } },
          responses: {
            200: { content: { "application/json": { schema: { $ref: "#/components/schemas/Thing" } } } },
            400: { content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } } },
          },
        },
      },
    },
  };

  async function against(lie) {
    const answer = (response, status, body, type = status === 200 ? "application/json" : "application/problem+json") => {
      response.writeHead(status, { "content-type": type });
      response.end(typeof body === "string" ? body : JSON.stringify(body));
    };
    const server = createServer(async (request, response) => {
      let body = "";
      for await (const chunk of request) body += chunk;
      const limit = new URL(request.url, "http://x").searchParams.get("limit");
      if (lie?.({ method: request.method, limit, body, response, answer })) return;
      if (limit !== null && !/^\d{1,9}$/.test(limit)) answer(response, 400, { detail: "limit" });
      else answer(response, 200, { name: "x", size: null });
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    const known = { uuids: [randomUUID()] };
    const { faults } = await fuzz(`http://127.0.0.1:${server.address().port}`, document, { seed: 7, rounds: 1_500, known });
    server.closeAllConnections();
    server.close();
    return faults.map(({ fault }) => fault);
  }

  test("row 36: nothing in a server that keeps its word", async () => {
    assert.deepEqual(await against(undefined), []);
  });

  const lies = {
    "a number that is too large and ends in 500": [({ limit, response, answer }) => Number(limit) > 2 ** 63 && (answer(response, 500, { detail: "?" }), true), /status 500/],
    "a body that breaks the server off": [({ method, body, response }) => method === "PUT" && body.startsWith("[[") && (response.destroy(), true), /no answer/],
    "a status that is not documented": [({ limit, response, answer }) => limit !== null && Number(limit) === 0 && (answer(response, 418, { detail: "tea" }), true), /418 is not documented/],
    "a field that is sometimes left out": [({ method, response, answer }) => method === "PUT" && (answer(response, 200, { name: "x" }), true), /size/],
    "a problem without its content type": [({ limit, response, answer }) => /\D/.test(limit ?? "") && (answer(response, 400, { detail: "x" }, "text/html"), true), /text\/html is not documented/],
    "a body that is no JSON": [({ limit, response, answer }) => limit === "0" && (answer(response, 200, "{"), true), /no JSON/],
  };
  for (const [name, [lie, wanted]] of Object.entries(lies)) {
    test(`row 36: ${name}`, async () => {
      const faults = await against(lie);
      assert.ok(faults.some((fault) => wanted.test(fault)), `found only ${JSON.stringify(faults)}`);
    });
  }
});
