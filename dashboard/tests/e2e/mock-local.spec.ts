/** A server that lets everybody on its computer in. */
import { expect, test, violations } from './fixtures';

for (const scheme of ['light', 'dark'] as const) {
  test.describe(`in ${scheme}`, () => {
    test.use({ colorScheme: scheme });

    test('nobody signs in, and that is said', async ({ page }) => {
      await page.goto('/');
      await expect(page.getByRole('row').nth(3)).toBeVisible();
      await expect(page.getByRole('button', { name: /Signed in as/ })).toHaveCount(0);
      const mark = page.getByRole('button', { name: 'Local: everybody on this computer may do everything' });
      await mark.focus();
      await page.keyboard.press('Enter');
      await expect(page.getByRole('dialog')).toContainText('Nobody has to sign in here');
      await page.waitForTimeout(300);
      expect(await violations(page), 'the mark').toEqual([]);
      await page.getByRole('link', { name: 'Who could do what' }).click();
      await expect(page.getByRole('heading', { name: 'People' })).toBeVisible();
      await page.goto('/account');
      await expect(page.getByText('Nobody has to sign in here')).toBeVisible();
      expect(await violations(page), 'an account that there is not').toEqual([]);
    });
  });
}

test.describe('machines', () => {
  test.use({ expectedErrors: [/status of 409/] });

  test('have no identities there, and that is explained', async ({ page }) => {
    await page.goto('/access/machines');
    await expect(page.getByRole('heading', { name: 'Machines need no identity here' })).toBeVisible();
    expect(await violations(page)).toEqual([]);
  });
});

test('pages that are only ever now leave the past', async ({ page }) => {
  await page.goto(`/?at=${new Date(Date.now() - 60_000).toISOString()}`);
  await expect(page.getByRole('region', { name: 'Past' })).toBeVisible();
  await page.getByRole('link', { name: 'Access' }).click();
  await expect(page.getByRole('heading', { name: 'People' })).toBeVisible();
  await expect(page).toHaveURL(/\/access\/people$/);
  await expect(page.getByRole('region', { name: 'Past' })).toHaveCount(0);
  await page.keyboard.press('f');
  await expect(page.getByRole('row').nth(3)).toBeVisible();
  await page.keyboard.press('a');
  await expect(page.getByRole('heading', { name: 'People' })).toBeVisible();
});
