import { expect, MACHINES, test } from './fixtures';
import { mockServer, realServer } from './servers';

test.use({ expectedErrors: [/WebSocket|Failed to load resource|ERR_CONNECTION/] });

test('a server that was stopped and started again is shown as lost, then lives on', async ({ page, serverKind }) => {
  test.setTimeout(240_000);
  const server = serverKind === 'real' ? await realServer(process.env.MUSTER_BIN ?? '', MACHINES) : await mockServer(MACHINES);
  try {
    await page.goto(`${server.url}/`);
    await expect(page.getByText(/^2[45] machines$/)).toBeVisible();
    await server.halt();
    await expect(page.getByText(/The fleet server is lost: showing what was known \d+ s ago/)).toBeVisible({ timeout: 20_000 });
    await server.start();
    await expect(page.getByRole('status', { name: 'Connection: Live' })).toBeVisible({ timeout: 20_000 });
    await expect(page.getByText(/^2[45] machines$/)).toBeVisible();
    const ages = page.locator('[role=row][data-id] [role=gridcell]:last-child');
    // A machine may be lost for reasons of its own; most are heard of again.
    await expect.poll(async () => {
      const all = await ages.allInnerTexts();
      return all.filter((age) => /^(now|\d s)$/.test(age)).length / all.length;
    }, { timeout: 60_000 }).toBeGreaterThan(0.5);
  } finally {
    await server.stop();
  }
});
