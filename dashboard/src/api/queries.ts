/** Everything the pages ask the server for, as queries. `at` null is now. */
import { infiniteQueryOptions, keepPreviousData, queryOptions } from '@tanstack/react-query';
import { get } from './client';
import type {
  EventPage, FleetSummary, LogPage, Machine, MachinePage, MachineSummary, Severity, Telemetry, Timeline,
} from './types';
import { PAGE_LIMIT_MAX } from './vocabulary';

const iso = (ms: number | null | undefined) => (ms === null || ms === undefined ? undefined : new Date(ms).toISOString());

/** How long the past keeps: it does not change, but memory is not endless. */
const PAST = { staleTime: Infinity, gcTime: 60_000 };
const cached = (at: number | null) => (at === null ? {} : PAST);

export const summaryQuery = (at: number | null) =>
  queryOptions({
    queryKey: ['summary', at],
    queryFn: ({ signal }) => get<FleetSummary>('fleet/summary', { at: iso(at) }, signal),
    placeholderData: keepPreviousData,
    ...cached(at),
  });

export interface FleetRows {
  rows: MachineSummary[];
  at: string;
}

/** Every machine, page by page. */
export async function allMachines(at: number | null, signal?: AbortSignal): Promise<FleetRows> {
  const rows: MachineSummary[] = [];
  let cursor: string | undefined;
  for (;;) {
    const page: MachinePage = await get('machines', { at: iso(at), limit: PAGE_LIMIT_MAX, cursor }, signal);
    rows.push(...page.items);
    if (page.next_cursor === null) return { rows, at: page.at };
    cursor = page.next_cursor;
  }
}

export const pastFleetQuery = (at: number) =>
  queryOptions({
    queryKey: ['fleet', at],
    queryFn: ({ signal }) => allMachines(at, signal),
    placeholderData: keepPreviousData,
    staleTime: Infinity,
    gcTime: 10_000,
  });

export const machineQuery = (id: string, at: number | null) =>
  queryOptions({
    queryKey: ['machine', id, at],
    queryFn: ({ signal }) => get<Machine>(`machines/${encodeURIComponent(id)}`, { at: iso(at) }, signal),
    placeholderData: keepPreviousData,
    ...cached(at),
  });

/** For choosing a machine by name. */
export const machineSearchQuery = (filter: string) =>
  queryOptions({
    queryKey: ['machine-search', filter],
    queryFn: ({ signal }) => get<MachinePage>('machines', { filter, sort: 'name', limit: 20 }, signal),
    placeholderData: keepPreviousData,
    staleTime: 10_000,
  });

export const timelineQuery = (from: number, to: number, buckets: number) =>
  queryOptions({
    queryKey: ['timeline', from, to, buckets],
    queryFn: ({ signal }) => get<Timeline>('fleet/timeline', { from: iso(from), to: iso(to), buckets }, signal),
    placeholderData: keepPreviousData,
    gcTime: 60_000,
  });

export interface EventSearch {
  machine?: string | undefined;
  severity?: Severity | undefined;
  kind?: string | undefined;
  from?: number | undefined;
  to?: number | undefined;
}

export const EVENTS_PER_PAGE = 100;

export function fetchEvents(
  search: EventSearch,
  options: { cursor?: string | undefined; limit?: number; signal?: AbortSignal | undefined } = {},
): Promise<EventPage> {
  return get<EventPage>(
    'events',
    {
      machine: search.machine,
      severity: search.severity,
      kind: search.kind,
      from: iso(search.from),
      to: iso(search.to),
      cursor: options.cursor,
      limit: options.limit ?? EVENTS_PER_PAGE,
    },
    options.signal,
  );
}

export const eventsQuery = (search: EventSearch) =>
  infiniteQueryOptions({
    queryKey: ['events', search],
    queryFn: ({ pageParam, signal }) => fetchEvents(search, { cursor: pageParam, signal }),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page: EventPage) => page.next_cursor ?? undefined,
  });

export const logsQuery = (id: string, severity: Severity | undefined, to: number | null) =>
  infiniteQueryOptions({
    queryKey: ['logs', id, severity, to],
    queryFn: ({ pageParam, signal }) =>
      get<LogPage>(
        `machines/${encodeURIComponent(id)}/logs`,
        { severity, to: iso(to), cursor: pageParam, limit: 200 },
        signal,
      ),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page: LogPage) => page.next_cursor ?? undefined,
  });

export const telemetryQuery = (id: string, from: number, to: number, points: number) =>
  queryOptions({
    queryKey: ['telemetry', id, from, to],
    queryFn: ({ signal }) =>
      get<Telemetry>(
        `machines/${encodeURIComponent(id)}/telemetry`,
        { from: iso(from), to: iso(to), points },
        signal,
      ),
    gcTime: 30_000,
  });
