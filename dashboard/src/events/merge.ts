/** Folds events from pages and from the socket into one list: newest first, each once. */
import type { FleetEvent } from '@/api/types';

export function mergeEvents(fresh: readonly FleetEvent[], pages: readonly FleetEvent[]): FleetEvent[] {
  const seen = new Set<number>();
  const merged: FleetEvent[] = [];
  for (const event of [...fresh, ...pages]) {
    if (!seen.has(event.position)) {
      seen.add(event.position);
      merged.push(event);
    }
  }
  return merged.toSorted((a, b) => b.position - a.position);
}
