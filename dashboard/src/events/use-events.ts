/**
 * Events with a past and a present: pages from the REST API, new ones from the socket. The socket starts where the log was
 * when the first page was made, so that none falls between the two.
 */
import { useInfiniteQuery, useQueryClient } from '@tanstack/react-query';
import { useMemo, useRef, useState } from 'react';
import { eventsQuery, type EventSearch } from '@/api/queries';
import type { FleetEvent } from '@/api/types';
import { useLive } from '@/live/use-live';
import type { Batch } from '@/live/messages';
import { mergeEvents } from './merge';

/** After so many new ones the list is asked for anew instead of growing without end. */
const FRESH_MAX = 2_000;
/** A server that keeps saying that something was dropped is not asked again and again. */
const RESTART_MS = 10_000;

interface Fresh {
  key: string;
  shown: FleetEvent[];
  waiting: FleetEvent[];
}

export function useEvents(search: EventSearch, following: boolean) {
  const queries = useQueryClient();
  const query = useInfiniteQuery(eventsQuery(search));
  const key = JSON.stringify(search);
  const restartedAt = useRef(0);
  const [kept, setFresh] = useState<Fresh>({ key, shown: [], waiting: [] });
  const fresh = kept.key === key ? kept : { key, shown: [], waiting: [] };

  const reached = query.data?.pages[0]?.position;
  const [anchor, setAnchor] = useState<{ key: string; after: number } | null>(null);
  if (reached !== undefined && anchor?.key !== key) setAnchor({ key, after: reached });

  const startAnew = () => {
    if (Date.now() - restartedAt.current < RESTART_MS) return;
    restartedAt.current = Date.now();
    setFresh({ key, shown: [], waiting: [] });
    void queries.resetQueries({ queryKey: eventsQuery(search).queryKey });
  };
  const take = (batch: Batch) => {
    const events = batch.items.map((item) => item.data as FleetEvent);
    if (events.length === 0) return;
    if (fresh.shown.length + fresh.waiting.length > FRESH_MAX) {
      startAnew();
      return;
    }
    setFresh((last) => {
      const base = last.key === key ? last : { key, shown: [], waiting: [] };
      return following
        ? { key, shown: mergeEvents(events, [...base.waiting, ...base.shown]), waiting: [] }
        : { key, shown: base.shown, waiting: mergeEvents(events, base.waiting) };
    });
  };
  const isLive = search.to === undefined;
  useLive(
    isLive && anchor?.key === key
      ? {
          id: `events:${search.machine ?? 'all'}`,
          topics: [`machine.${search.machine ?? '*'}.event.>`],
          filters: {
            ...(search.kind !== undefined && { event_types: [search.kind] }),
            ...(search.severity !== undefined && { severity: search.severity }),
          },
          resume_after: anchor.after,
        }
      : null,
    { snapshot: take, update: take, gap: startAnew },
    true,
  );

  const pages = query.data?.pages;
  const events = useMemo(() => mergeEvents(fresh.shown, pages?.flatMap((page) => page.items) ?? []), [fresh.shown, pages]);
  const known = useMemo(() => new Set(events.map((event) => event.position)), [events]);
  return {
    query,
    events,
    waiting: fresh.waiting.filter((event) => !known.has(event.position)).length,
    showWaiting: () => setFresh({ key, shown: mergeEvents(fresh.waiting, fresh.shown), waiting: [] }),
    searchedTo: pages?.at(-1)?.searched_to,
  };
}
