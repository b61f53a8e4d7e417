/** Pieces of proposals: how far one is, the request it keeps, what it answered, deciding. */
import { Button } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState, type ComponentType } from 'react';
import { approveProposal, proposalQuery, refuseProposal, withdrawProposal } from '@/api/proposals';
import type { Proposal, ProposalState } from '@/api/types';
import { Confirm } from '@/kit/confirm';
import { formatAge, sentence } from '@/kit/format';
import { AttentionIcon, CloseIcon, FailedIcon, HistoryIcon, OkIcon, SecondPersonIcon, UpdatingIcon } from '@/kit/icons';
import { Permitted } from '@/kit/permit';
import { useServerNow } from '@/live/use-live';
import classes from './access.module.css';
import { actInWords, outcomeInWords, readable, told } from './acts';
import { Copy, Secret } from './parts';
import own from './proposal.module.css';

const STATES: Record<ProposalState, { label: string; Icon: ComponentType<{ size?: number }> }> = {
  waiting: { label: 'Waits', Icon: SecondPersonIcon },
  doing: { label: 'Being done', Icon: UpdatingIcon },
  done: { label: 'Done', Icon: OkIcon },
  failed: { label: 'Failed', Icon: FailedIcon },
  refused: { label: 'Refused', Icon: AttentionIcon },
  withdrawn: { label: 'Withdrawn', Icon: CloseIcon },
  expired: { label: 'Expired', Icon: HistoryIcon },
};
/** From then on it is said that one ends soon. */
const ENDS_SOON_MS = 2 * 3_600_000;

export function StateMark({ state }: { state: ProposalState }) {
  const { label, Icon } = STATES[state];
  return <span className={own.state} data-state={state}><Icon size={14} />{label}</span>;
}

/** What is said already by the word before it is not said again. */
const outcomeOf = (proposal: Proposal) => sentence(outcomeInWords(proposal)).replace(/^Refused by/, 'By');

export function Outcome({ proposal }: { proposal: Proposal }) {
  const { label, Icon } = STATES[proposal.state];
  return (
    <div className={own.outcome} data-state={proposal.state} role="status">
      <Icon />
      <div><strong>{label}.</strong> {outcomeOf(proposal)}</div>
    </div>
  );
}

/** How long it waits yet. */
export function Left({ proposal }: { proposal: Proposal }) {
  const left = Date.parse(proposal.expires_at) - useServerNow();
  return <span className={classes.mark} data-tone={left < ENDS_SOON_MS ? 'warn' : 'off'}>{left < ENDS_SOON_MS && <AttentionIcon size={14} />}{left <= 0 ? 'ends now' : `ends in ${formatAge(left)}`}</span>;
}

/** What is sent when it is approved, as it is kept: nobody can change it on the way. */
export function KeptRequest({ proposal, small = false }: { proposal: Proposal; small?: boolean }) {
  return (
    <div className={own.request} data-small={small || undefined}>
      <div className={own.line}><b>{proposal.method}</b> {proposal.path}</div>
      {proposal.if_match !== undefined && <div className={own.line}>If-Match: {proposal.if_match}</div>}
      {proposal.if_none_match !== undefined && <div className={own.line}>If-None-Match: {proposal.if_none_match}</div>}
      {proposal.body !== undefined && proposal.body !== '' && (
        // What scrolls must be reachable by keyboard.
        // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
        <pre tabIndex={0} aria-label="Body of the request">{readable(proposal.body)}</pre>
      )}
    </div>
  );
}

