/** The track of the scrubber: a histogram of events, and a handle that says which moment is shown. */
import { useRef, useState, type KeyboardEvent, type PointerEvent } from 'react';
import type { Timeline, TimelineBucket } from '@/api/types';
import { formatAgo, formatClock, formatDay, formatMoment, plural } from '@/kit/format';
import { useElementWidth } from '@/kit/use-width';
import { serverClock } from '@/live/clock';
import { keyStepMs, momentAt, parseMoment, positionOf, ticks, type Window } from './moment';
import classes from './scrubber.module.css';

/** How wide the label of a tick is, about. */
const LABEL_PX = 36;

interface TrackProps {
  timeline: Timeline | undefined;
  window: Window;
  at: number | null;
  now: number;
  historyFrom: number | null;
  /** Whether the present is really seen. */
  connected: boolean;
  /** Called while dragging; `done` when the pointer is let go or a key was pressed. */
  onChoose: (at: number | null, done: boolean) => void;
}

export function Track({ timeline, window, at, now, historyFrom, connected, onChoose }: TrackProps) {
  const { ref, width } = useElementWidth<HTMLDivElement>();
  const dragging = useRef(false);
  const [hover, setHover] = useState<number | null>(null);
  const span = window.to - window.from;

  const choose = (position: number, done: boolean) => {
    const moment = momentAt(position, window, serverClock.now());
    onChoose(moment === null || historyFrom === null ? moment : Math.max(moment, historyFrom), done);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const step = keyStepMs(span);
    const from = at ?? now;
    const moves: Partial<Record<string, number>> = {
      ArrowLeft: -step, ArrowDown: -step, ArrowRight: step, ArrowUp: step, PageDown: -10 * step, PageUp: 10 * step,
    };
    const move = moves[event.key];
    if (event.key === 'End') onChoose(null, true);
    else if (event.key === 'Home') onChoose(Math.max(window.from, historyFrom ?? 0), true);
    else if (move !== undefined) {
      const next = Math.max(Math.round((from + move) / 1_000) * 1_000, historyFrom ?? 0);
      onChoose(next >= now - 500 ? null : next, true);
    } else return;
    event.preventDefault();
  };

  // Before this moment there is nothing to see: not recorded, or not counted.
  const blank = Math.max(historyFrom ?? 0, searchedTo(timeline, window));
  const shown = at ?? now;
  const inside = shown >= window.from && shown <= window.to;
  const spoken = at === null ? 'now, live' : `${formatMoment(at, now)}, ${formatAgo(now - at)}`;
  return (
    <div className={classes.trackArea}>
      <div
        ref={ref}
        className={classes.track}
        role="slider"
        tabIndex={0}
        aria-label="Moment shown"
        aria-valuemin={Math.floor(window.from / 1_000)}
        aria-valuemax={Math.floor(Math.max(window.to, shown) / 1_000)}
        aria-valuenow={Math.floor(shown / 1_000)}
        aria-valuetext={spoken}
        onKeyDown={onKeyDown}
        onPointerDown={(event) => {
          if (event.button !== 0) return;
          event.currentTarget.setPointerCapture(event.pointerId);
          dragging.current = true;
          choose(positionIn(event), false);
        }}
        onPointerMove={(event) => {
          const position = positionIn(event);
          setHover(position);
          if (dragging.current) choose(position, false);
        }}
        onPointerUp={(event) => {
          if (!dragging.current) return;
          dragging.current = false;
          choose(positionIn(event), true);
        }}
        onPointerCancel={() => {
          dragging.current = false;
        }}
        onPointerLeave={() => setHover(null)}
      >
        {blank > window.from && (
          <div
            className={classes.before}
            style={{ width: `${positionOf(blank, window) * 100}%` }}
            title={blank === historyFrom ? 'Nothing was recorded yet' : 'Too many entries: events were not counted here'}
          />
        )}
        {now < window.to && <div className={classes.future} style={{ left: `${positionOf(now, window) * 100}%` }} />}
        <Histogram timeline={timeline} window={window} />
        {inside && <div className={classes.handle} data-live={at === null ? (connected ? 'yes' : 'no') : undefined} style={{ left: `${positionOf(shown, window) * 100}%` }} />}
        {hover !== null && <HoverNote position={hover} window={window} now={now} timeline={timeline} />}
      </div>
      <div className={classes.ticks} aria-hidden="true">
        {ticks(window, Math.max(2, Math.floor(width / 90))).map((tick) => {
          const position = positionOf(tick, window);
          // At the very ends half of it would be cut off.
          if (Math.min(position, 1 - position) * width < LABEL_PX / 2) return null;
          return <span key={tick} style={{ left: `${position * 100}%` }}>{tickLabel(tick, span)}</span>;
        })}
      </div>
    </div>
  );
}

