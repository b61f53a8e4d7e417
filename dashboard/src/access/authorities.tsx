/** The authorities that issue certificates of machines, and exchanging the one that does. */
import { Button } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { authoritiesQuery, rotateAuthority } from '@/api/identities';
import { Confirm } from '@/kit/confirm';
import { Failure, Loading } from '@/kit/faces';
import { plural } from '@/kit/format';
import { OkIcon } from '@/kit/icons';
import panel from '@/kit/panel.module.css';
import { Permitted, useFleetPermit } from '@/kit/permit';
import { Moment } from '@/kit/times';
import classes from './access.module.css';
import own from './identity.module.css';

export function Authorities() {
  const queries = useQueryClient();
  const permit = useFleetPermit('enrol');
  const query = useQuery({ ...authoritiesQuery, enabled: permit.allowed });
  const [asks, setAsks] = useState(false);
  const rotate = useMutation({
    mutationFn: rotateAuthority,
    onSuccess: (now) => {
      queries.setQueryData(authoritiesQuery.queryKey, now);
      setAsks(false);
    },
  });
  return (
    <section className={classes.panel} aria-label="Authorities">
      <h2>Authorities</h2>
      <p className="muted">The server’s own. Whoever is to trust the server, a browser or a program, needs the certificate of the authority.</p>
      {!permit.allowed && <p className="muted">{permit.why}</p>}
      {permit.allowed && query.isPending && <Loading what="the authorities" />}
      {query.isError && query.data === undefined && <Failure error={query.error} what="the authorities" retry={() => void query.refetch()} />}
      {query.data !== undefined && (
        <>
          <div className={panel.scroll}>
            <table className={`${panel.table} ${classes.table}`}>
              <thead><tr><th scope="col">Number</th><th scope="col">SHA-256</th><th scope="col">Since</th><th scope="col">Ends</th><th scope="col">In force by it</th></tr></thead>
              <tbody>
                {query.data.items.map((authority) => (
                  <tr key={authority.generation}>
                    <td>{authority.generation} {authority.issues ? <span className={classes.mark} data-tone="good"><OkIcon size={14} />issues</span> : <span className="muted">trusted until it is not needed</span>}</td>
                    <td className={`mono ${own.fingerprint}`}>{authority.fingerprint}</td>
                    <td><Moment at={authority.not_before} /></td>
                    <td><Moment at={authority.not_after} /></td>
                    <td>{plural(authority.certificates, 'certificate')}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
          <div className={classes.buttons}>
            <Button size="xs" variant="default" component="a" href={`data:application/x-pem-file,${encodeURIComponent(query.data.pem)}`} download="muster-ca.pem">Download the certificates (PEM)</Button>
            <Permitted by={permit}><Button size="xs" variant="default" onClick={() => { rotate.reset(); setAsks(true); }}>Exchange the authority …</Button></Permitted>
          </div>
        </>
      )}
      <Confirm title="Exchange the authority" action="Make a further one" opened={asks} asksWhy={false} busy={rotate.isPending} error={rotate.error} onClose={() => setAsks(false)} onConfirm={() => rotate.mutate()}>
        <p>A further authority is made, and issues from then on. Nothing is disconnected: machines renew when they ask next, and the one before is trusted until no certificate in force is its own.</p>
      </Confirm>
    </section>
  );
}
