/** Says that what is shown is past, so that nobody takes it for now. */
import { Button } from '@mantine/core';
import { formatAge, formatMoment, formatUtc } from '@/kit/format';
import { HistoryIcon } from '@/kit/icons';
import { useServerNow } from '@/live/use-live';
import { useMoment } from './use-moment';
import classes from './past-banner.module.css';

export function PastBanner({ moving, historyFrom }: { moving: boolean; historyFrom: number | null }) {
  const { at, go } = useMoment();
  const now = useServerNow();
  if (at === null) return null;
  const before = historyFrom !== null && at < historyFrom;
  return (
    <div className={classes.banner} role="region" aria-label="Past">
      <HistoryIcon size={20} />
      <span className={classes.word}>PAST</span>
      <time className={classes.clock} dateTime={new Date(at).toISOString()} title={formatUtc(at)}>
        {formatMoment(at, now)}
      </time>
      <span className={classes.ago}>{formatAge(now - at)} ago</span>
      <span className={classes.about}>
        {before
          ? `History begins at ${formatMoment(historyFrom, now)}: nothing was recorded yet.`
          : moving
            ? 'Loading this moment …'
            : 'Everything is shown as it was known then; nothing can be changed.'}
      </span>
      <Button className={classes.button} size="xs" variant="white" color="violet.9" onClick={() => go(null)}>
        Back to live
      </Button>
    </div>
  );
}
