/** The log of a machine. The demo's machines write of warnings only, so that here one more connects and writes. */
import { randomUUID } from 'node:crypto';
import { WebSocket } from 'ws';
import type { MachinePage } from '../../src/api/types';
import { expect, test } from './fixtures';
import { mockServer, realServer } from './servers';

const LINES = [
  { severity: 'info', target: 'muster::nodes::uplink', message: 'connected to the fleet', fields: { attempts: 3 } },
  { severity: 'warning', target: 'muster::nodes::thermal', message: 'a sensor gave no value' },
  { severity: 'error', target: 'muster::nodes::power', message: 'the battery cannot be read' },
];

/** A machine that writes these lines, and stays. */
async function writer(url: string): Promise<{ id: string; write: (lines: object[]) => void; leave: () => void }> {
  const id = randomUUID();
  const socket = new WebSocket(`${url.replace('http', 'ws')}/machine`, ['muster.v1']);
  let sequence = 0;
  let session: number | undefined;
  const say = (type: string, payload: object, more: object = {}) => {
    sequence += 1;
    socket.send(JSON.stringify({ version: 1, type, machine_id: id, session, sequence, timestamp: new Date().toISOString(), payload, ...more }));
  };
  await new Promise<void>((done, failed) => {
    socket.on('open', () => say('hello', { versions: [1], agent_version: 'test', boot_id: randomUUID() }));
    socket.on('message', (data) => {
      const message = JSON.parse(String(data)) as { type: string; payload: { session: number } };
      if (message.type === 'welcome') session = message.payload.session;
      if (message.type === 'welcome') done();
    });
    socket.on('error', failed);
  });
  return { id, write: (lines) => say('log', { lines }), leave: () => socket.close() };
}

test('a machine’s lines come with their severity and where they come from, new ones by themselves, and can be chosen among', async ({ page, serverKind }) => {
  test.setTimeout(150_000);
  const server = serverKind === 'real' ? await realServer(process.env.MUSTER_BIN ?? '', 2) : await mockServer(2);
  const real = serverKind === 'real' ? await writer(server.url) : null;
  try {
    real?.write(LINES);
    const { items } = (await (await fetch(`${server.url}/api/v1/machines`)).json()) as MachinePage;
    await page.goto(`${server.url}/machines/${real?.id ?? items[0]?.id}?tab=logs`);
    const lines = page.getByRole('region', { name: 'Log lines' });
    await expect(lines.getByRole('listitem').first()).toBeVisible();
    await expect(lines.locator('li time').first()).toHaveAttribute('datetime', /^\d{4}-.*Z$/);
    if (real !== null) {
      for (const { target, message } of LINES) await expect(lines.getByRole('listitem').filter({ hasText: message })).toContainText(target);
      await expect(lines.getByRole('listitem').filter({ hasText: 'connected to the fleet' })).toContainText('"attempts":3');
      real.write([{ severity: 'critical', target: 'muster::nodes::power', message: 'the battery burns' }]);
      await expect(lines.getByRole('listitem').first()).toContainText('the battery burns');
    }
    await page.getByRole('combobox', { name: 'Least severity' }).click();
    await page.getByRole('option', { name: 'Error or worse' }).click();
    await expect.poll(async () => {
      const severities = await lines.locator('li').evaluateAll((all) => all.map((each) => each.getAttribute('data-severity')));
      return severities.every((severity) => severity === 'error' || severity === 'critical');
    }).toBe(true);
    if (real !== null) await expect(lines.getByRole('listitem')).toHaveCount(2);
  } finally {
    real?.leave();
    await server.stop();
  }
});
