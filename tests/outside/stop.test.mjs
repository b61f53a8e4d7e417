// Remote stop, from the command line and the API to a machine of another make, and back.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { Machine, payloads, until } from "./lib/machine.mjs";
import { Server, run } from "./lib/server.mjs";

const post = (body) => ({ method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

function regions(name, safety, atRest) {
  const { full } = payloads.state(name);
  return { full: { ...full, operation: { ...full.operation, safety, at_rest: atRest } } };
}

// Does what a machine with a safety node does when it is told to stop.
async function obeys(machine, name) {
  const { payload } = await machine.next("command", 10_000);
  machine.record("response", { command_id: payload.id, outcome: "accepted" });
  machine.record("state", regions(name, "protective_stop", false));
  machine.record("state", regions(name, "protective_stop", true));
  await machine.acknowledged();
  return payload;
}

async function joined(server, name) {
  const machine = await Machine.welcomed(server);
  machine.record("state", regions(name, "operational", false));
  await machine.acknowledged();
  return machine;
}

describe("remote stop", { concurrency: 4 }, () => {
  test("muster stop follows a machine until it is at rest", async () => {
    const server = await Server.start();
    const machine = await joined(server, "frida");
    const stop = run(["--server", server.url, "stop", "frida", "--reason", "smoke", "--output", "json"]);
    const command = await obeys(machine, "frida");
    assert.equal(command.kind, "stop");
    assert.equal(command.reason, "smoke");
    assert.equal(Date.parse(command.expires) - Date.parse(command.issued), 600_000);
    const { code, said } = await stop;
    assert.equal(code, 0, said);
    const { machines } = JSON.parse(said);
    assert.equal(machines[0].outcome, "standing");
    const { received_ms, standing_ms, at_rest_ms } = machines[0];
    assert.ok(0 <= received_ms && received_ms <= standing_ms && standing_ms <= at_rest_ms, said);
    const shown = await run(["--server", server.url, "machine", "show", "frida"]);
    assert.match(shown.said, /Last remote stop[^]*at rest +after \d+ ms/);
    await server.stop();
  });

  test("a machine that is away is named, told when it comes back, and found to stand", async () => {
    const server = await Server.start();
    const here = await joined(server, "here");
    const away = await joined(server, "away");
    await away.end();
    const stop = run(["--server", server.url, "stop", "--all", "--yes", "--reason", "fire", "--wait", "2"]);
    await obeys(here, "here");
    const { code, said } = await stop;
    assert.equal(code, 3, said);
    assert.match(said, /■ here +\d+ ms +\d+ ms +\d+ ms/);
    assert.match(said, /1 of 2 machines are known to stand/);
    await away.open();
    await away.hello({ highest_record: away.records });
    await obeys(away, "away");
    const last = async () => (await server.json(`/api/v1/machines/${away.id}`)).summary.last_stop;
    const known = await until(async () => (await last()).at_rest_at && (await last()), 5_000, "at rest");
    assert.equal(known.answer, "accepted");
    await server.stop();
  });

  test("the time from the request to the machine is short, one after the other", async (t) => {
    const server = await Server.start();
    const machine = await joined(server, "frida");
    const count = Number(process.env.STOPS ?? 50);
    const took = [];
    for (let i = 0; i < count; i += 1) {
      const arrived = machine.next("command").then((message) => [performance.now(), message.payload.id]);
      const began = performance.now();
      const answer = await server.get(`/api/v1/machines/${machine.id}/stop`, post({ reason: `drill ${i}` }));
      assert.equal(answer.status, 202);
      const [at, id] = await arrived;
      assert.equal(id, (await answer.json()).stops[0].command_id);
      took.push(at - began);
    }
    took.sort((a, b) => a - b);
    const at = (share) => took[Math.min(count - 1, Math.floor(share * count))].toFixed(2);
    t.diagnostic(`request to machine, ${count} stops: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms`);
    assert.ok(Number(at(0.5)) < 500, `half of them took ${at(0.5)} ms or more`);
    await server.stop();
  });
});
