/** Faults of a simulated machine: put in, taken out. Real machines never show this. */
import { Button, Select } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { giveFault, type FaultArguments } from '@/api/commands';
import type { Machine } from '@/api/types';
import panel from '@/kit/panel.module.css';
import { Permitted, usePermit } from '@/kit/permit';
import { Refused } from '@/kit/refused';
import { useMoment } from '@/time/use-moment';
import classes from './safety.module.css';

const FAULTS: Partial<Record<string, string>> = {
  over_speed: 'Drives too fast',
  runaway_motor: 'Runaway motor',
  relay_stuck_on: 'Relay welded on',
  relay_stuck_off: 'Relay does not close',
  brown_out: 'Supply collapses',
  board_overheated: 'Board overheats',
  speed_silent: 'Speed not measured',
  speed_frozen: 'Speed sensor frozen',
  case_open: 'Case opened',
  link_lost: 'Cable pulled',
};

const LASTS = [
  { value: '10', label: '10 s' },
  { value: '30', label: '30 s' },
  { value: '150', label: '2.5 min' },
  { value: '', label: 'until cleared' },
];

export function SimulationPanel({ machine }: { machine: Machine }) {
  const { past } = useMoment();
  const queries = useQueryClient();
  const [lasts, setLasts] = useState('30');
  const id = machine.summary.id;
  const give = useMutation({
    mutationFn: (fault: FaultArguments) => giveFault(id, fault),
    onSettled: () => void queries.invalidateQueries({ queryKey: ['machine', id] }),
  });
  const permit = usePermit('operate', id);
  const simulation = machine.reported.simulation;
  if (past || simulation === undefined || !machine.accepts.includes('fault')) return null;
  const stands = (fault: string) => simulation.faults.some((each) => each.fault === fault);
  const pressed = stands('estop_pressed');
  const away = machine.summary.presence === 'lost';
  const toggle = (fault: string) => {
    if (stands(fault)) return give.mutate({ fault, clear: true });
    return give.mutate(lasts === '' ? { fault } : { fault, for_s: Number(lasts) });
  };
  return (
    <section className={`${panel.panel} ${classes.simulation}`} data-dense aria-label="Simulation">
      <h2>Simulation</h2>
      <p>This machine is simulated. Here you are beside it: what you do changes its hardware. It clears no latch; for that there are <code>muster agent reset</code> and <code>muster agent resume</code>.</p>
      <div className={classes.controls}>
        {simulation.possible.includes('estop_pressed') && (
          <Permitted by={permit}>
            <Button
              className={classes.estop}
              aria-pressed={pressed}
              disabled={away}
              onClick={() => give.mutate(pressed ? { fault: 'estop_pressed', clear: true } : { fault: 'estop_pressed' })}
            >
              {pressed ? 'Pull out the emergency stop' : 'Press the emergency stop'}
            </Button>
          </Permitted>
        )}
        <Select label="A fault lasts" data={LASTS} value={lasts} onChange={(value) => setLasts(value ?? '')} allowDeselect={false} w={130} size="xs" />
        <Permitted by={permit}>
          <Button variant="default" size="xs" disabled={away || simulation.faults.length === 0} onClick={() => give.mutate({ clear: true })}>Clear all</Button>
        </Permitted>
      </div>
      <div className={classes.faults} role="group" aria-label="Faults">
        {simulation.possible.filter((fault) => fault !== 'estop_pressed').map((fault) => (
          <Permitted key={fault} by={permit}>
            <Button variant="default" size="xs" aria-pressed={stands(fault)} data-stands={stands(fault) || undefined} disabled={away} onClick={() => toggle(fault)}>
              {FAULTS[fault] ?? fault}{stands(fault) && ' · stands'}
            </Button>
          </Permitted>
        ))}
      </div>
      {away && <p role="status">It is not connected: a fault cannot be given from here. One that has a time ends by itself.</p>}
      <Refused error={give.error} className={classes.refused} />
    </section>
  );
}
