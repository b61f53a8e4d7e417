/** Who may do what, and who did what. */
import type { Page } from '@playwright/test';
import type { MachinePage } from '../../src/api/types';
import { violations } from './fixtures';
import { expect, REFUSED, signIn, test } from './sign-in';

test.use({ expectedErrors: REFUSED });

/** The machines that somebody sees, as the page itself asks for them. */
const machinesOf = (page: Page): Promise<MachinePage> => page.evaluate(async () => (await (await fetch('/api/v1/machines?limit=100&sort=name')).json()) as MachinePage);

const PAGES: [string, string][] = [
  ['/account', 'What you may do'], ['/access/people', 'Oskar Sala'], ['/access/people/grace', 'What could Grace Hopper do?'], ['/access/roles', 'administer'],
  ['/access/tokens', 'nightly report'], ['/access/sessions', 'Firefox on Linux'], ['/access/audit', 'people.change'], ['/access/people/nobody', 'There is no such person'],
];

for (const scheme of ['light', 'dark'] as const) {
  test.describe(`in ${scheme}`, () => {
    test.use({ colorScheme: scheme });

    test('axe finds nothing on any page about people', async ({ page }) => {
      test.setTimeout(120_000);
      await signIn(page, 'ada');
      for (const [path, there] of PAGES) {
        await page.goto(path);
        await expect(page.getByText(there).first()).toBeVisible();
        await page.waitForTimeout(300);
        expect(await violations(page), path).toEqual([]);
      }
      const dialogs: [string, string][] = [['/access/people', 'Add a person'], ['/access/roles', 'Add a policy'], ['/access/roles', 'Change night'], ['/access/tokens', 'Make a token'], ['/access/sessions', 'End the session of grace']];
      for (const [path, button] of dialogs) {
        await page.goto(path);
        await page.getByRole('button', { name: button }).click();
        await expect(page.getByRole('dialog')).toBeVisible();
        await page.waitForTimeout(700);
        expect(await violations(page), button).toEqual([]);
      }
    });

    test('what may not be done says why, by pointer, keyboard and screen reader', async ({ page }) => {
      test.setTimeout(90_000);
      await signIn(page, 'vera');
      const mine = await machinesOf(page);
      expect(mine.total).toBeGreaterThan(0);
      expect(mine.items.every((each) => each.labels['line'] === '1')).toBe(true);
      const stop = page.getByRole('button', { name: 'Remote stop…' });
      await expect(stop).toHaveAttribute('aria-disabled', 'true');
      await expect(stop).toHaveAccessibleDescription('Needs stop, which operator and admin hold; you have viewer on label.line=1.');
      await stop.click({ force: true });
      await expect(page.locator('[role=tooltip]')).toContainText('Needs stop');
      await expect(page.getByRole('dialog')).toHaveCount(0);
      await page.goto(`/machines/${mine.items[0]?.id}`);
      const one = page.getByRole('button', { name: 'Remote stop', exact: true });
      await expect(one).toHaveAccessibleDescription(/^Needs stop, which operator and admin hold; vera has viewer on label.line=1\.$/);
      await one.focus();
      await expect(page.locator('[role=tooltip]')).toContainText('Needs stop');
      await page.keyboard.press('Enter');
      await expect(page.getByRole('dialog')).toHaveCount(0);
      for (const name of ['Change the labels', 'Change the name']) {
        await expect(page.getByRole('button', { name })).toHaveAccessibleDescription(/^Needs configure/);
      }
      await page.waitForTimeout(300);
      expect(await violations(page), 'a machine that may only be looked at').toEqual([]);
      await page.getByRole('link', { name: 'Access' }).click();
      await expect(page.getByRole('heading', { name: 'Roles and policies' })).toBeVisible();
      await expect(page.getByRole('button', { name: 'Add a policy' })).toHaveAccessibleDescription(/^Needs administer for the whole fleet, which admin holds/);
      await page.getByRole('link', { name: /^People/ }).click();
      await expect(page.getByText('You may not see the people of this fleet')).toBeVisible();
      await expect(page.getByText(/Needs administer for the whole fleet, which admin holds; you have viewer on label.line=1/)).toBeVisible();
      expect(await violations(page), 'a page that may not be seen').toEqual([]);
    });
  });
}

test('a machine that may not be seen is not there, and a rule that forbids is named', async ({ page, own }) => {
  await signIn(page, 'grace', '/', '123456');
  await expect(page.getByRole('row').nth(3)).toBeVisible();
  const all = await machinesOf(page);
  const third = all.items.find((each) => each.labels['line'] === '3');
  await page.goto(`/machines/${third?.id}`);
  await expect(page.getByRole('button', { name: 'Change the labels' })).toHaveAccessibleDescription(/The policy night forbids configure: Line 3 is being rebuilt/);
  await page.context().clearCookies();
  await page.goto(own.url);
  await signIn(page, 'vera', `/machines/${third?.id}`);
  await expect(page.getByText('There is no such machine')).toBeVisible();
});

