// What is no message: refused with the right code and a reason that a person can act on, and nobody else notices.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Machine, payloads } from "./lib/machine.mjs";
import { Raw, close, frame, more, ping, text } from "./lib/raw.mjs";
import { Server } from "./lib/server.mjs";

let server;
let bystander;
before(async () => {
  server = await Server.start();
  bystander = await Machine.welcomed(server);
});
after(async () => {
  // Whatever was thrown at the server, a machine that behaves has felt nothing of it.
  await bystander.settled();
  await bystander.end();
  await server.stop();
});

// Replaces in the text of a good heartbeat.
const heartbeat = (change) => (machine) => change(JSON.stringify(machine.envelope("heartbeat", payloads.heartbeat())));
const message = (type, payload, extra) => (machine) => JSON.stringify(machine.envelope(type, payload, extra));

const refusals = [
  ["row 31: an empty frame", () => "", 1007, /envelope/],
  ["row 31: half an object", () => "{", 1007, /envelope: EOF/],
  ["row 31: an array", () => "[1,2]", 1007, /envelope/],
  ["row 31: null", () => "null", 1007, /envelope/],
  ["row 31: no JSON at all", () => "hello, server", 1007, /line 1 column 1/],
  ["row 31: NaN", heartbeat((text) => text.replace('"uptime_s":1', '"uptime_s":NaN')), 1007, /./],
  ["row 31: a trailing comma", heartbeat((text) => text.replace('"uptime_s":1', '"uptime_s":1,,')), 1007, /./],
  ["row 31: something after the message", heartbeat((text) => `${text} true`), 1007, /trailing/],
  ["row 31: a lone surrogate", heartbeat((text) => text.replace('"operational"', '"\\ud800"')), 1007, /./],
  ["row 31: a field twice", heartbeat((text) => text.replace('"version":1', '"version":1,"version":1')), 1007, /duplicate field/],
  ["row 31: a missing field, named", () => '{"version":1}', 1007, /missing field `type`/],
  ["row 31: an unknown field in the envelope, named", heartbeat((text) => text.replace('"version"', '"colour":1,"version"')), 1007, /unknown field `colour`/],
  ["row 31: an unknown field in the payload, with its place", heartbeat((text) => text.replace('"uptime_s"', '"colour":1,"uptime_s"')), 1007, /payload of heartbeat: there is no field "colour"/],
  ["row 31: an unknown field deep in the payload, with its place", heartbeat((text) => text.replace('"connects"', '"colour":1,"connects"')), 1007, /"link.colour"/],
  ["row 31: a value of the wrong type, with its place", heartbeat((text) => text.replace('"uptime_s":1', '"uptime_s":"1"')), 1007, /payload of heartbeat: .*u64/],
  ["row 31: a negative number where none can be", heartbeat((text) => text.replace('"uptime_s":1', '"uptime_s":-1')), 1007, /payload of heartbeat/],
  ["row 31: a number beyond 64 bits", heartbeat((text) => text.replace('"uptime_s":1', '"uptime_s":18446744073709551616')), 1007, /payload of heartbeat/],
  ["row 31: a word that does not exist", heartbeat((text) => text.replace("operational", "fine")), 1007, /unknown variant `fine`/],
  ["row 31: a machine_id that is none", heartbeat((text) => text.replace(/"machine_id":"[^"]+"/, '"machine_id":"frida"')), 1007, /envelope/],
  ["row 31: a time that is none", heartbeat((text) => text.replace(/"timestamp":"[^"]+"/, '"timestamp":"yesterday"')), 1007, /is not a time like/],
  ["row 31: an unknown type", message("greeting", {}), 1008, /there is no type "greeting": accepted are hello, heartbeat/],
  ["row 31: a type of the other direction", message("welcome", {}), 1008, /there is no type "welcome"/],
  ["row 31: sequence zero", message("heartbeat", payloads.heartbeat(), { sequence: 0 }), 1008, /sequence/],
  ["row 31: an event without a record number", message("event", payloads.event()), 1008, /event needs a record number/],
  ["row 31: record number zero", message("event", payloads.event(), { record: 0 }), 1008, /record number/],
  ["row 31: telemetry with a record number", message("telemetry", payloads.telemetry(), { record: 1 }), 1008, /no record number/],
  ["row 31: a kind that is no topic", message("event", payloads.event("x", { kind: "so hot!" }), { record: 1 }), 1008, /payload.kind/],
  ["row 31: an event's message beyond 1,024 characters", message("event", payloads.event("x".repeat(1_025)), { record: 1 }), 1008, /1024 characters/],
  ["row 31: a metric's name in capitals", message("telemetry", { samples: [{ metric: "CPU", value: 1 }] }), 1007, /metric's name/],
  ["row 32: a string beyond 16 KiB", message("event", payloads.event("x".repeat(20_000)), { record: 1 }), 1009, /string of 20000 bytes: at most 16384/],
  ["row 32: 513 samples", message("telemetry", payloads.telemetry(513)), 1009, /513 samples in one message: at most 512/],
  ["row 32: 257 lines of a log", message("log", payloads.log(257)), 1009, /257 lines in one message: at most 256/],
  ["row 32: 33 deep", message("event", payloads.event("x", { data: JSON.parse("[".repeat(31) + "]".repeat(31)) }), { record: 1 }), 1009, /nested deeper than 32/],
  ["row 32: more than 64 KiB that is no state", heartbeat((text) => text.replace('{"uptime_s"', `${" ".repeat(66_000)}{"uptime_s"`)), 1009, /at most 65536 .*only for state/],
  ["row 32: more than 256 KiB of state", (machine) => message("state", payloads.state(), { record: 1 })(machine) + " ".repeat(262_144), 1009, /at most 262144/],
];

describe("text that is no message", { concurrency: 8 }, () => {
  for (const [name, make, code, says] of refusals) {
    test(`${name} → ${code}`, async () => {
      const machine = await Machine.welcomed(server);
      machine.ws.send(make(machine));
      await machine.refused(code, says);
      // The same before there is a session.
      const stranger = await new Machine(server).open();
      stranger.ws.send(make(stranger));
      const end = await stranger.refused(code);
      assert.ok(end.reason.length > 0);
    });
  }

  test("row 31: the reason of a close fits into its frame, cut between characters", async () => {
    const machine = await Machine.welcomed(server);
    machine.say("heartbeat", { ["ä".repeat(300)]: 1 });
    const end = await machine.refused(1007);
    assert.ok(Buffer.byteLength(end.reason) <= 123);
    assert.ok(!end.reason.includes("\ufffd"));
  });

  test("row 32: a state of 200 KiB is taken", async () => {
    const machine = await Machine.welcomed(server);
    const nodes = Array.from({ length: 1_500 }, (_, i) => ({
      name: `node-${i}`,
      status: "running",
      restarts: 0,
      last_failure: "x".repeat(80),
    }));
    const state = payloads.state();
    state.full.nodes = { nodes };
    const sent = machine.record("state", state);
    assert.ok(JSON.stringify(sent).length > 200_000);
    await machine.acknowledged();
    await machine.end();
  });

  test("row 32: exactly 32 deep, 16 KiB of string, 512 samples and 256 lines are taken", async () => {
    const machine = await Machine.welcomed(server);
    // The envelope and the payload are two of the 32.
    machine.record("event", payloads.event("x", { data: JSON.parse("[".repeat(30) + "]".repeat(30)) }));
    machine.record("event", payloads.event("x", { data: "x".repeat(16_384) }));
    machine.say("telemetry", payloads.telemetry(512));
    machine.say("log", payloads.log(256));
    await machine.acknowledged();
    await machine.settled();
    await machine.end();
  });

  test("row 31: a binary frame → 1003", async () => {
    const machine = await Machine.welcomed(server);
    machine.ws.send(Buffer.from(JSON.stringify(machine.envelope("heartbeat", payloads.heartbeat()))));
    await machine.refused(1003, /dictionary/);
  });
});

test("row 32: JSON nested 100,000 deep → 1009, and the server's memory does not grow", async (t) => {
  const deep = "[".repeat(100_000) + "]".repeat(100_000);
  const throwAt = async () => {
    const machine = await Machine.welcomed(server);
    machine.ws.send(deep);
    await machine.refused(1009, /nested deeper than 32/);
  };
  for (let i = 0; i < 10; i += 1) await throwAt();
  const [before, peakBefore] = [server.memory(), server.memory("VmHWM")];
  if (before === undefined) return t.skip("there is no /proc to read memory from");
  for (let i = 0; i < 20; i += 1) await throwAt();
  const grown = server.memory() - before;
  const peak = server.memory("VmHWM") - Math.max(peakBefore, before);
  t.diagnostic(`resident memory grew by ${grown >> 10} KiB, its peak by ${peak >> 10} KiB`);
  assert.ok(grown <= 1 << 20, `grew by ${grown} bytes`);
});

describe("frames that break RFC 6455", { concurrency: 8 }, () => {
  const cases = [
    ["a reserved bit", [text("{}", { rsv: 4 })], 1002],
    ["the second reserved bit", [text("{}", { rsv: 2 })], 1002],
    ["the third reserved bit", [text("{}", { rsv: 1 })], 1002],
    ["an unmasked frame", [text("{}", { masked: false })], 1002],
    ["an opcode that does not exist", [frame(3, "{}")], 1002],
    ["a control opcode that does not exist", [frame(11, "")], 1002],
    ["a fragmented ping", [ping("a", { fin: false })], 1002],
    ["a ping of 126 bytes", [ping("a".repeat(126))], 1002],
    ["a continuation of nothing", [more("{}")], 1002],
    ["a new message inside a fragmented one", [text("{", { fin: false }), text("}")], 1002],
    ["invalid UTF-8", [text(Buffer.from([0x22, 0xff, 0xfe, 0x22]))], 1007],
    ["a close frame of one byte", [frame(8, "x")], 1002],
    ["a length of 2^62", [text("", { length: 2 ** 62 })], 1009],
  ];
  for (const [name, frames, code] of cases) {
    test(`row 31: ${name} → ${code}`, async () => {
      for (const welcomed of [false, true]) {
        const raw = await Raw.open(server, "/machine", { protocol: "muster.v1" });
        if (welcomed) {
          const machine = new Machine(server);
          raw.send(text(JSON.stringify(machine.envelope("hello", payloads.hello()))));
          assert.match((await raw.next()).payload.toString(), /"welcome"/);
        }
        raw.send(...frames);
        const end = await raw.closing();
        assert.equal(end.code, code, end.reason);
        raw.send(close(code));
        await raw.gone();
      }
    });
  }
});

describe("other versions", { concurrency: 4 }, () => {
  for (const version of [0, 2, 3, 65_536]) {
    test(`row 33: a hello of version ${version} gets a typed bye, then 1008`, async () => {
      const machine = await new Machine(server).open();
      machine.say("hello", payloads.hello(), { version });
      const bye = await machine.next("bye");
      assert.equal(bye.payload.reason, "unsupported_version");
      assert.deepEqual(bye.payload.supported_versions, [1]);
      assert.equal(bye.machine_id, machine.id);
      assert.equal(bye.version, 1);
      await machine.refused(1008, new RegExp(`version ${version} is not spoken here`));
    });
  }

  test("row 33: a frame of another version is refused even if its envelope is another one", async () => {
    const machine = await new Machine(server).open();
    machine.ws.send('{"version":7,"kind":"salute","who":[1,2,3]}');
    assert.equal((await machine.next("bye")).payload.reason, "unsupported_version");
    await machine.refused(1008, /version 7/);
  });

  test("row 33: a message of another version within a session is refused", async () => {
    const machine = await Machine.welcomed(server);
    machine.say("heartbeat", payloads.heartbeat(), { version: 2 });
    assert.equal((await machine.next("bye")).payload.reason, "unsupported_version");
    await machine.refused(1008, /version 2/);
  });

  test("row 33: a hello that speaks only other versions gets a typed bye, then 1008", async () => {
    for (const versions of [[0], [2], [2, 3], []]) {
      const machine = await new Machine(server).open();
      machine.say("hello", payloads.hello({ versions }));
      const bye = await machine.next("bye");
      assert.equal(bye.payload.reason, "unsupported_version");
      assert.deepEqual(bye.payload.supported_versions, [1]);
      assert.equal(bye.payload.retry_after_ms, undefined);
      await machine.refused(1008);
    }
  });

  test("row 33: a hello that also speaks other versions is welcome in ours", async () => {
    const machine = await new Machine(server).open();
    const welcome = await machine.hello({ versions: [0, 1, 2, 9] });
    assert.equal(welcome.version, 1);
    await machine.end();
  });

  test("row 33: a machine of a newer minor version may say more in its payloads, not in its envelope", async () => {
    const machine = await new Machine(server).open();
    await machine.hello({ minor: 2 });
    machine.say("heartbeat", { ...payloads.heartbeat(), mood: "good" });
    await machine.next("ack");
    machine.say("heartbeat", payloads.heartbeat(), { mood: "good" });
    await machine.refused(1007, /unknown field `mood`/);
  });

  test("row 33: a hello of a newer minor version may itself say more", async () => {
    const machine = await new Machine(server).open();
    const welcome = await machine.hello({ minor: 2, mood: "good" });
    assert.equal(welcome.minor, 1);
    await machine.end();
  });
});
