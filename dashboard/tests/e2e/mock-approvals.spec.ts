/** Acts that wait for a second person. */
import type { Page } from '@playwright/test';
import type { MachinePage } from '../../src/api/types';
import { violations } from './fixtures';
import { expect, REFUSED, signIn, test } from './sign-in';

test.use({ expectedErrors: REFUSED });

const badge = (page: Page) => page.getByRole('link', { name: /for your approval$/ });
const one = async (page: Page, filter: string) => {
  const found = await page.evaluate(async (text) => (await (await fetch(`/api/v1/machines?limit=10&sort=name&filter=${encodeURIComponent(text)}`)).json()) as MachinePage, filter);
  return found.items[0]?.id ?? '';
};
/** Another admin, for what only admins may. */
const secondAdmin = (page: Page) => page.evaluate(async () => {
  const body = JSON.stringify({ display_name: '', grants: [{ role: 'admin', scope: '*' }], password: 'emmy emmy emmy', reason: 'a second one' });
  await fetch('/api/v1/people/emmy', { method: 'PUT', headers: { 'if-none-match': '*', 'content-type': 'application/json' }, body });
});
const addPolicy = (page: Page, name: string, permissions: string[], condition: string) => page.evaluate(async (body) => {
  await fetch(`/api/v1/policies/${body.name}`, { method: 'PUT', headers: { 'if-none-match': '*', 'content-type': 'application/json' }, body: JSON.stringify(body) });
}, { name, effect: 'second_person', permissions, condition, description: 'Two look at it', reason: 'agreed' });
async function another(page: Page, url: string, name: string, path: string, code?: string): Promise<void> {
  await page.context().clearCookies();
  await page.goto(url);
  await signIn(page, name, path, code);
}

