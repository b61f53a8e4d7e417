/** Who is signed in from where, and ending that. */
import { Button } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { endSession, sessionsQuery } from '@/api/access';
import type { AccessSession } from '@/api/types';
import { Confirm } from '@/kit/confirm';
import { Empty, Failure, Loading, StaleNote } from '@/kit/faces';
import panel from '@/kit/panel.module.css';
import { Age, Moment } from '@/kit/times';
import classes from './access.module.css';
import { agentInWords } from './words';

interface SessionsProps {
  /** Whose; everybody's if not said. */
  person: string | undefined;
}

export function Sessions({ person }: SessionsProps) {
  const queries = useQueryClient();
  const query = useQuery({ ...sessionsQuery(person), refetchInterval: 30_000 });
  const [ending, setEnding] = useState<AccessSession | null>(null);
  const [asks, setAsks] = useState(false);
  const end = useMutation({
    mutationFn: (session: AccessSession) => endSession(session.id),
    onSuccess: () => {
      setAsks(false);
      void queries.invalidateQueries({ queryKey: ['sessions'] });
    },
  });
  if (query.isPending) return <Loading what="sessions" />;
  if (query.data === undefined) return <Failure error={query.error} what="the sessions" retry={() => void query.refetch()} />;
  const { items } = query.data;
  return (
    <>
      {query.isError && <StaleNote>The sessions could not be asked for again: {query.error.message}</StaleNote>}
      {items.length === 0 ? <Empty title="Nobody is signed in">Sessions stand here from signing in until they end: by themselves, or by somebody here.</Empty> : (
        <div className={panel.scroll}>
          <table className={`${panel.table} ${classes.table}`}>
            <thead>
              <tr>{person === undefined && <th scope="col">Who</th>}<th scope="col">With</th><th scope="col">From</th><th scope="col">Since</th><th scope="col">Used</th><th scope="col">Ends at the latest</th><th><span className="sr-only">End</span></th></tr>
            </thead>
            <tbody>
              {items.map((session) => (
                <tr key={session.id}>
                  {person === undefined && <td>{session.person}</td>}
                  <td title={session.agent}>{agentInWords(session.agent)}{session.current && <strong> · this one</strong>}</td>
                  <td className="mono">{session.from}</td>
                  <td><Moment at={session.created_at} /></td>
                  <td><Age at={session.used_at} ago /></td>
                  <td><Moment at={session.expires_at} /></td>
                  <td className={classes.action}>
                    <Button variant="default" size="xs" aria-label={`End the session of ${session.person} from ${session.from}, ${agentInWords(session.agent)}`} onClick={() => { end.reset(); setEnding(session); setAsks(true); }}>End …</Button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <Confirm
        title="End this session"
        action="End it"
        opened={asks}
        asksWhy={false}
        busy={end.isPending}
        error={end.error}
        onClose={() => setAsks(false)}
        onConfirm={() => (ending === null ? undefined : end.mutate(ending))}
      >
        <p>{ending?.current === true ? 'This is the session you are using: you sign in again afterwards.' : `${ending?.person ?? ''} is signed out there at once, and live connections end with it.`}</p>
      </Confirm>
    </>
  );
}
