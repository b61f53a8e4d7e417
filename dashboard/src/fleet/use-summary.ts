/** The fleet in figures, live or at a moment of the past. */
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';
import { summaryQuery } from '@/api/queries';
import type { FleetSummary } from '@/api/types';
import { serverClock } from '@/live/clock';
import type { Batch } from '@/live/messages';
import { useLive } from '@/live/use-live';

/** Keeps the summary fresh; mounted once, in the shell. */
export function useSummaryFeed(): void {
  const queries = useQueryClient();
  const take = (batch: Batch) => {
    const last = batch.items.at(-1);
    if (last === undefined) return;
    const told = last.data as FleetSummary;
    // The live summary does not say where history begins; the one that was asked for does.
    queries.setQueryData(summaryQuery(null).queryKey, (known) => ({
      ...told,
      history_from: told.history_from ?? known?.history_from ?? null,
    }));
  };
  useLive(
    { id: 'summary', topics: ['fleet.summary'], throttle: { rate_per_s: 1, strategy: 'latest' } },
    { snapshot: take, update: take },
  );
}

export function useSummary(at: number | null) {
  const queries = useQueryClient();
  const query = useQuery(summaryQuery(at));
  const { data, dataUpdatedAt } = query;
  useEffect(() => {
    // Before the socket said anything, this is the first word about the server's clock.
    if (data !== undefined && at === null) serverClock.observe(Date.parse(data.server_time), dataUpdatedAt);
  }, [data, dataUpdatedAt, at]);
  // The socket may have been faster than the first answer, and a fleet that was empty has no beginning yet.
  const unknownBeginning = at === null && data !== undefined && data.history_from === null && data.total > 0;
  useEffect(() => {
    if (unknownBeginning) void queries.invalidateQueries({ queryKey: summaryQuery(null).queryKey });
  }, [unknownBeginning, queries]);
  return query;
}
