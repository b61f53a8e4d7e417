/** One proposal: who wants what done, by which rule it waits, exactly what would be sent; deciding it, or what came of it. */
import { useQuery } from '@tanstack/react-query';
import { Link, useParams } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import classes from '@/access/access.module.css';
import { actInWords } from '@/access/acts';
import { Answered, Decide, KeptRequest, Outcome, StateMark } from '@/access/proposal';
import own from '@/access/proposal.module.css';
import { useMe } from '@/access/use-me';
import { ApiError } from '@/api/client';
import { proposalQuery } from '@/api/proposals';
import type { Proposal } from '@/api/types';
import { Empty, Failure, Loading, StaleNote } from '@/kit/faces';
import { sentence } from '@/kit/format';
import { Age, Moment } from '@/kit/times';
import { useTitle } from '@/kit/use-title';

const NOW = { at: undefined };

export function ApprovalPage() {
  const { proposal } = useParams({ from: '/access/approvals/$proposal' });
  return <One key={proposal} id={proposal} />;
}

function One({ id }: { id: string }) {
  useTitle('Approval');
  const query = useQuery(proposalQuery(id));
  const me = useMe();
  if (query.isPending) return <><h1 className="sr-only">Approval</h1><Loading what="the proposal" /></>;
  if (query.data === undefined) {
    if (query.error instanceof ApiError && query.error.problem.status === 404) {
      return <Empty whole title="There is no such proposal" action={<Link to="/access/approvals" search={NOW}>To the approvals</Link>}><span className="mono">{id}</span> is not kept any more, or is not for you.</Empty>;
    }
    return <><h1 className="sr-only">Approval</h1><Failure error={query.error} what="the proposal" retry={() => void query.refetch()} /></>;
  }
  const proposal = query.data;
  const mine = me?.name === proposal.person;
  return (
    <div className={classes.page} data-narrow>
      <div className={classes.head}>
        <Link to="/access/approvals" search={NOW}>Approvals</Link> /
        <h1>{sentence(actInWords(proposal)).slice(0, -1)}</h1>
        <StateMark state={proposal.state} />
      </div>
      {query.isError && <StaleNote>It could not be asked for again: {query.error.message}</StaleNote>}
      {proposal.state === 'waiting' ? <Decide proposal={proposal} mine={mine} /> : <Outcome proposal={proposal} />}
      {mine && proposal.answer !== undefined && proposal.answer !== '' && <Answered answer={proposal.answer} />}
      <Facts proposal={proposal} mine={mine} />
      <section className={classes.panel} aria-label="The request">
        <h2>The request</h2>
        <p className="muted">{proposal.state === 'waiting' ? 'What is sent when it is approved, exactly so. Secrets are dots.' : 'As it was proposed. Secrets are dots.'}</p>
        <KeptRequest proposal={proposal} />
        {proposal.if_match !== undefined && proposal.if_match !== '*' && proposal.state === 'waiting' && <p className="muted">It was made against this version. If it was changed since, it fails and nothing is done.</p>}
      </section>
    </div>
  );
}

function Facts({ proposal, mine }: { proposal: Proposal; mine: boolean }) {
  const { reason = '', machine, machine_name: name } = proposal;
  const facts: [string, ReactNode][] = [
    ['Who', <>{mine ? <strong>you</strong> : <strong>{proposal.person}</strong>}, {proposal.by === 'token' ? 'by a token' : 'signed in'}, from <span className="mono">{proposal.from}</span></>],
    ['Why', reason === '' ? <span key="why" className="muted">this takes no reason</span> : `“${reason}”`],
    ['To', machine === undefined ? 'the fleet as such' : <Link key="to" to="/machines/$id" params={{ id: machine }} search={NOW}>{name === undefined || name === '' ? machine : name}</Link>],
    ['What', <span key="what"><span className="mono">{proposal.action}</span>, which needs <b>{proposal.permission}</b></span>],
    ['Asked for by', <>the policy <Link to="/access/roles" search={NOW}>{proposal.policy}</Link>: {sentence(proposal.policy_description)}</>],
    ['Proposed', <><Moment at={proposal.created_at} />, <Age at={proposal.created_at} ago /></>],
    proposal.decided_at === undefined ? ['Waits until', <Moment key="until" at={proposal.expires_at} />] : ['Decided', <Moment key="decided" at={proposal.decided_at} />],
  ];
  return (
    <section className={classes.panel} aria-label="The proposal">
      <h2>The proposal</h2>
      <dl className={own.facts}>{facts.map(([title, value]) => <div key={title}><dt>{title}</dt><dd>{value}</dd></div>)}</dl>
    </section>
  );
}
