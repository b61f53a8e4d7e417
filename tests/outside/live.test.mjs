// The live API: what a client may get wrong without losing the connection, who is let in, and what a slow reader costs.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import WebSocket from "ws";

import { Machine, payloads, sleep, within } from "./lib/machine.mjs";
import { Raw, text } from "./lib/raw.mjs";
import { Server } from "./lib/server.mjs";

let server;
before(async () => {
  server = await Server.start({ args: ["--messages-per-second", "20000", "--messages-burst", "20000"] });
});
after(() => server.stop());

class Live {
  static async open(options) {
    const live = new Live();
    live.ws = new WebSocket(server.socket("/ws"), { perMessageDeflate: false, ...options });
    live.inbox = [];
    live.closed = new Promise((resolve) => live.ws.on("close", (code, reason) => resolve({ code, reason: `${reason}` })));
    live.ws.on("message", (data) => {
      live.inbox.push(JSON.parse(data));
      live.wake?.();
    });
    await new Promise((resolve, reject) => live.ws.on("open", resolve).on("error", reject));
    return live;
  }

  say(message) {
    this.ws.send(typeof message === "string" ? message : JSON.stringify(message));
  }

  async next(wanted = () => true, ms = 5_000) {
    const wait = async () => {
      for (;;) {
        while (this.inbox.length > 0) {
          const message = this.inbox.shift();
          if (wanted(message)) return message;
        }
        await new Promise((resolve) => (this.wake = resolve));
      }
    };
    return within(wait(), ms, "waiting for a live message");
  }

  subscribe(id, topics, more = {}) {
    this.say({ type: "subscribe", id, topics, ...more });
  }
}

const refusedUpgrade = (headers) =>
  new Promise((resolve, reject) => {
    const ws = new WebSocket(server.socket("/ws"), { headers });
    ws.on("open", () => reject(new Error("it was let in")));
    ws.on("error", () => {});
    ws.on("unexpected-response", (_, response) => {
      let body = "";
      response.on("data", (data) => (body += data));
      response.on("end", () => resolve({ status: response.statusCode, body }));
    });
  });

describe("asking", { concurrency: 8 }, () => {
  test("row 38: what is not understood is answered with a problem, and the connection stays", async () => {
    const live = await Live.open();
    const bad = [
      "",
      "{",
      "[]",
      "null",
      { type: "greet" },
      { type: "subscribe" },
      { type: "subscribe", id: "a", topics: [] },
      { type: "subscribe", id: "", topics: [">"] },
      { type: "subscribe", id: "x".repeat(65), topics: [">"] },
      { type: "subscribe", id: "a", topics: ["machine..state"] },
      { type: "subscribe", id: "a", topics: [">.state"] },
      { type: "subscribe", id: "a", topics: ["so hot!"] },
      { type: "subscribe", id: "a", topics: Array(65).fill(">") },
      { type: "subscribe", id: "a", topics: [">"], colour: "red" },
      { type: "subscribe", id: "a", topics: [">"], throttle: { rate_per_s: 0 } },
      { type: "subscribe", id: "a", topics: [">"], throttle: { rate_per_s: 51 } },
      { type: "subscribe", id: "a", topics: [">"], throttle: { rate_per_s: -1 } },
      { type: "subscribe", id: "a", topics: [">"], throttle: { strategy: "guess" } },
      { type: "subscribe", id: "a", topics: [">"], filters: { machines: ["frida"] } },
      { type: "subscribe", id: "a", topics: [">"], filters: { machines: Array(1_001).fill("0192f0c1-7a3e-7c44-9c1f-5d2b8a601e42") } },
      { type: "unsubscribe", id: "never" },
      { type: "ping", id: 1 },
    ];
    for (const message of bad) {
      live.say(message);
      const answer = await live.next();
      assert.equal(answer.type, "error", `${JSON.stringify(message)} → ${JSON.stringify(answer)}`);
      assert.equal(answer.problem.status, 400);
      assert.match(answer.problem.code, /^MST-A\d{3}$/);
      assert.ok(answer.problem.detail.length > 0);
    }
    live.say({ type: "ping", id: "still here" });
    assert.equal((await live.next()).id, "still here");
    live.ws.terminate();
  });

  test("row 38: the 33rd subscription is refused, replacing one is not", async () => {
    const live = await Live.open();
    for (let i = 0; i < 32; i += 1) live.subscribe(`${i}`, ["fleet.summary"]);
    live.subscribe("0", ["fleet.summary"]);
    live.subscribe("one too many", ["fleet.summary"]);
    const error = await live.next((message) => message.type === "error");
    assert.equal(error.id, "one too many");
    live.ws.terminate();
  });

  test("row 38: JSON nested 50,000 deep is answered with a problem", async () => {
    const live = await Live.open();
    live.say("[".repeat(50_000));
    assert.equal((await live.next()).type, "error");
    live.ws.terminate();
  });

  test("row 30: a page of another origin → 403, of our own and a program without one are let in", async () => {
    for (const origin of ["https://evil.example", "http://127.0.0.1:1", "null", `http://127.0.0.1:${server.port}.evil.example`]) {
      const { status, body } = await refusedUpgrade({ origin });
      assert.equal(status, 403, origin);
      assert.match(JSON.parse(body).code, /^MST-A/);
    }
    const live = await Live.open({ headers: { origin: `http://127.0.0.1:${server.port}` } });
    live.ws.terminate();
  });

  test("row 35: a snapshot, then updates; a client that comes back with its position misses no event", async () => {
    const machine = await Machine.welcomed(server);
    machine.record("state", payloads.state("followed"));
    await machine.acknowledged();
    const topics = [`machine.${machine.id}.>`];
    const live = await Live.open();
    live.subscribe("one", topics, { throttle: { rate_per_s: 50 } });
    const snapshot = await live.next((message) => message.type === "snapshot");
    assert.equal(snapshot.id, "one");
    const isEvent = (item) => item.topic.endsWith(".event.outside.test");
    const seen = [];
    let position = snapshot.position;
    const follow = async (live, count) => {
      while (seen.length < count) {
        const update = await live.next((message) => message.type === "update");
        assert.ok(update.position >= position, "positions grow");
        position = update.position;
        seen.push(...update.items.filter(isEvent).map((item) => Number(item.data.message)));
      }
    };
    for (let i = 1; i <= 10; i += 1) machine.record("event", payloads.event(`${i}`));
    await follow(live, 10);
    live.ws.terminate();
    for (let i = 11; i <= 700; i += 1) machine.record("event", payloads.event(`${i}`));
    await machine.acknowledged();
    const again = await Live.open();
    again.subscribe("one", topics, { resume_after: position });
    await follow(again, 700);
    assert.deepEqual(seen, Array.from({ length: 700 }, (_, i) => i + 1));
    again.ws.terminate();
    await machine.end();
  });
});

