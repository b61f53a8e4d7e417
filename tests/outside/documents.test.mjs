// The committed documents, with a validator of another make; and the frames they show, said to the real server.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import Ajv from "ajv";

import { Machine, fromMachine, fromServer, linkSchema } from "./lib/machine.mjs";
import { Server, repository } from "./lib/server.mjs";

const asyncapi = JSON.parse(readFileSync(repository("openapi/asyncapi.json"), "utf8"));
const ajv = new Ajv({ strict: false, validateFormats: false });
ajv.addSchema({ $id: "urn:muster:sockets", components: asyncapi.components });
const examples = Object.entries(asyncapi.components.messages).flatMap(([name, message]) =>
  message.examples.map(({ payload }) => ({ name, message, payload })),
);

test("every example in the AsyncAPI document fits its schema, there and in the JSON Schema", () => {
  assert.ok(examples.length > 20);
  for (const { name, message, payload } of examples) {
    const check = ajv.getSchema(`urn:muster:sockets${message.payload.$ref}`);
    assert.ok(check(payload), `${name}: ${JSON.stringify(check.errors)}`);
    if (name.startsWith("live.")) continue;
    const way = linkSchema.$defs.MachineFrame.oneOf.some(({ $ref }) => $ref.toLowerCase().endsWith(`/${name}frame`));
    const frame = way ? fromMachine : fromServer;
    assert.ok(frame(payload), `${name}: ${JSON.stringify(frame.errors)}`);
    assert.ok(!frame({ ...payload, colour: "red" }), `${name} takes anything`);
  }
});

test("the day of a machine that the AsyncAPI document shows is taken by the real server", async () => {
  const server = await Server.start();
  const shown = examples.filter(({ name }) => ["hello", "state", "heartbeat", "telemetry", "event", "log", "response"].includes(name));
  const frames = shown.map(({ payload }) => payload).sort((a, b) => a.sequence - b.sequence);
  const machine = new Machine(server, { id: frames[0].machine_id });
  await machine.open();
  machine.ws.send(JSON.stringify(frames[0]));
  const { payload } = await machine.next("welcome");
  assert.equal(payload.highest_record, 88_120, "what it no longer holds is noted, and gone on behind");
  // The three records it kept while it was away.
  machine.session = payload.session;
  machine.sequence = 1;
  for (const record of [88_121, 88_122, 88_123]) machine.say("event", frames.find(({ type }) => type === "event").payload, { record });
  for (const frame of frames.slice(1)) {
    machine.ws.send(JSON.stringify({ ...frame, session: payload.session, sequence: frame.sequence + 3 }));
  }
  const ack = await machine.acknowledged(88_127);
  assert.equal(ack.record, 88_127);
  assert.ok(!machine.heard.some(({ type }) => type === "resync" || type === "bye"));
  const shownMachine = await server.json(`/api/v1/machines/${machine.id}`);
  assert.equal(shownMachine.summary.name, "frida");
  await machine.end();
  await server.stop();
});

test("every operation of the OpenAPI document has a name of its own", () => {
  const openapi = JSON.parse(readFileSync(repository("openapi/openapi.json"), "utf8"));
  const names = Object.values(openapi.paths).flatMap((item) => Object.values(item).map((operation) => operation.operationId));
  assert.ok(names.length > 20 && names.every((name) => typeof name === "string"), `${names}`);
  assert.deepEqual(names.filter((name, at) => names.indexOf(name) !== at), []);
});
