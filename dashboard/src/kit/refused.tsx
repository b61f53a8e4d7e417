/**
 * What came of an act that was not done: a refusal, in red; or that it waits for a second person, which is none. Every act of the pages says
 * it by these.
 */
import { Button } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useEffect, type ReactNode } from 'react';
import { outcomeInWords } from '@/access/acts';
import { ApiError } from '@/api/client';
import { proposalQuery } from '@/api/proposals';
import type { ProposalState } from '@/api/types';
import { sentence } from './format';
import { FailedIcon, OkIcon, SecondPersonIcon } from './icons';
import classes from './refused.module.css';

const NOW = { at: undefined };

/** The proposal under which something waits that could not be done at once; null: it does not wait. */
export const waitsAs = (error: Error | null): string | null => (error instanceof ApiError ? error.proposal : null);

interface RefusedProps {
  error: Error | null;
  /** How a refusal looks where it stands. */
  className: string | undefined;
  /** The refusal, in other words than the server's. */
  children?: ReactNode;
}

export function Refused({ error, className, children }: RefusedProps) {
  if (error === null) return null;
  const proposal = waitsAs(error);
  if (proposal !== null) return <Waits proposal={proposal} />;
  return <p className={className} role="alert">{children ?? sentence(error.message)}</p>;
}

interface WaitsProps {
  proposal: string;
  /** Where it is all that is left to say: how to leave. */
  onClose?: () => void;
}

const TITLES: Record<ProposalState, string> = {
  waiting: 'Waits for a second person', doing: 'It is being done', done: 'It is done', failed: 'It could not be done', refused: 'It was refused',
  withdrawn: 'It was withdrawn', expired: 'It waited in vain',
};

/** Follows a proposal from where it was made. */
export function Waits({ proposal, onClose }: WaitsProps) {
  const queries = useQueryClient();
  const { data } = useQuery(proposalQuery(proposal));
  const state = data?.state ?? 'waiting';
  useEffect(() => {
    void queries.invalidateQueries({ queryKey: ['proposals', 'waiting'] });
    void queries.invalidateQueries({ queryKey: ['proposals', 'all'] });
    // What the page shows was changed by it.
    if (state === 'done') void queries.invalidateQueries({ type: 'active', predicate: ({ queryKey }) => queryKey[0] !== 'proposals' });
  }, [queries, state]);
  const ended = state !== 'waiting' && state !== 'doing';
  return (
    <div className={classes.waits} role="status" data-state={state}>
      {state === 'done' ? <OkIcon /> : ended ? <FailedIcon /> : <SecondPersonIcon size={18} />}
      <div>
        <strong>{TITLES[state]}</strong>{state === 'waiting' && data !== undefined && `: ${sentence(data.policy_description)}`}
        {data !== undefined && state !== 'waiting' && <>. {sentence(outcomeInWords(data))}</>}
        <div className={classes.more}>
          {state === 'waiting' && 'Nothing is done until somebody else approves it. '}
          <Link to="/access/approvals/$proposal" params={{ proposal }} search={NOW}>See the proposal</Link>
        </div>
      </div>
      {onClose !== undefined && <Button className={classes.close} variant="default" onClick={onClose} data-autofocus>Close</Button>}
    </div>
  );
}