for (const scheme of ['light', 'dark'] as const) {
  test.describe(`in ${scheme}`, () => {
    test.use({ colorScheme: scheme });

    test('what waits for whoever looks comes first, is approved, and the badge counts it', async ({ page }) => {
      test.setTimeout(120_000);
      await signIn(page, 'ada');
      await expect(badge(page)).toHaveText('2');
      await badge(page).click();
      await expect(page).toHaveURL(/\/access\/approvals$/);
      const mine = page.getByRole('region', { name: 'For you' });
      await expect(mine.getByRole('listitem')).toHaveCount(2);
      await expect(mine.getByRole('listitem').first()).toContainText('“new wheels since this morning”');
      await expect(mine.getByRole('listitem').first()).toContainText('Line 4 moves people');
      await expect(page.getByRole('region', { name: 'For others' }).getByRole('listitem')).toContainText('You propose to change the labels of');
      const decided = page.getByRole('region', { name: 'Decided' });
      for (const words of ['Approved by ada: “as agreed on Friday”.', 'it could not be done: somebody else changed it meanwhile (MST-A012).', 'Refused by grace: “the sign on it says otherwise”.', 'Nobody decided in time.']) {
        await expect(decided).toContainText(words);
      }
      expect(await violations(page), 'the list').toEqual([]);

      await mine.getByRole('link', { name: /^grace proposes to change the labels of/ }).click();
      await expect(page.getByText('It waits for you')).toBeVisible();
      await expect(page.getByRole('region', { name: 'The request' })).toContainText('If-Match: "1"');
      await expect(page.getByLabel('Body of the request')).toContainText('"hall": "2"');
      expect(await violations(page), 'a proposal').toEqual([]);
      await page.getByRole('button', { name: 'Approve …' }).click();
      const dialog = page.getByRole('dialog', { name: 'Approve it' });
      await expect(dialog).toContainText('the server does exactly this: change the labels of');
      await expect(dialog.getByLabel('Body of the request')).toContainText('"hall": "2"');
      await page.waitForTimeout(400);
      expect(await violations(page), 'approving').toEqual([]);
      await dialog.getByRole('button', { name: 'Approve, and do it' }).click();
      await expect(page.getByText('Done. Approved by ada.')).toBeVisible();
      await expect(badge(page)).toHaveText('1');
      expect(await violations(page), 'a proposal that is done').toEqual([]);
      // What was done is of both.
      await page.goto('/access/audit');
      const list = page.getByRole('list', { name: 'Audit log, newest first' });
      await expect(list.getByRole('listitem').nth(1)).toContainText('grace with ada');
      await list.getByRole('listitem').nth(1).getByRole('button', { name: /^Details/ }).click();
      await page.getByRole('combobox', { name: 'Outcome' }).click();
      await page.getByRole('option', { name: 'Proposed' }).click();
      await expect(list.getByRole('listitem')).toHaveCount(1);
      await list.getByRole('button', { name: /^Details of machines.label by ada/ }).click();
      expect(await violations(page), 'the audit log').toEqual([]);
      await list.getByRole('link', { name: /^p-/ }).click();
      await expect(page.getByText('It waits for somebody else')).toBeVisible();
    });

    test('a waiting act is said calmly where it was done, and followed', async ({ page, own }) => {
      test.setTimeout(120_000);
      await signIn(page, 'ada');
      await page.goto(`/machines/${await one(page, 'label.line=4 kind=pi')}`);
      const rename = page.getByRole('button', { name: 'Change the name' });
      await expect(rename).toHaveAccessibleDescription('A second person must approve it: the policy line-4 asks for one.', { timeout: 30_000 });
      await rename.hover();
      await expect(page.locator('[role=tooltip]')).toContainText('A second person must approve it');
      await rename.click();
      await page.getByRole('textbox', { name: 'Name shown for this machine' }).fill('shuttle five');
      await page.getByRole('button', { name: 'Save' }).click();
      const notice = page.getByRole('status').filter({ hasText: 'second person' });
      await expect(notice).toContainText('Waits for a second person: Line 4 moves people: nothing on it is changed by one person alone.');
      await expect(page.getByRole('alert')).toHaveCount(0);
      await page.mouse.move(600, 500);
      await page.waitForTimeout(300);
      expect(await violations(page), 'the notice').toEqual([]);
      await notice.getByRole('link', { name: 'See the proposal' }).click();
      await expect(page.getByRole('heading', { name: /^Rename pi-/ })).toBeVisible();

      // One's own cannot be approved, and says why; it can be taken back.
      for (const name of ['Approve …', 'Refuse …']) {
        await expect(page.getByRole('button', { name })).toHaveAttribute('aria-disabled', 'true');
        await expect(page.getByRole('button', { name })).toHaveAccessibleDescription('You proposed it: it takes somebody else.');
      }
      await page.getByRole('button', { name: 'Approve …' }).click({ force: true });
      await expect(page.getByRole('dialog')).toHaveCount(0);
      expect(await violations(page), 'one’s own proposal').toEqual([]);
      const at = page.url();
      await page.goto(`${own.url}/access/approvals`);
      await page.getByRole('button', { name: /^Withdraw: rename/ }).click();
      await page.getByRole('dialog', { name: 'Withdraw it' }).getByRole('button', { name: 'Withdraw it' }).click();
      await expect(page.getByRole('region', { name: 'Decided' })).toContainText('Taken back by ada.');
      await page.goto(at);
      await expect(page.getByText('Withdrawn. Taken back by ada.')).toBeVisible();
    });
  });
}

test('a proposal is refused with a reason, and with none it is not', async ({ page, own }) => {
  test.setTimeout(90_000);
  await signIn(page, 'grace', '/access/approvals', '123456');
  await page.getByRole('link', { name: /^ada proposes to change the labels of/ }).click();
  const { pathname } = new URL(page.url());
  await page.getByRole('button', { name: 'Refuse …' }).press('Enter');
  const dialog = page.getByRole('dialog', { name: 'Refuse it' });
  await expect(dialog.getByRole('textbox', { name: 'Why' })).toBeFocused();
  await expect(dialog.getByRole('button', { name: 'Refuse it' })).toBeDisabled();
  await dialog.getByRole('textbox', { name: 'Why' }).fill('  ');
  await expect(dialog.getByRole('button', { name: 'Refuse it' })).toBeDisabled();
  await dialog.getByRole('textbox', { name: 'Why' }).fill('hall 1 is closed');
  await dialog.getByRole('button', { name: 'Refuse it' }).click();
  await expect(page.getByText('Refused. By grace: “hall 1 is closed”.')).toBeVisible();
  await another(page, own.url, 'ada', pathname);
  await expect(page.getByText('Refused. By grace: “hall 1 is closed”.')).toBeVisible();
});

