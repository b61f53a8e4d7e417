/** All machines: live from the socket, or from the REST API for a moment of the past. */
import { useQuery } from '@tanstack/react-query';
import { useEffect, useRef, useState, useSyncExternalStore, type RefObject } from 'react';
import { allMachines, pastFleetQuery } from '@/api/queries';
import type { MachineSummary } from '@/api/types';
import type { Batch } from '@/live/messages';
import { useLive } from '@/live/use-live';
import type { Filter } from './filter';
import { Order, type Sort } from './order';
import { FleetStore } from './store';

export const liveFleet = new FleetStore();

/** When the socket has said nothing by then, the REST API is asked. */
const SOCKET_PATIENCE_MS = 2_500;

export interface Fleet {
  store: FleetStore;
  loaded: boolean;
  /** Asking for another moment, while the last one is shown. */
  moving: boolean;
  error: Error | null;
  retry: () => void;
}

const rowsOf = (batch: Batch) => batch.items.map((item) => item.data as MachineSummary);

export function useFleet(at: number | null): Fleet {
  const isLive = at === null;
  useLive(
    isLive ? { id: 'fleet', topics: ['machine.*.state'], throttle: { rate_per_s: 4, strategy: 'latest' } } : null,
    {
      snapshot: (batch, { first, last }) => {
        if (first) liveFleet.renew(rowsOf(batch));
        else liveFleet.merge(rowsOf(batch));
        if (last) liveFleet.sweep();
      },
      update: (batch) => liveFleet.merge(rowsOf(batch)),
    },
  );
  const fallback = useFallback(isLive);

  const [pastFleet] = useState(() => new FleetStore());
  const past = useQuery({ ...pastFleetQuery(at ?? 0), enabled: !isLive });
  useEffect(() => {
    if (past.data !== undefined) pastFleet.replace(past.data.rows);
  }, [past.data, pastFleet]);

  const store = isLive ? liveFleet : pastFleet;
  const loaded = useSyncExternalStore(store.watch, store.loaded);
  return isLive
    ? { store, loaded, moving: false, error: loaded ? null : fallback.error, retry: fallback.retry }
    : {
        store,
        loaded: loaded && past.data !== undefined,
        moving: past.isPlaceholderData,
        error: past.error,
        retry: () => void past.refetch(),
      };
}

/** Fills the table from the REST API where the socket does not. */
function useFallback(active: boolean): { error: Error | null; retry: () => void } {
  const [error, setError] = useState<Error | null>(null);
  const [round, setRound] = useState(0);
  useEffect(() => {
    if (!active) return undefined;
    const abort = new AbortController();
    const timer = setTimeout(async () => {
      if (liveFleet.loaded()) return;
      try {
        const { rows } = await allMachines(null, abort.signal);
        liveFleet.supply(rows);
        setError(null);
      } catch (reason) {
        if (!abort.signal.aborted) setError(reason instanceof Error ? reason : new Error(String(reason)));
      }
    }, SOCKET_PATIENCE_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [active, round]);
  return { error, retry: () => setRound((last) => last + 1) };
}

const REORDER_MS = 1_000;
/** Rows do not move under a pointer that is about to click one. */
const HOLD_MS = 2_500;

/** The ids to show, in order; new at most once a second, and at once when filter or sort change. */
export function useShown(store: FleetStore, filter: Filter, sort: Sort, touchedAtRef: RefObject<number>) {
  const [shown, setShown] = useState<readonly string[]>([]);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const { field, descending } = sort;
  useEffect(() => {
    const order = new Order(filter, { field, descending });
    let last = 0;
    let size = 0;
    const run = () => {
      timer.current = undefined;
      const held = Date.now() - touchedAtRef.current < HOLD_MS;
      if (held && last !== 0) {
        timer.current = setTimeout(run, REORDER_MS);
        return;
      }
      last = performance.now();
      size = store.rows().size;
      setShown(order.update(store.rows()));
    };
    const wake = () => {
      const first = size === 0 && store.rows().size > 0;
      if (first) {
        clearTimeout(timer.current);
        run();
      } else if (timer.current === undefined) {
        timer.current = setTimeout(run, Math.max(0, REORDER_MS - (performance.now() - last)));
      }
    };
    run();
    const stop = store.watch(wake);
    return () => {
      stop();
      clearTimeout(timer.current);
      timer.current = undefined;
    };
  }, [store, filter, field, descending, touchedAtRef]);
  return shown;
}
