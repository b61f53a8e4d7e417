/** A list of events, newest first: rows open to their details; older ones load at the end. */
import { Button, Loader } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { useVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useRef, useState, type ReactNode } from 'react';
import type { FleetEvent } from '@/api/types';
import { formatAge, formatMoment, formatUtc } from '@/kit/format';
import { HistoryIcon, RightIcon, UpIcon } from '@/kit/icons';
import { SeverityMark } from '@/kit/status';
import { formatAt, parseMoment } from '@/time/moment';
import { useNow } from '@/time/use-moment';
import classes from './list.module.css';

const ROW_PX = 36;
/** Near enough to the top to count as being there. */
const TOP_PX = 24;
/** An event that the server heard of so much later stands out of the order of its time. */
const LATE_MS = 10_000;

interface EventListProps {
  events: readonly FleetEvent[];
  waiting: number;
  onShowWaiting: () => void;
  /** Whether the newest event is on the screen. */
  onTop: (top: boolean) => void;
  more: boolean;
  loadingMore: boolean;
  onMore: () => void;
  /** What stands after the last event. */
  end: ReactNode;
  /** Leaves out the machine where the page is about one. */
  withMachine: boolean;
}

export function EventList({ events, waiting, onShowWaiting, onTop, more, loadingMore, onMore, end, withMachine }: EventListProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const [open, setOpen] = useState<ReadonlySet<number>>(new Set());
  const virtual = useVirtualizer({
    count: events.length + 1,
    getScrollElement: () => scroller.current,
    estimateSize: (index) => (index === events.length ? 56 : ROW_PX),
    getItemKey: (index) => events[index]?.position ?? 'end',
    overscan: 12,
    useFlushSync: false,
  });
  const items = virtual.getVirtualItems();
  const last = items.at(-1)?.index ?? 0;
  useEffect(() => {
    if (more && !loadingMore && last >= events.length - 10) onMore();
  }, [more, loadingMore, last, events.length, onMore]);

  const toggle = (position: number) => {
    const next = new Set(open);
    if (!next.delete(position)) next.add(position);
    setOpen(next);
    tellTop(next.size);
  };
  /** Who reads the details of an event does not want it pushed away by newer ones. */
  const tellTop = (opened: number) => onTop(opened === 0 && (scroller.current?.scrollTop ?? 0) < TOP_PX);

  return (
    <div className={classes.frame}>
      {waiting > 0 && (
        <Button
          className={classes.pill}
          size="xs"
          radius="xl"
          leftSection={<UpIcon size={14} />}
          onClick={() => {
            onShowWaiting();
            setOpen(new Set());
            scroller.current?.scrollTo({ top: 0 });
          }}
        >
          {waiting === 1 ? '1 new event' : `${waiting} new events`}
        </Button>
      )}
      <div
        ref={scroller}
        className={classes.scroller}
        // A region that scrolls must be reachable by keyboard.
        // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
        tabIndex={0}
        role="list"
        aria-label="Events, newest first"
        data-machine={withMachine || undefined}
        onScroll={() => tellTop(open.size)}
      >
        <div className={classes.space} style={{ height: virtual.getTotalSize() }} role="presentation">
          {items.map((item) => {
            const event = events[item.index];
            return (
              <div
                key={item.key}
                ref={virtual.measureElement}
                data-index={item.index}
                className={classes.item}
                style={{ transform: `translateY(${item.start}px)` }}
                role="listitem"
              >
                {event === undefined ? (
                  <div className={classes.end}>{loadingMore ? <Loader size="xs" /> : more ? <Button size="xs" variant="default" onClick={onMore}>Load older</Button> : end}</div>
                ) : (
                  <EventRow event={event} open={open.has(event.position)} onToggle={() => toggle(event.position)} withMachine={withMachine} />
                )}
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}

interface EventRowProps {
  event: FleetEvent;
  open: boolean;
  onToggle: () => void;
  withMachine: boolean;
}

function EventRow({ event, open, onToggle, withMachine }: EventRowProps) {
  const now = useNow();
  const ms = parseMoment(event.occurred_at) ?? 0;
  const recorded = parseMoment(event.recorded_at) ?? ms;
  const late = recorded - ms >= LATE_MS;
  return (
    <div className={classes.event} data-severity={event.severity} data-open={open || undefined}>
      <div className={classes.line}>
        <button type="button" className={classes.toggle} aria-expanded={open} aria-label={`Details of ${event.kind}, ${formatMoment(ms, now)}`} onClick={onToggle}>
          <span className={classes.caret}><RightIcon size={12} /></span>
        </button>
        <time className={classes.time} dateTime={event.occurred_at} title={formatUtc(ms)}>{formatMoment(ms, now)}</time>
        <span className={classes.age}>{formatAge(now - ms)}{late && <span className={classes.late} title={`The server heard of it ${formatAge(recorded - ms)} later`}>late</span>}</span>
        <SeverityMark severity={event.severity} />
        {withMachine && (
          <Link className={classes.machine} to="/machines/$id" params={{ id: event.machine_id }} search={{}} title={event.machine_id}>{event.machine_name}</Link>
        )}
        <span className={`${classes.kind} mono`} title={event.kind}>{event.kind}</span>
        <span className={classes.message} title={event.message}>{event.message}</span>
      </div>
      {open && <Details event={event} />}
    </div>
  );
}

function Details({ event }: { event: FleetEvent }) {
  const occurred = parseMoment(event.occurred_at) ?? 0;
  const recorded = parseMoment(event.recorded_at) ?? 0;
  const facts: [string, ReactNode][] = [
    ['Happened', formatUtc(occurred)],
    ['Recorded', `${formatUtc(recorded)} (${recorded - occurred} ms later), log entry ${event.position}`],
  ];
  if (event.correlation_id) facts.push(['Belongs to', <span key="c" className="mono">{event.correlation_id}</span>]);
  if (event.causation_id) facts.push(['Brought about by', <span key="a" className="mono">{event.causation_id}</span>]);
  return (
    <div className={classes.details}>
      <p className={classes.full}>{event.message}</p>
      <dl>
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {event.data !== undefined && event.data !== null && <pre className={classes.data}>{JSON.stringify(event.data, null, 2)}</pre>}
      <p className={classes.links}>
        <Link to="/machines/$id" params={{ id: event.machine_id }} search={{ at: formatAt(recorded) }}><HistoryIcon size={14} />The machine at that moment</Link>
        <Link to="/" search={{ at: formatAt(recorded) }}><HistoryIcon size={14} />The fleet at that moment</Link>
      </p>
    </div>
  );
}
