// Makes docs/walk-access.md anew: starts a server as it is for a fleet of one's own, sets it up, lets people and a machine in, has somebody
// refused, and writes down what people see and what the commands really said. The pictures go to docs/pictures.
//
//   cargo build --release -p muster && (cd dashboard && npm ci && node scripts/walk-access.mjs)
//
// Options: --muster FILE (the executable), --out FILE (the page). It takes about a minute, and ends with 1 where something did not happen that
// the page says: then nothing is written.

import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chromium, expect } from '@playwright/test';
import { twoPeople } from './walk-approvals.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const { values: options } = parseArgs({
  options: {
    muster: { type: 'string', default: here('../../target/release/muster') },
    out: { type: 'string', default: here('../../docs/walk-access.md') },
  },
});
const muster = resolve(options.muster);
const out = resolve(options.out);
const pictures = join(dirname(out), 'pictures');

const ADA = 'seven green chairs walk';
const VERA = 'three long words here';
/** How long anything may take to come about. */
const WITHIN_MS = 60_000;

const folder = mkdtempSync(join(tmpdir(), 'muster-walk-'));
const page = [];
const taken = [];
const say = (...paragraphs) => page.push(...paragraphs.flatMap((each) => [each.trim(), '']));

class Unexpected extends Error {}

const isFree = (port) => new Promise((done) => {
  const probe = createServer();
  probe.once('error', () => done(false));
  probe.listen(port, '127.0.0.1', () => probe.close(() => done(true)));
});

/** Three ports next to each other: for people, for health and metrics, for machines. */
async function freePort() {
  for (let port = 7_700; ; port += 10) if (await isFree(port) && await isFree(port + 1) && await isFree(port + 2)) return port;
}

const port = await freePort();
const url = `https://127.0.0.1:${port}`;
const authority = join(folder, 'muster-data', 'identity', 'ca.pem');
// The page shows what a person sees whose server has the usual ports; what is secret or chance is left out.
const usual = (text) => text
  .replaceAll(`127.0.0.1:${port}`, '127.0.0.1:7700').replaceAll(`127.0.0.1:${port + 1}`, '127.0.0.1:7701').replaceAll(`127.0.0.1:${port + 2}`, '127.0.0.1:7702')
  .replaceAll(folder, '.').replaceAll(/(mst[a-z]_)[\w.-]+/g, '$1…').trimEnd();

const quoted = (arg) => usual(/^[\w./:@=,-]+$/.test(arg) ? arg : `"${arg}"`);

/** Runs a command, and shows it with what it said. */
function show(args, { expected = 0, environment = {}, cut = (text) => text } = {}) {
  const done = spawnSync(muster, args, { cwd: folder, encoding: 'utf8', env: { ...process.env, MUSTER_SERVER: url, MUSTER_CA_FILE: authority, NO_COLOR: '1', COLUMNS: '120', ...environment } });
  if (done.error) throw done.error;
  const text = usual(done.stdout + done.stderr);
  if (done.status !== expected) throw new Unexpected(`muster ${args.join(' ')} ended with ${done.status}: ${text}`);
  page.push('```console', `$ muster ${args.map(quoted).join(' ')}`, cut(text), ...(done.status === 0 ? [] : ['$ echo $?', String(done.status)]), '```', '');
}

let browser;

async function someone(scheme = 'light') {
  const context = await browser.newContext({ baseURL: url, ignoreHTTPSErrors: true, viewport: { width: 1_280, height: 760 }, colorScheme: scheme });
  const view = await context.newPage();
  view.setDefaultTimeout(WITHIN_MS);
  return view;
}

async function picture(view, name, about, clip) {
  const file = join(folder, `${name}.png`);
  await view.waitForTimeout(700);
  await view.screenshot({ path: file, ...(clip && { clip: { x: 0, y: 0, width: 1_280, height: clip } }) });
  taken.push(file);
  page.push(`![${about}](pictures/${name}.png)`, '');
}

async function signIn(view, name, password) {
  await view.getByRole('textbox', { name: 'Name' }).fill(name);
  await view.getByLabel('Password', { exact: true }).fill(password);
  await view.getByRole('button', { name: 'Sign in', exact: true }).click();
  await expect(view.getByRole('button', { name: /Signed in as/ })).toBeVisible({ timeout: WITHIN_MS });
}

