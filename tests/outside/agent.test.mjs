// A machine in another language, written from the AsyncAPI document alone, against the real server and a spiteful one.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { WebSocketServer } from "ws";

import { fromMachine, sleep, until, within } from "./lib/machine.mjs";
import { Server, folder, repository } from "./lib/server.mjs";

const missing = spawnSync("python3", ["--version"]).status === 0 ? false : "python3 is not here";
const kept = (data) => JSON.parse(readFileSync(path.join(data, "agent.json"), "utf8"));

function agent(url, data, more = []) {
  const args = [repository("examples/agent-python/agent.py"), "--data", data, "--server", url, "--name", "python"];
  const child = spawn("python3", ["-B", ...args, "--sample-every", "0.2", ...more], { stdio: ["ignore", "pipe", "pipe"] });
  child.said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (child.said += data));
  child.ended = once(child, "exit");
  child.stop = async (signal = "SIGTERM") => {
    child.kill(signal);
    await child.ended;
  };
  return child;
}

describe("an agent in Python", { skip: missing, concurrency: 4 }, () => {
  test("it joins the fleet: state, telemetry, an event, a heartbeat; and goes on after kill -9 of either end", async (t) => {
    const [data, store] = [folder(), folder()];
    let server = await Server.start({ data: store, keep: true });
    // A load above nothing at all is an event at once.
    let child = agent(server.socket("/machine"), data, ["--load-high", "-1"]);
    t.after(async () => {
      await child.stop();
      server.keep = false;
      await server.stop();
      rmSync(data, { recursive: true, force: true });
    });
    const id = await until(() => /session 1\n/.test(child.said) && kept(data).machine_id, 10_000, "a session");
    const shown = async () => server.json(`/api/v1/machines/${id}`);
    await until(async () => (await shown()).summary?.name === "python", 5_000, "its state");
    await until(async () => (await server.events(id)).some((event) => event.kind === "load.high"), 5_000, "its event");
    const series = async () => (await server.json(`/api/v1/machines/${id}/telemetry?metrics=load.1m`)).series;
    await until(async () => (await series())?.[0]?.points.length > 0, 5_000, "its load");
    assert.equal((await shown()).summary.presence, "online");
    await until(() => kept(data).outbox.length === 0, 5_000, "an empty outbox");

    await child.stop("SIGKILL");
    child = agent(server.socket("/machine"), data, ["--load-high", "-1"]);
    await until(() => /session 2\n/.test(child.said), 10_000, "a second session");

    const { port } = server;
    await server.stop("SIGKILL");
    await sleep(300);
    server = await Server.start({ data: store, keep: true, port });
    await until(() => /session 3\n/.test(child.said), 20_000, "a third session");
    await until(async () => (await shown()).highest_record === kept(data).highest, 5_000, "all of its records");
    await until(() => kept(data).outbox.length === 0, 5_000, "an empty outbox");
    assert.ok(!(await server.events(id)).some((event) => event.kind === "records.lost"));
  });

  // A server that does only what it is told; everything the agent says must fit the schema.
  async function spiteful(run) {
    const data = folder();
    const server = new WebSocketServer({ port: 0, host: "127.0.0.1", handleProtocols: () => "muster.v1" });
    await once(server, "listening");
    const heard = [];
    let wake;
    server.on("connection", (ws) => {
      server.ws = ws;
      ws.sequence = 0;
      ws.on("message", (text) => {
        const message = JSON.parse(text);
        assert.ok(fromMachine(message), `${text}: ${JSON.stringify(fromMachine.errors)}`);
        heard.push(message);
        wake?.();
      });
    });
    const next = (type) =>
      within(
        (async () => {
          for (;;) {
            while (heard.length > 0) {
              const message = heard.shift();
              if (message.type === type) return message;
            }
            await new Promise((resolve) => (wake = resolve));
          }
        })(),
        15_000,
        `waiting for ${type}`,
      );
    let session = 0;
    const say = (type, payload, more = {}) => {
      server.ws.sequence += 1;
      const frame = { version: 1, type, machine_id: kept(data).machine_id, session, sequence: server.ws.sequence, timestamp: new Date().toISOString(), payload, ...more };
      server.ws.send(JSON.stringify(frame));
    };
    const welcome = async (highest_record = 0) => {
      const hello = await next("hello");
      session += 1;
      say("welcome", {
        session, version: 1, minor: 0, server_time: new Date().toISOString(), heartbeat_interval_ms: 300, highest_record, state_version: 0, desired_version: 0,
        limits: { frame_max_bytes: 65_536, state_frame_max_bytes: 262_144, depth_max: 32, string_max_bytes: 16_384, samples_max: 512, log_lines_max: 256, messages_per_s: 200, messages_burst: 1_000 },
      });
      return hello;
    };
    const child = agent(`ws://127.0.0.1:${server.address().port}/machine`, data, ["--load-high", "-1"]);
    try {
      await run({ server, child, data, next, say, welcome });
    } finally {
      await child.stop();
      server.close();
      for (const ws of server.clients) ws.terminate();
      rmSync(data, { recursive: true, force: true });
    }
  }

  test("it keeps records until they are acknowledged, and sends them again under the same numbers", () =>
    spiteful(async ({ server, data, next, say, welcome }) => {
      const first = await welcome();
      assert.equal(first.payload.records, undefined);
      const state = await next("state");
      assert.equal(state.record, 1);
      const event = await next("event");
      assert.equal(event.record, 2);
      server.ws.terminate();
      const again = await welcome();
      assert.deepEqual(again.payload.records, { first: 1, last: 2 });
      assert.equal(again.payload.last_session, 1);
      const repeated = await next("event");
      assert.deepEqual([repeated.record, repeated.payload, repeated.timestamp], [2, event.payload, event.timestamp]);
      say("ack", { record: 2 });
      await until(() => kept(data).outbox[0]?.[0] === 3, 5_000, "records 1 and 2 let go");
    }));

  test("it answers resync with a full state and the records from there on", () =>
    spiteful(async ({ next, say, welcome }) => {
      await welcome();
      await next("event");
      say("resync", { reason: "a record is missing", next_record: 1 });
      assert.equal((await next("state")).record, 1);
      assert.equal((await next("event")).record, 2);
      const full = await next("state");
      assert.equal(full.record, 3);
      assert.ok(full.payload.full);
    }));

  test("it refuses commands, once, and says so again for a second time", () =>
    spiteful(async ({ next, say, welcome }) => {
      await welcome();
      const now = new Date().toISOString();
      const command = { id: "c-1", kind: "identify", issuer: "somebody", reason: "to see", authority: "none", issued: now, expires: now };
      say("command", command);
      const refused = await next("response");
      assert.deepEqual([refused.payload.command_id, refused.payload.outcome], ["c-1", "refused"]);
      say("command", command);
      assert.equal((await next("response")).payload.outcome, "duplicate");
    }));

  test("it says heartbeats as often as it is asked to, and goes on behind records it does not remember", () =>
    spiteful(async ({ next, say, welcome }) => {
      await welcome(41);
      assert.equal((await next("state")).record, 42);
      const beat = await next("heartbeat");
      say("ack", { record: 42, heartbeat: beat.sequence });
      await next("heartbeat");
      const later = await next("heartbeat");
      assert.ok(later.payload.link.round_trip_ms >= 0);
    }));

  test("it leaves a connection with a gap, and comes back", () =>
    spiteful(async ({ server, next, say, welcome }) => {
      await welcome();
      await next("state");
      server.ws.sequence += 3;
      say("ack", { record: 1 });
      const hello = await welcome();
      assert.equal(hello.payload.records.first, 1, "what came after the gap was not taken");
    }));

  test("it does not come back where its version is not spoken", () =>
    spiteful(async ({ child, next, say, server }) => {
      await next("hello");
      say("bye", { reason: "unsupported_version", message: "versions 2 to 3 are spoken here", supported_versions: [2, 3] }, { session: undefined });
      server.ws.close(1008);
      const [code] = await within(child.ended, 5_000, "its end");
      assert.equal(code, 1);
    }));
});
