/** Acts that wait for a second person: those that whoever looks can approve first, then the others, then what was decided. */
import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import classes from '@/access/access.module.css';
import { actInWords, outcomeInWords, parted } from '@/access/acts';
import { Left, StateMark, Withdraw } from '@/access/proposal';
import own from '@/access/proposal.module.css';
import { useMe } from '@/access/use-me';
import { proposalsQuery } from '@/api/proposals';
import type { Proposal } from '@/api/types';
import { Empty, Failure, Loading, StaleNote } from '@/kit/faces';
import { plural, sentence } from '@/kit/format';
import panel from '@/kit/panel.module.css';
import { Age, Moment } from '@/kit/times';
import { useTitle } from '@/kit/use-title';

const NOW = { at: undefined };
/** Decided ones that are drawn at once. */
const SHOWN_STEP = 25;

export function ApprovalsPage() {
  useTitle('Approvals');
  const query = useQuery(proposalsQuery);
  const me = useMe();
  if (query.isPending) return <><h1 className="sr-only">Approvals</h1><Loading what="what waits" /></>;
  if (query.data === undefined) return <><h1 className="sr-only">Approvals</h1><Failure error={query.error} what="what waits" retry={() => void query.refetch()} /></>;
  const { forYou, others, decided } = parted(query.data.items);
  const waits = forYou.length + others.length;
  return (
    <div className={classes.page}>
      <div className={classes.head}>
        <h1>Approvals</h1>
        <span className="muted" role="status">{waits === 0 ? 'nothing waits' : `${plural(waits, 'act waits', 'acts wait')}, ${forYou.length} for you`}</span>
      </div>
      {query.isError && <StaleNote>What waits could not be asked for again: {query.error.message}</StaleNote>}
      {query.data.items.length === 0 ? (
        <section className={classes.panel} aria-label="Approvals">
          {me?.trusts_loopback === true
            ? <Empty title="There is no second person here">Everybody on this computer is let in as one person. Where people sign in, a policy can ask that somebody else approves what one person does.</Empty>
            : <Empty title="Nothing waits for a second person" action={<Link to="/access/roles" search={NOW}>To the policies</Link>}>Where a policy asks for one, what somebody does waits here until somebody else approves it.</Empty>}
        </section>
      ) : (
        <>
          <section className={classes.panel} aria-label="For you">
            <h2>For you</h2>
            {forYou.length === 0 ? <p className="muted">Nothing waits for you.</p> : <List items={forYou} me={me?.name} />}
          </section>
          {others.length > 0 && (
            <section className={classes.panel} aria-label="For others">
              <h2>For others</h2>
              <List items={others} me={me?.name} />
            </section>
          )}
          {decided.length > 0 && <Decided items={decided} me={me?.name} />}
        </>
      )}
    </div>
  );
}

interface ListProps {
  items: readonly Proposal[];
  me: string | undefined;
}

const whose = (proposal: Proposal, me: string | undefined) => (proposal.person === me ? 'You' : proposal.person);

function List({ items, me }: ListProps) {
  return (
    <ul className={own.list}>
      {items.map((proposal) => (
        <li key={proposal.id} className={own.item} data-for-you={proposal.may_decide || undefined}>
          <h3>
            <Link to="/access/approvals/$proposal" params={{ proposal: proposal.id }} search={NOW}>
              {whose(proposal, me)} {proposal.person === me ? 'propose' : 'proposes'} to {actInWords(proposal)}
            </Link>
          </h3>
          <div className={own.aside}>
            <div>
              <Left proposal={proposal} />
              <span className="muted">proposed <Age at={proposal.created_at} ago /></span>
            </div>
            {proposal.person === me && <Withdraw proposal={proposal} size="xs" />}
          </div>
          {proposal.reason !== undefined && proposal.reason !== '' && <p>“{proposal.reason}”</p>}
          <p className="muted">The policy <b>{proposal.policy}</b>: {sentence(proposal.policy_description)}</p>
          {!proposal.may_decide && proposal.person !== me && <p className="muted">{sentence(proposal.why)}</p>}
        </li>
      ))}
    </ul>
  );
}

function Decided({ items, me }: ListProps) {
  const [shown, setShown] = useState(SHOWN_STEP);
  return (
    <section className={classes.panel} aria-label="Decided">
      <h2>Decided</h2>
      <div className={panel.scroll}>
        <table className={`${panel.table} ${classes.table} ${own.table}`}>
          <thead><tr><th scope="col">State</th><th scope="col">What</th><th scope="col">What came of it</th><th scope="col">Proposed by</th><th scope="col">When</th></tr></thead>
          <tbody>
            {items.slice(0, shown).map((proposal) => (
              <tr key={proposal.id}>
                <td><StateMark state={proposal.state} /></td>
                <td><Link to="/access/approvals/$proposal" params={{ proposal: proposal.id }} search={NOW}>{sentence(actInWords(proposal)).slice(0, -1)}</Link></td>
                <td>{sentence(outcomeInWords(proposal))}</td>
                <td>{proposal.person === me ? 'you' : proposal.person}</td>
                <td><Moment at={proposal.decided_at ?? proposal.expires_at} /></td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {items.length > shown && <div className={classes.buttons}><Button variant="default" size="xs" onClick={() => setShown(shown + SHOWN_STEP)}>Show more of {items.length}</Button></div>}
    </section>
  );
}
