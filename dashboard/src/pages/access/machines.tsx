/** What machines prove who they are by: certificates and their ends, machines that wait, tokens for more of them, the authorities. */
import { Button, Modal, TextInput } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import classes from '@/access/access.module.css';
import { Authorities } from '@/access/authorities';
import { EnrolForm, HandOver } from '@/access/enrol-dialog';
import { Enrolments } from '@/access/enrolments';
import { IdentityRow } from '@/access/identity-row';
import { byConcern, hasWord } from '@/access/standing';
import { acceptIdentity, enrolAgain, identitiesQuery, renewIdentity, revokeIdentity } from '@/api/identities';
import { ApiError } from '@/api/client';
import type { EnrolmentMade, MachineIdentity } from '@/api/types';
import { Confirm } from '@/kit/confirm';
import { Empty, Failure, Loading, StaleNote } from '@/kit/faces';
import { plural, sentence } from '@/kit/format';
import { PlusIcon, SearchIcon } from '@/kit/icons';
import panel from '@/kit/panel.module.css';
import { Permitted, useSomePermit, type Permit } from '@/kit/permit';
import { Refused } from '@/kit/refused';
import { useTitle } from '@/kit/use-title';
import { useServerNow } from '@/live/use-live';
import { Guarded } from './page';

/** Machines that are drawn at once. */
const SHOWN_STEP = 100;
const NO_IDENTITIES = 409;

export function MachinesPage() {
  useTitle('Machines’ identities');
  const permit = useSomePermit('enrol');
  return <Guarded by={permit} what="the identities of machines"><Identities permit={permit} /></Guarded>;
}

function Identities({ permit }: { permit: Permit }) {
  const query = useQuery(identitiesQuery);
  const [enrolling, setEnrolling] = useState(false);
  if (query.isPending) return <><h1 className="sr-only">Machines’ identities</h1><Loading what="the identities" /></>;
  if (query.data === undefined) {
    if (query.error instanceof ApiError && query.error.problem.status === NO_IDENTITIES) {
      return <Empty whole title="Machines need no identity here">{sentence(query.error.message)} A server of your own, <span className="mono">muster serve</span>, gives each machine a certificate.</Empty>;
    }
    return <><h1 className="sr-only">Machines’ identities</h1><Failure error={query.error} what="the identities" retry={() => void query.refetch()} /></>;
  }
  const { data } = query;
  const waiting = data.filter((each) => each.standing === 'pending').length;
  return (
    <div className={classes.page}>
      <div className={classes.head}>
        <h1>Machines’ identities</h1>
        <span className="muted" role="status">{plural(data.length, 'machine')}{waiting > 0 && `, ${waiting} waiting to be accepted`}</span>
        <span className={classes.spacer} />
        <Permitted by={permit}><Button leftSection={<PlusIcon size={14} />} aria-haspopup="dialog" onClick={() => setEnrolling(true)}>Enrol a machine</Button></Permitted>
      </div>
      {query.isError && <StaleNote>The identities could not be asked for again: {query.error.message}</StaleNote>}
      <section className={classes.panel} aria-label="Identities">
        {data.length === 0 ? <Empty title="No machine has enrolled yet">Make a token, and use it on the machine: it makes its key there, and gets its certificate.</Empty> : <IdentityTable identities={data} permit={permit} />}
      </section>
      <Enrolments />
      <Authorities />
      <Modal opened={enrolling} onClose={() => setEnrolling(false)} title="Enrol a machine" size="lg" closeOnClickOutside={false} closeButtonProps={{ 'aria-label': 'Close' }} attributes={{ header: { role: 'presentation' } }}>
        <EnrolForm onDone={() => setEnrolling(false)} />
      </Modal>
    </div>
  );
}

const nameOf = (identity: MachineIdentity | null) => identity?.name ?? identity?.machine_id ?? '';

