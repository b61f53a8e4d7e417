import type { LogLine } from '@/api/types';

/** Live lines before those that were asked for; the same line is shown once. */
export function mergeLines(fresh: readonly LogLine[], pages: readonly LogLine[]): LogLine[] {
  const seen = new Set<string>();
  return [...fresh, ...pages].filter((line) => {
    const key = `${line.at}${line.target}${line.message}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}
