// The server under test: started as a person would, on ports and folders of its own.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after } from "node:test";
import { fileURLToPath } from "node:url";

const top = fileURLToPath(new URL("../../..", import.meta.url));
export const executable = process.env.MUSTER_BIN ?? path.join(top, "target/debug/muster");
export const repository = (file) => path.join(top, file);

export function folder() {
  return mkdtempSync(path.join(tmpdir(), "muster-outside-"));
}

// Runs `muster` until it ends by itself: its exit code and what it said.
export async function run(args, { wrapper = [], withinMs = 20_000 } = {}) {
  const [program, ...rest] = [...wrapper, executable, ...args];
  const child = spawn(program, rest, { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  child.stdout.on("data", (data) => (said += data));
  child.stderr.on("data", (data) => (said += data));
  const timer = setTimeout(() => child.kill("SIGKILL"), withinMs);
  const [code, signal] = await once(child, "close");
  clearTimeout(timer);
  return { code, signal, said };
}

// A test that failed half-way leaves no server behind, nor does it keep the others from ending.
const started = new Set();
const killAll = () => started.forEach((child) => child.kill("SIGKILL"));
process.on("exit", killAll);
after(() => void setTimeout(killAll, 3_000).unref());

export class Server {
  static async start({ data = folder(), args = [], keep = false, port = 0 } = {}) {
    const server = new Server();
    server.data = data;
    server.keep = keep;
    const listen = ["--listen", `127.0.0.1:${port}`, "--admin-listen", "127.0.0.1:0"];
    server.child = spawn(executable, ["serve", "--trust-loopback", "--data", data, ...listen, ...args], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    server.said = "";
    started.add(server.child);
    server.exited = once(server.child, "exit").then(([code, signal]) => ({ code, signal }));
    const ready = new Promise((resolve) => {
      server.child.stderr.on("data", (data) => {
        server.said = (server.said + data).slice(-20_000);
        server.url ??= /Serving at (http:\/\/\S+)\s/.exec(server.said)?.[1];
        server.admin ??= /metrics at (http:\/\/[^/\s]+)\//.exec(server.said)?.[1];
        if (server.url && server.admin) resolve();
      });
    });
    const early = server.exited.then(({ code }) => {
      throw new Error(`the server ended with ${code}: ${server.said}`);
    });
    await Promise.race([ready, early]);
    early.catch(() => {});
    server.exited.then(({ code, signal }) => {
      if (!server.asked) console.error(`the server ended by itself: ${code ?? signal}\n${server.said}`);
    });
    server.port = Number(new URL(server.url).port);
    return server;
  }

  socket(path) {
    return `ws://127.0.0.1:${this.port}${path}`;
  }

  async get(path, options) {
    return fetch(this.url + path, options);
  }

  async json(path, options) {
    const answer = await this.get(path, options);
    const text = await answer.text();
    try {
      return JSON.parse(text);
    } catch {
      throw new Error(`${path}: ${answer.status} ${answer.headers.get("content-type")}: ${text.slice(0, 2_000)}`);
    }
  }

  // Every event of a machine, oldest first.
  async events(machine) {
    const events = [];
    let cursor = "";
    do {
      const page = await this.json(`/api/v1/machines/${machine}/events?limit=1000${cursor}`);
      if (page.items === undefined) return [];
      events.push(...page.items);
      cursor = page.next_cursor === null ? null : `&cursor=${encodeURIComponent(page.next_cursor)}`;
    } while (cursor !== null);
    return events.reverse();
  }

  async metric(name) {
    const text = await (await fetch(`${this.admin}/metrics`)).text();
    const lines = text.split("\n").filter((line) => line.startsWith(name));
    return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
  }

  // Memory in use, in bytes; undefined where there is no /proc.
  memory(field = "VmRSS") {
    try {
      const status = readFileSync(`/proc/${this.child.pid}/status`, "utf8");
      return Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)[1]) * 1024;
    } catch {
      return undefined;
    }
  }

  async stop(signal = "SIGTERM") {
    this.asked = true;
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill(signal);
    const ended = await this.exited;
    if (!this.keep) rmSync(this.data, { recursive: true, force: true });
    return ended;
  }
}
