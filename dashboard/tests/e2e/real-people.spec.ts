/** The real server as it is for a fleet of one's own: from the first start to what is written down of it. */
import { createHmac } from 'node:crypto';
import type { Page } from '@playwright/test';
import { expect, test as base, violations } from './fixtures';
import { peopleServer, type PeopleServer } from './servers';

const test = base.extend<{ own: PeopleServer }>({
  own: async ({ browserName }, provide) => {
    expect(browserName).toBe('chromium');
    const own = await peopleServer(process.env.MUSTER_BIN ?? '');
    await provide(own);
    await own.stop();
  },
  baseURL: async ({ own }, provide) => provide(own.url),
});

// Its certificate is of an authority of its own, which no browser knows.
test.use({ ignoreHTTPSErrors: true, expectedErrors: [/status of (401|403|404|409|412|422|429)|WebSocket/] });

const ADA = 'seven green chairs walk';

/** What an authenticator shows. Source: RFC 6238. */
function totp(secret: string, at = Date.now()): string {
  const bits = [...secret].map((letter) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(at / 30_000)));
  const hash = createHmac('sha1', key).update(counter).digest();
  const offset = (hash.at(-1) ?? 0) & 15;
  return String((hash.readUInt32BE(offset) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

async function setUp(page: Page, own: PeopleServer): Promise<void> {
  await page.goto(own.setUpLink);
  await page.getByRole('textbox', { name: 'Name to sign in by' }).fill('ada');
  await page.getByLabel('Password', { exact: true }).fill(ADA);
  await page.keyboard.press('Enter');
  await expect(page.getByRole('button', { name: 'Signed in as ada' })).toBeVisible();
}

async function signIn(page: Page, name: string, password: string): Promise<void> {
  await page.getByRole('textbox', { name: 'Name' }).fill(name);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
}

async function addPerson(page: Page, own: PeopleServer, name: string, password: string, role: string): Promise<void> {
  await page.goto(`${own.url}/access/people`);
  await page.getByRole('button', { name: 'Add a person' }).click();
  const dialog = page.getByRole('dialog', { name: 'Add a person' });
  await dialog.getByRole('textbox', { name: 'Name to sign in by' }).fill(name);
  await dialog.getByLabel(/^First password/).fill(password);
  await dialog.getByRole('combobox', { name: 'Role' }).selectOption(role);
  await dialog.getByRole('textbox', { name: 'Why' }).fill(`${name} works here now`);
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(new RegExp(`/access/people/${name}$`));
  // The dialog fades, and has fields of the same names as the page that follows.
  await expect(dialog).toBeHidden();
  await expect(page.getByRole('heading', { level: 1, name })).toBeVisible();
}

test('from the first start to an admin, once', async ({ page, own, browser }) => {
  await page.goto('/');
  await expect(page.getByRole('heading', { name: 'This fleet has no people yet' })).toBeVisible();
  await setUp(page, own);
  await expect(page.getByText('No machine has connected yet')).toBeVisible();
  await expect(page.getByRole('status', { name: 'Connection: Live' })).toBeVisible();
  expect(page.url()).not.toContain('#');
  const other = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
  await other.goto(own.setUpLink);
  await expect(other.getByRole('heading', { name: 'The fleet is set up already' })).toBeVisible();
  await other.goto(`${own.url}/events`);
  await signIn(other, 'ada', 'not this one at all');
  await expect(other.getByRole('alert')).toContainText(/wrong/i);
  await signIn(other, 'ada', ADA);
  await expect(other).toHaveURL(/\/events$/);
  await expect(other.getByRole('button', { name: 'Signed in as ada' })).toBeVisible();
});

test('what somebody may not do is explained by the server’s own rule, and written down', async ({ page, own, browser }) => {
  await setUp(page, own);
  await addPerson(page, own, 'vera', 'three long words here', 'viewer');
  const could = page.getByRole('region', { name: 'What they could do' });
  await expect(could.getByRole('row', { name: /^stop/ })).toContainText(/needs stop, which operator, admin may; vera is viewer/);
  const other = await (await browser.newContext({ baseURL: own.url })).newPage();
  await other.goto('/access');
  await signIn(other, 'vera', 'three long words here');
  await expect(other.getByRole('heading', { name: 'Roles and policies' })).toBeVisible();
  await expect(other.getByRole('button', { name: 'Add a policy' })).toHaveAccessibleDescription(/^Needs administer for the whole fleet, which admin holds; you have viewer\.$/);
  expect(await other.evaluate(async () => (await fetch('/api/v1/people')).status)).toBe(403);
  await page.goto('/access/audit?outcome=refused');
  const list = page.getByRole('list', { name: 'Audit log, newest first' });
  await expect(list.getByRole('listitem').first()).toContainText('vera');
  await expect(list.getByRole('listitem').first()).toContainText('people.list');
  // Ended by somebody else: at once, and the page says so.
  await page.goto('/access/sessions');
  await page.getByRole('button', { name: /^End the session of vera/ }).click();
  await page.getByRole('button', { name: 'End it' }).click();
  await expect(other.getByRole('dialog', { name: 'Sign in again' })).toBeVisible({ timeout: 15_000 });
  await other.getByRole('dialog').getByLabel('Password', { exact: true }).fill('three long words here');
  await other.keyboard.press('Enter');
  await expect(other.getByRole('dialog', { name: 'Sign in again' })).toHaveCount(0);
});

test('a scope that a machine could give itself is refused in the server’s words', async ({ page, own }) => {
  await setUp(page, own);
  await addPerson(page, own, 'oskar', 'three long words here', 'operator');
  const status = await page.evaluate(async () => {
    const body = JSON.stringify({ grants: [{ role: 'viewer', scope: 'kind=car' }], reason: 'x' });
    const answer = await fetch('/api/v1/people/oskar', { method: 'PUT', headers: { 'if-match': '*', 'content-type': 'application/json' }, body });
    return { status: answer.status, body: (await answer.json()) as { errors: { at: string }[] } };
  });
  expect(status.status).toBe(422);
  expect(status.body.errors[0]?.at).toBe('body.grants.0.scope');
  // The last admin stays.
  await page.goto('/access/people/ada');
  await page.getByRole('checkbox', { name: 'Disabled' }).check();
  await page.getByRole('textbox', { name: 'Why' }).fill('to see what happens');
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('alert')).toContainText(/admin/);
});

test('a policy is tried, is in force, and stops whom it names', async ({ page, own }) => {
  await setUp(page, own);
  await addPerson(page, own, 'oskar', 'three long words here', 'operator');
  await page.goto('/access/roles');
  await page.getByRole('button', { name: 'Add a policy' }).click();
  const dialog = page.getByRole('dialog', { name: 'Add a policy' });
  await dialog.getByRole('textbox', { name: 'Name' }).fill('fair');
  await dialog.getByRole('checkbox', { name: 'stop' }).check();
  const condition = dialog.getByRole('textbox', { name: 'When it holds' });
  await condition.fill('person.name ==');
  await expect(dialog.getByRole('textbox', { name: 'When it holds' })).toHaveAttribute('aria-invalid', 'true');
  await condition.fill('person.name == "oskar"');
  const would = dialog.getByRole('region', { name: 'What it would do' });
  await would.getByRole('combobox', { name: 'Person' }).selectOption('oskar');
  await expect(would.getByRole('row', { name: /^stop/ })).toContainText(/policy tried forbids it/);
  await dialog.getByRole('textbox', { name: 'What it is for' }).fill('The fair: nobody stops the show');
  await dialog.getByRole('textbox', { name: 'Why it is changed' }).fill('the fair begins');
  await dialog.getByRole('button', { name: 'Put it in force' }).click();
  await expect(page.getByRole('heading', { name: 'fair' })).toBeVisible();
  const all = page.getByRole('region', { name: 'What could this person do?' });
  await all.getByRole('combobox', { name: 'Person' }).selectOption('oskar');
  await expect(all.getByRole('row', { name: /^stop/ })).toContainText('the policy fair forbids it: The fair: nobody stops the show');
  expect(await violations(page), 'policies').toEqual([]);
});

test('a second factor is set up, asked for, and its codes count once', async ({ page, own, browser }) => {
  await setUp(page, own);
  await page.goto('/account');
  const factor = page.getByRole('region', { name: 'Second factor' });
  await factor.getByRole('button', { name: 'Set it up' }).click();
  await expect(factor.getByRole('img')).toBeVisible();
  expect(await factor.getByRole('img').evaluate((image: HTMLImageElement) => image.naturalWidth)).toBeGreaterThan(50);
  const secret = (await factor.getByRole('code').innerText()).trim();
  await factor.getByRole('textbox', { name: 'The code that it shows' }).fill(totp(secret));
  await page.keyboard.press('Enter');
  await expect(factor.getByRole('list', { name: 'Recovery codes' }).getByRole('listitem')).toHaveCount(10);
  const recovery = await factor.getByRole('list', { name: 'Recovery codes' }).getByRole('listitem').allInnerTexts();
  await factor.getByRole('button', { name: 'I have kept them' }).click();
  await expect(factor).toContainText('On: a code is asked for');
  const other = await (await browser.newContext({ baseURL: own.url })).newPage();
  for (const [code, enters] of [['000000', false], [recovery[0] ?? '', true], [recovery[0] ?? '', false]] as const) {
    await other.context().clearCookies();
    await other.goto('/');
    await signIn(other, 'ada', ADA);
    await expect(other.getByRole('textbox', { name: 'Code' })).toBeFocused();
    await other.keyboard.type(code);
    await other.keyboard.press('Enter');
    if (enters) await expect(other.getByRole('button', { name: 'Signed in as ada' })).toBeVisible();
    else await expect(other.getByRole('alert')).toContainText(/code/i);
  }
});

test('a token does what it is narrowed to, and nothing once it is revoked', async ({ page, own, playwright }) => {
  await setUp(page, own);
  await page.goto('/access/tokens');
  await page.getByRole('button', { name: 'Make a token' }).click();
  const dialog = page.getByRole('dialog', { name: 'Make a token' });
  await dialog.getByRole('textbox', { name: 'What it is for' }).fill('wall screen');
  await dialog.getByRole('button', { name: 'Make it' }).click();
  const secret = (await dialog.getByRole('code').innerText()).trim();
  expect(secret).toMatch(/^mstt_/);
  const program = await playwright.request.newContext({ ignoreHTTPSErrors: true, extraHTTPHeaders: { authorization: `Bearer ${secret}` } });
  const status = async (path: string) => (await program.get(`${own.url}${path}`)).status();
  expect(await status('/api/v1/fleet/summary')).toBe(200);
  expect(await status('/api/v1/people')).toBe(403);
  await dialog.getByRole('button', { name: 'I have kept it' }).click();
  await page.getByRole('button', { name: 'Revoke wall screen' }).click();
  await page.getByRole('button', { name: 'Revoke it' }).click();
  await expect(page.getByText('There are no tokens')).toBeVisible();
  expect(await status('/api/v1/fleet/summary')).toBe(401);
  await program.dispose();
});

test('one’s own password, and guessing', async ({ page, own, browser }) => {
  await setUp(page, own);
  await page.goto('/account');
  const password = page.getByRole('region', { name: 'Password', exact: true });
  await password.getByLabel('Password so far').fill('not this one at all');
  await password.getByLabel('New password').fill('nine quiet lamps sing');
  await page.keyboard.press('Enter');
  await expect(password.getByText(/not the password so far/)).toBeVisible();
  await password.getByLabel('Password so far').fill(ADA);
  await page.keyboard.press('Enter');
  await expect(password.getByText('The password is changed.').or(page.getByRole('dialog', { name: 'Sign in again' }))).toBeVisible();
  const other = await (await browser.newContext({ baseURL: own.url })).newPage();
  await other.goto('/');
  for (let tries = 0; tries < 6; tries += 1) {
    const answered = other.waitForResponse((response) => response.url().endsWith('/api/v1/session'));
    await signIn(other, 'nobody', `a long guess, number ${tries}`);
    await answered;
  }
  await expect(other.getByRole('button', { name: /^Wait \d+ s$/ })).toBeDisabled();
});

test('the audit log says what was done and why, is whole, and can be taken along', async ({ page, own }) => {
  await setUp(page, own);
  await addPerson(page, own, 'oskar', 'three long words here', 'operator');
  await page.goto('/access/audit');
  const list = page.getByRole('list', { name: 'Audit log, newest first' });
  await expect(list.getByText('“oskar works here now”')).toBeVisible();
  await list.getByRole('button', { name: /^Details of people\.\w+ by ada/ }).first().click();
  await expect(list.getByText(/operator/).first()).toBeVisible();
  await list.getByRole('button', { name: 'Only what was done to oskar' }).click();
  await expect(page).toHaveURL(/object=oskar/);
  await expect(list.getByRole('listitem')).toHaveCount(1);
  await page.getByRole('button', { name: 'Clear filters' }).click();
  await page.getByRole('button', { name: 'Check the chain' }).click();
  await expect(page.getByText(/^All \d+ entries are there, unchanged\.$/)).toBeVisible();
  expect(await violations(page), 'the audit log').toEqual([]);
  await page.getByRole('button', { name: 'Export' }).click();
  const downloaded = page.waitForEvent('download');
  await page.getByRole('menuitem', { name: /a JSON object a line/ }).click();
  expect((await downloaded).suggestedFilename()).toBe('audit.jsonl');
});

test('a program that waits is signed in by its code', async ({ page, own }) => {
  await setUp(page, own);
  const begin = await page.request.post(`${own.url}/api/v1/device`, { headers: { origin: own.url } });
  const { user_code: code, device_code: secret } = (await begin.json()) as { user_code: string; device_code: string };
  await page.goto(`${own.url}/device`);
  await page.getByRole('textbox', { name: 'Code' }).fill('bbbb-bbbb');
  await page.keyboard.press('Enter');
  await expect(page.getByText('No program waits under BBBB-BBBB')).toBeVisible();
  await page.getByRole('textbox', { name: 'Code' }).fill(code.toLowerCase());
  await page.keyboard.press('Enter');
  await expect(page.getByText('Say yes only if you have just started it yourself')).toBeVisible();
  expect(await violations(page)).toEqual([]);
  await page.getByRole('button', { name: 'Sign it in as ada' }).click();
  await expect(page.getByRole('status').filter({ hasText: 'It is signed in as ada' })).toBeVisible();
  const asked = await page.request.post(`${own.url}/api/v1/device/session`, { headers: { origin: own.url }, data: { device_code: secret } });
  expect(await asked.json()).toMatchObject({ name: 'ada' });
});

test('a machine is enrolled, let in, seen by whom it is granted, and shut out', async ({ page, own, browser }) => {
  test.setTimeout(120_000);
  await setUp(page, own);
  await page.getByRole('button', { name: 'Enrol a machine' }).click();
  await page.getByRole('button', { name: 'Enrol a machine' }).click();
  const dialog = page.getByRole('dialog', { name: 'Enrol a machine' });
  await dialog.getByRole('textbox', { name: 'Name' }).fill('frida');
  await dialog.getByRole('textbox', { name: 'Kind' }).fill('lekiwi');
  await dialog.getByRole('textbox', { name: 'Labels' }).fill('site=munich');
  await dialog.getByRole('checkbox', { name: 'It waits until a person accepts it' }).check();
  await dialog.getByRole('button', { name: 'Make a token' }).click();
  await dialog.getByRole('tab', { name: 'Token alone' }).click();
  const token = (await dialog.getByText(/^mste_/).last().innerText()).trim();
  await dialog.getByRole('button', { name: 'I have handed it over' }).click();
  expect(await own.machine('frida', 'enroll', token, '--server', own.url)).toBe(0);
  // Used once, it is of no use to anybody else.
  expect(await own.machine('another', 'enroll', token, '--server', own.url)).not.toBe(0);
  void own.machine('frida', 'run');
  await expect(page.getByRole('row', { name: /frida lekiwi/ }).first()).toContainText('waits', { timeout: 20_000 });
  await page.getByRole('button', { name: 'Accept frida' }).click();
  const identity = page.getByRole('region', { name: 'Identities', exact: true }).getByRole('row', { name: /frida/ });
  await expect(identity).toContainText('connected', { timeout: 40_000 });
  await expect(identity).toContainText('in 89 d 23 h');
  await page.getByRole('button', { name: 'Certificates of frida' }).click();
  await expect(page.getByText('in force', { exact: true })).toBeVisible();
  expect(await violations(page), 'identities').toEqual([]);

  // Whom it is granted to sees it, and is told exactly why it may not be stopped.
  await addPerson(page, own, 'vera', 'three long words here', 'viewer');
  await page.getByRole('combobox', { name: 'Where viewer is granted' }).selectOption('some');
  await page.getByRole('combobox', { name: 'Scope of viewer' }).fill('label.site=munich');
  await expect(page.getByText('It reaches 1 machine now: frida.')).toBeVisible();
  await page.getByRole('textbox', { name: 'Why' }).fill('munich only');
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByText('Saved; it is in force.')).toBeVisible();
  const other = await (await browser.newContext({ baseURL: own.url, ignoreHTTPSErrors: true })).newPage();
  await other.goto('/');
  await signIn(other, 'vera', 'three long words here');
  await other.getByRole('link', { name: 'frida' }).click();
  await expect(other.getByRole('button', { name: 'Remote stop', exact: true })).toHaveAccessibleDescription(/^To do this to frida needs stop, which operator, admin may; vera is viewer on label\.site=munich\.$/);

  await page.goto('/access/machines');
  await page.getByRole('button', { name: 'Shut out frida' }).click();
  await page.getByRole('textbox', { name: 'Why' }).fill('stolen');
  await page.getByRole('button', { name: 'Shut it out' }).click();
  await expect(identity).toContainText('“stolen”');
  await expect(other.getByText(/Not heard of for/)).toBeVisible({ timeout: 30_000 });
});
