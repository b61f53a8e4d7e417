// Sessions: who may say what when, and that nothing is taken twice, skipped or acknowledged too early.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";

import { Machine, payloads, sleep, until } from "./lib/machine.mjs";
import { Raw, text } from "./lib/raw.mjs";
import { Server } from "./lib/server.mjs";

let server;
let impatient;
before(async () => {
  [server, impatient] = await Promise.all([Server.start(), Server.start({ args: ["--ping-every-ms", "1000"] })]);
});
after(() => Promise.all([server.stop(), impatient.stop()]));

// What a machine told of, in the order of the log.
const told = async (id) =>
  (await server.events(id)).filter((event) => event.kind === "outside.test").map((event) => event.message);

describe("who may say what when", { concurrency: 16 }, () => {
  for (const protocols of [[], ["muster.v2"], ["chat", "muster.v0"]]) {
    test(`row 33: subprotocol ${JSON.stringify(protocols)} → HTTP 400 with a problem that names the right one`, async () => {
      const answer = await new Promise((resolve, reject) => {
        const machine = new Machine(server);
        machine.open({ protocols }).then(() => reject(new Error("it was let in")), () => {});
        machine.ws.on("unexpected-response", (_, response) => {
          let body = "";
          response.on("data", (data) => (body += data));
          response.on("end", () => resolve({ status: response.statusCode, type: response.headers["content-type"], body }));
        });
      });
      assert.equal(answer.status, 400);
      assert.equal(answer.type, "application/problem+json");
      assert.match(JSON.parse(answer.body).detail, /muster\.v1/);
    });
  }

  test("row 33: of several subprotocols ours is chosen", async () => {
    const machine = await new Machine(server).open({ protocols: ["chat", "muster.v1"] });
    assert.equal(machine.ws.protocol, "muster.v1");
    await machine.end();
  });

  test("row 31: a plain GET of the machine's path → HTTP 400 problem", async () => {
    const answer = await server.get("/machine");
    assert.equal(answer.status, 400);
    assert.equal(answer.headers.get("content-type"), "application/problem+json");
  });

  test("row 31: no hello within 10 s → 1008", async () => {
    const started = Date.now();
    const machine = await new Machine(server).open();
    await machine.refused(1008, /no hello within/, 13_000);
    assert.ok(Date.now() - started < 12_000);
  });

  test("row 31: pings keep nobody in who does not say hello", async () => {
    const machine = await new Machine(server).open();
    const timer = setInterval(() => machine.ws.ping(), 500);
    await machine.refused(1008, /no hello within/, 13_000).finally(() => clearInterval(timer));
  });

  test("row 2: a first message that is no hello → 1008", async () => {
    const machine = await new Machine(server).open();
    machine.say("heartbeat");
    await machine.refused(1008, /first message of a connection is hello/);
  });

  test("row 2: a message before welcome → 1008", async () => {
    const machine = await new Machine(server).open();
    machine.ws._socket.cork();
    machine.say("hello");
    machine.say("heartbeat");
    machine.ws._socket.uncork();
    await machine.refused(1008, /wait for welcome/);
  });

  test("row 2: a hello that is not message 1 → 1008", async () => {
    const machine = await new Machine(server).open();
    machine.say("hello", payloads.hello(), { sequence: 2 });
    await machine.refused(1008, /message 1/);
  });

  test("row 2: hello twice → 1008", async () => {
    const machine = await Machine.welcomed(server);
    machine.say("hello");
    const bye = await machine.next("bye");
    assert.equal(bye.payload.reason, "violation");
    await machine.refused(1008, /hello was said before/);
  });

  test("row 26: another machine's id within a session → 1008, and that machine has heard nothing of it", async () => {
    const [machine, other] = [await Machine.welcomed(server), await Machine.welcomed(server)];
    machine.say("event", payloads.event("forged"), { record: 1, machine_id: other.id });
    await machine.refused(1008, new RegExp(`belongs to machine ${machine.id}`));
    await other.settled();
    assert.deepEqual(await told(other.id), []);
    await other.end();
  });

  test("row 2: a session that is over → 1008", async () => {
    const machine = await Machine.welcomed(server);
    const old = machine.session;
    await machine.end();
    await machine.open();
    const welcome = await machine.hello();
    assert.ok(welcome.session > old);
    machine.say("event", payloads.event("late"), { record: 1, session: old });
    await machine.refused(1008, new RegExp(`this is session ${welcome.session}`));
    assert.deepEqual(await told(machine.id), []);
  });

  test("row 2: no session number after welcome → 1008", async () => {
    const machine = await Machine.welcomed(server);
    machine.say("heartbeat", payloads.heartbeat(), { session: undefined });
    await machine.refused(1008, /this is session/);
  });

  test("row 2: a session number from nowhere does not use up the numbers", async () => {
    const machine = await new Machine(server).open();
    const welcome = await machine.hello({ last_session: 2 ** 53 });
    assert.ok(welcome.session < 2 ** 30);
    await machine.end();
  });

  test("row 26: a second connection of a machine fences the first", async () => {
    const first = await Machine.welcomed(server);
    first.record("event", payloads.event("by the first"));
    await first.acknowledged();
    const second = new Machine(server, { id: first.id });
    await second.open();
    const welcome = await second.hello();
    assert.ok(welcome.session > first.session);
    assert.equal(welcome.highest_record, 1);
    const bye = await first.next("bye");
    assert.equal(bye.payload.reason, "fenced");
    assert.ok(bye.payload.retry_after_ms > 0);
    first.say("event", payloads.event("too late"), { record: 2 });
    await first.refused(1008);
    second.records = 1;
    second.record("event", payloads.event("by the second"));
    await second.acknowledged();
    assert.deepEqual(await told(first.id), ["by the first", "by the second"]);
    await second.end();
  });

  test("row 26: ten connections of one machine at once leave exactly one, the newest", async () => {
    const id = randomUUID();
    const all = Array.from({ length: 10 }, () => new Machine(server, { id }));
    await Promise.all(all.map((machine) => machine.open()));
    const greeted = await Promise.allSettled(all.map((machine) => machine.hello()));
    await until(() => all.filter((machine) => machine.ws.readyState === 1).length === 1, 5_000, "one is left");
    const left = all.find((machine) => machine.ws.readyState === 1);
    const sessions = greeted.filter((one) => one.status === "fulfilled").map((one) => one.value.session);
    assert.equal(left.session, Math.max(...sessions));
    assert.equal(new Set(sessions).size, sessions.length);
    await left.settled();
    await left.end();
  });

  test("row 4: a half-open connection is let go after two pings without an answer", async () => {
    const raw = await Raw.open(impatient, "/machine", { protocol: "muster.v1" });
    const machine = new Machine(impatient);
    raw.send(text(JSON.stringify(machine.envelope("hello", payloads.hello()))));
    await raw.next();
    const silent = Date.now();
    let pings = 0;
    for (let found = await raw.next(); found !== undefined; found = await raw.next()) pings += found.opcode === 9 ? 1 : 0;
    const took = Date.now() - silent;
    assert.equal(pings, 2);
    assert.ok(took < 3_600, `${took} ms at a ping every 1,000 ms`);
  });

  test("row 4: with the settings as they come, a half-open connection is noticed within 30 s", async (t) => {
    const raw = await Raw.open(server, "/machine", { protocol: "muster.v1" });
    const machine = new Machine(server);
    raw.send(text(JSON.stringify(machine.envelope("hello", payloads.hello()))));
    await raw.next();
    const silent = Date.now();
    await raw.gone(60_000);
    const took = Date.now() - silent;
    t.diagnostic(`noticed after ${took} ms`);
    assert.ok(took <= 30_500, `noticed after ${took} ms`);
  });

  test("row 4: a connection that answers pings and says nothing else stays", async () => {
    const machine = await Machine.welcomed(impatient);
    await sleep(4_500);
    await machine.settled();
    await machine.end();
  });
});

