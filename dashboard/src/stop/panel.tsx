/** The last remote stop of one machine: asking for one, and how far it got. */
import { Button } from '@mantine/core';
import { useState } from 'react';
import type { MachineSummary, Stop } from '@/api/types';
import { FailedIcon, OkIcon, StopIcon, UnknownIcon, UpdatingIcon } from '@/kit/icons';
import { Permitted, usePermit } from '@/kit/permit';
import { Moment } from '@/kit/times';
import { useMoment, useNow } from '@/time/use-moment';
import { StopDialog } from './dialog';
import { formatTook, isShown, outcome, steps, verdict, type Step } from './progress';
import classes from './stop.module.css';

/** The button on a machine's page. The past cannot be stopped. */
export function StopMachine({ machine }: { machine: MachineSummary }) {
  const { past } = useMoment();
  const [opened, setOpened] = useState(false);
  const permit = usePermit('stop', machine.id);
  if (past) return null;
  return (
    <>
      <Permitted by={permit}>
        <Button className={classes.danger} leftSection={<StopIcon />} onClick={() => setOpened(true)} aria-haspopup="dialog">Remote stop</Button>
      </Permitted>
      <StopDialog
        target={{ machine: machine.id }}
        whom={machine.name}
        action="Stop this machine"
        opened={opened}
        onClose={() => setOpened(false)}
        onSent={() => setOpened(false)}
      />
    </>
  );
}

export function LastStop({ machine }: { machine: MachineSummary }) {
  const now = useNow();
  const stop = machine.last_stop;
  if (stop === undefined || !isShown(stop, now)) return null;
  const present = machine.presence !== 'lost';
  return (
    <section className={classes.last} data-outcome={outcome(stop, present, now)} aria-label="Last remote stop">
      <h2>Remote stop</h2>
      <ol className={classes.steps}>
        {steps(stop, now).map((step) => <StepShown key={step.name} step={step} stop={stop} />)}
      </ol>
      <p role="status">{verdict(stop, present, now)}</p>
      <p className={classes.why}>“{stop.reason}” <span className="muted">asked for by {stop.issuer}</span></p>
    </section>
  );
}

const LOOKS = { done: OkIcon, waiting: UpdatingIcon, failed: FailedIcon, unknown: UnknownIcon };
const SPOKEN = { done: 'done', waiting: 'not yet', failed: 'failed', unknown: 'not known' };

function StepShown({ step, stop }: { step: Step; stop: Stop }) {
  const Sign = LOOKS[step.state];
  return (
    <li className={classes.step} data-state={step.state}>
      <Sign />
      <span className={classes.stepName}>{step.name}</span>
      <span className="sr-only">{SPOKEN[step.state]}</span>
      <span className={classes.took}>
        {step.name === 'requested' ? <Moment at={stop.issued_at} /> : step.ms === null ? <span aria-hidden>{step.state === 'waiting' ? '…' : '–'}</span> : <>after {formatTook(step.ms)}</>}
      </span>
    </li>
  );
}
