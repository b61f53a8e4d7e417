/** The log of a machine: newest first, new lines by themselves, older ones on request. */
import { Button, Select } from '@mantine/core';
import { useInfiniteQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { logsQuery } from '@/api/queries';
import type { LogLine, Severity } from '@/api/types';
import { Empty, Failure, Loading } from '@/kit/faces';
import { formatMoment, formatUtc } from '@/kit/format';
import { SeverityMark } from '@/kit/status';
import { useLive, useServerNow } from '@/live/use-live';
import { parseMoment } from '@/time/moment';
import { useMoment } from '@/time/use-moment';
import { mergeLines } from './log-lines';
import classes from './logs.module.css';

const LINES_MAX = 2_000;

const CHOICES: { value: Severity; label: string }[] = [
  { value: 'debug', label: 'Everything' },
  { value: 'info', label: 'Info or worse' },
  { value: 'warning', label: 'Warning or worse' },
  { value: 'error', label: 'Error or worse' },
];

export function Logs({ id }: { id: string }) {
  const { at } = useMoment();
  const [severity, setSeverity] = useState<Severity>('info');
  const query = useInfiniteQuery(logsQuery(id, severity, at));
  const key = `${id}/${severity}/${at}`;
  const [kept, setFresh] = useState<{ key: string; lines: LogLine[] }>({ key, lines: [] });
  const fresh = kept.key === key ? kept.lines : [];
  const take = (batch: { items: { data: unknown }[] }) => {
    const lines = batch.items.map((item) => item.data as LogLine);
    if (lines.length === 0) return;
    setFresh((last) => ({ key, lines: [...lines.toReversed(), ...(last.key === key ? last.lines : [])].slice(0, LINES_MAX) }));
  };
  useLive(
    at === null ? { id: `log:${id}`, topics: [`machine.${id}.log`], filters: { severity } } : null,
    { snapshot: take, update: take },
  );
  const now = useServerNow();
  const lines = mergeLines(fresh, query.data?.pages.flatMap((page) => page.items) ?? []);

  let body;
  if (query.isPending) body = <Loading what="the log" />;
  else if (query.isError && lines.length === 0) body = <Failure error={query.error} what="the log" retry={() => void query.refetch()} />;
  else if (lines.length === 0) body = <Empty title="No log lines">{severity === 'debug' ? 'The machine has sent none in the time that is kept.' : 'None of this severity; choose “Everything” to see more.'}</Empty>;
  else {
    body = (
      <>
        <ol className={classes.lines} aria-label="Log, newest first">
          {lines.map((line) => <Line key={`${line.at}${line.target}${line.message}`} line={line} now={now} />)}
        </ol>
        <div className={classes.end}>
          {query.hasNextPage
            ? <Button size="xs" variant="default" loading={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>Load older</Button>
            : <span className="muted">Nothing older is kept.</span>}
        </div>
      </>
    );
  }
  return (
    <div className={classes.logs}>
      <Select
        aria-label="Least severity"
        size="xs"
        w={160}
        allowDeselect={false}
        data={CHOICES}
        value={severity}
        onChange={(value) => setSeverity((value ?? 'info') as Severity)}
      />
      {/* A region that scrolls must be reachable by keyboard. */}
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <div className={classes.scroller} tabIndex={0} role="region" aria-label="Log lines">{body}</div>
    </div>
  );
}

function Line({ line, now }: { line: LogLine; now: number }) {
  const ms = parseMoment(line.at) ?? 0;
  const fields = line.fields === undefined || line.fields === null ? '' : JSON.stringify(line.fields);
  return (
    <li className={classes.line} data-severity={line.severity}>
      <time dateTime={line.at} title={formatUtc(ms)}>{formatMoment(ms, now)}</time>
      <SeverityMark severity={line.severity} />
      <span className="mono muted">{line.target}</span>
      <span className={classes.text}>
        {line.message}
        {fields !== '' && fields !== '{}' && <span className={`${classes.fields} mono`}> {fields}</span>}
      </span>
    </li>
  );
}