test('a person is added, with a scope that is looked up while it is typed', async ({ page }) => {
  await signIn(page, 'ada', '/access/people');
  await page.getByRole('button', { name: 'Add a person' }).click();
  const dialog = page.getByRole('dialog', { name: 'Add a person' });
  await dialog.getByRole('textbox', { name: 'Name to sign in by' }).fill('oskar');
  await dialog.getByRole('combobox', { name: 'Where viewer is granted' }).selectOption('some');
  const scope = dialog.getByRole('combobox', { name: 'Scope of viewer' });
  await scope.fill('kind=car');
  await expect(dialog.getByText(/none must choose who may see it/)).toBeVisible();
  await scope.fill('label.line=4');
  await expect(dialog.getByText(/It reaches 6 machines now: /)).toBeVisible();
  await scope.fill('label.line=9');
  await expect(dialog.getByText('It reaches no machine now.')).toBeVisible();
  await scope.fill('label.line=4');
  await dialog.getByRole('textbox', { name: 'Why' }).fill('new on line 4');
  await page.keyboard.press('Enter');
  await expect(dialog.getByRole('alert')).toContainText('There is somebody called oskar already.');
  await dialog.getByRole('textbox', { name: 'Name to sign in by' }).fill('lina');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(/\/access\/people\/lina$/);
  // The list, in which others are marked so as well, stays until the page is there.
  await expect(dialog).toBeHidden();
  await expect(page.getByRole('heading', { level: 1, name: 'lina' })).toBeVisible();
  await expect(page.getByText('tokens only', { exact: true })).toBeVisible();
  const could = page.getByRole('region', { name: 'What they could do' });
  await expect(could.getByRole('row', { name: /^read/ })).toContainText('6 machines');
  await expect(could.getByRole('row', { name: /^stop/ })).toContainText('needs stop, which operator and admin hold');
  await page.getByRole('link', { name: 'Audit' }).click();
  await expect(page.getByRole('listitem').first()).toContainText('people.add');
  await expect(page.getByRole('listitem').first()).toContainText('“new on line 4”');
});

test('grants are changed over what was read only, and the last admin stays', async ({ page, own }) => {
  await signIn(page, 'ada', '/access/people/oskar');
  await page.getByRole('button', { name: 'Take viewer away' }).click();
  await expect(page.getByRole('button', { name: 'Save' })).toBeDisabled();
  await page.getByRole('textbox', { name: 'Why' }).fill('line 2 is closed');
  // Somebody else was faster.
  await page.evaluate(async () => {
    const read = await fetch('/api/v1/people/oskar');
    const { display_name, grants } = (await read.json()) as { display_name: string; grants: unknown };
    await fetch('/api/v1/people/oskar', { method: 'PUT', headers: { 'if-match': read.headers.get('etag') ?? '', 'content-type': 'application/json' }, body: JSON.stringify({ display_name: `${display_name} jr.`, grants, reason: 'x' }) });
  });
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('alert')).toContainText('Somebody else changed oskar meanwhile');
  await page.getByRole('button', { name: 'put yours on top' }).click();
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByText('Saved; it is in force.')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Take viewer away' })).toHaveCount(0);
  await page.goto(`${own.url}/access/people/ada`);
  await page.getByRole('checkbox', { name: 'Disabled' }).check();
  await page.getByRole('textbox', { name: 'Why' }).fill('to see what happens');
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('alert')).toContainText('Nobody else could administer the fleet any more.');
});

test('somebody is removed with a reason, and is gone from the list', async ({ page }) => {
  await signIn(page, 'ada', '/access/people/yuri');
  await page.getByRole('button', { name: 'Remove Yuri Knorozov …' }).click();
  const dialog = page.getByRole('dialog', { name: 'Remove Yuri Knorozov' });
  await expect(dialog.getByRole('button', { name: 'Remove yuri' })).toBeDisabled();
  await dialog.getByRole('textbox', { name: 'Why' }).fill('left the company');
  await dialog.getByRole('button', { name: 'Remove yuri' }).click();
  await expect(page).toHaveURL(/\/access\/people$/);
  await expect(page.getByText('5 people')).toBeVisible();
  await expect(page.getByText('Yuri Knorozov')).toHaveCount(0);
});

