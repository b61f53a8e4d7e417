/** Starts the servers that the tests look at: the mock, or the real `muster demo`. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer as createHttpServer, request as httpRequest } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface Server {
  url: string;
  /** Ends it as a crash does. */
  kill: () => Promise<void>;
  /** Ends it in order; it can be started again on the same address with the same data. */
  halt: () => Promise<void>;
  start: () => Promise<void>;
  stop: () => Promise<void>;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}

/**
 * A port that stays free while a server is away: below those that the system gives to outgoing connections. The real
 * server takes the one after it too, for its metrics.
 */
async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000);
    if ((await isFree(port)) && (await isFree(port + 1))) return port;
  }
}

async function until(what: string, ms: number, holds: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + ms;
  while (Date.now() < end) {
    if (await holds().catch(() => false)) return;
    await new Promise((done) => setTimeout(done, 150));
  }
  throw new Error(`waited ${ms} ms in vain for: ${what}`);
}

function server(port: number, command: string, parameters: string[], ready: (url: string) => Promise<boolean>, cleanUp: () => void): Server {
  const url = `http://127.0.0.1:${port}`;
  let child: ChildProcess | null = null;
  const end = async (signal: NodeJS.Signals) => {
    const running = child;
    child = null;
    if (running === null || running.exitCode !== null) return;
    const gone = new Promise((done) => running.once('exit', done));
    running.kill(signal);
    await gone;
  };
  return {
    url,
    start: async () => {
      let said = '';
      let last = 'nothing';
      const started = spawn(command, parameters, { stdio: ['ignore', 'pipe', 'pipe'] });
      const keep = (text: Buffer) => {
        said = `${said}${text.toString()}`.slice(-4_000);
      };
      started.stdout.on('data', keep);
      started.stderr.on('data', keep);
      child = started;
      try {
        await until(`${command} on ${url}`, 90_000, async () => {
          last = await fetch(`${url}/api/v1/fleet/summary`).then((answer) => answer.text(), String);
          return ready(url);
        });
      } catch (error) {
        throw new Error(`${String(error)}\nits summary: ${last}\nit said:\n${said}`, { cause: error });
      }
    },
    kill: () => end('SIGKILL'),
    halt: () => end('SIGINT'),
    stop: async () => {
      await end('SIGINT');
      cleanUp();
    },
  };
}

/** How long the tests of the past need the past to be. */
const HISTORY_MS = 15_000;

async function total(url: string): Promise<number> {
  const answer = await fetch(`${url}/api/v1/fleet/summary`);
  return ((await answer.json()) as { total: number }).total;
}

/** Whether there were all machines a while ago. */
async function hasPast(url: string, machines: number): Promise<boolean> {
  const at = new Date(Date.now() - HISTORY_MS).toISOString();
  const answer = await fetch(`${url}/api/v1/fleet/summary?at=${at}`);
  return ((await answer.json()) as { total: number }).total >= machines;
}

/** `more` are further options: `--sign-in` has people sign in. */
export async function mockServer(machines: number, rate = 40, more: readonly string[] = []): Promise<Server> {
  const port = await freePort();
  const script = fileURLToPath(new URL('../../mock/server.mjs', import.meta.url));
  const made = server(
    port,
    process.execPath,
    [script, '--port', String(port), '--machines', String(machines), '--rate', String(rate), ...more],
    async (url) => (more.includes('--sign-in') ? (await fetch(`${url}/api/v1/me`)).ok : (await total(url)) === machines),
    () => undefined,
  );
  await made.start();
  return made;
}

export async function realServer(binary: string, machines: number): Promise<Server> {
  const port = await freePort();
  const data = mkdtempSync(join(tmpdir(), 'muster-e2e-'));
  const made = server(
    port,
    binary,
    ['demo', '--data', data, '--listen', `127.0.0.1:${port}`, '--machines', String(machines)],
    (url) => hasPast(url, machines),
    () => rmSync(data, { recursive: true, force: true }),
  );
  await made.start();
  return made;
}

