// Limits of the server that are about more than one message: beyond them a machine is refused, counted, and told why.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { Machine, payloads, until } from "./lib/machine.mjs";
import { Server } from "./lib/server.mjs";

async function serving(t, ...args) {
  const server = await Server.start({ args, keep: true });
  t.after(() => {
    server.keep = false;
    return server.stop();
  });
  return server;
}

const refusedAs = async (machine, reason, says, code) => {
  machine.say("hello");
  const { payload } = await machine.next("bye");
  assert.equal(payload.reason, reason);
  assert.match(payload.message, says);
  assert.ok(payload.retry_after_ms >= 1_000, "it is told when to come back");
  await machine.refused(code, says);
};

describe("a record that the server cannot take", { concurrency: 4 }, () => {
  const bad = {
    "a kind that is no topic": (machine) => machine.envelope("event", payloads.event("bad", { kind: "so hot!" }), { record: 1 }),
    "a field that does not exist": (machine) => machine.envelope("state", { full: { colour: "red" } }, { record: 1 }),
    "more than 64 KiB": (machine) => machine.envelope("event", payloads.event("bad", { data: Array(40_000).fill(0) }), { record: 1 }),
  };
  for (const [name, make] of Object.entries(bad)) {
    test(`${name}: refused three times, then passed over, and the log says so`, async (t) => {
      const server = await serving(t);
      const machine = new Machine(server);
      // As a machine does it: records 1 and 2 wait in its outbox and are sent in order in every session.
      for (let times = 1; times <= 3; times += 1) {
        await machine.open();
        const welcome = await machine.hello({ records: { first: 1, last: 2 }, highest_record: 2 });
        assert.equal(welcome.highest_record, 0, "it is not passed over before its time");
        machine.ws.send(JSON.stringify(make(machine)));
        machine.say("event", payloads.event("behind it"), { record: 2 });
        const end = await machine.refused(name === "more than 64 KiB" ? 1009 : name.startsWith("a kind") ? 1008 : 1007);
        assert.ok(end.reason.length > 0);
      }
      await machine.open();
      const welcome = await until(async () => {
        const welcome = await machine.hello({ records: { first: 1, last: 2 }, highest_record: 2 });
        if (welcome.highest_record === 1) return welcome;
        await machine.end();
        await machine.open();
      });
      assert.equal(welcome.highest_record, 1);
      machine.say("event", payloads.event("behind it"), { record: 2 });
      await machine.acknowledged(2);
      const events = await until(async () => {
        const events = await server.events(machine.id);
        return events.some((event) => event.message === "behind it") && events;
      });
      const noted = events.filter((event) => event.kind === "records.refused");
      assert.equal(noted.length, 1);
      assert.equal(noted[0].severity, "error");
      assert.match(noted[0].message, /Record 1 .* is passed over: /);
      assert.equal(await server.metric("muster_records_refused_total"), 1);
      // It is in the log: a restart knows it, too.
      await server.stop();
      machine.server = await Server.start({ data: server.data });
      t.after(() => machine.server.stop());
      await machine.open();
      assert.equal((await machine.hello({ highest_record: 2 })).highest_record, 2);
    });
  }
});

describe("limits", { concurrency: 4 }, () => {
  test("a machine that is one too many is told so; those that have joined come and go", async (t) => {
    const server = await serving(t, "--machines-max", "3", "--shards", "2");
    const machines = [];
    for (let i = 0; i < 3; i += 1) machines.push(await Machine.welcomed(server));
    for (let i = 0; i < 5; i += 1) {
      await refusedAs(await new Machine(server).open(), "overloaded", /3 machines, and no more may join/, 1013);
    }
    assert.equal((await server.json("/api/v1/fleet/summary")).total, 3);
    await until(async () => (await server.metric("muster_machines_refused_full_total")) === 5, 5_000, "the metric");
    for (const machine of machines) {
      await machine.settled();
      await machine.end();
      await machine.open();
      await machine.hello();
    }

    // A restart makes no room, and a lower bound sends nobody away.
    await server.stop();
    const again = await Server.start({ data: server.data, args: ["--machines-max", "1"] });
    t.after(() => again.stop());
    const [first] = machines;
    first.server = again;
    await first.open();
    await first.hello();
    await refusedAs(await new Machine(again).open(), "overloaded", /no more may join/, 1013);
  });

  test("a machine that connects too often waits, and then comes in", async (t) => {
    const server = await serving(t, "--sessions-per-second", "1", "--sessions-burst", "3");
    const machine = new Machine(server);
    // A slow computer may give it a session more: a token comes back each second.
    const bye = await until(async () => {
      await machine.open();
      machine.say("hello");
      const message = await machine.next();
      if (message.type === "bye") return message.payload;
      await machine.end();
    }, 20_000, "a refusal");
    assert.equal(bye.reason, "overloaded");
    assert.match(bye.message, /again and again/);
    assert.ok(bye.retry_after_ms >= 1_000, "it is told when to come back");
    await machine.refused(1013, /again and again/);
    assert.equal(await until(() => server.metric("muster_sessions_refused_total"), 5_000, "the metric"), 1);
    await Machine.welcomed(server);
    await until(
      async () => {
        await machine.open();
        machine.say("hello");
        return (await machine.next()).type === "welcome";
      },
      10_000,
      "a session",
    );
  });

  test("a machine that makes up metrics takes no names from others", async (t) => {
    const server = await serving(t);
    const [one, other] = [await Machine.welcomed(server), await Machine.welcomed(server)];
    const made = (from, count) => ({ samples: Array.from({ length: count }, (_, i) => ({ metric: `made.up.${from + i}`, value: 1, unit: "1" })) });
    for (let from = 0; from < 2_000; from += 500) one.say("telemetry", made(from, 500));
    await one.settled();
    const dropped = () => server.metric("muster_telemetry_samples_without_name_total");
    await until(async () => (await dropped()) === 2_000 - 512, 5_000, "the metric");
    assert.match(server.said, new RegExp(`too many metrics.*${one.id}|${one.id}.*too many metrics`));
    other.say("telemetry", made(1_900, 100));
    other.say("telemetry", payloads.telemetry(1));
    await other.settled();
    const series = async (machine) => (await server.json(`/api/v1/machines/${machine.id}/telemetry`)).series.length;
    await until(async () => (await series(other)) === 101, 5_000, "its metrics");
    assert.equal(await dropped(), 2_000 - 512);
  });
});
