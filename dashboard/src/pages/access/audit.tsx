/** Who did what to which object, why, from where, with what outcome. */
import { Button, Menu } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import classes from '@/access/access.module.css';
import { auditExportPath, checkAudit, type AuditSearch } from '@/api/access';
import type { AuditChecked } from '@/api/types';
import { Empty, Failure, Loading, StaleNote } from '@/kit/faces';
import { plural } from '@/kit/format';
import { DownIcon, FailedIcon, OkIcon, PauseIcon, PlayIcon } from '@/kit/icons';
import { useFleetPermit } from '@/kit/permit';
import { useTitle } from '@/kit/use-title';
import { AuditFilters } from './audit-filters';
import { AuditTable } from './audit-table';
import own from './audit.module.css';
import { Guarded } from './page';
import { useAudit } from './use-audit';

const NO_FILTERS: AuditSearch = { person: undefined, action: undefined, object: undefined, outcome: undefined, from: undefined, to: undefined };

export function AuditPage() {
  useTitle('Audit');
  const permit = useFleetPermit('audit');
  return <Guarded by={permit} what="who did what"><Audit /></Guarded>;
}

function Audit() {
  const search = useSearch({ from: '/access/audit' });
  const navigate = useNavigate({ from: '/access/audit' });
  const [paused, setPaused] = useState(false);
  const asked: AuditSearch = { person: search.person, action: search.action, object: search.object, outcome: search.outcome, from: search.from, to: search.to };
  const live = search.to === undefined;
  const { pages, since, entries } = useAudit(asked, live && !paused);
  const filtered = Object.values(asked).some((each) => each !== undefined);
  const change = (part: AuditSearch) => void navigate({ search: (previous) => ({ ...previous, ...part }), replace: true });

  let body;
  if (pages.isPending) body = <Loading what="the audit log" />;
  else if (pages.isError && entries.length === 0) body = <Failure error={pages.error} what="the audit log" retry={() => void pages.refetch()} />;
  else if (entries.length === 0 && !pages.hasNextPage) {
    body = filtered
      ? <Empty title="No entry passes these filters" action={<Button size="xs" variant="default" onClick={() => change(NO_FILTERS)}>Show all of it</Button>} />
      : <Empty title="Nothing was done yet">Whatever is changed stands here, and whatever was refused.</Empty>;
  } else {
    body = (
      <>
        {entries.length > 0 ? <AuditTable entries={entries} onFilter={change} /> : <Empty title="Nothing found so far">A long log is searched piece by piece.</Empty>}
        <div className={own.end}>
          {pages.hasNextPage ? <Button size="xs" variant="default" loading={pages.isFetchingNextPage} onClick={() => void pages.fetchNextPage()}>{entries.length > 0 ? 'Load older' : 'Search on'}</Button> : <span className="muted">Nothing older.</span>}
        </div>
      </>
    );
  }
  return (
    <div className={classes.page}>
      <div className={classes.head}>
        <h1>Audit</h1>
        <span className="muted" role="status">{pages.isPending ? '' : `${plural(entries.length, 'entry', 'entries')}${pages.hasNextPage ? ' loaded' : ''}`}</span>
        <span className={classes.spacer} />
        {live ? (
          <Button size="sm" variant={paused ? 'filled' : 'default'} leftSection={paused ? <PlayIcon size={14} /> : <PauseIcon size={14} />} aria-pressed={paused} onClick={() => setPaused(!paused)}>{paused ? 'Follow' : 'Pause'}</Button>
        ) : <span className="muted">Up to the chosen end: not live</span>}
        <ChainCheck />
        <Menu position="bottom-end" withinPortal>
          <Menu.Target><Button size="sm" variant="default" rightSection={<DownIcon size={12} />}>Export</Button></Menu.Target>
          <Menu.Dropdown>
            <Menu.Item component="a" href={auditExportPath('jsonl')} download>All of it, a JSON object a line</Menu.Item>
            <Menu.Item component="a" href={auditExportPath('csv')} download>All of it, as a table (CSV)</Menu.Item>
          </Menu.Dropdown>
        </Menu>
      </div>
      <AuditFilters search={asked} onChange={change} filtered={filtered} onClear={() => change(NO_FILTERS)} />
      {(since.isError || (pages.isError && entries.length > 0)) && <StaleNote>The log could not be asked for again: {(since.error ?? pages.error)?.message}</StaleNote>}
      {body}
    </div>
  );
}

/** Has the server go through the whole chain. */
function ChainCheck() {
  const check = useMutation({ mutationFn: checkAudit });
  return (
    <>
      <Button size="sm" variant="default" loading={check.isPending} onClick={() => check.mutate()}>Check the chain</Button>
      {check.isError && <span className={classes.refused} role="alert">{check.error.message}</span>}
      {check.data !== undefined && <ChainVerdict checked={check.data} />}
    </>
  );
}

function ChainVerdict({ checked }: { checked: AuditChecked }) {
  return (
    <div className={own.verdict} data-sound={checked.sound} role="status">
      {checked.sound ? <OkIcon /> : <FailedIcon />}
      <div>
        <strong>{checked.sound ? `All ${plural(checked.entries, 'entry', 'entries')} are there, unchanged.` : `The log was changed: ${plural(checked.findings.length, 'finding')}.`}</strong>
        {checked.findings.length > 0 && <ul>{checked.findings.map((each) => <li key={each}>{each}</li>)}</ul>}
        <div className="muted">The last hash, to be written down elsewhere: <span className="mono">{checked.head_hash}</span></div>
      </div>
    </div>
  );
}
