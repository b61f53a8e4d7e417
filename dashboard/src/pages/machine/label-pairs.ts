/** Labels as rows of a form. The server has the last word; this only spares a round trip. */
export interface Pair {
  /** Stays the same while key and value are typed. */
  row: number;
  key: string;
  value: string;
}

export function toPairs(labels: Record<string, string>): Pair[] {
  return Object.entries(labels).map(([key, value], row) => ({ row, key, value }));
}

export function toLabels(pairs: readonly Pair[]): Record<string, string> {
  return Object.fromEntries(pairs.map(({ key, value }) => [key.trim(), value.trim()]));
}

/** What is wrong, by row. */
export function checkLabels(pairs: readonly Pair[]): Map<number, string> {
  const wrong = new Map<number, string>();
  const seen = new Set<string>();
  for (const { row, key } of pairs) {
    const name = key.trim();
    if (!/^[A-Za-z0-9._/-]{1,63}$/.test(name)) wrong.set(row, 'Letters, digits and . _ - / ; at least one');
    else if (seen.has(name)) wrong.set(row, 'There is this label already');
    seen.add(name);
  }
  return wrong;
}