test('what was changed meanwhile fails, and says so', async ({ page }) => {
  test.setTimeout(90_000);
  await signIn(page, 'ada', '/access/approvals');
  await page.getByRole('link', { name: /^grace proposes to change the labels of/ }).click();
  await page.getByRole('button', { name: 'Approve …' }).click();
  const dialog = page.getByRole('dialog', { name: 'Approve it' });
  await expect(dialog).toContainText('If it was changed since, it fails and nothing is done.');
  // Somebody is faster: the same machine gets another name, with a second person of its own.
  await page.evaluate(async (proposal) => {
    const { machine } = (await (await fetch(`/api/v1/proposals/${proposal}`)).json()) as { machine: string };
    await fetch('/api/v1/policies/line-4', { method: 'DELETE', headers: { 'if-match': '"1"' } });
    await fetch(`/api/v1/machines/${machine}/display-name`, { method: 'PUT', headers: { 'if-match': '"1"', 'content-type': 'application/json' }, body: JSON.stringify({ display_name: 'else' }) });
  }, new URL(page.url()).pathname.split('/').at(-1));
  await dialog.getByRole('button', { name: 'Approve, and do it' }).click();
  await expect(page.getByText('Failed. Approved by ada, and it could not be done: Somebody else changed this meanwhile. (MST-A012).')).toBeVisible();
});

test('forms leave with the notice, and a secret that was answered is for whoever proposed it', async ({ page, own }) => {
  test.setTimeout(120_000);
  await signIn(page, 'ada', '/access/machines');
  await secondAdmin(page);
  await addPolicy(page, 'tokens', ['enrol'], 'action == "enrolments.make"');
  await addPolicy(page, 'leaving', ['administer'], 'action == "people.remove"');
  await page.getByRole('button', { name: 'Enrol a machine' }).click();
  const enrol = page.getByRole('dialog', { name: 'Enrol a machine' });
  await enrol.getByRole('textbox', { name: 'Name' }).fill('nora');
  await enrol.getByRole('button', { name: 'Make a token' }).click();
  await expect(enrol.getByRole('status')).toContainText('Waits for a second person: Two look at it.');
  await expect(enrol.getByRole('textbox')).toHaveCount(0);
  expect(await violations(page), 'a form that waits').toEqual([]);
  await enrol.getByRole('status').getByRole('button', { name: 'Close' }).click();
  await expect(enrol).toBeHidden();

  await page.goto('/access/people/yuri');
  await page.getByRole('button', { name: 'Remove Yuri Knorozov …' }).click();
  const remove = page.getByRole('dialog', { name: 'Remove Yuri Knorozov' });
  await remove.getByRole('textbox', { name: 'Why' }).fill('left the company');
  await remove.getByRole('button', { name: 'Remove yuri' }).click();
  await expect(remove.getByRole('status')).toContainText('Waits for a second person: Two look at it.');
  await remove.getByRole('status').getByRole('link', { name: 'See the proposal' }).click();
  await expect(page.getByRole('heading', { name: 'Remove the person yuri' })).toBeVisible();
  await expect(page.getByText('“left the company”')).toBeVisible();

  await another(page, own.url, 'emmy', '/access/approvals');
  for (const name of ['Remove the person yuri', 'Make a token for a machine that enrols']) {
    await page.goto(`${own.url}/access/approvals`);
    await page.getByRole('link', { name: `ada proposes to ${name.charAt(0).toLowerCase()}${name.slice(1)}` }).click();
    await page.getByRole('button', { name: 'Approve …' }).click();
    await page.getByRole('dialog').getByRole('textbox', { name: 'Why' }).fill('seen');
    await page.getByRole('button', { name: 'Approve, and do it' }).click();
    await expect(page.getByText('Done. Approved by emmy: “seen”.')).toBeVisible();
    await expect(page.getByRole('region', { name: 'What it answered' })).toHaveCount(0);
  }
  const { pathname } = new URL(page.url());
  await another(page, own.url, 'ada', pathname);
  const answered = page.getByRole('region', { name: 'What it answered' });
  await expect(answered).toContainText('It holds a secret that is told once');
  await expect(page.getByText(/mste_/)).toHaveCount(0);
  await answered.getByRole('button', { name: 'Show the secret' }).click();
  await expect(answered.getByText(/^mste_/)).toBeVisible();
  expect(await violations(page), 'a secret that was answered').toEqual([]);
  await answered.getByRole('button', { name: 'Hide it' }).click();
  await expect(page.getByText(/mste_/)).toHaveCount(0);
  await page.goto(`${own.url}/access/people`);
  await expect(page.getByText('Yuri Knorozov')).toHaveCount(0);
});

