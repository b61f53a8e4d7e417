/** What every test starts from: a server, and a page that may talk to nobody else and must not err. */
import { createRequire } from 'node:module';
import { expect, test as base, type Page } from '@playwright/test';
import { mockServer, realServer, type Server } from './servers';

export const MACHINES = 24;

interface Worker {
  serverKind: 'mock' | 'real';
  server: Server;
}

interface Each {
  /** Console errors that a test brings about on purpose. */
  expectedErrors: RegExp[];
  watched: undefined;
}

export const test = base.extend<Each, Worker>({
  serverKind: ['mock', { option: true, scope: 'worker' }],
  server: [
    async ({ serverKind }, use) => {
      const server = serverKind === 'real' ? await realServer(process.env.MUSTER_BIN ?? '', MACHINES) : await mockServer(MACHINES);
      await use(server);
      await server.stop();
    },
    { scope: 'worker', timeout: 120_000 },
  ],
  baseURL: async ({ server }, provide) => provide(server.url),
  expectedErrors: [[], { option: true }],
  watched: [
    async ({ page, expectedErrors }, use) => {
      const foreign: string[] = [];
      const errors: string[] = [];
      page.on('request', (request) => {
        const url = new URL(request.url());
        if (request.isNavigationRequest() || !/^(https?|wss?):$/.test(url.protocol)) return;
        if (url.host !== new URL(request.frame().url()).host) foreign.push(request.url());
      });
      page.on('pageerror', (error) => errors.push(error.message));
      page.on('console', (message) => {
        if (message.type() === 'error') errors.push(message.text());
      });
      await use(undefined);
      expect(foreign, 'requests to another origin').toEqual([]);
      expect(errors.filter((text) => !expectedErrors.some((each) => each.test(text))), 'errors in the console').toEqual([]);
    },
    { auto: true },
  ],
});

export { expect };

const axePath = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

interface AxeResult {
  violations: { id: string; nodes: { target: string[]; failureSummary?: string }[] }[];
}

/** What axe has to say against the page, one line a place. */
export async function violations(page: Page): Promise<string[]> {
  // By evaluation, not by a script element: the page's content policy stands.
  const { readFile } = await import('node:fs/promises');
  await page.evaluate(await readFile(axePath, 'utf8'));
  // What is half faded in has a contrast of its own. Only what ends by itself is waited for.
  await page.evaluate(async () => {
    const ending = document.getAnimations().filter((each) => each.effect?.getComputedTiming().endTime !== Infinity);
    await Promise.all(ending.map((each) => each.finished.catch(() => undefined)));
  });
  const result = await page.evaluate<AxeResult>('axe.run(document, { resultTypes: ["violations"] })');
  return result.violations.flatMap((each) => each.nodes.map((node) => `${each.id}: ${node.target.join(' ')} ${node.failureSummary ?? ''}`));
}

export async function openFleet(page: Page, path = '/'): Promise<void> {
  await page.goto(path);
  await expect(page.getByRole('row').nth(3)).toBeVisible();
}

/** The texts of one column, as far as rows are drawn. */
export async function column(page: Page, name: string): Promise<string[]> {
  const heads = await page.getByRole('columnheader').allInnerTexts();
  const index = heads.findIndex((head) => head.trim().startsWith(name));
  const rows = await page.locator('[role=row][data-id]').all();
  const placed = await Promise.all(rows.map(async (row) => ({
    at: Number(await row.getAttribute('aria-rowindex')),
    text: (await row.getByRole('gridcell').nth(index).innerText()).trim(),
  })));
  return placed.toSorted((a, b) => a.at - b.at).map((each) => each.text);
}

export const ago = (seconds: number) => new Date(Date.now() - seconds * 1_000).toISOString();
