/** Everything the pages ask the server for, as queries. `at` null is now. */
import { infiniteQueryOptions, keepPreviousData, queryOptions } from '@tanstack/react-query';
import { api, document } from './client';
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
    queryFn: ({ signal }) => document<FleetSummary>(api.GET('/api/v1/fleet/summary', { params: { query: { at: iso(at) } }, signal })),
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
    const query = { at: iso(at), limit: PAGE_LIMIT_MAX, cursor };
    const page: MachinePage = await document(api.GET('/api/v1/machines', { params: { query }, ...(signal && { signal }) }));
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
    queryFn: ({ signal }) => document<Machine>(api.GET('/api/v1/machines/{id}', { params: { path: { id }, query: { at: iso(at) } }, signal })),
    placeholderData: keepPreviousData,
    ...cached(at),
  });

/** For choosing a machine by name. */
export const machineSearchQuery = (filter: string) =>
  queryOptions({
    queryKey: ['machine-search', filter],
    queryFn: ({ signal }) => document<MachinePage>(api.GET('/api/v1/machines', { params: { query: { filter, sort: 'name', limit: 20 } }, signal })),
    placeholderData: keepPreviousData,
    staleTime: 10_000,
  });

export function fetchTimeline(from: number, to: number, buckets: number, signal?: AbortSignal): Promise<Timeline> {
  const query = { from: iso(from), to: iso(to), buckets };
  return document(api.GET('/api/v1/fleet/timeline', { params: { query }, ...(signal && { signal }) }));
}

export const timelineQuery = (from: number, to: number, buckets: number) =>
  queryOptions({
    queryKey: ['timeline', from, to, buckets],
    queryFn: ({ signal }) => fetchTimeline(from, to, buckets, signal),
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
  const query = {
    machine: search.machine,
    severity: search.severity,
    kind: search.kind,
    from: iso(search.from),
    to: iso(search.to),
    cursor: options.cursor,
    limit: options.limit ?? EVENTS_PER_PAGE,
  };
  return document(api.GET('/api/v1/events', { params: { query }, ...(options.signal && { signal: options.signal }) }));
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
      document<LogPage>(
        api.GET('/api/v1/machines/{id}/logs', {
          params: { path: { id }, query: { severity, to: iso(to), cursor: pageParam, limit: 200 } },
          signal,
        }),
      ),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page: LogPage) => page.next_cursor ?? undefined,
  });

export const telemetryQuery = (id: string, from: number, to: number, points: number) =>
  queryOptions({
    queryKey: ['telemetry', id, from, to],
    queryFn: ({ signal }) =>
      document<Telemetry>(
        api.GET('/api/v1/machines/{id}/telemetry', {
          params: { path: { id }, query: { from: iso(from), to: iso(to), points } },
          signal,
        }),
      ),
    gcTime: 30_000,
  });