describe("nothing twice, nothing skipped", { concurrency: 8 }, () => {
  test("row 34: a replayed sequence is ignored", async () => {
    const machine = await Machine.welcomed(server);
    const beat = machine.say("heartbeat");
    await machine.next("ack");
    machine.ws.send(JSON.stringify(beat));
    machine.record("event", payloads.event("once"));
    machine.say("event", payloads.event("under an old sequence"), { record: 2, sequence: machine.sequence - 1 });
    machine.sequence -= 1;
    await machine.settled();
    // A heartbeat is answered at once, a record only when it is on disk.
    await machine.acknowledged(1);
    const answers = machine.heard.filter((message) => message.payload.heartbeat === beat.sequence);
    assert.equal(answers.length, 1);
    assert.deepEqual(await told(machine.id), ["once"]);
    await machine.end();
  });

  test("row 34: a replayed record is not stored twice", async () => {
    const machine = await Machine.welcomed(server);
    machine.record("event", payloads.event("1"));
    machine.record("event", payloads.event("2"));
    machine.say("event", payloads.event("1"), { record: 1 });
    machine.say("event", payloads.event("other words under a number that is taken"), { record: 2 });
    machine.record("event", payloads.event("3"));
    await machine.acknowledged(3);
    assert.deepEqual(await told(machine.id), ["1", "2", "3"]);
    await machine.end();
  });

  test("row 34: an outbox sent again over three connections is stored once, in order", async () => {
    const machine = new Machine(server);
    for (let round = 1; round <= 3; round += 1) {
      await machine.open();
      const welcome = await machine.hello({ records: { first: 1, last: 20 * round }, highest_record: 20 * round });
      assert.ok(welcome.highest_record <= 20 * (round - 1));
      for (let record = 1; record <= 20 * round; record += 1) machine.say("event", payloads.event(`${record}`), { record });
      if (round === 3) await machine.acknowledged(60);
      machine.ws.terminate();
      await machine.closed;
    }
    assert.deepEqual(await told(machine.id), Array.from({ length: 60 }, (_, i) => `${i + 1}`));
  });

  test("row 35: a gap in the sequence leads to resync, and to nothing skipped", async () => {
    const machine = await Machine.welcomed(server);
    machine.record("event", payloads.event("1"));
    machine.sequence += 1;
    machine.say("heartbeat");
    const resync = await machine.next("resync");
    assert.equal(resync.payload.next_record, 2);
    machine.record("state");
    await machine.acknowledged(2);
    await machine.end();
  });

  test("row 35: each of several gaps in the sequence leads to a resync", async () => {
    const machine = await Machine.welcomed(server);
    for (let round = 1; round <= 3; round += 1) {
      machine.sequence += 5;
      machine.say("telemetry");
      assert.equal((await machine.next("resync")).payload.next_record, round);
      machine.record("state");
      await machine.acknowledged(round);
    }
    await machine.end();
  });

  test("row 35: a gap in the records leads to a resync that names the next, and to nothing skipped", async () => {
    const machine = await Machine.welcomed(server);
    machine.record("event", payloads.event("1"));
    machine.say("event", payloads.event("3"), { record: 3 });
    machine.say("event", payloads.event("4"), { record: 4 });
    const resync = await machine.next("resync");
    assert.equal(resync.payload.next_record, 2);
    for (const record of [2, 3, 4]) machine.say("event", payloads.event(`${record}`), { record });
    await machine.acknowledged(4);
    assert.equal(machine.heard.filter((message) => message.type === "resync").length, 1, "asked for once");
    assert.deepEqual(await told(machine.id), ["1", "2", "3", "4"]);
    await machine.end();
  });

  test("row 35: a patch on a state that the server does not know leads to resync, and the full state heals it", async () => {
    const machine = await Machine.welcomed(server);
    machine.record("state");
    machine.record("state", { patch: { base: 99, sections: { power: { battery_percent: 5, charging: false, external_supply: false } } } });
    const resync = await machine.next("resync");
    assert.equal(resync.payload.next_record, 3);
    machine.record("state", payloads.state("healed"));
    await machine.acknowledged(3);
    // What is acknowledged is on disk; the table follows in a moment.
    const show = async () => (await server.json(`/api/v1/machines/${machine.id}`)).summary;
    await until(async () => (await show()).name === "healed", 2_000, "the new name");
    assert.equal((await show()).battery_percent, null);
    await machine.end();
  });

  test("row 35: a patch on the state that was told last is applied, null removes", async () => {
    const machine = await Machine.welcomed(server);
    machine.record("state");
    const power = { battery_percent: 55.5, charging: true, external_supply: false };
    machine.record("state", { patch: { base: 1, sections: { power, operation: null } } });
    await machine.acknowledged(2);
    const show = () => server.json(`/api/v1/machines/${machine.id}`);
    await until(async () => (await show()).state_version === 2, 2_000, "the new state");
    const { reported } = await show();
    assert.deepEqual(reported.power, power);
    assert.equal(reported.operation, undefined);
    await machine.end();
  });

  test("row 35: records that a machine lost are noted, and it goes on behind them", async () => {
    const machine = await Machine.welcomed(server);
    machine.record("event", payloads.event("1"));
    await machine.acknowledged(1);
    await machine.end();
    await machine.open();
    await machine.hello({ records: { first: 5, last: 5 }, highest_record: 5 });
    machine.say("event", payloads.event("5"), { record: 5 });
    await machine.acknowledged(5);
    const kinds = (await server.events(machine.id)).filter((event) => event.kind === "records.lost");
    assert.equal(kinds.length, 1);
    assert.match(kinds[0].message, /2 to 4/);
    assert.deepEqual(await told(machine.id), ["1", "5"]);
    await machine.end();
  });

  test("invariant 1: only durable messages are acknowledged, and only when they can be read back", async () => {
    const machine = await Machine.welcomed(server);
    machine.say("telemetry");
    machine.say("log");
    await sleep(300);
    assert.deepEqual(machine.heard.map((message) => message.type), ["welcome"]);
    for (let round = 1; round <= 20; round += 1) {
      machine.record("event", payloads.event(`${round}`));
      const ack = await machine.acknowledged();
      assert.equal(ack.record, round, "never more than was sent");
      assert.equal((await told(machine.id)).length, round, "readable once it is acknowledged");
    }
    await machine.end();
  });

  test("row 35: what the server says is numbered without gaps, and in the session's name", async () => {
    const machine = await Machine.welcomed(server);
    for (let round = 0; round < 30; round += 1) machine.record("event");
    await machine.acknowledged();
    await machine.settled();
    assert.deepEqual(machine.heard.map((message) => message.sequence), machine.heard.map((_, i) => i + 1));
    assert.ok(machine.heard.every((message) => message.session === machine.session && message.machine_id === machine.id));
    await machine.end();
  });
});