let said = '';
const server = spawn(muster, ['serve', '--data', 'muster-data', '--listen', `127.0.0.1:${port}`, '--admin-listen', `127.0.0.1:${port + 1}`, '--machines-listen', `127.0.0.1:${port + 2}`], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
for (const stream of [server.stdout, server.stderr]) stream.on('data', (text) => { said += text.toString(); });
const ended = new Promise((done) => server.once('exit', done));
let machine = null;

async function walk() {
  await expect.poll(() => /https:\S+\/set-up#\S+/.exec(said)?.[0], { timeout: WITHIN_MS }).toBeDefined();
  const link = /https:\S+\/set-up#\S+/.exec(said)[0];
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });

  say(
    '# A walk through who may do what',
    `A server starts with nobody in it. Its first admin comes by a link, lets in somebody who only looks and a machine, and sees what was refused. But for the two pictures
of which it is said, everything here is what really was said and shown: \`node scripts/walk-access.mjs\` in \`dashboard\` runs it, takes the pictures, and writes this page. Why it is so:
[decision 0027](decisions/0027-people-and-what-they-may.md) for people, [0028](decisions/0028-machines-have-certificates.md) for machines.`,
    '## The first start',
    'There is no password to begin with. The server writes a link to its standard error:',
  );
  const lines = usual(said).split('\n').filter((line) => !/^\d{4}-\d\d-\d\dT/.test(line));
  page.push('```console', '$ muster serve', ...lines, '```', '');
  say('Whoever opens it, once and within the hour, becomes the first admin. Of a password only its length is asked.');
  const ada = await someone();
  await ada.goto(link);
  await ada.getByRole('textbox', { name: 'Name to sign in by' }).fill('ada');
  await ada.getByLabel('Password', { exact: true }).fill(ADA);
  await picture(ada, 'access-set-up', 'The first admin: a name, a password, and how long it has to be');
  await ada.getByRole('button', { name: 'Set up' }).click();
  await expect(ada.getByText('No machine has connected yet')).toBeVisible({ timeout: WITHIN_MS });

  say('## A machine is let in', 'A machine needs a token, for itself alone. What stands in the form it gets with its certificate; it cannot choose any of it.');
  await ada.getByRole('button', { name: 'Enrol a machine' }).click();
  await ada.getByRole('button', { name: 'Enrol a machine' }).click();
  const dialog = ada.getByRole('dialog', { name: 'Enrol a machine' });
  await dialog.getByRole('textbox', { name: 'Name' }).fill('frida');
  await dialog.getByRole('textbox', { name: 'Kind' }).fill('lekiwi');
  await dialog.getByRole('textbox', { name: 'Labels' }).fill('site=munich');
  await dialog.getByRole('checkbox', { name: 'It waits until a person accepts it' }).check();
  await picture(ada, 'access-enrol', 'Enrolling a machine: name, kind, labels, how long the token is good');
  await dialog.getByRole('button', { name: 'Make a token' }).click();
  await dialog.getByRole('tab', { name: 'Token alone' }).click();
  const token = (await dialog.getByText(/^mste_/).last().innerText()).trim();
  await dialog.getByRole('button', { name: 'I have handed it over' }).click();
  say('On the machine, where the key is made and stays:');
  show(['agent', 'enroll', token, '--server', url, '--data', 'frida']);
  machine = spawn(muster, ['agent', 'run', '--data', 'frida'], { cwd: folder, stdio: 'ignore' });
  const identity = ada.getByRole('region', { name: 'Identities', exact: true }).getByRole('row', { name: /frida/ });
  await expect(identity).toContainText('waits', { timeout: WITHIN_MS });
  await picture(ada, 'access-waiting', 'The machine waits to be accepted');
  await ada.getByRole('button', { name: 'Accept frida' }).click();
  await expect(identity).toContainText('connected', { timeout: WITHIN_MS });
  await ada.getByRole('button', { name: 'Certificates of frida' }).click();
  say('Ada accepts it, and it is there, with the end of its certificate; it renews that by itself.');
  await picture(ada, 'access-identity', 'The machine is connected; its certificate, when it ends, who issued it');

  say('## Somebody who only looks', 'Vera may see the machines at one site. While the scope is typed the page says which machines it reaches.');
  await ada.goto('/access/people');
  await ada.getByRole('button', { name: 'Add a person' }).click();
  const form = ada.getByRole('dialog', { name: 'Add a person' });
  await form.getByRole('textbox', { name: 'Name to sign in by' }).fill('vera');
  await form.getByRole('textbox', { name: 'Name to be shown' }).fill('Vera Molnár');
  await form.getByLabel(/^First password/).fill(VERA);
  await form.getByRole('combobox', { name: 'Where viewer is granted' }).selectOption('some');
  await form.getByRole('combobox', { name: 'Scope of viewer' }).fill('label.site=munich');
  await expect(form.getByText('It reaches 1 machine now: frida.')).toBeVisible({ timeout: WITHIN_MS });
  await form.getByRole('textbox', { name: 'Why' }).fill('she looks after munich at night');
  await picture(ada, 'access-grant', 'A grant: a role, the machines it reaches, and which those are now');
  await form.getByRole('button', { name: 'Add vera' }).click();
  await expect(ada.getByRole('region', { name: 'What they could do' }).getByRole('row', { name: /^stop/ })).toBeVisible({ timeout: WITHIN_MS });
  const vera = await someone('dark');
  await vera.goto('/');
  await signIn(vera, 'vera', VERA);
  await vera.getByRole('link', { name: 'frida' }).click();
  const stop = vera.getByRole('button', { name: 'Remote stop', exact: true });
  await expect(stop).toHaveAccessibleDescription(/needs stop/, { timeout: WITHIN_MS });
  await stop.hover({ force: true });
  await expect(vera.locator('[role=tooltip]')).toBeVisible();
  say('She signs in and sees that machine and no other. What she may not do stands where it always stands, and says why.');
  await picture(vera, 'access-refused', 'The stop button of somebody who may only look: it says which permission it needs and who holds it', 420);
  say('A program that goes around the page meets the same rule:');
  const token2 = await vera.evaluate(async () => {
    const made = await fetch('/api/v1/tokens', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ name: 'walk' }) });
    return (await made.json()).secret;
  });
  show(['stop', 'frida', '--reason', 'to see what happens', '--yes'], { expected: 1, environment: { MUSTER_TOKEN: token2 } });

  say('## Who did what', 'All of it is in the audit log: what was done and why, and what was refused, with the rule. It is a chain; a removed entry would be found.');
  await ada.goto('/access/audit');
  await expect(ada.getByRole('listitem').filter({ hasText: 'Refused' }).first()).toBeVisible({ timeout: WITHIN_MS });
  await ada.getByRole('button', { name: 'Check the chain' }).click();
  await expect(ada.getByText(/are there, unchanged/)).toBeVisible({ timeout: WITHIN_MS });
  await picture(ada, 'access-audit', 'The audit log: who, what, to what, why, with what outcome; and that the chain is whole');

  await twoPeople({ browser, port: await freePort(), say, picture });

  say('## Shut out', 'The machine was stolen. Its connection is cut within seconds, and none of its certificates is good any more.');
  await ada.goto('/access/machines');
  await ada.getByRole('button', { name: 'Shut out frida' }).click();
  await ada.getByRole('textbox', { name: 'Why' }).fill('stolen on the way to the fair');
  await ada.getByRole('button', { name: 'Shut it out' }).click();
  await expect(ada.getByRole('region', { name: 'Identities', exact: true }).getByRole('row', { name: /frida/ })).toContainText('“stolen on the way to the fair”', { timeout: WITHIN_MS });
  await picture(ada, 'access-shut-out', 'The machine is shut out, since when and why');

  say('## A session ends', 'Ada ends Vera’s session. Vera’s page says so at once, keeps what is on it, and goes on when she has signed in again.');
  await ada.goto('/access/sessions');
  await ada.getByRole('button', { name: /^End the session of vera/ }).first().click();
  await ada.getByRole('button', { name: 'End it' }).click();
  await expect(vera.getByRole('dialog', { name: 'Sign in again' })).toBeVisible({ timeout: WITHIN_MS });
  await picture(vera, 'access-again', 'Signing in again over the page');
  say('How to do each of it yourself: [enrol a machine](how-to/enrol-a-machine.md), [run a server](how-to/run-a-server.md).');
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
  machine?.kill('SIGKILL');
  if (server.exitCode === null) server.kill('SIGINT');
  await ended;
  rmSync(folder, { recursive: true, force: true });
}
