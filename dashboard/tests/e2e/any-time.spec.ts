import { expect, openFleet, test } from './fixtures';

test('goes to a moment of the past by click, and back to live', async ({ page }) => {
  await openFleet(page);
  const track = page.getByRole('slider', { name: 'Moment shown' });
  const box = await track.boundingBox();
  if (box === null) throw new Error('no track');
  await page.mouse.click(box.x + box.width * 0.995 - 6, box.y + 15);
  const banner = page.getByRole('region', { name: 'Past' });
  await expect(banner).toBeVisible();
  await expect(banner).toContainText('PAST');
  await expect(banner).toContainText(/\d+ (s|min).* ago/);
  await expect(page).toHaveURL(/at=\d{4}-/);
  await expect(page).toHaveTitle(/^PAST/);
  await page.getByRole('button', { name: 'Back to live' }).click();
  await expect(banner).toHaveCount(0);
  await expect(page).not.toHaveURL(/at=/);
});

test('goes by keyboard, from event to event, and keeps the moment from page to page', async ({ page }) => {
  await openFleet(page);
  await page.keyboard.press('[');
  await expect(page).toHaveURL(/at=/);
  const first = new URL(page.url()).searchParams.get('at') ?? '';
  await expect(page.getByRole('region', { name: 'Past' })).toBeVisible();
  await page.keyboard.press('[');
  await expect.poll(() => new URL(page.url()).searchParams.get('at')).not.toBe(first);
  const second = new URL(page.url()).searchParams.get('at') ?? '';
  expect(Date.parse(second)).toBeLessThan(Date.parse(first));
  await page.keyboard.press(']');
  await expect.poll(() => new URL(page.url()).searchParams.get('at')).not.toBe(second);
  const third = new URL(page.url()).searchParams.get('at') ?? '';
  expect(Date.parse(third)).toBeGreaterThan(Date.parse(second));
  await page.keyboard.press('e');
  await expect(page.getByRole('heading', { level: 1, name: 'Events' })).toBeVisible();
  expect(new URL(page.url()).searchParams.get('at')).toBe(third);
  await page.keyboard.press('Escape');
  await expect(page.getByRole('region', { name: 'Past' })).toHaveCount(0);
});

test('steps with the arrow keys on the track', async ({ page }) => {
  await openFleet(page);
  const track = page.getByRole('slider', { name: 'Moment shown' });
  await expect(track).toHaveAttribute('aria-valuetext', 'now, live');
  await track.focus();
  await page.keyboard.press('ArrowLeft');
  await expect(track).toHaveAttribute('aria-valuetext', /ago$/);
  await page.keyboard.press('End');
  await expect(track).toHaveAttribute('aria-valuetext', 'now, live');
});

test('plays the past', async ({ page }) => {
  await openFleet(page);
  const track = page.getByRole('slider', { name: 'Moment shown' });
  await track.focus();
  await page.keyboard.press('ArrowLeft');
  await expect(page).toHaveURL(/at=/);
  const before = Date.parse(new URL(page.url()).searchParams.get('at') ?? '');
  await page.getByRole('button', { name: 'Play' }).click();
  await expect.poll(() => Date.parse(new URL(page.url()).searchParams.get('at') ?? '9999-01-01')).toBeGreaterThan(before);
});

test('disables nothing that only looks, and shows ages against the moment', async ({ page }) => {
  const at = new Date(Date.now() - 4_000).toISOString();
  await openFleet(page, `/?at=${at}`);
  await expect(page.getByRole('region', { name: 'Past' })).toBeVisible();
  await page.getByRole('searchbox').fill('kind=car');
  await expect(page.getByText(/^8 of/)).toBeVisible();
  expect(new URL(page.url()).searchParams.get('at')).toBe(at);
});
