import type { Machine, MachinePage, StopsIssued } from '../../src/api/types';
import { ago, expect, openFleet, test, violations } from './fixtures';

async function present(baseURL: string | undefined, filter: string): Promise<MachinePage> {
  const answer = await fetch(`${baseURL}/api/v1/machines?limit=100&filter=${encodeURIComponent(`${filter} presence=online`)}`);
  return (await answer.json()) as MachinePage;
}

for (const scheme of ['light', 'dark'] as const) {
  test.describe(`in ${scheme}`, () => {
    test.use({ colorScheme: scheme });

    test('one machine is stopped, with a reason, and says how far it got', async ({ page, baseURL, serverKind }) => {
      const machine = (await present(baseURL, 'kind=lekiwi')).items[scheme === 'light' ? 0 : 1];
      await page.goto(`/machines/${machine?.id}`);
      await page.getByRole('button', { name: 'Remote stop', exact: true }).click();
      const dialog = page.getByRole('dialog', { name: `Remote stop: ${machine?.name}` });
      await expect(dialog).toContainText('somebody at the machine');
      await expect(dialog).toContainText('no emergency stop');
      const act = dialog.getByRole('button', { name: 'Stop this machine' });
      await expect(act).toBeDisabled();
      await expect(dialog.getByRole('textbox', { name: 'Why' })).toBeFocused();
      await page.waitForTimeout(300);
      expect(await violations(page), 'the dialog').toEqual([]);
      await dialog.getByRole('textbox', { name: 'Why' }).fill(`smoke at the wheel, ${scheme}`);
      await page.keyboard.press('Enter');
      await expect(dialog).toBeHidden();
      const last = page.getByRole('region', { name: 'Last remote stop' });
      await expect(last).toContainText(`smoke at the wheel, ${scheme}`);
      await expect(last).toContainText('asked for by local');
      // What a machine of the demo makes of it depends on what it has that could move; that it answers does not.
      const answered = serverKind === 'mock' ? /received\s*done\s*after \d+ ms/ : /received\s*(done\s*after|failed)/;
      await expect(last.getByRole('listitem').nth(1)).toContainText(answered, { timeout: 10_000 });
      if (serverKind === 'mock') await expect(last).toContainText('nothing moves any more', { timeout: 10_000 });
      await page.waitForTimeout(300);
      expect(await violations(page), 'the page').toEqual([]);
      const shown = (await (await fetch(`${baseURL}/api/v1/machines/${machine?.id}`)).json()) as Machine;
      expect(shown.summary.last_stop?.reason).toBe(`smoke at the wheel, ${scheme}`);
    });

    test('a selection is stopped, and each machine followed', async ({ page, serverKind }) => {
      await openFleet(page, '/?filter=kind=car');
      const count = await page.locator('[role=row][data-id]').count();
      await page.getByRole('button', { name: 'Remote stop…' }).click();
      const dialog = page.getByRole('dialog', { name: `Remote stop: ${count} machines` });
      await dialog.getByRole('textbox', { name: 'Why' }).fill('drill');
      const sent = page.waitForResponse((response) => response.url().endsWith('/api/v1/stop'));
      await dialog.getByRole('button', { name: `Stop ${count} machines` }).click();
      const answer = await sent;
      expect(answer.status()).toBe(202);
      expect(answer.request().postDataJSON()).toEqual({ filter: 'kind=car', reason: 'drill' });
      const issued = (await answer.json()) as StopsIssued;
      expect(issued.stops).toHaveLength(count);
      const told = issued.stops.filter((each) => each.told).length;
      await expect(dialog.getByText('Requested', { exact: true }).locator('..')).toContainText(`${count} of ${count}`);
      if (serverKind === 'mock') await expect(dialog.getByText('At rest', { exact: true }).locator('..')).toContainText(`${told} of ${count}`, { timeout: 15_000 });
      await page.waitForTimeout(300);
      expect(await violations(page), 'the progress').toEqual([]);
      await dialog.getByRole('button', { name: 'Close', exact: true }).last().click();
      await expect(dialog).toBeHidden();
    });
  });
}

test('nothing is stopped where people change their minds', async ({ page }) => {
  let posts = 0;
  page.on('request', (request) => {
    if (request.method() === 'POST') posts += 1;
  });
  await openFleet(page);
  await page.getByRole('button', { name: 'Remote stop…' }).click();
  await expect(page.getByRole('dialog', { name: /Remote stop: all \d+ machines/ })).toBeVisible();
  await page.getByRole('textbox', { name: 'Why' }).fill('drill');
  await page.keyboard.press('Escape');
  await expect(page.getByRole('dialog')).toHaveCount(0);
  expect(posts).toBe(0);
  // A filter that makes no sense, or lets nothing through, stops nobody.
  for (const filter of ['kindd=car', 'name=nobody']) {
    await page.goto(`/?filter=${filter}`);
    await expect(page.getByRole('button', { name: 'Remote stop…' })).toBeDisabled();
  }
});

test('the past cannot be stopped', async ({ page, baseURL }) => {
  const machine = (await present(baseURL, 'kind=car')).items[0];
  await page.goto(`/machines/${machine?.id}?at=${ago(5)}`);
  await expect(page.getByRole('region', { name: 'Past' })).toBeVisible();
  await expect(page.getByRole('button', { name: 'Remote stop' })).toHaveCount(0);
  await page.goto(`/?at=${ago(5)}`);
  await expect(page.locator('[role=row][data-id]').first()).toBeVisible();
  await expect(page.getByRole('button', { name: 'Remote stop…' })).toHaveCount(0);
});

test.describe('a server that cannot', () => {
  test.use({ expectedErrors: [/503|ERR_FAILED|ERR_CONNECTION/] });
  test('is said to have stopped nothing', async ({ page, baseURL }) => {
    const machine = (await present(baseURL, 'kind=pi')).items[0];
    await page.goto(`/machines/${machine?.id}`);
    const problem = { type: 'urn:muster:problem:MST-A008', title: 'The store cannot do it now', status: 503, detail: 'the disk is full', code: 'MST-A008' };
    await page.route('**/stop', (route) => route.fulfill({ status: 503, contentType: 'application/problem+json', body: JSON.stringify(problem) }));
    await page.getByRole('button', { name: 'Remote stop', exact: true }).click();
    await page.getByRole('textbox', { name: 'Why' }).fill('drill');
    await page.getByRole('button', { name: 'Stop this machine' }).click();
    await expect(page.getByRole('alert')).toHaveText('Nothing was stopped. the disk is full');
    await page.unroute('**/stop');
    await page.route('**/stop', (route) => route.abort());
    await page.getByRole('button', { name: 'Stop this machine' }).click();
    await expect(page.getByRole('alert')).toContainText('go to the machine');
    expect(await violations(page), 'the refusal').toEqual([]);
  });
});

test('the dialogs fit a narrow screen', async ({ page, baseURL }) => {
  await page.setViewportSize({ width: 390, height: 760 });
  const machine = (await present(baseURL, 'kind=car')).items[0];
  await page.goto(`/machines/${machine?.id}`);
  await page.getByRole('button', { name: 'Remote stop', exact: true }).click();
  const act = page.getByRole('button', { name: 'Stop this machine' });
  await expect(act).toBeVisible();
  const box = await act.boundingBox();
  expect((box?.x ?? 0) + (box?.width ?? 0)).toBeLessThanOrEqual(390);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  expect(wide).toBeLessThanOrEqual(390);
});
