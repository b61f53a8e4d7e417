// The part of the walk through access that takes two people. It is shown on the stand-in for a server (`mock/server.mjs`), with made-up machines
// and people: what it shows waits there already.

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect } from '@playwright/test';

/** Writes a section, and takes its pictures. `picture` is called with a view, a name, and what it shows. */
export async function twoPeople({ browser, port, say, picture }) {
  const mock = spawn(process.execPath, [fileURLToPath(new URL('../mock/server.mjs', import.meta.url)), '--sign-in', '--port', String(port)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((done) => mock.once('exit', done));
  try {
    await new Promise((done) => mock.stdout.once('data', done));
    const context = await browser.newContext({ baseURL: `http://127.0.0.1:${port}`, viewport: { width: 1_280, height: 760 }, colorScheme: 'light' });
    const ada = await context.newPage();
    await ada.goto('/access/approvals');
    await ada.getByRole('textbox', { name: 'Name' }).fill('ada');
    await ada.getByLabel('Password', { exact: true }).fill('ada ada ada');
    await ada.getByRole('button', { name: 'Sign in', exact: true }).click();
    await expect(ada.getByRole('link', { name: '2 acts wait for your approval' })).toBeVisible();
    say(
      '## Two people for one act',
      `A policy can ask for a second person: what somebody may do, they may not alone then. What they do waits, as a proposal, and the page says so where it was done.
Whoever could do it themselves sees a number beside “Access”, and behind it what waits for them. These two pictures are of the dashboard’s stand-in for a server,
with made-up machines. Why it is so: [decision 0030](decisions/0030-a-second-person.md).`,
    );
    await picture(ada, 'access-approvals', 'What waits for Ada first, with the policy that asks and when it ends; what she proposed herself; what was decided, and what came of it');
    await ada.getByRole('link', { name: /^grace proposes to change the labels of/ }).click();
    await ada.getByRole('button', { name: 'Approve …' }).click();
    await expect(ada.getByRole('dialog', { name: 'Approve it' })).toContainText('the server does exactly this');
    say('Approving shows exactly what the server will do, to the letter, with dots for secrets. Refusing takes a reason. Nobody approves what they proposed; they can take it back. A stop waits for nobody.');
    await picture(ada, 'access-approve', 'Approving: the whole request as it will be sent, the version it was made against, and a reason if one is wanted');
  } finally {
    mock.kill('SIGTERM');
    await ended;
  }
}
