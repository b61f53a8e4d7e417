import type { Page } from '@playwright/test';
import type { MachinePage } from '../../src/api/types';
import { ago, expect, test } from './fixtures';

async function someMachine(baseURL: string | undefined, filter = 'kind=lekiwi'): Promise<{ id: string; name: string }> {
  const answer = await fetch(`${baseURL}/api/v1/machines?limit=1&filter=${encodeURIComponent(filter)}`);
  const found = ((await answer.json()) as MachinePage).items[0];
  if (found === undefined) throw new Error(`no machine passes ${filter}`);
  return found;
}

const heading = (page: Page) => page.getByRole('heading', { level: 1 });

test('shows who it is, its regions, its measurements and its facts', async ({ page, baseURL }) => {
  const { id, name } = await someMachine(baseURL);
  await page.goto(`/machines/${id}`);
  await expect(heading(page)).toHaveText(name);
  for (const region of ['Mode', 'Safety', 'Authority', 'Mission', 'Link', 'Health']) {
    await expect(page.locator('dl[aria-label=State] dt', { hasText: new RegExp(`^${region}$`) })).toBeVisible();
  }
  await expect(page.getByRole('figure', { name: /^Processor, latest \d+ %/ })).toBeVisible({ timeout: 30_000 });
  await expect(page.locator('figure canvas').first()).toBeVisible();
  for (const card of ['Resources', 'Temperatures', 'Hardware', 'System', 'Network']) {
    // Each with the age of what it says.
    await expect(page.getByRole('region', { name: card, exact: true }).getByText(/^(now|\d+ (s|min|h|d)( \d+ (min|h))? ago)$/).first()).toBeVisible();
  }
});

test('plots another span, and keeps it in the address bar', async ({ page, baseURL }) => {
  const { id } = await someMachine(baseURL);
  await page.goto(`/machines/${id}`);
  await page.getByRole('region', { name: 'Measurements' }).getByText('6 h').click();
  await expect(page).toHaveURL(/span=6\+h/);
  await expect(page.getByRole('figure').first()).toBeVisible({ timeout: 30_000 });
});

test('shows its events, then its log', async ({ page, baseURL }) => {
  const { id } = await someMachine(baseURL);
  await page.goto(`/machines/${id}`);
  await expect(page.getByRole('tabpanel').getByRole('listitem').first()).toBeVisible();
  await page.getByRole('tab', { name: 'Log' }).click();
  await expect(page).toHaveURL(/tab=logs/);
  await expect(page.getByRole('region', { name: 'Log lines' })).toBeVisible();
});

test('is given a name, and its own name back', async ({ page, baseURL }) => {
  const { id, name } = await someMachine(baseURL, 'kind=car');
  await page.goto(`/machines/${id}`);
  await page.getByRole('button', { name: 'Change the name' }).click();
  await page.getByRole('textbox', { name: 'Name shown for this machine' }).fill('Gerda the second');
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(heading(page)).toHaveText('Gerda the second');
  await page.goto('/?filter=gerda+second');
  await expect(page.getByRole('link', { name: 'Gerda the second' })).toBeVisible();
  await page.goto(`/machines/${id}`);
  await page.getByRole('button', { name: 'Change the name' }).click();
  await page.getByRole('textbox', { name: 'Name shown for this machine' }).fill('');
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(heading(page)).toHaveText(name);
});

test.describe('that somebody else changed meanwhile', () => {
test.use({ expectedErrors: [/412/] });
test('does not have its labels written over', async ({ page, baseURL }) => {
  const { id } = await someMachine(baseURL, 'kind=pi');
  await page.goto(`/machines/${id}`);
  await page.getByRole('button', { name: 'Change the labels' }).click();
  await page.getByRole('button', { name: 'Add a label' }).click();
  await page.getByRole('textbox', { name: 'Label', exact: true }).last().fill('rack');
  await page.getByRole('textbox', { name: 'Value of rack' }).fill('7');
  const theirs = await fetch(`${baseURL}/api/v1/machines/${id}/labels`, {
    method: 'PUT', headers: { 'content-type': 'application/json', 'if-match': '*' }, body: JSON.stringify({ labels: { room: 'b2' } }),
  });
  expect(theirs.ok).toBe(true);
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByText('Somebody else changed the labels meanwhile.')).toBeVisible();
  await page.getByRole('button', { name: 'Take theirs' }).click();
  await page.getByRole('button', { name: 'Add a label' }).click();
  await page.getByRole('textbox', { name: 'Label', exact: true }).last().fill('rack');
  await page.getByRole('textbox', { name: 'Value of rack' }).fill('7');
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('group', { name: 'Labels' })).toHaveText(/rack\s*7/);
  await expect(page.getByRole('group', { name: 'Labels' })).toHaveText(/room\s*b2/);
});
});

test.describe('that there is not', () => {
  test.use({ expectedErrors: [/404/] });
  test('is said to be none', async ({ page }) => {
    await page.goto('/machines/0192f0c1-dead-7000-8000-ffffffffffff');
    await expect(page.getByText('There is no such machine')).toBeVisible();
  });
});

test('cannot be changed in the past', async ({ page, baseURL }) => {
  const { id } = await someMachine(baseURL);
  await page.goto(`/machines/${id}?at=${ago(5)}`);
  await expect(page.getByRole('region', { name: 'Past' })).toBeVisible();
  await expect(heading(page)).toBeVisible();
  await expect(page.getByRole('button', { name: 'Change the name' })).toHaveCount(0);
  await expect(page.getByRole('button', { name: 'Change the labels' })).toHaveCount(0);
});
