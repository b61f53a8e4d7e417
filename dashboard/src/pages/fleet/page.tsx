/** The fleet: what it looks like in figures, and every machine in a live table. */
import { Button } from '@mantine/core';
import { useLocalStorage, useMediaQuery } from '@mantine/hooks';
import { useNavigate, useRouter, useSearch } from '@tanstack/react-router';
import { useMemo, useRef, useState } from 'react';
import { grantInWords, useMe } from '@/access/use-me';
import { parseFilter, type Filter } from '@/fleet/filter';
import { formatSort, parseSort } from '@/fleet/order';
import { useFleet, useShown } from '@/fleet/use-fleet';
import { useSummary } from '@/fleet/use-summary';
import { Empty, Failure, Loading, StaleNote } from '@/kit/faces';
import { plural } from '@/kit/format';
import { Permitted, useSomePermit } from '@/kit/permit';
import { useTitle } from '@/kit/use-title';
import { useConnectionFace } from '@/live/use-live';
import { StopSelection } from '@/stop/selection';
import { useMoment } from '@/time/use-moment';
import { arranged, DEFAULT_COLUMNS, NARROW_PX, type Density } from './columns';
import { FleetTable } from './table';
import { Tiles } from './tiles';
import { Toolbar } from './toolbar';
import classes from './page.module.css';

const EVERYTHING: Filter = { terms: [] };

export function FleetPage() {
  useTitle('Fleet');
  const { at, past } = useMoment();
  const search = useSearch({ from: '/' });
  const navigate = useNavigate({ from: '/' });
  const text = search.filter ?? '';
  const sort = parseSort(search.sort);
  const parsed = useMemo(() => parseFilter(text), [text]);
  // While a filter makes no sense the last one that did stays in force.
  const [lastGood, setLastGood] = useState<Filter>(EVERYTHING);
  if (parsed.ok && lastGood !== parsed.filter) setLastGood(parsed.filter);
  const filter = parsed.ok ? parsed.filter : lastGood;

  const fleet = useFleet(at);
  const touchedAtRef = useRef(0);
  const ids = useShown(fleet.store, filter, sort, touchedAtRef);
  const summary = useSummary(at);
  const { face } = useConnectionFace();

  const [chosenColumns, setColumns] = useLocalStorage<string[]>({ key: 'muster-columns', defaultValue: [...DEFAULT_COLUMNS], getInitialValueInEffect: false });
  const [density, setDensity] = useLocalStorage<Density>({ key: 'muster-density', defaultValue: 'normal', getInitialValueInEffect: false });
  const narrow = useMediaQuery(`(max-width: ${NARROW_PX}px)`, false, { getInitialValueInEffect: false });
  const columns = useMemo(() => arranged(chosenColumns, narrow), [chosenColumns, narrow]);

  const setFilter = (next: string) =>
    void navigate({ search: (previous) => ({ ...previous, filter: next === '' ? undefined : next }), replace: true });
  const total = fleet.store.rows().size;

  let body;
  if (!fleet.loaded && fleet.error !== null) body = <Failure error={fleet.error} what="the machines" retry={fleet.retry} />;
  else if (!fleet.loaded) body = <Loading what="machines" />;
  else if (total === 0) body = past ? <NothingThen /> : <NoMachines />;
  else if (ids.length === 0) {
    body = (
      <Empty title="No machine passes this filter" action={<Button variant="default" size="xs" onClick={() => setFilter('')}>Show all {total.toLocaleString('en')}</Button>}>
        <span className="mono">{text}</span>
      </Empty>
    );
  } else {
    body = (
      <FleetTable
        store={fleet.store}
        ids={ids}
        columns={columns}
        density={density}
        sort={sort}
        onTouch={() => {
          touchedAtRef.current = Date.now();
        }}
        onSort={(next) => void navigate({ search: (previous) => ({ ...previous, sort: formatSort(next) }), replace: true })}
      />
    );
  }

  return (
    <div className={classes.page} aria-busy={fleet.moving}>
      <h1 className="sr-only">Fleet</h1>
      <Tiles summary={summary.data} filter={text} onFilter={setFilter} />
      <Toolbar
        filter={text}
        error={parsed.ok ? null : parsed}
        onFilter={setFilter}
        summary={summary.data}
        chosenColumns={chosenColumns}
        onColumns={setColumns}
        density={density}
        onDensity={setDensity}
        stop={<StopSelection store={fleet.store} filter={text} count={ids.length} disabled={!parsed.ok || !fleet.loaded} />}
        count={fleet.loaded ? (ids.length === total ? plural(total, 'machine') : `${ids.length.toLocaleString('en')} of ${plural(total, 'machine')}`) : ''}
      />
      {fleet.loaded && fleet.error !== null && <StaleNote>This moment could not be loaded: {fleet.error.message}</StaleNote>}
      <div className={classes.body} data-stale={(!past && (face === 'lost' || face === 'reconnecting')) || undefined}>{body}</div>
    </div>
  );
}

function NoMachines() {
  const me = useMe();
  const router = useRouter();
  const permit = useSomePermit('enrol');
  // What people see who are granted some machines only says nothing of the others.
  if (me?.trusts_loopback === false && !me.permissions_everywhere.includes('read')) {
    return <Empty title="You see no machine yet">None has what your grants name: {me.grants.length === 0 ? 'nothing is granted to you' : me.grants.map(grantInWords).join(', ')}.</Empty>;
  }
  if (me?.trusts_loopback === false) {
    return (
      <Empty title="No machine has connected yet" action={<Permitted by={permit}><Button onClick={() => void router.navigate({ to: '/access/machines', search: { at: undefined } })}>Enrol a machine</Button></Permitted>}>
        A machine becomes part of the fleet with a token, which is made here and used there. It appears here by itself.
      </Empty>
    );
  }
  return (
    <Empty title="No machine has connected yet">
      <p>Start the runtime on a machine and point it at this server:</p>
      <pre className={classes.command}>muster-machine run --server {globalThis.location.protocol === 'https:' ? 'wss' : 'ws'}://{globalThis.location.host} --data /var/lib/muster</pre>
      <p>Or let simulated ones connect:</p>
      <pre className={classes.command}>muster sim connect --machines 24 --server {globalThis.location.protocol === 'https:' ? 'wss' : 'ws'}://{globalThis.location.host}</pre>
      <p>They appear here by themselves.</p>
    </Empty>
  );
}

function NothingThen() {
  return <Empty title="There was no machine at this moment">The fleet met its first machine later. Choose a later moment below, or go back to live.</Empty>;
}