/** Where the count of events ended, if it ended within the window. */
function searchedTo(timeline: Timeline | undefined, window: Window): number {
  const searched = parseMoment(timeline?.searched_to);
  const matches = timeline !== undefined && parseMoment(timeline.buckets[0]?.at) === window.from;
  return matches && searched !== null && searched - window.from > timeline.bucket_ms ? searched : 0;
}

function positionIn(event: PointerEvent<HTMLDivElement>): number {
  const box = event.currentTarget.getBoundingClientRect();
  return (event.clientX - box.left) / box.width;
}

function tickLabel(ms: number, span: number): string {
  const clock = formatClock(ms).slice(0, 5);
  const midnight = clock === '00:00';
  return span > 86_400_000 || midnight ? `${formatDay(ms).slice(5)} ${midnight ? '' : clock}`.trim() : clock;
}

const HEIGHT = 100;

/** Square roots, so that one event beside a hundred can still be seen. */
function barHeight(count: number, most: number): number {
  return count === 0 ? 0 : Math.max(16, Math.sqrt(count / most) * HEIGHT);
}

function Histogram({ timeline, window }: { timeline: Timeline | undefined; window: Window }) {
  if (timeline === undefined) return null;
  const most = Math.max(1, ...timeline.buckets.map((bucket) => bucket.events));
  const paths = { error: '', warning: '', plain: '' };
  const span = window.to - window.from;
  const bar = (timeline.bucket_ms / span) * 1_000;
  for (const bucket of timeline.buckets) {
    const start = parseMoment(bucket.at);
    if (start === null || bucket.events === 0) continue;
    const x = ((start - window.from) / span) * 1_000;
    if (x < -bar || x > 1_000) continue;
    const height = barHeight(bucket.events, most);
    const errors = part(bucket.errors, bucket, height);
    const warnings = part(bucket.warnings, bucket, height);
    paths.error += rect(x, 0, bar, errors);
    paths.warning += rect(x, errors, bar, warnings);
    paths.plain += rect(x, errors + warnings, bar, Math.max(0, height - errors - warnings));
  }
  return (
    <svg className={classes.histogram} viewBox={`0 0 1000 ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      <path d={paths.plain} fill="var(--event-plain)" />
      <path d={paths.warning} fill="var(--event-warning)" />
      <path d={paths.error} fill="var(--event-error)" />
    </svg>
  );
}

/** Troubles never vanish beside many ordinary events: they take at least a fifth of their bar. */
function part(count: number, bucket: TimelineBucket, height: number): number {
  return count === 0 ? 0 : Math.max(count / bucket.events, 0.2) * height;
}

function rect(x: number, from: number, width: number, height: number): string {
  if (height <= 0) return '';
  return `M${x.toFixed(2)} ${(HEIGHT - from).toFixed(1)}v${(-height).toFixed(1)}h${(width * 0.82).toFixed(2)}v${height.toFixed(1)}z`;
}

function HoverNote({ position, window, now, timeline }: { position: number; window: Window; now: number; timeline: Timeline | undefined }) {
  const moment = momentAt(position, window, now);
  const ms = moment ?? now;
  const bucket = timeline?.buckets.findLast((each) => (parseMoment(each.at) ?? Infinity) <= ms);
  const events = bucket?.events ?? 0;
  return (
    <div className={classes.note} style={{ left: `clamp(90px, ${position * 100}%, calc(100% - 90px))` }}>
      <strong>{moment === null ? 'Now' : formatMoment(moment, now)}</strong>
      <span>
        {events === 0 ? 'no events' : plural(events, 'event')}
        {bucket !== undefined && bucket.warnings > 0 && `, ${plural(bucket.warnings, 'warning')}`}
        {bucket !== undefined && bucket.errors > 0 && `, ${plural(bucket.errors, 'error')}`}
      </span>
    </div>
  );
}
