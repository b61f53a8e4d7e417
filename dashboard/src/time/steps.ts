/** Where the event before and the event after a moment are. */
import { fetchEvents, fetchTimeline, type EventSearch } from '@/api/queries';
import type { FleetEvent } from '@/api/types';
import { parseMoment } from './moment';

const recorded = (event: FleetEvent) => parseMoment(event.recorded_at) ?? 0;

/** The moment just after the latest event before `at`. */
export async function previousEvent(at: number, search: EventSearch): Promise<number | null> {
  let cursor: string | undefined;
  for (let page = 0; page < 20; page += 1) {
    const { items, next_cursor } = await fetchEvents({ ...search, to: at }, { cursor, limit: 20 });
    const found = items.find((event) => recorded(event) < at);
    if (found !== undefined) return recorded(found);
    if (next_cursor === null) return null;
    cursor = next_cursor;
  }
  return null;
}

const PAGES_MAX = 10;

/**
 * The moment of the earliest event after `at`. The server lists events newest first only, so the timeline says in which
 * stretch to look.
 */
export async function nextEvent(at: number, now: number, search: EventSearch): Promise<number | null> {
  let from = at + 1;
  let to = now;
  if (from >= to) return null;
  if (search.machine === undefined && to - from > 60_000) {
    const timeline = await narrow(from, to);
    if (timeline === null) return null;
    [from, to] = timeline;
  }
  let earliest: number | null = null;
  let cursor: string | undefined;
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const { items, next_cursor } = await fetchEvents({ ...search, from, to }, { cursor, limit: 1000 });
    for (const event of items) {
      const moment = recorded(event);
      if (moment > at && (earliest === null || moment < earliest)) earliest = moment;
    }
    if (next_cursor === null) break;
    cursor = next_cursor;
  }
  return earliest;
}

async function narrow(from: number, to: number): Promise<[number, number] | null> {
  const { buckets, bucket_ms } = await fetchTimeline(from, to, 500);
  const first = buckets.find((bucket) => bucket.events > 0);
  if (first === undefined) return null;
  const start = parseMoment(first.at) ?? from;
  return [Math.max(from, start), Math.min(to, start + bucket_ms)];
}

