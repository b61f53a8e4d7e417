// Makes docs/walk-safety.md anew: runs a demo, has a car lose its link, be stopped, run away and be opened, and writes down what people
// see and what the commands really said. The pictures go to docs/pictures.
//
//   cargo build --release -p muster && (cd dashboard && npm ci && node scripts/walk-safety.mjs)
//
// Options: --muster FILE (the executable), --out FILE (the page). It takes about three minutes, and ends with 1 where something did not
// happen that the page says: then nothing is written.

import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chromium } from '@playwright/test';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const { values: options } = parseArgs({
  options: {
    muster: { type: 'string', default: here('../../target/release/muster') },
    out: { type: 'string', default: here('../../docs/walk-safety.md') },
  },
});
const muster = resolve(options.muster);
const out = resolve(options.out);
const pictures = join(dirname(out), 'pictures');

const CAR = 'M-MU 1004';
const BESIDE = ['--data', 'muster-data/sim', '--machine', CAR];
/** How long anything may take to come about. */
const WITHIN_MS = 60_000;

const folder = mkdtempSync(join(tmpdir(), 'muster-walk-'));
const page = [];
const taken = [];
const say = (...paragraphs) => page.push(...paragraphs.flatMap((each) => [each.trim(), '']));
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

class Unexpected extends Error {}

async function until(what, holds) {
  const end = Date.now() + WITHIN_MS;
  while (Date.now() < end) {
    const found = await holds();
    if (found) return found;
    await pause(150);
  }
  throw new Unexpected(`it never came about that ${what}`);
}

const isFree = (port) => new Promise((done) => {
  const probe = createServer();
  probe.once('error', () => done(false));
  probe.listen(port, '127.0.0.1', () => probe.close(() => done(true)));
});

/** Two ports next to each other: the demo's own, and that of its metrics. */
async function freePort() {
  for (let port = 7_700; ; port += 2) if (await isFree(port) && await isFree(port + 1)) return port;
}

const port = await freePort();
const url = `http://127.0.0.1:${port}`;
// The page shows what a person types whose demo has the usual port.
const usual = (text) => text.replaceAll(`127.0.0.1:${port}`, '127.0.0.1:7700').replaceAll(`127.0.0.1:${port + 1}`, '127.0.0.1:7701').replaceAll(folder, '.').trimEnd();

function run(args) {
  const done = spawnSync(muster, args, { cwd: folder, encoding: 'utf8', env: { ...process.env, MUSTER_SERVER: url, NO_COLOR: '1', COLUMNS: '120' } });
  if (done.error) throw done.error;
  return { code: done.status, text: usual(done.stdout + done.stderr) };
}

const quoted = (arg) => (/^[\w./:@=-]+$/.test(arg) ? arg : `"${arg}"`);

/** Runs a command, and shows it with what it said. */
function show(args, expected = 0, cut = (text) => text) {
  const { code, text } = run(args);
  if (code !== expected) throw new Unexpected(`muster ${args.join(' ')} ended with ${code}: ${text}`);
  const ended = code === 0 ? [] : [`$ echo $?`, String(code)];
  page.push('```console', `$ muster ${args.map(quoted).join(' ')}`, cut(text), ...ended, '```', '');
  return text;
}

function standing() {
  try {
    return JSON.parse(run(['agent', 'safety', ...BESIDE, '--output', 'json']).text).operation;
  } catch {
    return null;
  }
}

const stands = (region, ...causes) => until(`${CAR} is ${region} by ${causes.join(', ')}`, () => {
  const operation = standing();
  return operation?.safety === region && causes.every((cause) => operation.held_by.includes(cause));
});
const rests = () => until('it is at rest', () => standing()?.at_rest === true);
/** Also the server has heard of it, so that the page shows it. */
const shownNow = () => JSON.parse(run(['machine', 'show', CAR, '--output', 'json']).text);
const shown = (region) => until(`the server shows ${region}`, () => shownNow().summary.safety === region);

async function drives() {
  await stands('operational');
  await shown('operational');
  await until('it drives', () => (shownNow().summary.speed_m_per_s ?? 0) > 2);
}

let browser;
let view;

/** A picture of the machine's page, down to what is below its safety panel. */
async function picture(name, about, scheme = 'light') {
  await view.emulateMedia({ colorScheme: scheme });
  await view.goto(`${url}/machines/${machine}`);
  await view.getByRole('region', { name: 'Safety', exact: true }).waitFor();
  await pause(2_500);
  const box = await view.getByRole('region', { name: 'Safety', exact: true }).boundingBox();
  const file = join(folder, `${name}.png`);
  await view.screenshot({ path: file, clip: { x: 0, y: 0, width: 1_440, height: Math.ceil(box.y + box.height + 7) } });
  taken.push(file);
  page.push(`![${about}](pictures/${name}.png)`, '');
}

