// Binary frames: the same messages, compressed by a zstd of another make with the committed dictionary.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";

import { Machine, fromServer, payloads, until } from "./lib/machine.mjs";
import { Server, executable, folder, repository } from "./lib/server.mjs";

const dictionary = repository("crates/protocol/src/link/compression/dictionary.bin");
const dictionaryId = readFileSync(dictionary).readUInt32LE(4);
const missing = spawnSync("zstd", ["--version"]).status === 0 ? false : "the program zstd is not here";

const work = folder();
let server;
let bystander;
before(async () => {
  server = await Server.start();
  bystander = await Machine.welcomed(server);
});
after(async () => {
  await bystander.settled();
  await bystander.end();
  await server.stop();
  rmSync(work, { recursive: true, force: true });
});

function zstd(args, input) {
  const { status, stdout, stderr } = spawnSync("zstd", ["-q", "-c", ...args], { input, maxBuffer: 1 << 28 });
  assert.equal(status, 0, stderr.toString());
  return stdout;
}

// From a file the program writes the length into the frame, from a pipe it cannot.
function pack(content, args = ["-D", dictionary]) {
  const file = path.join(work, `${process.hrtime.bigint()}`);
  writeFileSync(file, content);
  return zstd([...args, file]);
}
const unpack = (frame) => zstd(["-d", "-D", dictionary], frame).toString();

// A frame without any compression in it, by RFC 8878 alone.
function stored(content, { id = dictionaryId, length = content.length } = {}) {
  const head = Buffer.alloc(16);
  head.writeUInt32LE(0xfd2fb528, 0);
  head.writeUInt8(0b1010_0011, 4);
  head.writeUInt32LE(id, 5);
  head.writeUInt32LE(length, 9);
  head.writeUIntLE((content.length << 3) | 1, 13, 3);
  return Buffer.concat([head, Buffer.from(content)]);
}

// A machine that hears binary frames as well as text.
async function offering(dictionaries, to = server) {
  const machine = await new Machine(to).open();
  machine.ws.removeAllListeners("message");
  Object.assign(machine, { binary: 0, text: 0 });
  machine.ws.on("message", (data, binary) => {
    machine[binary ? "binary" : "text"] += 1;
    const message = JSON.parse(binary ? unpack(data) : data.toString());
    assert.ok(fromServer(message), JSON.stringify(message));
    machine.inbox.push(message);
    machine.wake?.();
  });
  const welcome = await machine.hello({ dictionaries });
  return { machine, welcome };
}

describe("the runtime and the server", { concurrency: 3 }, () => {
  // Says in what share of its text the messages of one machine cross the wire, to the server and back.
  async function shares(t, serverMay, machineMay) {
    const own = await Server.start({ args: ["--compression", serverMay] });
    const data = folder();
    const args = ["agent", "run", "--server", own.socket(""), "--data", data];
    const env = { ...process.env, MUSTER__LINK__COMPRESSION: machineMay };
    const child = spawn(executable, args, { stdio: "ignore", env });
    const exited = once(child, "exit");
    t.after(async () => {
      child.kill("SIGTERM");
      await exited;
      await own.stop();
      rmSync(data, { recursive: true, force: true });
    });
    const shown = async () => (await own.json("/api/v1/machines")).items[0];
    await until(async () => (await shown())?.name !== undefined, 15_000, "its state");
    const said = () => own.metric('muster_messages_received_total{type="telemetry"}');
    // Where nothing moves it says so every 30 s.
    await until(async () => (await said()) >= 2, 45_000, "its measurements");
    const { id } = await shown();
    assert.deepEqual(await own.events(id).then((events) => events.filter((event) => event.kind === "records.lost")), []);
    const share = async (way) => (await own.metric(`muster_link_${way}_bytes_total`)) / (await own.metric(`muster_link_${way}_text_bytes_total`));
    return [await share("received"), await share("sent")];
  }

  test("both want it: to less than half of the bytes in both directions", async (t) => {
    const [received, sent] = await shares(t, "auto", "auto");
    t.diagnostic(`to the server ${Math.round(received * 100)} %, to the machine ${Math.round(sent * 100)} %`);
    // What is compressed is weighed together with hello and welcome, which are not.
    assert.ok(received < 0.5 && sent < 0.8, `${received}, ${sent}`);
  });

  for (const [serverMay, machineMay] of [["off", "auto"], ["auto", "off"]]) {
    test(`server ${serverMay}, machine ${machineMay}: all is text`, async (t) => {
      assert.deepEqual(await shares(t, serverMay, machineMay), [1, 1]);
    });
  }
});

