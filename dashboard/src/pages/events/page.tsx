/** What happened in the fleet: live, and back to where history begins. */
import { Button } from '@mantine/core';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useCallback, useMemo, useState } from 'react';
import type { EventSearch } from '@/api/queries';
import { EventList } from '@/events/list';
import { useEvents } from '@/events/use-events';
import { Empty, Failure, Loading, StaleNote } from '@/kit/faces';
import { plural } from '@/kit/format';
import { PauseIcon, PlayIcon } from '@/kit/icons';
import { Moment } from '@/kit/times';
import { useTitle } from '@/kit/use-title';
import type { EventsSearch } from '@/router';
import { parseMoment } from '@/time/moment';
import { useMoment } from '@/time/use-moment';
import { EventFilters } from './filters';
import classes from './page.module.css';

export function EventsPage() {
  useTitle('Events');
  const { at, past } = useMoment();
  const search = useSearch({ from: '/events' });
  const navigate = useNavigate({ from: '/events' });
  const [paused, setPaused] = useState(false);
  const [top, setTop] = useState(true);

  const asked = useMemo(() => toEventSearch(search, at), [search, at]);
  const live = asked.to === undefined;
  const { query, events, waiting, showWaiting, searchedTo } = useEvents(asked, top && !paused);
  const { fetchNextPage } = query;
  const loadMore = useCallback(() => void fetchNextPage(), [fetchNextPage]);
  const filtered = search.severity !== undefined || search.kind !== undefined || search.machine !== undefined
    || search.from !== undefined || search.to !== undefined;

  const change = (part: Partial<EventsSearch>) => void navigate({ search: (previous) => ({ ...previous, ...part }), replace: true });

  let body;
  if (query.isPending) body = <Loading what="events" />;
  else if (query.isError && events.length === 0) body = <Failure error={query.error} what="events" retry={() => void query.refetch()} />;
  else if (events.length === 0 && !query.hasNextPage) {
    body = filtered ? (
      <Empty title="No event passes these filters" action={<Button size="xs" variant="default" onClick={() => change(NO_FILTERS)}>Show all events</Button>} />
    ) : (
      <Empty title={past ? 'Nothing had happened yet' : 'Nothing has happened yet'}>
        {past ? 'The log held no event at this moment.' : 'Events appear here as soon as a machine connects.'}
      </Empty>
    );
  } else {
    body = (
      <EventList
        events={events}
        waiting={waiting}
        onShowWaiting={showWaiting}
        onTop={setTop}
        more={query.hasNextPage}
        loadingMore={query.isFetchingNextPage}
        onMore={loadMore}
        withMachine
        end={<span>Nothing older{search.from === undefined ? '' : ' in this span'}. Searched back to <Moment at={searchedTo} />.</span>}
      />
    );
  }

  return (
    <div className={classes.page}>
      <div className={classes.head}>
        <h1>Events</h1>
        <span className="muted" role="status">{query.isPending ? '' : `${plural(events.length, 'event')}${query.hasNextPage ? ' loaded' : ''}`}</span>
        <span className={classes.spacer} />
        {live ? (
          <Button
            size="sm"
            variant={paused ? 'filled' : 'default'}
            leftSection={paused ? <PlayIcon size={14} /> : <PauseIcon size={14} />}
            aria-pressed={paused}
            onClick={() => {
              if (paused) showWaiting();
              setPaused(!paused);
            }}
          >
            {paused ? `Follow${waiting > 0 ? ` (${waiting} new)` : ''}` : 'Pause'}
          </Button>
        ) : (
          <span className="muted">{past ? 'Up to the moment shown' : 'Up to the chosen end: not live'}</span>
        )}
      </div>
      <EventFilters search={search} onChange={change} filtered={filtered} onClear={() => change(NO_FILTERS)} />
      {query.isError && events.length > 0 && <StaleNote>Could not load more: {query.error.message}</StaleNote>}
      <div className={classes.body}>{body}</div>
    </div>
  );
}

const NO_FILTERS: EventsSearch = { severity: undefined, kind: undefined, machine: undefined, from: undefined, to: undefined };

/** What the server is asked: the filters, and nothing later than the moment that is shown. */
export function toEventSearch(search: EventsSearch, at: number | null): EventSearch {
  const to = parseMoment(search.to);
  const end = at === null ? to : Math.min(at, to ?? at);
  return {
    machine: search.machine,
    severity: search.severity,
    kind: search.kind,
    from: parseMoment(search.from) ?? undefined,
    to: end ?? undefined,
  };
}
