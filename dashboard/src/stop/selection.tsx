/** Remote stop of the machines that the table shows, and how far each of them is. */
import { Button } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { useEffect, useState, useSyncExternalStore } from 'react';
import type { StopsIssued } from '@/api/types';
import type { FleetStore } from '@/fleet/store';
import { plural } from '@/kit/format';
import { FailedIcon, OkIcon, StopIcon } from '@/kit/icons';
import { Permitted, usePermit } from '@/kit/permit';
import { useMoment, useNow } from '@/time/use-moment';
import { StopDialog } from './dialog';
import { tally } from './progress';
import classes from './stop.module.css';

/** Machines that are named one by one. */
const NAMED_MAX = 50;

interface SelectionProps {
  store: FleetStore;
  /** Empty: every machine. */
  filter: string;
  /** How many machines pass it. */
  count: number;
  /** The filter makes no sense, or nothing is known yet. */
  disabled: boolean;
}

export function StopSelection({ store, filter, count, disabled }: SelectionProps) {
  const { past } = useMoment();
  const permit = usePermit('stop');
  const [asked, setAsked] = useState<{ filter: string; count: number } | null>(null);
  const [issued, setIssued] = useState<StopsIssued | null>(null);
  const close = () => {
    setAsked(null);
    setIssued(null);
  };
  if (past) return null;
  const all = asked?.filter === '';
  const whom = asked === null ? '' : `${all ? 'all ' : ''}${plural(asked.count, 'machine')}`;
  return (
    <>
      <Permitted by={permit}>
        <Button
          size="sm"
          className={classes.outlined}
          variant="default"
          leftSection={<StopIcon />}
          disabled={disabled || count === 0}
          aria-haspopup="dialog"
          onClick={() => setAsked({ filter, count })}
        >
          Remote stop…
        </Button>
      </Permitted>
      <StopDialog
        target={asked === null || all ? { all: true } : { filter: asked.filter }}
        whom={whom}
        action={`Stop ${whom}`}
        opened={asked !== null}
        onClose={close}
        onSent={setIssued}
        sent={issued === null ? undefined : <Progress store={store} issued={issued} onClose={close} />}
      />
    </>
  );
}

function Progress({ store, issued, onClose }: { store: FleetStore; issued: StopsIssued; onClose: () => void }) {
  useSyncExternalStore(store.watch, store.version);
  const now = useNow();
  const sum = tally(issued.stops, (id) => store.row(id), now);
  const left = [...issued.refused.map((each) => ({ id: each.machine_id, name: each.machine_id, why: `Not asked: ${each.detail}.` })), ...sum.left];
  const total = sum.asked + issued.refused.length;
  const done = useAnnounced(`${sum.standing} of ${plural(total, 'machine')} stand`);
  return (
    <div className={classes.dialog}>
      <dl className={classes.tally}>
        {([['Requested', sum.asked], ['Received', sum.received], ['Standing', sum.standing], ['At rest', sum.resting]] as const).map(([name, count]) => (
          <div key={name} data-done={count === total || undefined}>
            <dt>{name}</dt>
            <dd><strong>{count.toLocaleString('en')}</strong> <span className="muted">of {total.toLocaleString('en')}</span></dd>
          </div>
        ))}
      </dl>
      <p className="sr-only" role="status">{done}</p>
      {left.length === 0 ? (
        <p className={classes.allStand}><OkIcon /> All of them stand. Only somebody at each machine can let it move again.</p>
      ) : (
        <>
          <h3 className={classes.leftHead}><FailedIcon /> {plural(left.length, 'machine is', 'machines are')} not known to stand</h3>
          <ul className={classes.left} aria-label="Machines that are not known to stand">
            {left.slice(0, NAMED_MAX).map(({ id, name, why }) => (
              <li key={id}><Link to="/machines/$id" params={{ id }} search={{}}>{name}</Link> <span className="muted">{why}</span></li>
            ))}
            {left.length > NAMED_MAX && <li className="muted">and {(left.length - NAMED_MAX).toLocaleString('en')} more</li>}
          </ul>
        </>
      )}
      <div className={classes.buttons}><Button variant="default" onClick={onClose}>Close</Button></div>
    </div>
  );
}

/** Changes are read out once they have settled, not one by one. */
function useAnnounced(text: string): string {
  const [said, setSaid] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setSaid(text), 1_000);
    return () => clearTimeout(timer);
  }, [text]);
  return said;
}
