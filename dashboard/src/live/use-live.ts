/** How components see the live connection. */
import { useEffect, useEffectEvent, useSyncExternalStore } from 'react';
import { live, type Handler, type LiveStatus } from './client';
import { serverClock, ticker } from './clock';
import { face, type Face } from './connection';
import type { SubscribeRequest } from './messages';

/** Subscribes while mounted; `request` null means not now. Subscribes anew when the request changes in content. */
export function useLive(request: SubscribeRequest | null, handler: Handler, resume = false): void {
  const key = request === null ? null : JSON.stringify(request);
  const snapshot = useEffectEvent<Handler['snapshot']>((batch, part) => handler.snapshot(batch, part));
  const update = useEffectEvent<Handler['update']>((batch) => handler.update(batch));
  const gap = useEffectEvent(() => handler.gap?.());
  const refused = useEffectEvent<NonNullable<Handler['refused']>>((problem) => handler.refused?.(problem));
  useEffect(() => {
    if (key === null) return undefined;
    const parsed = JSON.parse(key) as SubscribeRequest;
    return live.subscribe(
      parsed,
      {
        snapshot: (batch, part) => snapshot(batch, part),
        update: (batch) => update(batch),
        gap: () => gap(),
        refused: (problem) => refused(problem),
      },
      resume,
    );
  }, [key, resume]);
}

export function useLiveStatus(): LiveStatus {
  return useSyncExternalStore(live.watch, live.status);
}

/** Server time, ticking once a second. */
export function useServerNow(): number {
  return useSyncExternalStore(ticker.subscribe, ticker.now);
}

/** This browser's clock, ticking once a second. */
export function useLocalNow(): number {
  const now = useServerNow();
  return serverClock.toLocal(now);
}

/** The connection in one word; recomputed every second while it is not live. */
export function useConnectionFace(): { face: Face; status: LiveStatus; now: number } {
  const status = useLiveStatus();
  const now = useLocalNow();
  return { face: face(status.connection, now, status.everLive), status, now };
}
