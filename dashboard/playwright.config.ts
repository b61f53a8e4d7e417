import { defineConfig } from '@playwright/test';

/** Every test runs against the mock; those for any server also against the real one, where `MUSTER_BIN` names it. */
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
    { name: 'mock', use: { serverKind: 'mock' } },
    ...(real === undefined ? [] : [{ name: 'real', testMatch: /any-.*\.spec\.ts/, use: { serverKind: 'real' as const } }]),
  ],
});
