import { ago, expect, test } from './fixtures';

test('lists events and opens their details', async ({ page }) => {
  await page.goto('/events');
  const rows = page.getByRole('listitem');
  await expect(rows.nth(2)).toBeVisible();
  await rows.nth(1).getByRole('button').click();
  await expect(page.getByText('Recorded', { exact: true })).toBeVisible();
  await page.getByRole('link', { name: 'The machine at that moment' }).click();
  await expect(page).toHaveURL(/machines\/.*at=/);
  await expect(page.getByRole('region', { name: 'Past' })).toBeVisible();
});

test('filters by kind and severity, and says so when nothing passes', async ({ page }) => {
  await page.goto('/events?kind=no.such.kind');
  await expect(page.getByText('No event passes these filters')).toBeVisible();
  await page.getByRole('button', { name: 'Show all events' }).click();
  await expect(page.getByRole('listitem').nth(1)).toBeVisible();
  await page.getByRole('combobox', { name: 'Severity' }).click();
  await page.getByRole('option', { name: 'Info or worse' }).click();
  await expect(page).toHaveURL(/severity=info/);
  await expect(page.getByText('Debug', { exact: true })).toHaveCount(0);
});

test('filters by machine, found by its name', async ({ page }) => {
  await page.goto('/events');
  await page.getByRole('combobox', { name: 'Machine' }).click();
  await page.getByRole('combobox', { name: 'Machine' }).fill('car');
  const option = page.getByRole('option').first();
  const name = await option.innerText();
  await option.click();
  await expect(page).toHaveURL(/machine=[0-9a-f-]{36}/);
  await expect(page.getByRole('listitem').first()).toBeVisible();
  const links = page.getByRole('listitem').getByRole('link');
  await expect.poll(async () => [...new Set(await links.allInnerTexts())]).toEqual([name]);
});

test('ends at the moment that is shown', async ({ page }) => {
  await page.goto(`/events?at=${ago(3)}`);
  await expect(page.getByText('Up to the moment shown')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Pause' })).toHaveCount(0);
});
