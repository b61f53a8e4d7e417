/** Which moment the whole dashboard shows: now, or a moment of the past from the address bar (`?at=`). */
import { useNavigate, useSearch } from '@tanstack/react-router';
import { createContext, useCallback, useContext, useMemo, type ReactNode } from 'react';
import { serverClock } from '@/live/clock';
import { useServerNow } from '@/live/use-live';
import { formatAt, parseMoment } from './moment';

export interface MomentShown {
  /** Null is now. */
  at: number | null;
  past: boolean;
  /** Goes to a moment; null is back to now. `replace` leaves no trace in the browser's history. */
  go: (at: number | null, replace?: boolean) => void;
}

const Context = createContext<MomentShown>({ at: null, past: false, go: () => undefined });

/** `timeless`: the page knows only now, whatever stands in the address bar. */
export function MomentProvider({ timeless, children }: { timeless: boolean; children: ReactNode }) {
  const search = useSearch({ strict: false });
  const navigate = useNavigate();
  const at = timeless ? null : parseMoment(search.at);
  const go = useCallback(
    (to: number | null, replace = false) => {
      const past = to !== null && to < serverClock.now();
      void navigate({
        to: '.',
        search: (previous) => ({ ...previous, at: past ? formatAt(to) : undefined }),
        replace,
      });
    },
    [navigate],
  );
  const value = useMemo(() => ({ at, past: at !== null, go }), [at, go]);
  return <Context.Provider value={value}>{children}</Context.Provider>;
}

export function useMoment(): MomentShown {
  return useContext(Context);
}

/** What "now" means for ages: the server's clock, or the moment of the past that is shown. */
export function useNow(): number {
  const { at } = useMoment();
  const now = useServerNow();
  return at ?? now;
}
