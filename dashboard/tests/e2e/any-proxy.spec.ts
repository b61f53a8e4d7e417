/** A proxy that lets no WebSocket through: the page lives on server-sent events, says so, and goes back by itself. */
import { expect, openFleet, test } from './fixtures';
import { proxyWithoutUpgrades } from './servers';

test.use({ expectedErrors: [/WebSocket/] });

test('without a WebSocket the page lives on server-sent events, and says so', async ({ page, server }) => {
  test.setTimeout(120_000);
  const proxy = await proxyWithoutUpgrades(server.url);
  try {
    await page.clock.install();
    await openFleet(page, `${proxy.url}/`);
    const status = page.getByRole('status', { name: /^Connection/ });
    await expect(status).toHaveAccessibleName('Connection: Live, no WebSocket');
    await expect(page.getByText(/^2[45] machines$/)).toBeVisible();
    // Rows go on changing, although nothing asks for them again.
    const asked: string[] = [];
    page.on('request', (request) => asked.push(new URL(request.url()).pathname));
    const table = page.getByRole('grid');
    const before = await table.innerText();
    await expect.poll(() => table.innerText(), { timeout: 20_000 }).not.toBe(before);
    expect(asked.filter((path) => path === '/api/v1/machines')).toEqual([]);
    // Another page asks for other things, over one stream.
    await page.getByRole('row').nth(2).getByRole('link').first().click();
    await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
    await expect(page.getByRole('figure').first()).toBeVisible({ timeout: 30_000 });
    await expect(status).toHaveAccessibleName('Connection: Live, no WebSocket');
    // Once the WebSocket gets through, it is taken again.
    proxy.allow();
    await page.clock.fastForward(61_000);
    await expect(status).toHaveAccessibleName('Connection: Live', { timeout: 20_000 });
  } finally {
    await page.close();
    await proxy.stop();
  }
});