/** What the act answered. What is told once is shown when it is asked for, and kept nowhere else. */
export function Answered({ answer }: { answer: string }) {
  const [shown, setShown] = useState(false);
  const { secrets, text } = told(answer);
  return (
    <section className={classes.panel} aria-label="What it answered">
      <h2>What it answered</h2>
      {secrets.length > 0 && (shown ? (
        <div className={classes.form}>
          <p><strong>It is shown to you alone, for an hour after it was done</strong>, and not after the server was started again: put it where it is needed.</p>
          {secrets.map(([name, secret]) => <Secret key={secret} text={secret} label={`Copy the ${name}`} />)}
          <div className={classes.buttons}><Button variant="default" size="xs" onClick={() => setShown(false)}>Hide it</Button></div>
        </div>
      ) : (
        <>
          <p>It holds a secret that is told once, and to you alone: within an hour after it was done, and not after the server was started again.</p>
          <div className={classes.buttons}><Button size="sm" onClick={() => setShown(true)}>Show the secret</Button></div>
        </>
      ))}
      <div className={own.request} data-small>
        {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
        <pre tabIndex={0} aria-label="The answer">{text}</pre>
      </div>
      {secrets.length === 0 && <div className={classes.buttons}><Copy text={text} label="Copy the answer" /></div>}
    </section>
  );
}

function useDecided() {
  const queries = useQueryClient();
  return (decided?: Proposal) => {
    if (decided !== undefined) queries.setQueryData(proposalQuery(decided.id).queryKey, decided);
    // What was done may be shown anywhere.
    void queries.invalidateQueries();
  };
}

/** Approving and refusing, for whoever may; why not, for everybody else; withdrawing, for whoever proposed it. */
export function Decide({ proposal, mine }: { proposal: Proposal; mine: boolean }) {
  const settled = useDecided();
  const [asks, setAsks] = useState<'approve' | 'refuse' | null>(null);
  const [last, setLast] = useState<'approve' | 'refuse'>('approve');
  const decide = useMutation({
    mutationFn: ({ yes, reason }: { yes: boolean; reason: string }) => (yes ? approveProposal : refuseProposal)(proposal.id, reason),
    onSuccess: (decided) => {
      setAsks(null);
      settled(decided);
    },
    // It may be decided already, by somebody else.
    onError: () => settled(),
  });
  const permit = { allowed: proposal.may_decide, why: sentence(proposal.why) };
  const begin = (which: 'approve' | 'refuse') => {
    decide.reset();
    setLast(which);
    setAsks(which);
  };
  const approves = last === 'approve';
  return (
    <section className={own.decide} aria-label="Deciding">
      <SecondPersonIcon size={20} />
      <div>
        <strong>{mine ? 'It waits for somebody else' : proposal.may_decide ? 'It waits for you' : 'It waits for somebody who may'}</strong>
        <p>{!proposal.may_decide && <span className="muted">{sentence(proposal.why)} </span>}<Left proposal={proposal} /></p>
      </div>
      <div className={classes.buttons}>
        {mine && <Withdraw proposal={proposal} />}
        <Permitted by={permit}><Button variant="default" onClick={() => begin('refuse')}>Refuse …</Button></Permitted>
        <Permitted by={permit}><Button onClick={() => begin('approve')}>Approve …</Button></Permitted>
      </div>
      <Confirm
        key={last}
        title={approves ? 'Approve it' : 'Refuse it'}
        action={approves ? 'Approve, and do it' : 'Refuse it'}
        opened={asks !== null}
        asksWhy={approves ? 'if wanted' : true}
        calm={approves}
        size="lg"
        busy={decide.isPending}
        error={decide.error}
        onClose={() => setAsks(null)}
        onConfirm={(reason) => decide.mutate({ yes: approves, reason })}
      >
        {approves ? (
          <div className={own.asked}>
            <p>At once, and with what {proposal.person} may do now, the server does exactly this: <strong>{actInWords(proposal)}</strong>.</p>
            <KeptRequest proposal={proposal} small />
            <p className="muted">{proposal.if_match === undefined ? 'It is done once. ' : 'If it was changed since, it fails and nothing is done. '}Both names are kept in the audit log.</p>
          </div>
        ) : <p>{proposal.person} proposes to {actInWords(proposal)}. It will not be done, and {proposal.person} reads why.</p>}
      </Confirm>
    </section>
  );
}

export function Withdraw({ proposal, size = 'sm' }: { proposal: Proposal; size?: 'xs' | 'sm' }) {
  const settled = useDecided();
  const [asks, setAsks] = useState(false);
  const withdraw = useMutation({
    mutationFn: () => withdrawProposal(proposal.id),
    onSuccess: () => {
      setAsks(false);
      settled();
    },
    onError: () => settled(),
  });
  return (
    <>
      <Button variant="default" size={size} aria-label={`Withdraw: ${actInWords(proposal)}`} onClick={() => { withdraw.reset(); setAsks(true); }}>Withdraw …</Button>
      <Confirm title="Withdraw it" action="Withdraw it" opened={asks} asksWhy={false} calm busy={withdraw.isPending} error={withdraw.error} onClose={() => setAsks(false)} onConfirm={() => withdraw.mutate()}>
        <p>To {actInWords(proposal)}: it will not be done. It can be proposed again.</p>
      </Confirm>
    </>
  );
}
