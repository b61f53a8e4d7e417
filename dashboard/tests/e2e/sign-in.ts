/** Tests with a mock of their own in which people sign in; see `mock/access.mjs` for who there is. */
import type { Page } from '@playwright/test';
import { expect, test as base } from './fixtures';
import { mockServer, type Server } from './servers';

export const test = base.extend<{ own: Server }>({
  own: async ({ browserName }, provide) => {
    expect(browserName).toBe('chromium');
    const own = await mockServer(24, 40, ['--sign-in']);
    await provide(own);
    await own.stop();
  },
  baseURL: async ({ own }, provide) => provide(own.url),
});

export { expect };

/** Refusals that a test brings about on purpose are written into the console by the browser. */
export const REFUSED = [/status of (401|403|404|409|412|422|429)|WebSocket/];

/** `code`: where a second factor is asked for. */
export async function signIn(page: Page, name: string, path = '/', code?: string): Promise<void> {
  await page.goto(path);
  await page.getByRole('textbox', { name: 'Name' }).fill(name);
  await page.getByLabel('Password', { exact: true }).fill(`${name} ${name} ${name}`);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  if (code !== undefined) {
    await page.getByRole('textbox', { name: 'Code' }).fill(code);
    await page.keyboard.press('Enter');
  }
  await expect(page.getByRole('button', { name: /Signed in as/ })).toBeVisible();
}

export const endSessions = (server: Server) => fetch(`${server.url}/mock/access`, { method: 'POST', body: JSON.stringify({ end_sessions: true }) })
  .then(() => fetch(`${server.url}/mock/access`, { method: 'POST', body: JSON.stringify({ end_sessions: false }) }));

export const needsSetUp = (server: Server) => fetch(`${server.url}/mock/access`, { method: 'POST', body: JSON.stringify({ needs_set_up: true }) })
  .then(() => fetch(`${server.url}/mock/access`, { method: 'POST', body: JSON.stringify({ needs_set_up: false }) }));
