import type { MachinePage } from '../../src/api/types';
import { ago, expect, test, violations } from './fixtures';

for (const scheme of ['light', 'dark'] as const) {
  test.describe(`in ${scheme}`, () => {
    test.use({ colorScheme: scheme });

    test('axe finds nothing on any page', async ({ page, baseURL }) => {
      const machines = (await (await fetch(`${baseURL}/api/v1/machines?limit=2&sort=name`)).json()) as MachinePage;
      const id = machines.items[0]?.id ?? '';
      const pages: [string, string][] = [
        ['/', '[role=row][data-id]'],
        [`/?at=${ago(4)}`, '[role=row][data-id]'],
        ['/?filter=kindd=car', 'text=there is no field'],
        [`/machines/${id}`, 'dl[aria-label=State]'],
        [`/machines/${id}?tab=logs&at=${ago(3)}`, 'dl[aria-label=State]'],
        ['/events', '[role=listitem]'],
        ['/nowhere', 'text=There is no such page'],
      ];
      for (const [path, there] of pages) {
        await page.goto(path);
        await expect(page.locator(there).first()).toBeVisible();
        await page.waitForTimeout(400);
        expect(await violations(page), path).toEqual([]);
      }
      await page.goto('/');
      await page.getByRole('button', { name: 'View' }).click();
      await expect(page.getByRole('checkbox', { name: 'Memory' })).toBeVisible();
      await page.waitForTimeout(300);
      expect(await violations(page), 'view menu').toEqual([]);
      await page.keyboard.press('Escape');
      await page.goto('/events');
      await page.getByRole('listitem').nth(1).getByRole('button').click();
      expect(await violations(page), 'event details').toEqual([]);
    });
  });
}

test('the API viewer works without anything from outside', async ({ page }) => {
  await page.goto('/docs.html');
  await expect(page.locator('rapi-doc')).toBeVisible();
  await expect(page.getByText(/machines/i).first()).toBeVisible({ timeout: 20_000 });
});

test('nothing in the built files is loaded from elsewhere', async () => {
  const { readdirSync, readFileSync } = await import('node:fs');
  const dist = new URL('../../dist/', import.meta.url);
  const names = readdirSync(dist, { recursive: true }).map(String).filter((name) => /\.(html|css|js)$/.test(name));
  expect(names.length).toBeGreaterThan(5);
  for (const name of names) {
    const text = readFileSync(new URL(name, dist), 'utf8');
    const loads = text.match(/(?:src|href)=["']https?:|url\(["']?https?:|@import ["']https?:|import\(["']https?:/g) ?? [];
    // The API viewer knows a web font, and is told not to load it: the test above holds it to that.
    expect(name.includes('docs-') ? [] : loads, name).toEqual([]);
  }
});