function IdentityTable({ identities, permit }: { identities: readonly MachineIdentity[]; permit: Permit }) {
  const queries = useQueryClient();
  const now = useServerNow();
  const [word, setWord] = useState('');
  const [shown, setShown] = useState(SHOWN_STEP);
  const [open, setOpen] = useState<string | null>(null);
  const [revoking, setRevoking] = useState<MachineIdentity | null>(null);
  const [asks, setAsks] = useState(false);
  const [made, setMade] = useState<EnrolmentMade | null>(null);
  // The order follows what is known, not the second hand.
  const minute = Math.floor(now / 60_000) * 60_000;
  const ordered = useMemo(() => byConcern(identities, minute), [identities, minute]);
  const found = word.trim() === '' ? ordered : ordered.filter((each) => hasWord(each, word));
  const settled = () => {
    void queries.invalidateQueries({ queryKey: identitiesQuery.queryKey });
    void queries.invalidateQueries({ queryKey: ['enrolments'] });
  };
  const accept = useMutation({ mutationFn: acceptIdentity, onSettled: settled });
  const renew = useMutation({ mutationFn: renewIdentity, onSettled: settled });
  const again = useMutation({ mutationFn: enrolAgain, onSettled: settled, onSuccess: setMade });
  const revoke = useMutation({
    mutationFn: ({ id, reason }: { id: string; reason: string }) => revokeIdentity(id, reason),
    onSettled: settled,
    onSuccess: () => setAsks(false),
  });
  const failed = accept.error ?? renew.error ?? again.error;
  return (
    <>
      <TextInput aria-label="Search the identities" placeholder="Name, id, kind or label" leftSection={<SearchIcon />} maw={320} value={word} onChange={(event) => setWord(event.currentTarget.value)} />
      <Refused error={failed} className={classes.refused} />
      {found.length === 0 ? <Empty title="No machine has this word" /> : (
        <div className={panel.scroll}>
          <table className={`${panel.table} ${classes.table}`}>
            <thead>
              <tr><th scope="col">Machine</th><th scope="col">Labels</th><th scope="col">Standing</th><th scope="col">Certificate ends</th><th><span className="sr-only">What to do</span></th></tr>
            </thead>
            {found.slice(0, shown).map((identity) => (
              <IdentityRow
                key={identity.machine_id}
                identity={identity}
                now={now}
                permit={permit}
                open={open === identity.machine_id}
                onToggle={() => setOpen(open === identity.machine_id ? null : identity.machine_id)}
                busy={accept.isPending || renew.isPending || again.isPending}
                onAccept={() => accept.mutate(identity.machine_id)}
                onRenew={() => renew.mutate(identity.machine_id)}
                onAgain={() => again.mutate(identity.machine_id)}
                onRevoke={() => { revoke.reset(); setRevoking(identity); setAsks(true); }}
              />
            ))}
          </table>
        </div>
      )}
      {found.length > shown && <div className={classes.buttons}><Button variant="default" size="xs" onClick={() => setShown(shown + SHOWN_STEP)}>Show more of {plural(found.length, 'machine')}</Button></div>}
      <Confirm
        title={`Shut ${nameOf(revoking)} out`}
        action="Shut it out"
        opened={asks}
        asksWhy
        busy={revoke.isPending}
        error={revoke.error}
        onClose={() => setAsks(false)}
        onConfirm={(reason) => (revoking === null ? undefined : revoke.mutate({ id: revoking.machine_id, reason }))}
      >
        <p>Its connection is cut within seconds, and none of its certificates is good any more. It goes on by itself as its failsafes say: stop it first, if it should stand. To come back it needs a new token.</p>
      </Confirm>
      <Modal opened={made !== null} onClose={() => setMade(null)} title="A token for a machine that is known" size="lg" closeOnClickOutside={false} closeButtonProps={{ 'aria-label': 'Close' }} attributes={{ header: { role: 'presentation' } }}>
        {made !== null && <HandOver made={made} onDone={() => setMade(null)} />}
      </Modal>
    </>
  );
}
