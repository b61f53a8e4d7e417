/** Who gets in, and how. */
import { violations } from './fixtures';
import { endSessions, expect, needsSetUp, REFUSED, signIn, test } from './sign-in';

test.use({ expectedErrors: REFUSED });

for (const scheme of ['light', 'dark'] as const) {
  test.describe(`in ${scheme}`, () => {
    test.use({ colorScheme: scheme });

    test('signing in leads to the page that was asked for', async ({ page }) => {
      await page.goto('/events?severity=error');
      await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible();
      await expect(page.getByRole('textbox', { name: 'Name' })).toBeFocused();
      expect(await violations(page), 'the sign-in page').toEqual([]);
      await page.keyboard.type('ada');
      await page.keyboard.press('Tab');
      await page.keyboard.type('something else');
      await page.keyboard.press('Enter');
      await expect(page.getByRole('alert')).toContainText('The name or the password is wrong.');
      expect(await violations(page), 'a refusal').toEqual([]);
      // What was wrong is selected: typing puts the right one in its place.
      await expect(page.getByLabel('Password', { exact: true })).toBeFocused();
      await page.keyboard.type('ada ada ada');
      await page.keyboard.press('Enter');
      await expect(page.getByRole('listitem').nth(1)).toBeVisible();
      await expect(page).toHaveURL(/\/events\?severity=error$/);
      await expect(page.getByRole('status', { name: 'Connection: Live' })).toBeVisible();
      await page.getByRole('button', { name: 'Signed in as Ada Lovelace' }).click();
      await expect(page.getByRole('list', { name: 'What is granted to you' })).toHaveText('admin');
      await page.waitForTimeout(300);
      expect(await violations(page), 'the menu of the person').toEqual([]);
    });

    test('a session that ends is begun again over the page, which keeps what was typed', async ({ page, own }) => {
      await signIn(page, 'ada', '/access/people/oskar');
      const field = page.getByRole('textbox', { name: 'Name to be shown' });
      await field.fill('Oskar S.');
      await endSessions(own);
      const dialog = page.getByRole('dialog', { name: 'Sign in again' });
      await expect(dialog).toBeVisible({ timeout: 20_000 });
      await expect(dialog.getByLabel('Password', { exact: true })).toBeFocused();
      await page.waitForTimeout(400);
      expect(await violations(page), 'signing in again').toEqual([]);
      await page.keyboard.press('Escape');
      await expect(dialog).toBeVisible();
      await dialog.getByLabel('Password', { exact: true }).fill('ada ada ada');
      await page.keyboard.press('Enter');
      await expect(dialog).toBeHidden();
      await expect(field).toHaveValue('Oskar S.');
      await expect(page).toHaveURL(/\/access\/people\/oskar$/);
      await expect(page.getByRole('status', { name: 'Connection: Live' })).toBeVisible({ timeout: 15_000 });
      await page.getByRole('textbox', { name: 'Why' }).fill('shorter');
      await page.getByRole('button', { name: 'Save' }).click();
      await expect(page.getByText('Saved; it is in force.')).toBeVisible();
    });

    test('the first admin comes by the link, and by nothing else', async ({ page, own }) => {
      test.setTimeout(90_000);
      await needsSetUp(own);
      await page.goto('/');
      await expect(page.getByRole('heading', { name: 'This fleet has no people yet' })).toBeVisible();
      await expect(page.getByText(/\/set-up#…/)).toBeVisible();
      expect(await violations(page), 'before the first start').toEqual([]);
      await page.goto('/set-up');
      await expect(page.getByText(/The link is not whole/)).toBeVisible();
      await page.goto('/set-up#wrong');
      await page.reload();
      await page.getByRole('textbox', { name: 'Name to sign in by' }).fill('Ada');
      await expect(page.getByText('It begins with a letter a-z or a digit')).toBeVisible();
      await page.getByRole('textbox', { name: 'Name to sign in by' }).fill('ada');
      await page.getByLabel('Password', { exact: true }).fill('too short');
      await expect(page.getByText('3 more characters')).toBeVisible();
      await page.keyboard.press('Enter');
      await expect(page.getByText('At least 12 characters are needed')).toBeVisible();
      expect(await violations(page), 'the first start').toEqual([]);
      await page.getByLabel('Password', { exact: true }).fill('four words beside each other');
      await page.keyboard.press('Enter');
      await expect(page.getByRole('alert')).toContainText('was used already, or is older than an hour');
      await page.goto('/set-up#first');
      await page.reload();
      await page.getByRole('textbox', { name: 'Name to sign in by' }).fill('ada');
      await page.getByLabel('Password', { exact: true }).fill('four words beside each other');
      await page.keyboard.press('Enter');
      await expect(page.getByRole('row').nth(3)).toBeVisible();
      await expect(page).toHaveURL(/:\d+\/$/);
      await page.goto('/set-up#first');
      await page.reload();
      await expect(page.getByRole('heading', { name: 'The fleet is set up already' })).toBeVisible();
    });
  });
}

test('a code is asked for where there is a second factor', async ({ page }) => {
  await page.goto('/');
  await page.getByRole('textbox', { name: 'Name' }).fill('grace');
  await page.getByLabel('Password', { exact: true }).fill('grace grace grace');
  await page.keyboard.press('Enter');
  const code = page.getByRole('textbox', { name: 'Code' });
  await expect(code).toBeFocused();
  await expect(page.getByRole('alert')).toHaveCount(0);
  await page.keyboard.type('000000');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('alert')).toBeVisible();
  await page.keyboard.type('123456');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('button', { name: 'Signed in as Grace Hopper' })).toBeVisible();
});

