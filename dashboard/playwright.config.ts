import { defineConfig } from '@playwright/test';

/**
 * `mock-*` runs against the mock, `any-*` also against the real server, where `MUSTER_BIN` names it, and `real-*` only against that.
 */
const real = process.env.MUSTER_BIN;

const chromium = {
  browserName: 'chromium' as const,
  viewport: { width: 1440, height: 900 },
  launchOptions: {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync',
    ],
  },
};

export default defineConfig<{ serverKind: 'mock' | 'real' }>({
  testDir: 'tests/e2e',
  outputDir: 'test-results',
  workers: 1,
  timeout: 45_000,
  expect: { timeout: 10_000 },
  reporter: [['list']],
  use: { ...chromium, trace: 'retain-on-failure' },
  projects: [
    { name: 'mock', testIgnore: /real-.*\.spec\.ts/, use: { serverKind: 'mock' } },
    ...(real === undefined ? [] : [{ name: 'real', testMatch: /(any|real)-.*\.spec\.ts/, use: { serverKind: 'real' as const } }]),
  ],
});