test('a policy is tried on people before it is in force', async ({ page }) => {
  test.setTimeout(90_000);
  await signIn(page, 'ada', '/access/roles');
  await page.getByRole('button', { name: 'Add a policy' }).click();
  const dialog = page.getByRole('dialog', { name: 'Add a policy' });
  await dialog.getByRole('textbox', { name: 'Name' }).fill('fair');
  await dialog.getByRole('checkbox', { name: 'stop' }).check();
  const condition = dialog.getByRole('textbox', { name: 'When it holds' });
  await condition.fill('machine.labels.line = 1');
  await expect(dialog.getByText(/1:1:/)).toBeVisible();
  await expect(dialog.getByRole('button', { name: 'Put it in force' })).toBeDisabled();
  await condition.fill('machine.labels.line == "1"');
  const would = dialog.getByRole('region', { name: 'What it would do' });
  await would.getByRole('combobox', { name: 'Person' }).selectOption('oskar');
  await expect(would.getByRole('row', { name: /^stop/ })).toContainText('0 machines');
  await expect(would.getByRole('row', { name: /^operate/ })).toContainText('6 machines');
  await dialog.getByRole('textbox', { name: 'What it is for' }).fill('The fair: line 1 is only looked at');
  await dialog.getByRole('textbox', { name: 'Why it is changed' }).fill('the fair begins');
  await dialog.getByRole('button', { name: 'Put it in force' }).click();
  await expect(dialog).toBeHidden();
  await expect(page.getByRole('heading', { name: 'fair' })).toBeVisible();
  await page.getByRole('button', { name: 'Remove fair' }).click();
  await page.getByRole('textbox', { name: 'Why' }).fill('the fair is over');
  await page.getByRole('button', { name: 'Remove it' }).click();
  await expect(page.getByRole('heading', { name: 'fair' })).toHaveCount(0);
});

test('a token is told once, and revoked', async ({ page }) => {
  await signIn(page, 'ada', '/access/tokens');
  await page.getByRole('button', { name: 'Make a token' }).click();
  const dialog = page.getByRole('dialog', { name: 'Make a token' });
  await dialog.getByRole('textbox', { name: 'What it is for' }).fill('wall screen');
  await dialog.getByRole('combobox', { name: 'Whose' }).selectOption('wall');
  await dialog.getByRole('combobox', { name: 'Ends after' }).selectOption('604800');
  await dialog.getByRole('button', { name: 'Make it' }).click();
  await expect(dialog.getByText(/^mstt_/)).toBeVisible();
  expect(await violations(page), 'a token that was made').toEqual([]);
  await dialog.getByRole('button', { name: 'I have kept it' }).click();
  const row = page.getByRole('row', { name: /wall screen/ });
  await expect(row).toContainText('viewer');
  await expect(row).toContainText('in 6 d 23 h');
  await expect(page.getByText(/^mstt_/)).toHaveCount(0);
  await row.getByRole('button', { name: 'Revoke wall screen' }).click();
  await page.getByRole('button', { name: 'Revoke it' }).click();
  await expect(row).toHaveCount(0);
});

