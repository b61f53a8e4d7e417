// What keeps the server from starting: an exit code for programs, a sentence for people, and nothing lost.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { after, before, describe, test } from "node:test";

import { Machine } from "./lib/machine.mjs";
import { Server, folder, run } from "./lib/server.mjs";

const anywhere = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
const serve = (data, more = anywhere, options) => run(["serve", "--trust-loopback", "--data", data, ...more], options);

let server;
let scratch;
before(async () => {
  server = await Server.start();
  scratch = folder();
});
after(async () => {
  rmSync(scratch, { recursive: true, force: true });
  await server.stop();
});

describe("what keeps the server from starting", { concurrency: 4 }, () => {
  test("a data directory in use → exit 73, says so, and the server that has it goes on", async () => {
    const machine = await Machine.welcomed(server);
    const { code, said } = await serve(server.data);
    assert.equal(code, 73, said);
    assert.match(said, /in use|another/i);
    assert.match(said, /MST-/);
    assert.ok(said.includes(server.data), said);
    machine.record("event");
    await machine.acknowledged();
    await machine.end();
  });

  test("a port that is taken → exit 69, names the address", async () => {
    for (const which of ["--listen", "--admin-listen"]) {
      const other = which === "--listen" ? "--admin-listen" : "--listen";
      const address = `127.0.0.1:${server.port}`;
      const { code, said } = await serve(path.join(scratch, "port"), [which, address, other, "127.0.0.1:0"]);
      assert.equal(code, 69, said);
      assert.ok(said.includes(address), said);
      assert.match(said, /another program/);
      assert.match(said, /MST-F004/);
    }
  });

  test("a port taken by something else than Muster → exit 69", async () => {
    const other = net.createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => other.on("listening", resolve));
    const { code } = await serve(path.join(scratch, "other"), ["--listen", `127.0.0.1:${other.address().port}`, "--admin-listen", "127.0.0.1:0"]);
    assert.equal(code, 69);
    other.close();
  });

  test("an address that others can reach → exit 64, says why and what to do instead", async () => {
    for (const address of ["0.0.0.0:0", "[::]:0"]) {
      const { code, said } = await serve(path.join(scratch, "open"), ["--listen", address, "--admin-listen", "127.0.0.1:0"]);
      assert.equal(code, 64, said);
      assert.match(said, /loopback/);
    }
  });

  test("settings that are not accepted → exit 64, with what is", async () => {
    for (const [more, says] of [
      [["--listen", "somewhere"], /--listen/],
      [["--ping-every-ms", "1"], /100 to 10000/],
      [["--shards", "0"], /1 to 256/],
      [["--machines-max", "0"], /1 to 10000000/],
      [["--sessions-per-second", "none"], /1 to 1000000/],
      [["--sessions-per-second", "9", "--sessions-burst", "8"], /at least machines.sessions_per_second/],
      [["--compression", "on"], /auto .* or off/],
      [["--colour", "red"], /--colour/],
    ]) {
      const { code, said } = await serve(path.join(scratch, "bad"), [...anywhere.slice(more[0] === "--listen" ? 2 : 0), ...more]);
      assert.equal(code, 64, said);
      assert.match(said, says);
    }
  });

  test("a data directory that is a file → exit 73", async () => {
    const file = path.join(scratch, "file");
    writeFileSync(file, "not a folder");
    const { code, said } = await serve(file);
    assert.equal(code, 73, said);
    assert.ok(said.includes(file), said);
  });

  test("a data directory that cannot be written → exit 73 or 74, says so", async (t) => {
    const data = path.join(scratch, "read-only");
    mkdirSync(data);
    let wrapper = [];
    if (process.getuid?.() === 0) {
      // To root nothing is read-only but what is mounted so.
      const mounted = ["unshare", "-m", "sh", "-c", 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"', data];
      if (spawnSync(mounted[0], [...mounted.slice(1), "true"]).status !== 0) {
        return t.skip("root, and mounting read-only is not allowed here");
      }
      wrapper = mounted;
    } else {
      chmodSync(data, 0o555);
    }
    const { code, said } = await serve(data, anywhere, { wrapper });
    assert.ok([73, 74].includes(code), `${code}: ${said}`);
    assert.match(said, /read-only|permission|cannot|denied/i);
    assert.ok(said.includes(data), said);
  });

  test("a data directory that is full → says so, nothing is acknowledged that is not there", async (t) => {
    const data = path.join(scratch, "full");
    mkdirSync(data);
    const mounted = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=64k none "$0" && exec "$@"', data];
    if (spawnSync(mounted[0], [...mounted.slice(1), "true"]).status !== 0) {
      return t.skip("a small file system cannot be mounted here");
    }
    const { code, said } = await serve(data, anywhere, { wrapper: mounted });
    assert.ok([73, 74].includes(code), `${code}: ${said}`);
    assert.match(said, /full|space/i);
  });
});
