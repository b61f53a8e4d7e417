// The whole way of a release, as people and machines go it: made, signed, published, rolled out to real machines; and one that is poisoned.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";

import { until } from "./lib/machine.mjs";
import { Server, executable, folder, run } from "./lib/server.mjs";

const body = (method, content) => ({ method, headers: { "content-type": "application/json", "if-match": "*" }, body: JSON.stringify(content) });

async function muster(server, ...words) {
  const { code, said } = await run([...(server ? ["--server", server.url] : []), ...words], { withinMs: 60_000 });
  assert.equal(code, 0, `${words.join(" ")}: ${said}`);
  return said;
}

// People with keys, and a folder of releases.
class Publisher {
  constructor() {
    this.place = folder();
  }

  at(name) {
    return path.join(this.place, name);
  }

  async begin() {
    await muster(null, "release", "keys", "online", this.at("online"));
    const counts = ["--root-keys", "1", "--root-threshold", "1", "--targets-keys", "1", "--targets-threshold", "1"];
    await muster(null, "release", "keys", "new", this.at("people"), ...counts, "--online", this.at("online"));
    return this;
  }

  async publish(server, version, counter, script) {
    mkdirSync(this.at("app/bin"), { recursive: true });
    writeFileSync(this.at("app/bin/app"), script);
    chmodSync(this.at("app/bin/app"), 0o755);
    const release = ["--product", "car-app", "--version", version, "--counter", String(counter), "--executable", "bin/app", "--for", "kind=car"];
    const health = ["--health", "process", "--health-hold", "2", "--health-within", "20"];
    await muster(null, "release", "create", this.at("app"), ...release, ...health, "--into", this.at("releases"));
    await muster(null, "release", "sign", this.at("releases"), "car-app", version, "--keys", this.at("people"));
    await muster(null, "release", "refresh", this.at("releases"), "--root", this.at("people/1.root.json"), "--keys", this.at("online"));
    return muster(server, "release", "publish", this.at("releases"));
  }
}

// A real runtime in a folder of its own.
class Car {
  constructor(server, publisher, name) {
    this.name = name;
    this.data = folder();
    mkdirSync(path.join(this.data, "releases"));
    copyFileSync(publisher.at("people/1.root.json"), path.join(this.data, "releases/root.json"));
    const where = ["--data", this.data, "--server", server.socket("/machine"), "--name", name, "--kind", "car"];
    this.child = spawn(path.join(path.dirname(executable), "muster-machine"), ["run", ...where], { stdio: ["ignore", "ignore", "pipe"] });
    this.said = "";
    this.child.stderr.on("data", (data) => (this.said = (this.said + data).slice(-20_000)));
    this.ended = once(this.child, "exit");
  }

  async end() {
    this.child.kill("SIGTERM");
    await this.ended;
    rmSync(this.data, { recursive: true, force: true });
  }
}

const APP = { product: "car-app", runner: "own", restart: { policy: "always", backoff_ms: 100, backoff_max_ms: 200, limit: 1000 }, stop: { timeout_s: 2 } };

describe("a release on its way", () => {
  test("C15, C16, row 18: what is good comes to every machine, what is poisoned to one and is taken back there", async (t) => {
    const server = await Server.start();
    const publisher = await new Publisher().begin();
    const cars = ["anna", "berta", "carla"].map((name) => new Car(server, publisher, name));
    const ids = new Map();
    const desire = async (section, content) => {
      for (const id of ids.values()) {
        const answer = await server.get(`/api/v1/machines/${id}/desired/${section}`, body("PUT", { content, reason: "the test" }));
        assert.equal(answer.status, 200, await answer.text());
      }
    };
    t.after(async () => {
      await desire("workloads", {});
      await until(async () => (await Promise.all([...ids.values()].map(shown))).every((machine) => (machine.reported.workloads?.workloads ?? []).length === 0), 20_000, "nothing runs");
      for (const car of cars) await car.end();
      await server.stop();
      rmSync(publisher.place, { recursive: true, force: true });
    });
    const shown = (id) => server.json(`/api/v1/machines/${id}`);
    const product = async (id) => (await shown(id)).reported.updates?.products.find((each) => each.product === "car-app");
    await until(async () => {
      for (const { id, name } of (await server.json("/api/v1/machines")).items) if (cars.some((car) => car.name === name)) ids.set(name, id);
      return ids.size === 3;
    }, 20_000, "three machines");
    await desire("workloads", { app: APP });

    const rollOut = async (version, spec) => {
      const answer = await server.json("/api/v1/rollouts", body("POST", { reason: "the test", spec: { product: "car-app", version, selection: "kind=car", ...spec } }));
      const id = answer.summary?.id;
      assert.ok(id, JSON.stringify(answer));
      for (const act of ["approve", "start"]) {
        const acted = await server.get(`/api/v1/rollouts/${id}/${act}`, body("POST", { reason: "it is time" }));
        assert.equal(acted.status, 200, await acted.text());
      }
      return { id, state: async () => (await server.json(`/api/v1/rollouts/${id}`)).summary };
    };

    // The first version: there is nothing before it, and nothing is believed that nobody signed.
    const said = await publisher.publish(server, "1.0.0", 1, "#!/bin/sh\nexec sleep 600\n");
    assert.match(said, /1\.0\.0/);
    const began = performance.now();
    const first = await rollOut("1.0.0", { strategy: { rolling: { batch: { machines: 3 } } }, gates: { soak_s: 0 }, failure: { percent: 100, then: "pause" } });
    await until(async () => (await first.state()).state === "succeeded", 90_000, "the first rollout", 200);
    t.diagnostic(`three machines updated after ${Math.round(performance.now() - began)} ms`);
    for (const id of ids.values()) {
      const { running } = await product(id);
      assert.equal(running.version, "1.0.0");
      assert.ok(running.confirmed && running.start >= 1, JSON.stringify(running));
    }
    assert.match(await muster(server, "machine", "show", "anna"), /Releases\n +car-app +1\.0\.0/);

    // The second is poisoned: the canary takes it back by itself, and nobody else gets it.
    await publisher.publish(server, "1.1.0", 2, "#!/bin/sh\nexit 3\n");
    const second = await rollOut("1.1.0", { strategy: { canary: { first: { machines: 1 } } }, gates: { soak_s: 0 }, failure: { percent: 20, then: "pause" } });
    const halted = await until(async () => {
      const summary = await second.state();
      return ["paused", "rolled_back", "aborted"].includes(summary.state) && summary;
    }, 90_000, "the rollout halts", 200);
    const tried = [];
    for (const [name, id] of ids) {
      const { running, update } = await product(id);
      assert.equal(running.version, "1.0.0", `${name}: ${JSON.stringify(running)}`);
      assert.ok(running.confirmed);
      if (update.version === "1.1.0") tried.push([name, update]);
    }
    assert.equal(tried.length, 1, JSON.stringify(tried));
    assert.equal(tried[0][1].phase, "rolled_back");
    t.diagnostic(`the canary ${tried[0][0]}: ${tried[0][1].why.join("; ")}; the rollout is ${halted.state}`);
    const history = await server.json(`/api/v1/rollouts/${second.id}/history`);
    assert.match(JSON.stringify(history), /the test/);
  });
});
