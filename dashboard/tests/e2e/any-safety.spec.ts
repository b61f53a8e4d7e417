import type { MachinePage } from '../../src/api/types';
import { expect, test, violations } from './fixtures';

for (const scheme of ['light', 'dark'] as const) {
  test.describe(`in ${scheme}`, () => {
    test.use({ colorScheme: scheme });

    test('a simulated machine shows its safety, and takes faults', async ({ page, baseURL }) => {
      const filter = encodeURIComponent('kind=car presence=online safety=operational');
      const machines = (await (await fetch(`${baseURL}/api/v1/machines?limit=10&filter=${filter}`)).json()) as MachinePage;
      const machine = machines.items[scheme === 'light' ? 0 : 1];
      await page.goto(`/machines/${machine?.id}`);
      const safety = page.getByRole('region', { name: 'Safety', exact: true });
      await expect(safety).toContainText('operational', { ignoreCase: true });
      await expect(safety).toContainText('When there is no link to the server: after 2 min it comes to rest, then its power is taken, until that is over.');
      await expect(safety).toContainText('20 m/s');
      const simulation = page.getByRole('region', { name: 'Simulation' });
      await expect(simulation).toContainText('It clears no latch');
      const fault = simulation.getByRole('button', { name: 'Board overheats' });
      await fault.click();
      await expect(simulation.getByRole('button', { name: 'Board overheats · stands' })).toHaveAttribute('aria-pressed', 'true', { timeout: 15_000 });
      await expect(safety).toContainText('board_overheated', { timeout: 15_000 });
      expect(await violations(page), 'with a fault').toEqual([]);
      await simulation.getByRole('button', { name: 'Clear all' }).click();
      await expect(fault).toHaveAttribute('aria-pressed', 'false', { timeout: 15_000 });
    });
  });
}