let machine;
const demo = spawn(muster, ['demo', '--data', 'muster-data', '--record', CAR, '--link-lost-after', '10', '--listen', `127.0.0.1:${port}`], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
const ended = new Promise((done) => demo.once('exit', done));

async function walk() {
  await until('the demo serves', () => fetch(`${url}/api/v1/fleet/summary`).then((answer) => answer.ok, () => false));
  machine = await until('the car is known', () => {
    const { code, text } = run(['machine', 'show', CAR, '--output', 'json']);
    return code === 0 && JSON.parse(text).summary.id;
  });
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
  view = await browser.newPage({ viewport: { width: 1_440, height: 1_600 } });

  say(
    '# A walk through what keeps a machine safe',
    `A simulated car loses its link, is stopped by an emergency stop, runs away, and has its case opened; and afterwards its recording is run into the
same code again. Everything here is what really was said and shown: \`node scripts/walk-safety.mjs\` in \`dashboard\` runs it, takes the pictures, and writes
this page (version ${run(['--version']).text.split(' ').at(-1)}). How to do each of it yourself: [stop and resume](how-to/stop-and-resume.md), [record and replay](how-to/record-and-replay.md).`,
    'A demo, in which one car records what it does, and what moves comes to rest after ten seconds without a link (two minutes unless it is said):',
    `\`\`\`console\n$ muster demo --record "${CAR}" --link-lost-after 10\n\`\`\``,
  );
  await drives();
  say('The car drives. Its page says what it does by itself, and when.');
  await picture('safety-operational', 'The safety panel of a car that drives: its region, its failsafes in words, its set-up, its last events');
  say('Beside the car, without a server, that is one line:');
  show(['agent', 'safety', ...BESIDE]);

  say('## The cable is pulled', 'For 30 seconds nothing goes through between the car and its server.');
  show(['fault', CAR, 'link_lost', '--for', '30']);
  await stands('protective_stop', 'link_lost');
  await rests();
  say('Ten seconds after its link is over the car comes to rest, by itself:');
  show(['agent', 'safety', ...BESIDE]);
  await until('the server misses it', () => shownNow().summary.presence === 'lost');
  say('The server knows nothing of that. It shows what it knew last, how long ago that was, and nothing of it as good.');
  await picture('safety-stale', 'The same page in dark, stale: not heard of, everything as it was known then', 'dark');
  await drives();
  say('The cable is back, the car goes on, and what it did meanwhile is in the timeline, at the times at which it happened.');
  show(['machine', 'events', CAR, '--kind', 'safety', '--order', 'asc']);

  say('## Emergency stop', 'Somebody beside the car presses it.');
  show(['agent', 'estop', ...BESIDE]);
  await rests();
  await shown('estop_latched');
  await picture('safety-latched', 'Latched: why, since when, and what has to be done before it may move again');
  say('It is latched. A resume alone does nothing, and says so; nothing on the server could do either.');
  show(['agent', 'resume', ...BESIDE], 1);
  show(['agent', 'reset', ...BESIDE]);
  await shown('protective_stop');
  await picture('safety-reset', 'After the reset: a protective stop that waits to be resumed at the machine');
  show(['agent', 'resume', ...BESIDE]);
  await drives();

  say('## A motor runs away', 'The drive speeds up whatever it is told.');
  show(['fault', CAR, 'runaway_motor', '--for', '6']);
  await stands('fault_latched', 'runaway');
  await shown('fault_latched');
  say('As soon as it is measured that it drives faster than it may, its power is taken, and that latches.');
  await picture('safety-runaway', 'A fault, latched, in dark: the power is off, and it rolls out', 'dark');
  await rests();
  show(['agent', 'safety', ...BESIDE]);
  await until('the fault is over', () => shownNow().reported.simulation.faults.length === 0);
  say('When it stands and the motor is mended, it is reset and resumed as before.');
  show(['agent', 'reset', ...BESIDE]);
  show(['agent', 'resume', ...BESIDE]);
  await drives();

  say('## The case is opened');
  show(['fault', CAR, 'case_open', '--for', '12']);
  await stands('estop_latched', 'tamper');
  say('An open case is an emergency stop. As long as it is open a reset does nothing:');
  show(['agent', 'reset', ...BESIDE], 1);
  await shown('estop_latched');
  await rests();
  await until('the case is shut', () => shownNow().reported.simulation.faults.length === 0);
  say('When it is shut, the same way back.');
  show(['agent', 'reset', ...BESIDE]);
  show(['agent', 'resume', ...BESIDE]);
  await drives();

  say('## Stopped from afar', 'A stop from the server is a wish with an answer, and its progress comes from what the machine measures.');
  show(['stop', CAR, '--reason', 'a look at its tyres', '--yes']);
  await shown('protective_stop');
  await picture('safety-stopped', 'Stopped from afar: received, standing, at rest, with times; only at the machine can it be let go');
  show(['agent', 'resume', ...BESIDE]);
  await drives();
  await picture('safety-after', 'After all that: it drives again, and everything is in its events');

  say('## Decided again', 'The demo ends. The car recorded everything that was said in it, and every step of its safety region with what it was told:');
  demo.kill('SIGINT');
  await ended;
  const recordings = join('muster-data', 'sim', 'recordings', 'm-mu-1004');
  show(['agent', 'recordings', 'list', '--directory', recordings]);
  const files = readdirSync(join(folder, recordings)).filter((file) => file.endsWith('.mcap')).toSorted();
  const rolling = files.filter((file) => file.startsWith('rolling'));
  if (rolling.length === 0) throw new Unexpected(`nothing was recorded: ${files.join(', ')}`);
  say('Run into the same code again, it decides the same, step by step: the lost link, the stops, the runaway and the open case.');
  for (const file of rolling) {
    const text = show(['agent', 'replay', join(recordings, file)]);
    if (!text.includes('the same was decided')) throw new Unexpected(text);
  }
  say(`Of each latch the minutes around it are kept by themselves; any MCAP viewer opens them ([decision 0021](decisions/0021-recordings.md)).`);
}

try {
  await walk();
  for (const file of taken) copyFileSync(file, join(pictures, basename(file)));
  writeFileSync(out, `${page.join('\n').trimEnd()}\n`);
  console.log(`${out}: written, with ${taken.length} pictures`);
} catch (error) {
  console.error(error instanceof Unexpected ? `error: ${error.message}` : error);
  process.exitCode = 1;
} finally {
  await browser?.close();
  if (demo.exitCode === null) demo.kill('SIGINT');
  await ended;
  rmSync(folder, { recursive: true, force: true });
}
