/** One machine: who it is, how it fares, what it measures, what happened to it. */
import { Tabs } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { useCallback, useMemo, useRef, useState } from 'react';
import { ApiError } from '@/api/client';
import { machineQuery, type EventSearch } from '@/api/queries';
import type { MachineSummary } from '@/api/types';
import { EventList } from '@/events/list';
import { useEvents } from '@/events/use-events';
import { DesiredPanels } from '@/desired/panel';
import { DevicesPanel } from '@/devices/panel';
import { Empty, Failure, Loading, StaleNote } from '@/kit/faces';
import { words } from '@/kit/format';
import { StatusChip } from '@/kit/status';
import { Age } from '@/kit/times';
import { useTitle } from '@/kit/use-title';
import type { Batch } from '@/live/messages';
import { useConnectionFace, useLive } from '@/live/use-live';
import { RecordingsPanel } from '@/recordings/panel';
import { SafetyPanel } from '@/safety/panel';
import { SimulationPanel } from '@/safety/simulation';
import { LastStop, StopMachine } from '@/stop/panel';
import { useMoment } from '@/time/use-moment';
import { Workloads } from '@/workloads/panel';
import { Facts } from './facts';
import { Labels } from './labels';
import { Logs } from './logs';
import { Name } from './name';
import { Plots } from './plots';
import { Problems, Regions } from './regions';
import classes from './page.module.css';

/** The whole document is asked for again at most this often. */
const RENEW_MS = 2_000;

export function MachinePage() {
  const { id } = useParams({ from: '/machines/$id' });
  return <MachineView key={id} id={id} />;
}

function MachineView({ id }: { id: string }) {
  const { at, past } = useMoment();
  const search = useSearch({ from: '/machines/$id' });
  const navigate = useNavigate({ from: '/machines/$id' });
  const query = useQuery(machineQuery(id, at));
  const row = useLiveRow(id, at === null);
  const { face } = useConnectionFace();
  const machine = useMemo(() => {
    if (query.data === undefined || row === null || past) return query.data;
    return { ...query.data, summary: row };
  }, [query.data, row, past]);
  useTitle(machine?.summary.name ?? 'Machine');

  if (query.isPending) return <><h1 className="sr-only">Machine</h1><Loading what="the machine" /></>;
  if (machine === undefined) {
    if (query.error instanceof ApiError && (query.error.problem.status === 404 || query.error.problem.status === 400)) {
      return (
        <Empty whole title={past ? 'The fleet did not know this machine yet' : 'There is no such machine'} action={<Link to="/" search={{}}>To the fleet</Link>}>
          <span className="mono">{id}</span> {past ? 'had not connected at this moment.' : 'has never connected to this fleet.'}
        </Empty>
      );
    }
    return <><h1 className="sr-only">Machine</h1><Failure error={query.error} what="the machine" retry={() => void query.refetch()} /></>;
  }

  const { summary } = machine;
  const stale = !past && (face === 'lost' || face === 'reconnecting');
  return (
    <div className={classes.page} data-stale={stale || undefined} aria-busy={query.isPlaceholderData}>
      <header className={classes.header}>
        <nav className={classes.crumbs} aria-label="Breadcrumb"><Link to="/" search={{}}>Fleet</Link> /</nav>
        <Name machine={machine} />
        <StatusChip word={summary.status} big />
        {summary.status_reason !== '' && <span className={classes.reason}>{words(summary.status_reason)}</span>}
        <span className={classes.spacer} />
        <span className={classes.seen}>Last seen <strong><Age at={summary.last_seen} ago /></strong></span>
        <StopMachine machine={summary} />
      </header>
      <div className={classes.identity}>
        <span>{[summary.kind, summary.region].filter((each) => each !== '').map(words).join(' · ') || 'kind unknown'}</span>
        <span className="mono muted">{summary.id}</span>
        <Labels machine={machine} />
      </div>
      {query.isError && <StaleNote>The machine could not be asked for again: {query.error.message}</StaleNote>}
      {summary.presence === 'lost' && <StaleNote>Not heard of for <Age at={summary.last_seen} />: everything below is what was known then.</StaleNote>}
      <LastStop machine={summary} />
      <Regions machine={machine} />
      <Problems machine={machine} />
      <SafetyPanel machine={machine} />
      <SimulationPanel machine={machine} />
      <Workloads machine={machine} />
      <div className={classes.columns}>
        <div className={classes.wide}>
          <Plots id={id} span={search.span} onSpan={(span) => void navigate({ search: (previous) => ({ ...previous, span }), replace: true })} />
          <Tabs
            value={search.tab ?? 'events'}
            onChange={(tab) => void navigate({ search: (previous) => ({ ...previous, tab: tab === 'logs' ? 'logs' : undefined }), replace: true })}
            keepMounted={false}
          >
            <Tabs.List>
              <Tabs.Tab value="events">Events</Tabs.Tab>
              <Tabs.Tab value="logs">Log</Tabs.Tab>
            </Tabs.List>
            <Tabs.Panel value="events" className={classes.tab}><MachineEvents id={id} /></Tabs.Panel>
            <Tabs.Panel value="logs" className={classes.tab}><Logs id={id} /></Tabs.Panel>
          </Tabs>
          <RecordingsPanel machine={machine} />
          <DevicesPanel machine={machine} />
          <DesiredPanels machine={machine} />
        </div>
        <Facts machine={machine} />
      </div>
    </div>
  );
}

/** The machine's row, live; the whole document follows when its state changed. */
function useLiveRow(id: string, active: boolean): MachineSummary | null {
  const queries = useQueryClient();
  const [row, setRow] = useState<MachineSummary | null>(null);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const seen = useRef('');
  const take = (batch: Batch) => {
    const last = batch.items.at(-1)?.data as MachineSummary | undefined;
    if (last === undefined) return;
    setRow(last);
    const mark = `${last.reported_at}${last.presence}${last.name}${JSON.stringify(last.labels)}`;
    if (seen.current !== '' && seen.current !== mark) {
      timer.current ??= setTimeout(() => {
        timer.current = undefined;
        void queries.invalidateQueries({ queryKey: machineQuery(id, null).queryKey });
      }, RENEW_MS);
    }
    seen.current = mark;
  };
  useLive(
    active ? { id: `machine:${id}`, topics: [`machine.${id}.state`], throttle: { rate_per_s: 2, strategy: 'latest' } } : null,
    { snapshot: take, update: take },
  );
  return row;
}

function MachineEvents({ id }: { id: string }) {
  const { at } = useMoment();
  const [top, setTop] = useState(true);
  const search = useMemo((): EventSearch => ({ machine: id, to: at ?? undefined }), [id, at]);
  const { query, events, waiting, showWaiting } = useEvents(search, top);
  const { fetchNextPage } = query;
  const loadMore = useCallback(() => void fetchNextPage(), [fetchNextPage]);
  if (query.isPending) return <Loading what="events" />;
  if (query.isError && events.length === 0) return <Failure error={query.error} what="events" retry={() => void query.refetch()} />;
  if (events.length === 0 && !query.hasNextPage) return <Empty title="Nothing has happened to this machine yet" />;
  return (
    <EventList
      events={events}
      waiting={waiting}
      onShowWaiting={showWaiting}
      onTop={setTop}
      more={query.hasNextPage}
      loadingMore={query.isFetchingNextPage}
      onMore={loadMore}
      withMachine={false}
      end={<span>Nothing older.</span>}
    />
  );
}
