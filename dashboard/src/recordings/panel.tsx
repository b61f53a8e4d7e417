/** What a machine recorded and had kept: what of it is on the server, what is on its way, and how to have more kept. */
import { Button, Progress, TextInput } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect, useRef, useState } from 'react';
import { downloadPath, fetchRecording, markNow, recordingsQuery, removeRecording } from '@/api/recordings';
import type { Machine, MachineRecording, MachineRecordings } from '@/api/types';
import { Empty, StaleNote } from '@/kit/faces';
import { formatAge, formatBytes, words } from '@/kit/format';
import { AttentionIcon } from '@/kit/icons';
import panel from '@/kit/panel.module.css';
import { Permitted, usePermit, type Permit } from '@/kit/permit';
import { Refused } from '@/kit/refused';
import { Moment } from '@/kit/times';
import { useMoment } from '@/time/use-moment';
import classes from './recordings.module.css';

const REASON_MAX_CHARS = 500;

/** Nothing is shown of a machine that does not record and of which nothing was fetched, nor of the past: files are now. */
export function RecordingsPanel({ machine }: { machine: Machine }) {
  const { past } = useMoment();
  const id = machine.summary.id;
  const records = machine.reported.recordings !== undefined;
  const query = useQuery({ ...recordingsQuery(id), enabled: !past });
  if (past) return null;
  const all = query.data;
  if (!records && (all === undefined || all.items.length === 0)) return null;
  return (
    <section className={panel.panel} aria-label="Recordings">
      <div className={panel.head}>
        <h2>Recordings</h2>
        {all !== undefined && <Rolling all={all} />}
        <span className={panel.spacer} />
        {machine.accepts.includes('record.mark') && <Mark machine={machine} />}
      </div>
      {query.isError && <StaleNote>Recordings could not be asked for: {query.error.message}</StaleNote>}
      {all !== undefined && all.items.length > 0 && <Table machine={machine} all={all} />}
      {all !== undefined && all.items.length === 0 && (
        <Empty title="Nothing is kept yet">What is recorded is kept by itself when something goes wrong: the minutes before and after it.</Empty>
      )}
      {all !== undefined && all.used_bytes > 0 && (
        <p className={classes.room}>Recordings of all machines take {formatBytes(all.used_bytes)} of {formatBytes(all.max_bytes)} on the server. Nothing is removed by itself.</p>
      )}
    </section>
  );
}

function Rolling({ all }: { all: MachineRecordings }) {
  if (all.paused !== null) return <span className={classes.bad}><AttentionIcon />Nothing is recorded: {all.paused}</span>;
  if (!all.records) return <span className="muted">It does not record now.</span>;
  if (all.rolling_s === 0) return <span className="muted">Recording has just begun.</span>;
  return <span className="muted">The last {formatAge(all.rolling_s * 1_000)} ({formatBytes(all.rolling_bytes)}) are on the machine.</span>;
}

/** Has the minutes around now kept. */
function Mark({ machine }: { machine: Machine }) {
  const queries = useQueryClient();
  const id = machine.summary.id;
  const permit = usePermit('diagnose', id);
  const [open, setOpen] = useState(false);
  const [reason, setReason] = useState('');
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), [open]);
  const mark = useMutation({
    mutationFn: () => markNow(id, reason.trim()),
    onSuccess: () => {
      setOpen(false);
      setReason('');
      void queries.invalidateQueries({ queryKey: ['machine', id] });
    },
  });
  const away = machine.summary.presence === 'lost';
  if (!open) {
    return (
      <>
        {mark.isSuccess && <span className={classes.fine} role="status">Marked: it is listed when the minutes after it are over.</span>}
        <Permitted by={permit}>
          <Button size="xs" variant="default" disabled={away} title={away ? 'It is not connected, and this means now' : undefined} onClick={() => { mark.reset(); setOpen(true); }}>
            Keep the minutes around now
          </Button>
        </Permitted>
      </>
    );
  }
  return (
    <form
      className={classes.mark}
      onSubmit={(event) => {
        event.preventDefault();
        if (reason.trim() !== '' && !mark.isPending) mark.mutate();
      }}
    >
      <TextInput
        aria-label="Why these minutes are kept"
        placeholder="Why: it rattles on the ramp"
        size="xs"
        ref={field}
        value={reason}
        maxLength={REASON_MAX_CHARS}
        onChange={(event) => setReason(event.currentTarget.value.replaceAll(/\p{Cc}+/gu, ' '))}
      />
      <Button size="xs" type="submit" loading={mark.isPending} disabled={reason.trim() === ''}>Keep</Button>
      <Button size="xs" variant="default" onClick={() => setOpen(false)}>Cancel</Button>
      <Refused error={mark.error} className={classes.bad} />
    </form>
  );
}

