/** The audit log: pages of what was, and by asking again and again what came since. */
import { infiniteQueryOptions, useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { fetchAudit, type AuditSearch } from '@/api/access';
import type { AuditEntry, AuditPage } from '@/api/types';

const FOLLOW_MS = 3_000;

const pagesQuery = (search: AuditSearch) =>
  infiniteQueryOptions({
    queryKey: ['audit', search],
    queryFn: ({ pageParam, signal }) => fetchAudit(search, { cursor: pageParam }, signal),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page: AuditPage) => page.next_cursor,
    // What came since is asked for by itself; the pages do not change.
    staleTime: Infinity,
    gcTime: 0,
  });

/** Each once, the newest first. */
export function merged(fresh: readonly AuditEntry[], pages: readonly AuditEntry[]): AuditEntry[] {
  const byPosition = new Map([...pages, ...fresh].map((entry) => [entry.position, entry]));
  return [...byPosition.values()].toSorted((a, b) => b.position - a.position);
}

export function useAudit(search: AuditSearch, following: boolean) {
  const pages = useInfiniteQuery(pagesQuery(search));
  // Where the log was when the first page was made: nothing falls between the two.
  const head = pages.data?.pages[0]?.head;
  const since = useQuery({
    queryKey: ['audit-since', search, head],
    queryFn: async ({ signal, client, queryKey }) => {
      const known = client.getQueryData<{ entries: AuditEntry[]; head: number }>(queryKey) ?? { entries: [], head: head ?? 0 };
      const entries = [...known.entries];
      let page = await fetchAudit(search, { after: known.head, order: 'asc' }, signal);
      const reached = page.head;
      for (;;) {
        entries.push(...page.items);
        if (page.next_cursor === undefined) return { entries, head: Math.max(known.head, reached) };
        page = await fetchAudit(search, { after: known.head, order: 'asc', cursor: page.next_cursor }, signal);
      }
    },
    enabled: head !== undefined && following,
    refetchInterval: FOLLOW_MS,
    gcTime: 0,
  });
  const fresh = since.data?.entries;
  const entries = useMemo(() => merged(fresh ?? [], pages.data?.pages.flatMap((page) => page.items) ?? []), [fresh, pages.data]);
  return { pages, since, entries };
}
