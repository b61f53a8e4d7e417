// Says how large what a first visit loads is, and fails above the budget: 250 KB of gzipped script.
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const BUDGET = 250_000;
const dist = new URL('../dist/', import.meta.url);
const gzipped = (path) => gzipSync(readFileSync(new URL(path, dist)), { level: 9 }).length;
const html = readFileSync(new URL('index.html', dist), 'utf8');
const references = [...html.matchAll(/(?:src|href)="\/([^"]+)"/g)].map(([, path]) => path);

let scripts = 0;
let styles = 0;
for (const path of references) {
  if (path.endsWith('.js')) scripts += gzipped(path);
  if (path.endsWith('.css')) styles += gzipped(path);
}
const kb = (bytes) => `${(bytes / 1000).toFixed(1)} KB`;
console.log(`first visit, gzipped: ${kb(scripts)} of script (budget ${kb(BUDGET)}), ${kb(styles)} of style`);
if (scripts > BUDGET) {
  console.error('the first visit loads too much script: load what a page does not need at once lazily');
  process.exit(1);
}
