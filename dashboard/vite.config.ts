/// <reference types="vitest/config" />
import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
/** Where `npm run dev` finds the API: a server of yours, or the mock (`npm run mock`). */
const server = process.env.MUSTER_SERVER ?? 'http://127.0.0.1:7700';

export default defineConfig({
  plugins: [react()],
  resolve: { alias: { '@': here('./src') } },
  server: {
    host: '127.0.0.1',
    proxy: { '/api': server, '/mock': server, '/ws': { target: server, ws: true } },
  },
  build: {
    target: 'es2022',
    // The server embeds dist: no maps, nothing inlined that a strict content policy would refuse.
    sourcemap: false,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1500,
    rolldownOptions: { input: { index: here('./index.html'), docs: here('./docs.html') } },
  },
  test: { include: ['tests/unit/**/*.test.ts'], environment: 'node' },
});
