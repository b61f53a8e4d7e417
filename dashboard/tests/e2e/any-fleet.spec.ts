import { parseFilter, matches } from '../../src/fleet/filter';
import type { MachinePage } from '../../src/api/types';
import { column, expect, openFleet, test } from './fixtures';

test('shows every machine with status in colour, shape and word', async ({ page }) => {
  await openFleet(page);
  await expect(page.getByRole('status', { name: 'Connection: Live' })).toBeVisible();
  await expect(page.getByText(/^2[45] machines$/)).toBeVisible();
  const chip = page.locator('[role=row][data-id] [data-status]').first();
  await expect(chip).toHaveText(/OK|Parked|Failed|Lost|Attention|Updating|Unknown/);
  await expect(chip.locator('svg')).toBeVisible();
  for (const tile of ['Failed', 'Lost', 'Attention', 'Updating', 'Parked', 'OK', 'Unknown', 'Low battery']) {
    await expect(page.getByRole('button', { name: new RegExp(`^[\\d,]+ ?${tile}$`) })).toBeVisible();
  }
});

test('ages tick by themselves', async ({ page }) => {
  await openFleet(page);
  const before = await column(page, 'Last seen');
  await expect.poll(() => column(page, 'Last seen'), { timeout: 15_000 }).not.toEqual(before);
});

test('filters by typing, by quick filter and by tile, and keeps it in the address bar', async ({ page }) => {
  await openFleet(page);
  const search = page.getByRole('searchbox');
  await search.fill('kind=car');
  await expect(page.getByText(/^8 of 2[45] machines$/)).toBeVisible();
  await expect(page).toHaveURL(/filter=kind=car/);
  expect(new Set(await column(page, 'Kind'))).toEqual(new Set(['car']));

  await page.locator('button[aria-haspopup=dialog]', { hasText: 'Region' }).click();
  await page.getByRole('checkbox', { name: /^munich/ }).check();
  await page.keyboard.press('Escape');
  await expect(search).toHaveValue('kind=car region=munich');
  expect(new Set(await column(page, 'Region'))).toEqual(new Set(['munich']));

  await page.getByRole('button', { name: /Machines$/ }).click();
  await expect(page.getByText(/^2[45] machines$/)).toBeVisible();
  await page.getByRole('button', { name: /OK$/ }).click();
  await expect(search).toHaveValue('status=ok');
  await page.reload();
  await expect(search).toHaveValue('status=ok');
});

test('says what is wrong with a filter while the last good one stays', async ({ page }) => {
  await openFleet(page);
  await page.getByRole('searchbox').fill('kind=pi');
  await expect(page.getByText(/^8 of/)).toBeVisible();
  await page.getByRole('searchbox').fill('kind=pi batery<20');
  await expect(page.getByText(/there is no field “batery”: accepted are id, name/)).toBeVisible();
  await expect(page.getByText(/^8 of/)).toBeVisible();
  await page.getByRole('searchbox').fill('kind=submarine');
  await expect(page.getByText('No machine passes this filter')).toBeVisible();
});

test('sorts by a column, both ways', async ({ page }) => {
  await openFleet(page);
  await page.getByRole('columnheader', { name: 'Name' }).getByRole('button').click();
  await expect(page).toHaveURL(/sort=name/);
  await expect.poll(async () => {
    const names = await column(page, 'Name');
    return names.join() === names.toSorted((a, b) => (a < b ? -1 : 1)).join();
  }).toBe(true);
  const first = (await column(page, 'Name'))[0];
  await page.getByRole('columnheader', { name: 'Name' }).getByRole('button').click();
  await expect(page.getByRole('columnheader', { name: 'Name' })).toHaveAttribute('aria-sort', 'descending');
  await expect.poll(async () => (await column(page, 'Name'))[0]).not.toBe(first);
});

test('chooses columns and row height, and remembers them', async ({ page }) => {
  await openFleet(page);
  await page.getByRole('button', { name: 'View' }).click();
  await page.getByRole('checkbox', { name: 'Memory' }).check();
  await page.getByRole('checkbox', { name: 'Region' }).uncheck();
  await page.getByText('Compact').click();
  await page.keyboard.press('Escape');
  await page.reload();
  await expect(page.getByRole('columnheader', { name: 'Memory' })).toBeVisible();
  await expect(page.getByRole('columnheader', { name: 'Region' })).toHaveCount(0);
  await expect(page.getByRole('grid')).toHaveAttribute('data-density', 'compact');
});

test('is used by keyboard alone', async ({ page }) => {
  await openFleet(page);
  await page.keyboard.press('/');
  await expect(page.getByRole('searchbox')).toBeFocused();
  await page.keyboard.type('kind=lekiwi');
  await expect(page.getByText(/^8 of/)).toBeVisible();
  await page.getByRole('grid').focus();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  const chosen = page.locator('[role=row][aria-selected=true]');
  await expect(chosen).toHaveCount(1);
  const name = await chosen.locator('a').innerText();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { level: 1, name })).toBeVisible();
  await page.keyboard.press('?');
  await expect(page.getByRole('dialog', { name: 'Keyboard shortcuts' })).toBeVisible();
  await page.keyboard.press('Escape');
  await page.keyboard.press('e');
  await expect(page.getByRole('heading', { level: 1, name: 'Events' })).toBeVisible();
  await page.keyboard.press('f');
  await expect(page.getByRole('grid')).toBeVisible();
});

test('means by a filter what the server means by it', async ({ page, baseURL }) => {
  await openFleet(page);
  const all = (await (await fetch(`${baseURL}/api/v1/machines?limit=1000`)).json()) as MachinePage;
  // What changes by itself is left out: two answers at two moments may well differ.
  for (const text of ['car', 'kind=car|pi', 'kind!=car', 'name~a region=oslo', 'region!=oslo|berlin', 'version~0.', 'battery>=0', 'label.nothing=x', 'label.nothing!=x', 'safety!=operational', 'presence=online', 'id~0']) {
    const parsed = parseFilter(text);
    if (!parsed.ok) throw new Error(parsed.message);
    const ours = all.items.filter((row) => matches(parsed.filter, row)).map((row) => row.id).toSorted();
    const answer = await fetch(`${baseURL}/api/v1/machines?limit=1000&filter=${encodeURIComponent(text)}`);
    const theirs = ((await answer.json()) as MachinePage).items.map((row) => row.id).toSorted();
    expect(ours, text).toEqual(theirs);
  }
  for (const text of ['kindd=car', 'kind=', 'kind<3', 'battery=full', 'status=broken']) {
    expect(parseFilter(text).ok, text).toBe(false);
  }
});

test('leads nowhere with a page that says so', async ({ page }) => {
  await page.goto('/no/such/page');
  await expect(page.getByText('There is no such page')).toBeVisible();
  await page.getByRole('button', { name: 'To the fleet' }).click();
  await expect(page.getByRole('grid')).toBeVisible();
});
