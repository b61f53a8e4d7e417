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

export interface AsOfProps {
  at: string | undefined;
  /** The one who said it is not heard of: it may be otherwise by now. */
  stale: boolean;
}

/** How old a report is. What stays as it was is not reported again, so that age alone is no fault. */
export function AsOf({ at, stale }: AsOfProps) {
  const ms = parseMoment(at);
  if (ms === null) return null;
  const hint = stale
    ? `Reported at ${formatUtc(ms)}. The machine is not heard of: it may be otherwise by now.`
    : `Reported at ${formatUtc(ms)}. What stays as it was is not reported again.`;
  return (
    <span className="as-of" data-stale={stale || undefined} title={hint}>
      {stale ? 'stale, ' : ''}<Age at={at} ago />
    </span>
  );
}