test('a policy asks for a second person, never to read or to stop', async ({ page }) => {
  test.setTimeout(90_000);
  await signIn(page, 'ada', '/access/roles');
  await expect(page.getByRole('listitem').filter({ hasText: 'line-4' })).toContainText('asks for a second person deploy, configure');
  await page.getByRole('button', { name: 'Add a policy' }).click();
  const dialog = page.getByRole('dialog', { name: 'Add a policy' });
  await dialog.getByRole('textbox', { name: 'Name' }).fill('two');
  await expect(dialog.getByRole('checkbox', { name: 'stop' })).toBeVisible();
  await dialog.getByText('Asks for a second person', { exact: true }).click();
  await expect(dialog.getByText(/a stop waits for nobody/)).toBeVisible();
  await expect(dialog.getByRole('checkbox', { name: 'stop' })).toHaveCount(0);
  await expect(dialog.getByRole('checkbox', { name: 'read' })).toHaveCount(0);
  await expect(dialog.getByText(/action is the word of the audit log/)).toBeVisible();
  await dialog.getByRole('checkbox', { name: 'configure' }).check();
  await dialog.getByRole('textbox', { name: 'When it holds' }).fill('machine.labels.line == "2"');
  const would = dialog.getByRole('region', { name: 'What it would do' });
  await would.getByRole('combobox', { name: 'To which machine' }).fill('pi-bruno');
  await page.getByRole('option', { name: 'pi-bruno' }).click();
  const row = would.getByRole('row', { name: /^configure/ });
  await expect(row).toContainText(/with a second person|yes/);
  await dialog.getByRole('textbox', { name: 'When it holds' }).fill('true');
  await expect(row).toContainText('with a second person');
  await expect(row).toContainText('this policy asks for a second person');
  await expect(would.getByRole('row', { name: /^stop/ })).toContainText('yes');
  expect(await violations(page), 'the form').toEqual([]);
  await dialog.getByRole('textbox', { name: 'What it is for' }).fill('Two look at every machine');
  await dialog.getByRole('textbox', { name: 'Why it is changed' }).fill('agreed');
  await dialog.getByRole('button', { name: 'Put it in force' }).click();
  await expect(page.getByRole('heading', { name: 'two', exact: true })).toBeVisible();
});

test('nothing waits, nothing can be asked, nothing there: each is said; a telephone shows it whole', async ({ page }) => {
  test.setTimeout(90_000);
  await page.setViewportSize({ width: 390, height: 760 });
  await signIn(page, 'vera', '/access/approvals');
  await expect(page.getByText('Nothing waits for a second person')).toBeVisible();
  await expect(badge(page)).toHaveCount(0);
  expect(await violations(page), 'nothing waits').toEqual([]);
  await page.goto('/access/approvals/p-none');
  await expect(page.getByText('There is no such proposal')).toBeVisible();
  expect(await violations(page), 'no proposal').toEqual([]);
  await page.context().clearCookies();
  await page.reload();
  await signIn(page, 'ada', '/access/approvals');
  await expect(page.getByText('3 acts wait, 2 for you')).toBeVisible();
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
  await page.getByRole('link', { name: /calibration of/ }).click();
  await expect(page.getByText('It waits for you')).toBeVisible();
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
});