function Table({ machine, all }: { machine: Machine; all: MachineRecordings }) {
  const queries = useQueryClient();
  const id = machine.summary.id;
  const settled = () => void queries.invalidateQueries({ queryKey: recordingsQuery(id).queryKey });
  const fetch = useMutation({ mutationFn: (file: string) => fetchRecording(id, file), onSettled: settled });
  const remove = useMutation({ mutationFn: (file: string) => removeRecording(id, file), onSettled: settled });
  const failed = fetch.error ?? remove.error;
  const permit = usePermit('diagnose', id);
  const removes = usePermit('configure', id);
  return (
    <>
      <Refused error={failed} className={classes.bad} />
      <div className={panel.scroll}>
        <table className={`${panel.table} ${classes.table}`}>
          <thead>
            <tr><th scope="col">From</th><th scope="col">Lasts</th><th scope="col">Kept for</th><th scope="col">Size</th><th scope="col">Where</th><th><span className="sr-only">What to do</span></th></tr>
          </thead>
          <tbody>
            {all.items.map((item) => (
              <tr key={item.file}>
                <td title={item.file}><Moment at={item.from} /></td>
                <td>{formatAge(Date.parse(item.to) - Date.parse(item.from))}</td>
                <td>{item.why === null ? 'nothing: it goes when room is needed' : words(item.why.replaceAll('.', ' '))}{item.pinned && <span className="muted">, by a person</span>}</td>
                <td>{item.bytes === 0 ? '' : formatBytes(item.bytes)}</td>
                <td><Where item={item} /></td>
                <td>
                  <div className={classes.actions}>
                    <Actions
                      id={id}
                      item={item}
                      permit={permit}
                      removes={removes}
                      fetches={machine.accepts.includes('record.upload') && item.on_machine}
                      busy={fetch.isPending || remove.isPending}
                      onFetch={() => fetch.mutate(item.file)}
                      onRemove={() => remove.mutate(item.file)}
                    />
                  </div>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function Where({ item }: { item: MachineRecording }) {
  const { stored, transfer } = item;
  if (stored !== null) return <span className={classes.here} title={`SHA-256 ${stored.sha256}`}>On the server{item.on_machine && ' and the machine'}</span>;
  if (transfer === null) return <>On the machine</>;
  const held = transfer.detail !== null && <span className={classes.bad}><AttentionIcon />{transfer.detail}</span>;
  switch (transfer.state) {
    case 'asked':
      return <>Asked for: the machine did not answer yet</>;
    case 'accepted':
      return <>The machine will bring it{held}</>;
    case 'coming': {
      const share = transfer.length === null || transfer.length === 0 ? 0 : (100 * transfer.offset) / transfer.length;
      return (
        <>
          <Progress value={share} aria-label={`${item.file} is coming`} size="sm" w={140} />
          <span className="muted">{formatBytes(transfer.offset)} of {formatBytes(transfer.length ?? 0)}</span>
          {held}
        </>
      );
    }
    case 'failed':
      return held === false ? <>It was not brought</> : held;
  }
}

interface ActionsProps {
  id: string;
  item: MachineRecording;
  permit: Permit;
  removes: Permit;
  fetches: boolean;
  busy: boolean;
  onFetch: () => void;
  onRemove: () => void;
}

function Actions({ id, item, permit, removes, fetches, busy, onFetch, onRemove }: ActionsProps) {
  const [sure, setSure] = useState(false);
  if (item.stored === null) {
    const coming = item.transfer !== null && item.transfer.state !== 'failed';
    if (!fetches || coming) return null;
    return (
      <Permitted by={permit}>
        <Button size="xs" variant="default" disabled={busy} onClick={onFetch} aria-label={`Fetch ${item.file}`}>{item.transfer === null ? 'Fetch' : 'Fetch again'}</Button>
      </Permitted>
    );
  }
  if (sure) {
    return (
      <>
        <span className={classes.bad}>{item.on_machine ? 'From the server only' : 'It is nowhere else'}</span>
        <Button size="xs" color="red" disabled={busy} onClick={() => { setSure(false); onRemove(); }}>Remove</Button>
        <Button size="xs" variant="default" onClick={() => setSure(false)}>Keep</Button>
      </>
    );
  }
  return (
    <>
      <Permitted by={permit}>
        <Button size="xs" variant="default" component="a" href={downloadPath(id, item.file)} download={item.file} aria-label={`Download ${item.file}`}>Download</Button>
      </Permitted>
      <Permitted by={removes}>
        <Button size="xs" variant="subtle" color="gray" onClick={() => setSure(true)} aria-label={`Remove ${item.file} from the server`}>Remove …</Button>
      </Permitted>
    </>
  );
}
