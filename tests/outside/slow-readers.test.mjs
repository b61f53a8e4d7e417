// What readers that do not read cost: with ten thousand rows to be told of, and more happening all the time.

import assert from "node:assert/strict";
import net from "node:net";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import WebSocket from "ws";

import { Machine, payloads, sleep, within } from "./lib/machine.mjs";
import { Raw, text } from "./lib/raw.mjs";
import { Server } from "./lib/server.mjs";

const ROWS = 10_000;
// So many that what the server takes for itself in between, some megabytes more or less, does not matter.
const READERS = 120;
const MIB = 1 << 20;

let server;
before(async () => {
  server = await Server.start({ args: ["--messages-per-second", "20000", "--messages-burst", "20000"] });
  // Each connects, says who it is and leaves again: a row stays.
  let left = ROWS;
  const worker = async () => {
    while (left > 0) {
      left -= 1;
      await row(`machine number ${left} in a row of its own`);
    }
  };
  await Promise.all(Array.from({ length: 64 }, worker));
});
after(() => server.stop());

// Without looking at what the server says, because there are many.
function row(name) {
  const id = randomUUID();
  const say = (ws, type, sequence, payload, more) =>
    ws.send(JSON.stringify({ version: 1, type, machine_id: id, sequence, timestamp: new Date().toISOString(), payload, ...more }));
  return within(
    new Promise((resolve, reject) => {
      const ws = new WebSocket(server.socket("/machine"), ["muster.v1"], { perMessageDeflate: false });
      ws.on("open", () => say(ws, "hello", 1, payloads.hello()));
      ws.on("message", (data) => {
        const message = JSON.parse(data);
        if (message.type === "welcome") say(ws, "state", 2, payloads.state(name), { session: message.payload.session, record: 1 });
        if (message.type === "ack") ws.close();
      });
      ws.on("close", resolve);
      ws.on("error", reject);
    }),
    60_000,
    "a machine that comes and goes",
  );
}

// Subscribes to everything and reads nothing more.
async function deafSocket() {
  const raw = await Raw.open(server, "/ws");
  raw.socket.pause();
  raw.send(text(JSON.stringify({ type: "subscribe", id: "deaf", topics: [">"], throttle: { rate_per_s: 50 } })));
  return raw.socket;
}

function deafStream() {
  const socket = net.connect(server.port, "127.0.0.1");
  socket.pause();
  socket.on("error", () => {});
  socket.write(`GET /api/v1/stream?topics=%3E&rate=50 HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\n\r\n`);
  return Promise.resolve(socket);
}

async function readAll() {
  const ws = new WebSocket(server.socket("/ws"), { perMessageDeflate: false });
  const seen = new Set();
  let [pieces, done] = [0, false];
  await within(
    new Promise((resolve, reject) => {
      ws.on("error", reject);
      ws.on("open", () => ws.send(JSON.stringify({ type: "subscribe", id: "all", topics: ["machine.*.state"] })));
      ws.on("message", (data) => {
        if (done) return;
        const message = JSON.parse(data);
        assert.equal(message.type, "snapshot", "no update comes between the pieces of a snapshot");
        assert.ok(data.length < 128 * 1024, `a piece of ${data.length} bytes`);
        for (const item of message.items) seen.add(item.topic);
        pieces += 1;
        done = message.more !== true;
        if (done) resolve();
      });
    }),
    30_000,
    "the whole snapshot",
  );
  ws.terminate();
  return { seen, pieces };
}

test("row 38: a snapshot of ten thousand rows comes in pieces, each row once and none missing", async () => {
  const { seen, pieces } = await readAll();
  assert.equal(seen.size, ROWS);
  assert.ok(pieces > 20, `${pieces} pieces`);
});

for (const [kind, open] of [["WebSockets", deafSocket], ["streams", deafStream]]) {
  test(`row 38: ${READERS} ${kind} that are never read cost at most 1 MiB each, whatever happens`, async (t) => {
    const busy = await Promise.all([1, 2, 3, 4].map(() => Machine.welcomed(server)));
    // Large events, many metrics, states that change: all that can wait for a reader.
    const happens = async (rounds) => {
      for (let round = 0; round < rounds; round += 1) {
        for (const machine of busy) {
          for (let i = 0; i < 25; i += 1) machine.record("event", payloads.event("x", { data: "y".repeat(8_000) }));
          machine.record("state", payloads.state(`round ${round}`));
          machine.say("telemetry", { samples: Array.from({ length: 500 }, (_, i) => ({ metric: `m${round % 20}.${i}`, value: i })) });
        }
        await Promise.all(busy.map((machine) => machine.acknowledged(machine.records, 20_000)));
      }
    };
    // What the server needs for itself – rows as JSON, what it reads and writes – it has taken before.
    await readAll();
    const warm = await open();
    await happens(60);
    await sleep(500);
    const before = server.memory();
    const readers = await Promise.all(Array.from({ length: READERS }, open));
    await happens(30);
    await sleep(500);
    const grown = before === undefined ? 0 : server.memory() - before;
    t.diagnostic(`${READERS} ${kind}: ${(grown / READERS / 1024).toFixed(0)} KiB each`);
    assert.ok(grown <= READERS * MIB, `${(grown / READERS / 1024).toFixed(0)} KiB each`);
    // They are all still served, and others too.
    assert.equal(await server.metric("muster_live_clients"), READERS + 1);
    await readAll();
    for (const socket of [warm, ...readers]) socket.destroy();
    for (const machine of busy) await machine.end();
  });
}