describe("compressed messages", { concurrency: 4, skip: missing }, () => {
  test("what both have is chosen, and messages go compressed in both directions", async () => {
    const { machine, welcome } = await offering([7, dictionaryId]);
    assert.equal(welcome.dictionary, dictionaryId);
    assert.deepEqual([machine.text, machine.binary], [1, 0], "welcome is text");
    const state = JSON.stringify(machine.envelope("state", payloads.state("squeezed"), { record: (machine.records = 1) }));
    const frame = pack(state);
    assert.ok(frame.length * 2 < state.length, `${frame.length} of ${state.length} bytes`);
    machine.ws.send(frame);
    await machine.acknowledged();
    // Without any compression in it, and as text: all are the same message.
    machine.ws.send(stored(JSON.stringify(machine.envelope("event", payloads.event("stored"), { record: (machine.records = 2) }))));
    await machine.acknowledged();
    machine.record("event", payloads.event("text"));
    await machine.acknowledged();
    assert.equal(machine.text, 1);
    assert.ok(machine.binary >= 3);
    const shown = () => server.json(`/api/v1/machines/${machine.id}`);
    await until(async () => (await shown()).summary?.name === "squeezed", 5_000, "its state");
    await machine.end();
    for (const way of ["received", "sent"]) {
      const wire = await server.metric(`muster_link_${way}_bytes_total`);
      const text = await server.metric(`muster_link_${way}_text_bytes_total`);
      assert.ok(wire > 0 && wire < text, `${way}: ${wire} of ${text} bytes`);
    }
  });

  test("who offers nothing that is known here is spoken with in text, and a binary frame → 1003", async () => {
    for (const dictionaries of [undefined, [], [7, 8]]) {
      const { machine, welcome } = await offering(dictionaries);
      assert.equal(welcome.dictionary ?? null, null);
      await machine.settled();
      assert.equal(machine.binary, 0);
      machine.ws.send(pack(JSON.stringify(machine.envelope("heartbeat", payloads.heartbeat()))));
      await machine.refused(1003, /dictionary/);
    }
  });

  test("a server that may not compress chooses nothing", async () => {
    const silent = await Server.start({ args: ["--compression", "off"] });
    try {
      const { machine, welcome } = await offering([dictionaryId], silent);
      assert.equal(welcome.dictionary ?? null, null);
      machine.ws.send(stored(JSON.stringify(machine.envelope("heartbeat", payloads.heartbeat()))));
      await machine.refused(1003, /dictionary/);
    } finally {
      await silent.stop();
    }
  });

  const refusals = [
    ["nonsense", () => Buffer.from("nonsense"), 1007, /zstd/],
    ["an empty frame", () => Buffer.alloc(0), 1007, /zstd/],
    ["text in a binary frame", (text) => Buffer.from(text), 1007, /zstd/],
    ["a frame that is cut", (text) => pack(text).subarray(0, -3), 1007, /zstd/],
    ["two frames in one", (text) => Buffer.concat([pack(text), pack(text)]), 1007, /zstd/],
    ["what is no UTF-8", () => pack(Buffer.from([0xff, 0xfe, 0xfd])), 1007, /UTF-8/],
    ["what is no message", () => pack("{}"), 1007, /missing field/],
    ["no dictionary", (text) => pack(text, []), 1003, /dictionary 0/],
    ["another dictionary", (text) => stored(text, { id: 77 }), 1003, /dictionary 77/],
    ["no length", (text) => zstd(["-D", dictionary], text), 1008, /how long/],
    ["a bomb of 64 MiB", () => pack(Buffer.alloc(64 << 20, 0x20)), 1009, /67108864 bytes/],
    ["a length that is a lie", (text) => stored(text, { length: 2 ** 31 }), 1009, /2147483648 bytes/],
    ["a length that is too small", (text) => stored(text, { length: 10 }), 1007, /zstd/],
    ["more than 64 KiB that is no state", (text) => pack(text + " ".repeat(66_000)), 1009, /only for state/],
  ];
  for (const [name, make, code, says] of refusals) {
    test(`row 31: ${name} → ${code}`, async () => {
      const { machine } = await offering([dictionaryId]);
      const text = JSON.stringify(machine.envelope("heartbeat", payloads.heartbeat()));
      machine.ws.send(make(text));
      await machine.refused(code, says);
    });
  }

  test("row 32: twenty bombs, and the server's memory does not grow", async (t) => {
    const bomb = pack(Buffer.alloc(64 << 20, 0x20));
    const throwIt = async () => {
      const { machine } = await offering([dictionaryId]);
      machine.ws.send(bomb);
      await machine.refused(1009);
    };
    for (let i = 0; i < 5; i += 1) await throwIt();
    const before = server.memory();
    if (before === undefined) return t.skip("there is no /proc to read memory from");
    for (let i = 0; i < 20; i += 1) await throwIt();
    const grown = server.memory() - before;
    t.diagnostic(`resident memory grew by ${grown >> 10} KiB`);
    assert.ok(grown <= 8 << 20, `grew by ${grown} bytes`);
  });
});
