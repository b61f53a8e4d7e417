import type { Desired, Machine, MachinePage } from '../../src/api/types';
import { expect, test, violations } from './fixtures';

async function first(baseURL: string | undefined, filter: string): Promise<string> {
  const answer = await fetch(`${baseURL}/api/v1/machines?limit=1&filter=${encodeURIComponent(`${filter} presence=online`)}`);
  return ((await answer.json()) as MachinePage).items[0]?.id ?? '';
}

const profile = (add: number) => JSON.stringify({ kind: 'sensor', unit: '°C', input: { min: -40, max: 125 }, stages: [{ offset: { add } }] });

for (const scheme of ['light', 'dark'] as const) {
  test.describe(`in ${scheme}`, () => {
    test.use({ colorScheme: scheme });

    test('a device is calibrated, seen to be, and rolled back with a reason', async ({ page, baseURL }) => {
      const id = await first(baseURL, scheme === 'light' ? 'kind=pi' : 'kind=car');
      await page.goto(`/machines/${id}`);
      const panel = page.getByRole('region', { name: 'Calibration' });
      await expect(panel).toContainText('values are taken as they are');
      // The one on top: the dialog before may still be fading away.
      const dialog = page.getByRole('dialog').last();

      const apply = async (add: number, reason: string) => {
        await dialog.getByRole('textbox', { name: 'Profile' }).fill(profile(add));
        const act = dialog.getByRole('button', { name: 'Apply' });
        await expect(dialog).toContainText('In order');
        await expect(act).toBeDisabled();
        await dialog.getByRole('textbox', { name: 'Why' }).fill(reason);
        await expect(act).toBeEnabled();
        await page.waitForTimeout(300);
        expect(await violations(page), 'the editor').toEqual([]);
        await act.click();
        await expect(dialog).toBeHidden();
      };

      await panel.getByRole('button', { name: 'Calibrate a device' }).click();
      await dialog.getByRole('textbox', { name: 'Device' }).fill('cpu-thermal');
      await page.keyboard.press('Enter');
      await expect(dialog.getByRole('figure')).toBeVisible();
      // What is wrong is said with its place, and cannot be applied.
      await dialog.getByRole('textbox', { name: 'Profile' }).fill(profile(1).replace('{"offset":{"add":1}}', '{"scale":{"factor":0}}'));
      await expect(dialog).toContainText('stages[0].scale.factor: 0 makes everything the same');
      await dialog.getByRole('textbox', { name: 'Profile' }).fill('{');
      await expect(dialog).toContainText('This is no JSON');
      await expect(dialog.getByRole('button', { name: 'Apply' })).toBeDisabled();
      await apply(1, 'measured against the reference');
      await expect(page.getByRole('region', { name: 'Desired state' })).toContainText('Applied', { timeout: 20_000 });
      await expect(panel).toContainText('version 1', { timeout: 20_000 });

      await panel.getByRole('button', { name: 'Change cpu-thermal' }).click();
      await apply(2, 'measured again');
      await expect(panel).toContainText('version 2', { timeout: 20_000 });
      await page.waitForTimeout(300);
      expect(await violations(page), 'the page').toEqual([]);

      await panel.getByRole('button', { name: 'Roll back cpu-thermal' }).click();
      await expect(dialog.getByRole('textbox', { name: 'Profile' })).toHaveValue(/"add": 1\b/);
      await dialog.getByRole('textbox', { name: 'Why' }).fill('worse than before');
      await dialog.getByRole('button', { name: 'Roll back' }).click();
      await expect(dialog).toBeHidden();
      await expect(page.getByRole('region', { name: 'Desired state' })).toContainText('worse than before');
      const desired = (await (await fetch(`${baseURL}/api/v1/machines/${id}/desired`)).json()) as Desired;
      const content = desired.sections[0]?.content as Record<string, { profile: { stages: { offset: { add: number } }[] } }>;
      expect(content['cpu-thermal']?.profile.stages[0]?.offset.add).toBe(1);
      await expect
        .poll(async () => ((await (await fetch(`${baseURL}/api/v1/machines/${id}`)).json()) as Machine).reported.calibration?.devices[0]?.profile?.stages)
        .toEqual([{ offset: { add: 1 } }]);
    });
  });
}
