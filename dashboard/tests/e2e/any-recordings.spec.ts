import { readFileSync } from 'node:fs';
import type { MachinePage } from '../../src/api/types';
import { expect, test, violations } from './fixtures';

/** After what was marked the minutes around it go on for half a minute, in the real one. */
const KEPT_WITHIN_MS = 60_000;

test('minutes are marked, fetched, downloaded and removed again', async ({ page, baseURL, serverKind }) => {
  test.setTimeout(150_000);
  // Of the simulated machines of the demo one records.
  const filter = encodeURIComponent(serverKind === 'real' ? 'name=ada' : 'kind=car presence=online');
  const machines = (await (await fetch(`${baseURL}/api/v1/machines?limit=1&filter=${filter}`)).json()) as MachinePage;
  await page.goto(`/machines/${machines.items[0]?.id}`);
  const panel = page.getByRole('region', { name: 'Recordings' });
  await panel.getByRole('button', { name: 'Keep the minutes around now' }).click();
  await expect(panel.getByRole('button', { name: 'Keep', exact: true })).toBeDisabled();
  await page.keyboard.type('it rattles on the ramp');
  await page.keyboard.press('Enter');
  await expect(panel.getByRole('status')).toContainText('listed when the minutes after it are over');
  const row = panel.getByRole('row').filter({ hasText: 'marked, by a person' }).first();
  await expect(row).toContainText('On the machine', { timeout: KEPT_WITHIN_MS });
  expect(await violations(page), 'with a recording').toEqual([]);
  await row.getByRole('button', { name: /^Fetch pinned-/ }).click();
  await expect(row).toContainText('On the server and the machine', { timeout: 30_000 });
  expect(await violations(page), 'with a recording on the server').toEqual([]);
  if (serverKind === 'real') {
    const downloading = page.waitForEvent('download');
    await row.getByRole('link', { name: /^Download pinned-/ }).click();
    const download = await downloading;
    expect(download.suggestedFilename()).toMatch(/^pinned-.*-marked\.mcap$/);
    // Source: the MCAP specification, "Magic".
    expect(readFileSync(await download.path()).subarray(0, 5).toString('latin1')).toBe('\x89MCAP');
  }
  await row.getByRole('button', { name: /^Remove pinned-/ }).click();
  await expect(row).toContainText('From the server only');
  await row.getByRole('button', { name: 'Remove', exact: true }).click();
  await expect(row).toContainText(/On the machine(?! )/);
});
