/** The fleet in figures. A tile that names a status is a filter for it. */
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { timelineQuery } from '@/api/queries';
import type { FleetSummary } from '@/api/types';
import { STATUS_WORDS } from '@/api/vocabulary';
import { chosenValues, hasTerms, toggleTerms, withValues } from '@/fleet/filter';
import { useServerNow } from '@/live/use-live';
import { AttentionIcon, FailedIcon } from '@/kit/icons';
import { useLast } from '@/kit/use-last';
import { STATUS_LOOKS } from '@/kit/status';
import { formatAt } from '@/time/moment';
import { useMoment } from '@/time/use-moment';
import classes from './tiles.module.css';

const LOW_BATTERY = ['battery<20'];
const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;

interface TilesProps {
  summary: FleetSummary | undefined;
  filter: string;
  onFilter: (filter: string) => void;
}

export function Tiles({ summary, filter, onFilter }: TilesProps) {
  const chosen = chosenValues(filter, 'status');
  return (
    <div className={classes.tiles} role="group" aria-label="The fleet in figures">
      <Tile tone="total" count={summary?.total} label="Machines" pressed={filter.trim() === ''} onClick={() => onFilter('')} title="Show all machines" />
      {STATUS_WORDS.map((word) => {
        const { label, Icon, about } = STATUS_LOOKS[word];
        const only = chosen.length === 1 && chosen[0] === word;
        return (
          <Tile
            key={word}
            tone={word}
            icon={<Icon size={18} />}
            count={summary?.by_status[word]}
            label={label}
            title={`${about} Click to ${only ? 'show all again' : 'show only these'}.`}
            pressed={chosen.includes(word)}
            onClick={() => onFilter(withValues(filter, 'status', only ? [] : [word]))}
          />
        );
      })}
      <Tile
        tone="battery"
        count={summary?.low_battery}
        label="Low battery"
        title="Less than 20 % of charge and not charging. Click to show batteries under 20 %."
        pressed={hasTerms(filter, LOW_BATTERY)}
        onClick={() => onFilter(toggleTerms(filter, LOW_BATTERY))}
      />
      <EventsTile />
    </div>
  );
}

interface TileProps {
  tone: string;
  icon?: ReactNode;
  count: number | undefined;
  label: string;
  title: string;
  pressed: boolean;
  onClick: () => void;
}

function Tile({ tone, icon, count, label, title, pressed, onClick }: TileProps) {
  return (
    <button type="button" className={classes.tile} data-tone={tone} data-zero={count === 0 || undefined} aria-pressed={pressed} title={title} onClick={onClick}>
      <span className={classes.count}>{count === undefined ? '–' : count.toLocaleString('en')}</span>
      <span className={classes.label}>{icon}{label}</span>
    </button>
  );
}

/** Troubles of the last hour before the moment that is shown; leads to their events. */
function EventsTile() {
  const { at } = useMoment();
  const now = useServerNow();
  const end = Math.ceil((at ?? now) / MINUTE_MS) * MINUTE_MS;
  const query = useQuery({ ...timelineQuery(end - HOUR_MS, end, 60), refetchInterval: at === null ? 10_000 : false });
  const data = useLast(query.data);
  const sum = (of: 'warnings' | 'errors') => data?.buckets.reduce((total, bucket) => total + bucket[of], 0);
  const warnings = sum('warnings');
  const errors = sum('errors');
  return (
    <Link
      to="/events"
      search={{ severity: 'warning', from: formatAt(end - HOUR_MS) }}
      className={classes.tile}
      data-tone="events"
      data-zero={(warnings === 0 && errors === 0) || undefined}
      title="Warnings and errors of the hour before. Click to see them."
    >
      <span className={classes.count}>
        {warnings === undefined || errors === undefined ? '–' : (
          <>
            <span className={classes.trouble} data-of="errors" data-none={errors === 0 || undefined}><FailedIcon size={16} /><span className="sr-only">Errors: </span>{errors}</span>
            <span className={classes.trouble} data-of="warnings" data-none={warnings === 0 || undefined}><AttentionIcon size={16} /><span className="sr-only">Warnings: </span>{warnings}</span>
          </>
        )}
      </span>
      <span className={classes.label}>Events, 1 h</span>
    </Link>
  );
}