test('who guesses has to wait, and sees how long', async ({ page }) => {
  await page.goto('/');
  await page.getByRole('textbox', { name: 'Name' }).fill('vera');
  const password = page.getByLabel('Password', { exact: true });
  for (let tries = 0; tries < 6; tries += 1) {
    await password.fill(`guess ${tries}`);
    const answered = page.waitForResponse((response) => response.url().endsWith('/api/v1/session'));
    await page.keyboard.press('Enter');
    await answered;
  }
  await expect(page.getByRole('alert')).toContainText('too many wrong tries');
  await expect(page.getByRole('button', { name: /^Wait \d s$/ })).toBeDisabled();
  await expect(page.getByRole('button', { name: 'Sign in' })).toBeEnabled({ timeout: 15_000 });
  await password.fill('vera vera vera');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('button', { name: 'Signed in as vera' })).toBeVisible();
});

test('signing out leaves nothing of what was loaded', async ({ page }) => {
  await signIn(page, 'ada');
  await expect(page.getByRole('row').nth(3)).toBeVisible();
  await page.getByRole('link', { name: 'Events', exact: true }).click();
  await expect(page.getByRole('listitem').nth(1)).toBeVisible();
  await page.getByRole('button', { name: 'Signed in as Ada Lovelace' }).click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible();
  await expect(page.getByRole('row')).toHaveCount(0);
  await page.goBack();
  await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible();
});

test('somebody else who signs in sees nothing of whoever was there before', async ({ page, own, context }) => {
  await signIn(page, 'ada', '/access/people');
  await expect(page.getByRole('link', { name: 'Oskar Sala' })).toBeVisible();
  // In another tab of the same browser.
  const other = await context.newPage();
  await endSessions(own);
  await signIn(other, 'vera');
  await expect(page.getByText('You may not see the people of this fleet')).toBeVisible({ timeout: 20_000 });
  await expect(page.getByRole('button', { name: 'Signed in as vera' })).toBeVisible();
});

test('the sign-in page fits a narrow screen', async ({ page }) => {
  await page.setViewportSize({ width: 360, height: 640 });
  await page.goto('/');
  await expect(page.getByRole('button', { name: 'Sign in' })).toBeVisible();
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
});

test('who is vouched for by a provider finds the way there, and is told why they were not let in', async ({ page, own }) => {
  const nobody = {
    signed_in: false, grants: [], permissions: [], permissions_everywhere: [], trusts_loopback: false, needs_set_up: false, second_factor: false, provider: 'Example',
  };
  await page.route('**/api/v1/me', (route) => route.fulfill({ json: nobody }));
  await page.goto(`${own.url}/sign-in?problem=no-grants`);
  await expect(page.getByRole('alert')).toHaveText(/none of your groups may do anything here/);
  const way = page.getByRole('link', { name: 'Sign in with Example' });
  await expect(way).toHaveAttribute('href', '/api/v1/session/provider?next=%2F');
  await page.goto(`${own.url}/events?severity=warning`);
  await expect(way).toHaveAttribute('href', '/api/v1/session/provider?next=%2Fevents%3Fseverity%3Dwarning');
});
