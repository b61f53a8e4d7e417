// What was acknowledged is there, whatever happens to the server; and it says goodbye when it can.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Machine, payloads, sleep, until, within } from "./lib/machine.mjs";
import { Server, folder } from "./lib/server.mjs";

const told = async (server, id) =>
  (await server.events(id)).filter((event) => event.kind === "outside.test").map((event) => Number(event.message));

// Tells of events without a pause, until the connection ends. The highest that was acknowledged is in `acknowledged`.
async function chatter(machine, pause) {
  const welcome = await machine.hello({
    highest_record: machine.records,
    records: machine.records > machine.held ? { first: machine.held + 1, last: machine.records } : undefined,
  });
  machine.welcomes.push(welcome);
  machine.held = Math.max(machine.held, welcome.highest_record);
  machine.ws.on("message", (data) => {
    const { type, payload } = JSON.parse(data);
    if (type === "ack") machine.held = Math.max(machine.held, payload.record);
  });
  for (let record = machine.held + 1; record <= machine.records; record += 1) {
    machine.say("event", payloads.event(`${record}`), { record });
  }
  while (machine.ws.readyState === 1) {
    machine.records += 1;
    machine.say("event", payloads.event(`${machine.records}`), { record: machine.records });
    await sleep(pause);
  }
}

describe("row 8: kill -9 while machines talk", () => {
  const data = folder();
  const machines = [];
  let server;
  before(async () => {
    server = await Server.start({ data, keep: true });
    for (let i = 0; i < 4; i += 1) {
      machines.push(Object.assign(new Machine(server), { held: 0, welcomes: [] }));
    }
  });
  after(async () => {
    server.keep = false;
    await server.stop();
  });

  for (let round = 1; round <= 6; round += 1) {
    test(`row 8: round ${round}: what was acknowledged is there after a restart, once and in order`, async () => {
      for (const machine of machines) machine.server = server;
      await Promise.all(machines.map((machine) => machine.open()));
      const running = machines.map((machine, i) => chatter(machine, i * 3));
      // In this round: who has not been welcomed yet when the server is killed, does not talk.
      await until(() => machines.every((machine) => machine.welcomes.length === round && machine.held > 0), 5_000, "acknowledgements");
      await sleep(100 + 150 * Math.random());
      await server.stop("SIGKILL");
      await Promise.all(running);
      const acknowledged = machines.map((machine) => machine.held);
      server = await Server.start({ data, keep: true });
      for (const [i, machine] of machines.entries()) {
        const found = await told(server, machine.id);
        assert.ok(found.length >= acknowledged[i], `${found.length} of ${acknowledged[i]} acknowledged events are there`);
        assert.deepEqual(found, Array.from(found, (_, i) => i + 1), "each once, in order, without holes");
        const sessions = machine.welcomes.map((welcome) => welcome.session);
        assert.deepEqual(sessions, [...new Set(sessions)].sort((a, b) => a - b), "session numbers grow");
      }
    });
  }
});

test("SIGTERM: machines are told bye, connections end with 1001, live clients too, and the exit code is 0", async () => {
  const server = await Server.start();
  const machines = await Promise.all([1, 2, 3].map(() => Machine.welcomed(server)));
  for (const machine of machines) machine.record("event", payloads.event("1"));
  await Promise.all(machines.map((machine) => machine.acknowledged()));
  const { default: WebSocket } = await import("ws");
  const live = new WebSocket(server.socket("/ws"));
  const liveEnd = new Promise((resolve) => live.on("close", resolve));
  await new Promise((resolve) => live.on("open", resolve));
  const started = Date.now();
  const stopped = server.stop();
  for (const machine of machines) {
    const bye = await machine.next("bye");
    assert.equal(bye.payload.reason, "drain");
    assert.ok(bye.payload.retry_after_ms >= 0);
    await machine.refused(1001);
  }
  assert.equal(await within(liveEnd, 5_000, "the live client's close"), 1001);
  assert.deepEqual(await stopped, { code: 0, signal: null });
  assert.ok(Date.now() - started < 5_000);
});

test("SIGTERM: machines that do not read hold nothing up for long", async () => {
  const server = await Server.start();
  const machine = await Machine.welcomed(server);
  machine.ws.pause();
  const started = Date.now();
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
  assert.ok(Date.now() - started < 10_000, `took ${Date.now() - started} ms`);
  machine.ws.terminate();
});

test("SIGTERM and start: the fleet, its names and its sessions go on", async () => {
  const data = folder();
  const first = await Server.start({ data, keep: true });
  const machine = await Machine.welcomed(first);
  machine.record("state", payloads.state("goes on"));
  machine.record("event", payloads.event("1"));
  await machine.acknowledged();
  await first.stop();
  const second = await Server.start({ data });
  machine.server = second;
  const shown = await second.json(`/api/v1/machines/${machine.id}`);
  assert.equal(shown.summary.name, "goes on");
  const session = machine.session;
  await machine.open();
  const welcome = await machine.hello({ last_session: session, highest_record: 2 });
  assert.ok(welcome.session > session);
  assert.equal(welcome.highest_record, 2);
  assert.equal(welcome.state_version, 1);
  await machine.end();
  await second.stop();
});
