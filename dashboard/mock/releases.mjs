// What a machine that is made up says of its releases.

const digest = (version) => [...version].reduce((text, c) => text + c.charCodeAt(0).toString(16), '').padEnd(64, '0').slice(0, 64);
const release = (version, counter) => ({ version, counter, manifest: digest(version) });

/** One product: most machines run the new version; those under way, and one that went back, say how far they are. */
export function updatesOf(row, since) {
  const installing = row.status === 'updating';
  const back = row.kind === 'car' && row.status === 'attention';
  const running = installing || back ? release('1.3.2', 6) : release('1.4.0', 7);
  const update = {
    number: 4, act: 'install', version: '1.4.0', manifest: digest('1.4.0'), since,
    phase: installing ? 'installing' : back ? 'rolled_back' : 'confirmed',
    ...(back ? { why: ['within 60 s: port 8080: Connection refused'] } : {}),
    fetched_bytes: 6_100_000, to_fetch_bytes: 6_100_000,
  };
  return { products: [{ product: `${row.kind}-app`, running: { ...running, confirmed: true, start: 12, started_at: since }, other: release(installing || back ? '1.3.1' : '1.3.2', 5), update }] };
}
