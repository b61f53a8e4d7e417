/** Times on the screen: the local zone, UTC on hover, ages that tick against the moment that is shown. */
import { useServerNow } from '@/live/use-live';
import { parseMoment } from '@/time/moment';
import { useNow } from '@/time/use-moment';
import { formatAge, formatAgo, formatMoment, formatUtc } from './format';

/** How long ago, ticking. */
export function Age({ at, ago = false }: { at: string | null | undefined; ago?: boolean }) {
  const now = useNow();
  const ms = parseMoment(at);
  if (ms === null) return <span className="muted">never</span>;
  return <time dateTime={at ?? ''} title={formatUtc(ms)}>{ago ? formatAgo(now - ms) : formatAge(now - ms)}</time>;
}

/** A moment as a clock shows it, with the day where it is another one than today. */
export function Moment({ at }: { at: string | null | undefined }) {
  const now = useServerNow();
  const ms = parseMoment(at);
  if (ms === null) return <span className="muted">–</span>;
  return <time dateTime={at ?? ''} title={formatUtc(ms)}>{formatMoment(ms, now)}</time>;
}
