/** Plays the past: moves the moment on every second, as long as the last one has been shown. */
import { useIsFetching } from '@tanstack/react-query';
import { useEffect, useEffectEvent, useState } from 'react';
import { serverClock } from '@/live/clock';
import { RATES, shift, type Rate } from './moment';
import { useMoment } from './use-moment';

const TICK_MS = 1_000;
/** At 60× a tick is a minute; four ticks a second are smoother than one, where the server keeps up. */
const TICKS_PER_S: Record<Rate, number> = { 1: 1, 10: 2, 60: 4 };

export interface Playback {
  playing: boolean;
  rate: Rate;
  toggle: () => void;
  setRate: (rate: Rate) => void;
}

export function usePlayback(): Playback {
  const { at, past, go } = useMoment();
  const [wanted, setWanted] = useState(false);
  const [rate, setRate] = useState<Rate>(RATES[0]);
  const playing = wanted && past;
  const fetching = useIsFetching();
  const advance = useEffectEvent(() => {
    if (fetching > 0 || at === null) return;
    const next = shift(at, (rate * TICK_MS) / TICKS_PER_S[rate], serverClock.now(), null);
    if (next === null) setWanted(false);
    go(next, true);
  });
  useEffect(() => {
    if (!playing) return undefined;
    const timer = setInterval(() => advance(), TICK_MS / TICKS_PER_S[rate]);
    return () => clearInterval(timer);
  }, [playing, rate]);
  return { playing, rate, setRate, toggle: () => setWanted(!playing) };
}
