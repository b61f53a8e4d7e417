/** What machines prove who they are by. */
import { violations } from './fixtures';
import { expect, REFUSED, signIn, test } from './sign-in';

test.use({ expectedErrors: REFUSED });

for (const scheme of ['light', 'dark'] as const) {
  test.describe(`in ${scheme}`, () => {
    test.use({ colorScheme: scheme });

    test('who waits stands first, and is let in; what ends soon and was cloned is said', async ({ page }) => {
      test.setTimeout(90_000);
      await signIn(page, 'ada', '/access/machines');
      const table = page.getByRole('region', { name: 'Identities', exact: true });
      await expect(page.getByText('24 machines, 2 waiting to be accepted')).toBeVisible();
      const rows = table.getByRole('row');
      await expect(rows.nth(1)).toContainText('waits');
      await expect(rows.nth(3)).toContainText('cloned somebody else has its key');
      await expect(rows.nth(4)).toContainText('in 3 d 23 h');
      await expect(rows.last()).toContainText('shut out');
      await expect(rows.last()).toContainText('none in force');
      expect(await violations(page), 'identities').toEqual([]);
      await page.getByRole('button', { name: 'Accept pi-bruno' }).click();
      await expect(page.getByText('24 machines, 1 waiting to be accepted')).toBeVisible();
      await page.getByRole('textbox', { name: 'Search the identities' }).fill('car-frida');
      await expect(rows).toHaveCount(2);
      await page.getByRole('button', { name: 'Renew car-frida', exact: true }).click();
      await expect(page.getByRole('button', { name: 'Will renew car-frida' })).toBeDisabled();
      await page.getByRole('button', { name: 'Certificates of car-frida' }).click();
      await expect(table.getByText('a newer one is used')).toBeVisible();
      await expect(table.getByText('in force', { exact: true })).toBeVisible();
      expect(await violations(page), 'certificates').toEqual([]);
    });
  });
}

test('a machine is enrolled, with a token in every way in which it gets there', async ({ page }) => {
  test.setTimeout(90_000);
  await signIn(page, 'ada', '/access/machines');
  await page.getByRole('button', { name: 'Enrol a machine' }).click();
  const dialog = page.getByRole('dialog', { name: 'Enrol a machine' });
  await expect(dialog.getByRole('textbox', { name: 'Name' })).toBeFocused();
  await dialog.getByRole('textbox', { name: 'Name' }).fill('frida');
  await dialog.getByRole('textbox', { name: 'Kind' }).fill('le kiwi');
  await dialog.getByRole('textbox', { name: 'Labels' }).fill('site');
  await expect(dialog.getByText('Write them like site=munich line=3')).toBeVisible();
  await dialog.getByRole('textbox', { name: 'Labels' }).fill('site=munich');
  await dialog.getByRole('button', { name: 'Make a token' }).click();
  await expect(dialog.getByText('1 to 32 lower-case letters, digits and dashes are accepted')).toBeVisible();
  await dialog.getByRole('textbox', { name: 'Kind' }).fill('lekiwi');
  await dialog.getByRole('checkbox', { name: 'It waits until a person accepts it' }).check();
  await dialog.getByRole('button', { name: 'Make a token' }).click();
  await expect(dialog.getByText(/^muster-machine enroll mste_\S+ --server http:\/\/127\.0\.0\.1:\d+$/)).toBeVisible();
  await dialog.getByRole('textbox', { name: 'Where the machine reaches the server' }).fill('https://fleet.example:7700/');
  await expect(dialog.getByText(/--server https:\/\/fleet\.example:7700$/)).toBeVisible();
  await page.waitForTimeout(300);
  expect(await violations(page), 'the command').toEqual([]);
  await dialog.getByRole('tab', { name: 'Code for a camera' }).click();
  await expect(dialog.getByRole('img', { name: 'QR code of the token' })).toBeVisible();
  await dialog.getByRole('tab', { name: 'cloud-init' }).click();
  await expect(dialog.getByText(/^#cloud-config/)).toBeVisible();
  await page.waitForTimeout(300);
  expect(await violations(page), 'the snippet').toEqual([]);
  await dialog.getByRole('button', { name: 'I have handed it over' }).click();
  const tokens = page.getByRole('region', { name: 'Tokens for enrolment' });
  await expect(tokens.getByRole('row', { name: /frida lekiwi, waits to be accepted/ })).toContainText('open, ends in 59 min');
  await tokens.getByRole('button', { name: 'Withdraw the token for frida' }).click();
  await expect(tokens.getByRole('row', { name: /frida/ })).toHaveCount(0);
});

test('a machine is shut out with a reason, and gets a token of its own to come back', async ({ page }) => {
  test.setTimeout(90_000);
  await signIn(page, 'ada', '/access/machines');
  await page.getByRole('button', { name: 'Shut out car-hugo' }).click();
  const dialog = page.getByRole('dialog', { name: 'Shut car-hugo out' });
  await expect(dialog).toContainText('stop it first, if it should stand');
  await dialog.getByRole('textbox', { name: 'Why' }).fill('stolen');
  await dialog.getByRole('button', { name: 'Shut it out' }).click();
  await expect(page.getByRole('row', { name: /car-hugo/ })).toContainText('“stolen”');
  await page.getByRole('button', { name: 'New token for car-hugo' }).click();
  const again = page.getByRole('dialog', { name: 'A token for a machine that is known' });
  await expect(again).toContainText('For this machine alone');
  await expect(again.getByText(/ --again$/)).toBeVisible();
  await again.getByRole('button', { name: 'I have handed it over' }).click();
  await page.getByRole('button', { name: 'Exchange the authority …' }).click();
  await page.getByRole('button', { name: 'Make a further one' }).click();
  const authorities = page.getByRole('region', { name: 'Authorities' });
  await expect(authorities.getByRole('row')).toHaveCount(3);
  await expect(authorities.getByRole('row').nth(1)).toContainText('2 issues');
  expect(await violations(page), 'authorities').toEqual([]);
});

test('who may not enrol machines is told so, and the page fits a narrow screen', async ({ page }) => {
  await page.setViewportSize({ width: 390, height: 760 });
  await signIn(page, 'oskar', '/access/machines');
  await expect(page.getByText(/Needs enrol, which admin holds; you have operator on label.line=1/)).toBeVisible();
  await page.context().clearCookies();
  await page.reload();
  await signIn(page, 'ada', '/access/machines');
  await expect(page.getByText('24 machines')).toBeVisible();
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
});