test("row 38: who wants to be told too seldom is told what it lost, and gets it by resuming", async () => {
  const machine = await Machine.welcomed(server);
  const live = await Live.open();
  live.subscribe("seldom", [`machine.${machine.id}.event.outside.test`], { throttle: { rate_per_s: 0.5 } });
  await live.next((message) => message.type === "snapshot");
  const seen = new Set();
  const note = (message) => message.items?.forEach((item) => seen.add(Number(item.data.message)));
  for (let i = 1; i <= 3_000; i += 1) machine.record("event", payloads.event(`${i}`));
  await machine.acknowledged(3_000, 15_000);
  const lagged = await live.next((message) => note(message) || message.type === "lagged");
  assert.equal(lagged.id, "seldom");
  assert.ok(lagged.dropped > 0);
  // Only so many come again at once; then it is told again from where to go on.
  let from = lagged.resume_after;
  for (let round = 0; seen.size < 3_000 && round < 5; round += 1) {
    live.subscribe("seldom", [`machine.${machine.id}.event.outside.test`], { resume_after: from });
    for (let message = {}; message.type !== "snapshot"; note(message)) {
      message = await live.next();
      if (message.type === "update") from = message.position;
      if (message.type === "lagged") from = message.resume_after;
    }
  }
  assert.equal(seen.size, 3_000, "all of it came at last");
  live.ws.terminate();
  await machine.end();
});

test("row 38: a reader that does not read costs a bounded amount of memory, and is told what it lost", async (t) => {
  const chatty = await Promise.all([1, 2, 3, 4].map(() => Machine.welcomed(server)));
  const raw = await Raw.open(server, "/ws");
  raw.send(text(JSON.stringify({ type: "subscribe", id: "slow", topics: ["machine.*.event.>"], throttle: { rate_per_s: 50 } })));
  await raw.next();
  raw.socket.pause();
  const flood = async (rounds) => {
    for (let round = 0; round < rounds; round += 1) {
      // 4 KiB each: sockets on one computer hold some megabytes before anybody has to wait.
      for (const machine of chatty) for (let i = 0; i < 50; i += 1) machine.record("event", payloads.event("x", { data: "y".repeat(4_096) }));
      await Promise.all(chatty.map((machine) => machine.acknowledged(machine.records, 20_000)));
    }
  };
  await flood(20);
  const settled = server.memory();
  await flood(20);
  const grown = settled === undefined ? 0 : server.memory() - settled;
  t.diagnostic(`4,000 events more for a reader that stands still: memory grew by ${grown >> 10} KiB`);
  assert.ok(grown < 8 << 20, `grew by ${grown >> 20} MiB`);
  raw.socket.resume();
  let told;
  while (told?.type !== "lagged") {
    const found = await raw.next(10_000);
    assert.ok(found, "the connection ended without a word");
    told = found.opcode === 1 ? JSON.parse(found.payload) : undefined;
  }
  assert.equal(told.id, "slow");
  assert.ok(told.dropped > 0 && told.resume_after > 0);
  raw.destroy();
  const others = await Live.open();
  others.say({ type: "ping", id: "x" });
  await others.next();
  others.ws.terminate();
  await Promise.all(chatty.map((machine) => machine.end()));
});

test("row 38: a hundred readers that do not read hold nobody up", async () => {
  const machine = await Machine.welcomed(server);
  const readers = await Promise.all(Array.from({ length: 100 }, () => Raw.open(server, "/ws")));
  for (const raw of readers) {
    raw.send(text(JSON.stringify({ type: "subscribe", id: "a", topics: [">"] })));
    raw.socket.pause();
  }
  await sleep(200);
  for (let i = 0; i < 500; i += 1) machine.record("event", payloads.event("x", { data: "y".repeat(1_000) }));
  await machine.acknowledged(500, 10_000);
  const live = await Live.open();
  live.subscribe("quick", [`machine.${machine.id}.event.>`], { throttle: { rate_per_s: 50 } });
  await live.next((message) => message.type === "snapshot");
  const started = Date.now();
  machine.record("event", payloads.event("now"));
  await live.next((message) => message.type === "update" && message.items.some((item) => item.data.message === "now"));
  assert.ok(Date.now() - started < 2_000);
  for (const raw of readers) raw.destroy();
  live.ws.terminate();
  await machine.end();
});
