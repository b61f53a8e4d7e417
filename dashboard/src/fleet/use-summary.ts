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
    if (last !== undefined) queries.setQueryData(summaryQuery(null).queryKey, last.data as FleetSummary);
  };
  useLive(
    { id: 'summary', topics: ['fleet.summary'], throttle: { rate_per_s: 1, strategy: 'latest' } },
    { snapshot: take, update: take },
  );
}

export function useSummary(at: number | null) {
  const query = useQuery(summaryQuery(at));
  const { data, dataUpdatedAt } = query;
  useEffect(() => {
    // Before the socket said anything, this is the first word about the server's clock.
    if (data !== undefined && at === null) serverClock.observe(Date.parse(data.server_time), dataUpdatedAt);
  }, [data, dataUpdatedAt, at]);
  return query;
}
