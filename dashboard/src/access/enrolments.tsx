/** Tokens by which machines enrol: which are open, and what became of the others. */
import { Button } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { enrolmentsQuery, withdrawEnrolment } from '@/api/identities';
import type { Enrolment } from '@/api/types';
import { Failure, Loading, StaleNote } from '@/kit/faces';
import { formatAge } from '@/kit/format';
import { CloseIcon, OkIcon, UpdatingIcon } from '@/kit/icons';
import panel from '@/kit/panel.module.css';
import { Permitted, useSomePermit } from '@/kit/permit';
import { Refused } from '@/kit/refused';
import { Age } from '@/kit/times';
import { useServerNow } from '@/live/use-live';
import classes from './access.module.css';

export function Enrolments() {
  const queries = useQueryClient();
  const query = useQuery(enrolmentsQuery);
  const now = useServerNow();
  const withdraw = useMutation({ mutationFn: withdrawEnrolment, onSettled: () => void queries.invalidateQueries({ queryKey: enrolmentsQuery.queryKey }) });
  const permit = useSomePermit('enrol');
  const items = query.data?.items;
  return (
    <section className={classes.panel} aria-label="Tokens for enrolment">
      <h2>Tokens for enrolment</h2>
      {query.isPending && <Loading what="the tokens" />}
      {query.isError && items === undefined && <Failure error={query.error} what="the tokens" retry={() => void query.refetch()} />}
      {query.isError && items !== undefined && <StaleNote>They could not be asked for again: {query.error.message}</StaleNote>}
      <Refused error={withdraw.error} className={classes.refused} />
      {items?.length === 0 && <p className="muted">None was made in the last 30 days.</p>}
      {items !== undefined && items.length > 0 && (
        <div className={panel.scroll}>
          <table className={`${panel.table} ${classes.table}`}>
            <thead><tr><th scope="col">For</th><th scope="col">Labels</th><th scope="col">State</th><th scope="col">Made</th><th><span className="sr-only">Withdraw</span></th></tr></thead>
            <tbody>
              {items.map((enrolment) => (
                <tr key={enrolment.id}>
                  <td><For enrolment={enrolment} /></td>
                  <td>{Object.entries(enrolment.labels).map(([key, value]) => <span key={key} className={classes.grant}>{key}<b>{value}</b></span>)}</td>
                  <td><State enrolment={enrolment} now={now} /></td>
                  <td><Age at={enrolment.created_at} ago />, by {enrolment.created_by}</td>
                  <td className={classes.action}>
                    {enrolment.state === 'open' && <Permitted by={permit}><Button size="xs" variant="default" disabled={withdraw.isPending} aria-label={`Withdraw the token for ${enrolment.name ?? enrolment.kind ?? 'any machine'}`} onClick={() => withdraw.mutate(enrolment.id)}>Withdraw</Button></Permitted>}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function For({ enrolment }: { enrolment: Enrolment }) {
  const { name, kind, machine_id: machine } = enrolment;
  const who = name ?? (machine === null ? (kind === null ? 'any machine' : `a ${kind}`) : machine.slice(0, 13));
  return (
    <>
      {machine === null ? <strong>{who}</strong> : <Link to="/machines/$id" params={{ id: machine }} search={{ at: undefined }}>{who}</Link>}
      {name !== null && kind !== null && <span className="muted"> {kind}</span>}
      {enrolment.policy === 'pending' && <span className="muted">, waits to be accepted</span>}
    </>
  );
}

function State({ enrolment, now }: { enrolment: Enrolment; now: number }) {
  switch (enrolment.state) {
    case 'open': return <span className={classes.mark}><UpdatingIcon size={14} />open, ends in {formatAge(Date.parse(enrolment.expires_at) - now)}</span>;
    case 'used': return <span className={classes.mark} data-tone="good"><OkIcon size={14} />used <Age at={enrolment.used_at} ago /></span>;
    case 'expired': return <span className={classes.mark} data-tone="off"><CloseIcon size={14} />nobody used it in time</span>;
  }
}
