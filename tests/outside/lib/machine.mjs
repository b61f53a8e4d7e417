// A machine as somebody else would write it: the npm package `ws` and the committed documents.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import Ajv2020 from "ajv/dist/2020.js";
import WebSocket from "ws";

import { repository } from "./server.mjs";

export const linkSchema = JSON.parse(readFileSync(repository("openapi/machine-link.schema.json"), "utf8"));
const ajv = new Ajv2020({ strict: false, validateFormats: false });
ajv.addSchema(linkSchema);
const definition = (name) => ajv.getSchema(`${linkSchema.$id}#/$defs/${name}`);
export const fromServer = definition("ServerFrame");
export const fromMachine = definition("MachineFrame");

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export async function within(promise, ms, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

// Waits until something holds.
export async function until(holds, ms = 5_000, what = "waiting") {
  const deadline = Date.now() + ms;
  for (;;) {
    const found = await holds();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`${what}: not within ${ms} ms`);
    await sleep(15);
  }
}

export const payloads = {
  hello: (more = {}) => ({ versions: [1], agent_version: "outside-1", boot_id: randomUUID(), ...more }),
  heartbeat: () => ({
    uptime_s: 1,
    link: { connects: 1, outbox: 0, dropped: 0 },
    safety: "operational",
    authority: "none",
  }),
  state: (name = "outside") => ({
    full: { identity: { name, kind: "host" }, operation: { mode: "idle", safety: "operational", authority: "none", mission: "idle" } },
  }),
  event: (message = "something", more = {}) => ({ kind: "outside.test", severity: "info", message, ...more }),
  telemetry: (count = 1) => ({ samples: Array.from({ length: count }, (_, i) => ({ metric: "cpu.percent", value: i % 100 })) }),
  log: (count = 1) => ({ lines: Array.from({ length: count }, () => ({ severity: "info", target: "t", message: "m" })) }),
};

export class Machine {
  constructor(server, { id = randomUUID() } = {}) {
    Object.assign(this, { server, id, records: 0, sequence: 0, session: undefined, inbox: [], heard: [] });
  }

  static async welcomed(server, options, hello) {
    const machine = new Machine(server, options);
    await machine.open();
    await machine.hello(hello);
    return machine;
  }

  async open({ protocols = ["muster.v1"], ...options } = {}) {
    this.sequence = 0;
    this.session = undefined;
    this.inbox = [];
    this.heard = [];
    this.ws = new WebSocket(this.server.socket("/machine"), protocols, { perMessageDeflate: false, ...options });
    this.closed = new Promise((resolve) => {
      this.ws.on("close", (code, reason) => resolve({ code, reason: reason.toString() }));
    });
    this.ws.on("message", (data, binary) => {
      assert.equal(binary, false, "the server sends text");
      const message = JSON.parse(data.toString());
      assert.ok(fromServer(message), `${data} does not fit the schema: ${ajv.errorsText(fromServer.errors)}`);
      this.inbox.push(message);
      this.heard.push(message);
      this.wake?.();
    });
    await within(
      new Promise((resolve, reject) => {
        this.ws.on("open", resolve);
        this.ws.on("error", reject);
      }),
      5_000,
      "connecting",
    );
    this.ws.on("error", () => {});
    return this;
  }

  envelope(type, payload, more = {}) {
    this.sequence += 1;
    return {
      version: 1,
      type,
      machine_id: this.id,
      ...(this.session === undefined ? {} : { session: this.session }),
      sequence: this.sequence,
      timestamp: new Date().toISOString(),
      payload,
      ...more,
    };
  }

  say(type, payload = payloads[type](), more = {}) {
    const message = this.envelope(type, payload, more);
    this.ws.send(JSON.stringify(message));
    return message;
  }

  // Says a durable message under the next record number.
  record(type, payload = payloads[type]()) {
    this.records += 1;
    return this.say(type, payload, { record: this.records });
  }

  async hello(more) {
    this.say("hello", payloads.hello(more));
    const welcome = await this.next("welcome");
    this.session = welcome.payload.session;
    return welcome.payload;
  }

  // The next message of this type; those before it are passed over.
  async next(type, ms = 5_000) {
    return within(this.#next(type), ms, `waiting for ${type}`);
  }

  async #next(type) {
    for (;;) {
      while (this.inbox.length > 0) {
        const message = this.inbox.shift();
        if (type === undefined || message.type === type) return message;
      }
      const woken = new Promise((resolve) => (this.wake = resolve));
      const ended = await Promise.race([woken, this.closed]);
      if (ended !== undefined && this.inbox.length === 0) {
        throw new Error(`waiting for ${type}: closed with ${ended.code} ${ended.reason}`);
      }
    }
  }

  // Until the server says that it holds this record.
  async acknowledged(record = this.records, ms = 5_000) {
    return within(
      (async () => {
        // The answer to a heartbeat says it, too, and may have come before anybody waited for it.
        const said = this.heard.findLast((message) => message.type === "ack" && message.payload.record >= record);
        if (said !== undefined) return said.payload;
        for (;;) {
          const ack = await this.#next("ack");
          if (ack.payload.record >= record) return ack.payload;
        }
      })(),
      ms,
      `acknowledgement of ${record}`,
    );
  }

  // A sign that everything said before was taken in.
  async settled() {
    const { sequence } = this.say("heartbeat");
    for (;;) {
      const ack = await this.next("ack");
      if (ack.payload.heartbeat === sequence) return ack.payload;
    }
  }

  async end() {
    this.ws.close();
    return within(this.closed, 5_000, "closing");
  }

  async refused(code, says, ms = 5_000) {
    const end = await within(this.closed, ms, `waiting for close ${code}`);
    assert.equal(end.code, code, end.reason);
    if (says !== undefined) assert.match(end.reason, says);
    return end;
  }
}
