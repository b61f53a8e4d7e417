import type { MachinePage } from '../../src/api/types';
import { expect, test, violations } from './fixtures';

for (const scheme of ['light', 'dark'] as const) {
  test.describe(`in ${scheme}`, () => {
    test.use({ colorScheme: scheme });

    test('every face of the safety panel can be read by everybody', async ({ page, baseURL }) => {
      const filter = encodeURIComponent('kind=lekiwi');
      const machines = (await (await fetch(`${baseURL}/api/v1/machines?limit=24&filter=${filter}`)).json()) as MachinePage;
      const refused = machines.items.find((each) => parseInt(each.id.slice(-2), 16) % 2 === 1 && each.presence === 'online');
      await page.goto(`/machines/${refused?.id}`);
      const safety = page.getByRole('region', { name: 'Safety', exact: true });
      await expect(safety.getByRole('row', { name: /arm 0.4 refused somebody at the machine the machine stands 1,284 times/ })).toBeVisible();
      await expect(safety).toContainText('Memory that stays in place: refused');
      await expect(safety).toContainText('When the battery is low (below 10 %)');
      expect(await violations(page), 'with refused commands').toEqual([]);
      const empty = machines.items.find((each) => parseInt(each.id.slice(-2), 16) % 2 === 0);
      await page.goto(`/machines/${empty?.id}`);
      await expect(safety).toContainText('None so far: whatever was asked of its actuators passed.');
      expect(await violations(page), 'with none').toEqual([]);
      const pis = (await (await fetch(`${baseURL}/api/v1/machines?limit=1&filter=${encodeURIComponent('kind=pi')}`)).json()) as MachinePage;
      await page.goto(`/machines/${pis.items[0]?.id}`);
      await expect(safety).toContainText('How its safety is set up is not known');
      expect(await violations(page), 'where it is not known').toEqual([]);
    });
  });
}
