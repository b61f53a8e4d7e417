/** The entries, newest first; each opens to all that is kept of it. */
import { Link } from '@tanstack/react-router';
import { useState, type ReactNode } from 'react';
import type { AuditSearch } from '@/api/access';
import type { AuditEntry, AuditOutcome } from '@/api/types';
import { formatMoment, formatUtc, plural } from '@/kit/format';
import { AttentionIcon, FailedIcon, OkIcon, RightIcon, SecondPersonIcon } from '@/kit/icons';
import { useServerNow } from '@/live/use-live';
import { parseMoment } from '@/time/moment';
import own from './audit.module.css';

const OUTCOMES: Record<AuditOutcome, { label: string; Icon: typeof OkIcon }> = {
  done: { label: 'Done', Icon: OkIcon },
  refused: { label: 'Refused', Icon: AttentionIcon },
  failed: { label: 'Failed', Icon: FailedIcon },
  proposed: { label: 'Proposed', Icon: SecondPersonIcon },
};
/** Objects that are named in a row. */
const NAMED_MAX = 2;

interface AuditTableProps {
  entries: readonly AuditEntry[];
  onFilter: (part: AuditSearch) => void;
}

export function AuditTable({ entries, onFilter }: AuditTableProps) {
  const [open, setOpen] = useState<ReadonlySet<number>>(new Set());
  const toggle = (position: number) => {
    const next = new Set(open);
    if (!next.delete(position)) next.add(position);
    setOpen(next);
  };
  return (
    <div className={own.scroll}>
      <ol className={own.list} aria-label="Audit log, newest first">
        {entries.map((entry) => (
          <li key={entry.position} data-outcome={entry.outcome}>
            <Row entry={entry} open={open.has(entry.position)} onToggle={() => toggle(entry.position)} />
            {open.has(entry.position) && <Details entry={entry} onFilter={onFilter} />}
          </li>
        ))}
      </ol>
    </div>
  );
}

const isNobody = (entry: AuditEntry) => entry.person === undefined || entry.person === '';
const nobody = (entry: AuditEntry) => (isNobody(entry) ? 'nobody signed in' : (entry.person ?? ''));
/** Both, where there are two. */
const withWhom = (entry: AuditEntry) => (entry.second_person === undefined ? undefined : `${nobody(entry)} with ${entry.second_person}`);
/** Those that are named, and how many there are in all. */
const objectsOf = ({ objects = [], objects_in_all: all }: AuditEntry) => ({ objects, all: all ?? objects.length });

function Row({ entry, open, onToggle }: { entry: AuditEntry; open: boolean; onToggle: () => void }) {
  const now = useServerNow();
  const ms = parseMoment(entry.at) ?? 0;
  const { label, Icon } = OUTCOMES[entry.outcome];
  const { objects: whole, all } = objectsOf(entry);
  // What it is about says more than under which proposal.
  const objects = whole.toSorted((a, b) => Number(a.kind === 'proposal') - Number(b.kind === 'proposal'));
  return (
    <div className={own.line}>
      <button type="button" className={own.toggle} aria-expanded={open} aria-label={`Details of ${entry.action} by ${nobody(entry)}, ${formatMoment(ms, now)}`} onClick={onToggle}><RightIcon size={12} /></button>
      <time className={own.time} dateTime={entry.at} title={formatUtc(ms)}>{formatMoment(ms, now)}</time>
      <span className={own.outcome} data-outcome={entry.outcome}><Icon size={14} />{label}</span>
      <span className={own.person} data-nobody={isNobody(entry) || undefined} title={withWhom(entry)}>{nobody(entry)}{entry.second_person !== undefined && <span className={own.second}> with {entry.second_person}</span>}</span>
      <span className={`${own.action} mono`}>{entry.action}</span>
      <span className={own.objects}>
        {objects.slice(0, NAMED_MAX).map((object) => object.name || object.id).join(', ')}
        {all > NAMED_MAX && ` and ${(all - Math.min(NAMED_MAX, objects.length)).toLocaleString('en')} more`}
      </span>
      <span className={own.why} title={entry.outcome === 'done' ? entry.reason : (entry.rule ?? entry.detail)}>
        {entry.outcome === 'refused' || (entry.outcome === 'proposed' && !entry.reason) ? (entry.rule || entry.detail) : entry.outcome === 'failed' ? entry.detail : entry.reason ? `“${entry.reason}”` : entry.detail}
      </span>
    </div>
  );
}

function Details({ entry, onFilter }: { entry: AuditEntry; onFilter: (part: AuditSearch) => void }) {
  const { objects } = objectsOf(entry);
  const [first] = objects;
  const facts: [string, ReactNode][] = [
    ['When', `${formatUtc(parseMoment(entry.at) ?? 0)}, entry ${entry.position}`],
    ['Who', <>{nobody(entry)}{entry.by !== undefined && entry.by !== '' && <>, by {entry.by}{entry.by_id !== undefined && entry.by_id !== '' && <> {entry.by === 'proposal' ? <ProposalLink id={entry.by_id} /> : <span className="mono">{entry.by_id}</span>}</>}</>}</>],
    ['From', <span key="from" className="mono">{entry.from || 'not known'}</span>],
    ['Answered', `with status ${entry.status}`],
  ];
  if (entry.second_person !== undefined) facts.push(['With', `${entry.second_person}, as the second person`]);
  if (entry.reason) facts.push(['Why', `“${entry.reason}”`]);
  if (entry.rule) facts.push(['Rule', entry.rule]);
  if (entry.detail) facts.push(['What', entry.detail]);
  if (objects.length > 0) facts.push([objects.length === 1 ? 'Object' : 'Objects', <Objects key="objects" entry={entry} />]);
  return (
    <div className={own.details}>
      <dl>{facts.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>
      <p className={own.more}>
        {!isNobody(entry) && <button type="button" onClick={() => onFilter({ person: entry.person })}>Only of {entry.person}</button>}
        <button type="button" onClick={() => onFilter({ action: entry.action })}>Only <span className="mono">{entry.action}</span></button>
        {objects.length === 1 && first !== undefined && <button type="button" onClick={() => onFilter({ object: first.id })}>Only what was done to {first.name || first.id}</button>}
      </p>
    </div>
  );
}

const NOW = { at: undefined };

function ProposalLink({ id }: { id: string }) {
  return <Link to="/access/approvals/$proposal" params={{ proposal: id }} search={NOW} className="mono">{id}</Link>;
}

function Objects({ entry }: { entry: AuditEntry }) {
  const { objects, all } = objectsOf(entry);
  return (
    <ul className={own.named}>
      {objects.map((object) => (
        <li key={object.kind + object.id}>
          {object.kind}{' '}
          {object.kind === 'machine' ? <Link to="/machines/$id" params={{ id: object.id }} search={{}}>{object.name || object.id}</Link>
            : object.kind === 'person' ? <Link to="/access/people/$name" params={{ name: object.id }} search={{}}>{object.name || object.id}</Link>
              : object.kind === 'proposal' ? <ProposalLink id={object.id} />
                : <strong>{object.name || object.id}</strong>}
          {object.name !== undefined && object.name !== '' && <span className="mono muted"> {object.id}</span>}
        </li>
      ))}
      {all > objects.length && <li className="muted">and {plural(all - objects.length, 'more', 'more')}</li>}
    </ul>
  );
}