test('one’s own password, second factor and sessions', async ({ page }) => {
  test.setTimeout(90_000);
  await signIn(page, 'oskar');
  await page.getByRole('button', { name: 'Signed in as Oskar Sala' }).click();
  await page.getByRole('link', { name: 'Second factor, off' }).click();
  await expect(page).toHaveURL(/\/account#second-factor$/);
  const factor = page.getByRole('region', { name: 'Second factor' });
  await factor.getByRole('button', { name: 'Set it up' }).click();
  await expect(factor.getByRole('img', { name: 'QR code for the authenticator' })).toBeVisible();
  await factor.getByRole('textbox', { name: 'The code that it shows' }).fill('111111');
  await page.keyboard.press('Enter');
  await expect(factor.getByText('the code is wrong, or was used already')).toBeVisible();
  expect(await violations(page), 'setting up a second factor').toEqual([]);
  await factor.getByRole('textbox', { name: 'The code that it shows' }).fill('123 456');
  await page.keyboard.press('Enter');
  await expect(factor.getByRole('list', { name: 'Recovery codes' }).getByRole('listitem')).toHaveCount(10);
  expect(await violations(page), 'recovery codes').toEqual([]);
  await factor.getByRole('button', { name: 'I have kept them' }).click();
  await expect(factor).toContainText('On: a code is asked for');
  await factor.getByRole('button', { name: 'Switch it off …' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Switch it off' }).click();
  await expect(factor).toContainText('Off. With it');

  const password = page.getByRole('region', { name: 'Password', exact: true });
  await password.getByLabel('Password so far').fill('wrong');
  await password.getByLabel('New password').fill('another long one');
  await page.keyboard.press('Enter');
  await expect(password.getByText('it is not this one')).toBeVisible();
  await password.getByLabel('Password so far').fill('oskar oskar oskar');
  await page.keyboard.press('Enter');
  await expect(password.getByText('The password is changed.')).toBeVisible();

  const sessions = page.getByRole('region', { name: 'Your sessions' });
  await expect(sessions.getByRole('row')).toHaveCount(2);
  await sessions.getByRole('button', { name: /^End the session of oskar/ }).click();
  await page.getByRole('button', { name: 'End it' }).click();
  await expect(page.getByRole('dialog', { name: 'Sign in again' })).toBeVisible({ timeout: 15_000 });
});

test('the audit log is followed, filtered, opened, checked and exported', async ({ page }) => {
  test.setTimeout(90_000);
  await signIn(page, 'ada', '/access/audit');
  const list = page.getByRole('list', { name: 'Audit log, newest first' });
  await expect(list.getByRole('listitem').first()).toContainText('session.begin');
  await page.getByRole('button', { name: 'Load older' }).click();
  await expect(page.getByText('200 entries loaded')).toBeVisible();
  // What is done meanwhile comes by itself.
  await page.evaluate(() => fetch('/api/v1/stop', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ filter: 'kind=car', reason: 'drill' }) }));
  await expect(list.getByRole('listitem').first()).toContainText('“drill”', { timeout: 15_000 });
  await expect(list.getByRole('listitem').first()).toContainText(/, car-\w+ and \d more/);
  await list.getByRole('button', { name: /^Details of machines.stop by ada/ }).click();
  await expect(list.getByText('with status 202')).toBeVisible();
  await expect(list.getByRole('link', { name: 'car-frida', exact: true })).toBeVisible();
  expect(await violations(page), 'an entry').toEqual([]);
  await page.getByRole('combobox', { name: 'Outcome' }).click();
  await page.getByRole('option', { name: 'Refused' }).click();
  await expect(page).toHaveURL(/outcome=refused/);
  await expect(list.getByText('Done', { exact: true })).toHaveCount(0);
  await page.getByRole('combobox', { name: 'Person' }).fill('vera');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(/person=vera/);
  await expect(list.getByRole('listitem').first()).toContainText('needs stop, which operator and admin hold');
  await page.getByRole('combobox', { name: 'Person' }).fill('nobody');
  await page.keyboard.press('Enter');
  await expect(page.getByText('No entry passes these filters')).toBeVisible();
  await page.getByRole('button', { name: 'Show all of it' }).click();
  await page.getByRole('button', { name: 'Check the chain' }).click();
  await expect(page.getByText(/^All 26\d entries are there, unchanged\.$/)).toBeVisible();
  expect(await violations(page), 'a chain that was checked').toEqual([]);
  await page.getByRole('button', { name: 'Export' }).click();
  const downloaded = page.waitForEvent('download');
  await page.getByRole('menuitem', { name: /CSV/ }).click();
  expect((await downloaded).suggestedFilename()).toBe('audit.csv');
});

test('every page about people fits a narrow screen', async ({ page }) => {
  await page.setViewportSize({ width: 390, height: 760 });
  await signIn(page, 'ada');
  for (const [path, there] of PAGES) {
    await page.goto(path);
    await expect(page.getByText(there).first()).toBeVisible();
    expect(await page.evaluate(() => document.documentElement.scrollWidth), path).toBeLessThanOrEqual(390);
  }
});

test.describe('a server with troubles', () => {
  test.use({ expectedErrors: [/status of (401|500)|WebSocket/] });

  test('has its reason shown on every page, and another try helps', async ({ page, own }) => {
    test.setTimeout(120_000);
    const trouble = (what: object) => fetch(`${own.url}/mock/trouble`, { method: 'POST', body: JSON.stringify(what) });
    await signIn(page, 'ada');
    for (const [path, fails] of [['/access/people', 'people'], ['/access/tokens', 'tokens'], ['/access/sessions', 'sessions'], ['/access/audit', 'audit'], ['/access/roles', 'roles']] as const) {
      await trouble({ fail: fails });
      await page.goto(path);
      await expect(page.getByText('The store does not answer: database is locked.').first()).toBeVisible();
      expect(await violations(page), path).toEqual([]);
      await trouble({ fail: null });
      await page.getByRole('button', { name: 'Try again' }).first().click();
      await expect(page.getByText('The store does not answer: database is locked.')).toHaveCount(0);
    }
    await trouble({ fail: 'me' });
    await page.goto('/events');
    await expect(page.getByText('Could not load who is signed in')).toBeVisible();
    await trouble({ fail: null });
    // It asks again by itself.
    await expect(page.getByRole('listitem').nth(1)).toBeVisible({ timeout: 15_000 });
  });
});