export interface PeopleServer extends Server {
  /** What the server wrote when it started: whoever opens it becomes the first admin. */
  setUpLink: string;
  /** Runs a machine with its own data, in the words of the command line, until the server is stopped or it ends by itself. */
  machine: (data: string, ...parameters: string[]) => Promise<number | null>;
}

/** The real server as it is for a fleet of one's own: people sign in. */
export async function peopleServer(binary: string): Promise<PeopleServer> {
  const port = await freePort();
  const data = mkdtempSync(join(tmpdir(), 'muster-e2e-'));
  const url = `https://127.0.0.1:${port}`;
  const health = `127.0.0.1:${port + 1}`;
  let said = '';
  const listen = ['--listen', `127.0.0.1:${port}`, '--machines-listen', '127.0.0.1:0', '--admin-listen', health];
  const child = spawn(binary, ['serve', '--data', data, ...listen], { stdio: ['ignore', 'pipe', 'pipe'] });
  const keep = (text: Buffer) => {
    said = `${said}${text.toString()}`.slice(-8_000);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const gone = new Promise((done) => child.once('exit', done));
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode === null) child.kill(signal);
    await gone;
  };
  const link = () => /https?:\S+\/set-up#\S+/.exec(said)?.[0];
  try {
    await until(`${binary} serve on ${url}`, 60_000, async () => (await fetch(`http://${health}/readyz`)).ok && link() !== undefined);
  } catch (error) {
    await end('SIGKILL');
    throw new Error(`${String(error)}\nit said:\n${said}`, { cause: error });
  }
  const machines = new Set<ChildProcess>();
  const machine = (name: string, ...parameters: string[]) =>
    new Promise<number | null>((done) => {
      const running = spawn(binary, ['agent', ...parameters, '--data', join(data, name)], { stdio: 'ignore' });
      machines.add(running);
      running.once('exit', done);
    });
  return {
    url,
    machine,
    setUpLink: link() ?? '',
    start: () => Promise.reject(new Error('it is started once')),
    kill: () => end('SIGKILL'),
    halt: () => end('SIGINT'),
    stop: async () => {
      for (const each of machines) each.kill('SIGKILL');
      await end('SIGINT');
      rmSync(data, { recursive: true, force: true });
    },
  };
}

/** A proxy in front of a server that lets requests through and no WebSocket, as some in offices do. */
export async function proxyWithoutUpgrades(url: string): Promise<{ url: string; allow: () => void; stop: () => Promise<void> }> {
  const { hostname, port } = new URL(url);
  let allowed = false;
  const proxy = createHttpServer((asked, answer) => {
    // The name that the page knows goes with it, so that the server sees one origin.
    const forwarded = httpRequest({ hostname, port, method: asked.method, path: asked.url, headers: asked.headers }, (answered) => {
      answer.writeHead(answered.statusCode ?? 502, answered.headers);
      answered.pipe(answer);
    });
    forwarded.on('error', () => answer.destroy());
    answer.on('close', () => forwarded.destroy());
    asked.pipe(forwarded);
  });
  proxy.on('upgrade', (asked, socket, head) => {
    if (!allowed) {
      socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n');
      return;
    }
    const forwarded = httpRequest({ hostname, port, path: asked.url, headers: asked.headers });
    forwarded.on('upgrade', (answered, other, first) => {
      const lines = Object.entries(answered.headers).map(([name, value]) => `${name}: ${String(value)}`);
      socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join('\r\n')}\r\n\r\n`);
      socket.write(first);
      other.write(head);
      other.pipe(socket).pipe(other);
      other.on('error', () => socket.destroy());
      socket.on('error', () => other.destroy());
    });
    forwarded.on('error', () => socket.destroy());
    forwarded.end();
  });
  await new Promise<void>((done) => {
    proxy.listen(0, '127.0.0.1', done);
  });
  return {
    url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    allow: () => {
      allowed = true;
    },
    stop: async () => {
      proxy.closeAllConnections();
      await new Promise((done) => {
        proxy.close(done);
      });
    },
  };
}
