/** The regions of a machine's state, side by side: they are independent of each other. */
import type { ReactNode } from 'react';
import type { Machine } from '@/api/types';

import { words } from '@/kit/format';
import { SeverityMark } from '@/kit/status';
import { Age, AsOf } from '@/kit/times';
import classes from './page.module.css';
import { foremost } from './releases';

type Operation = NonNullable<Machine['reported']['operation']>;

type Tone = 'good' | 'warn' | 'bad' | 'plain';

const SAFETY: Partial<Record<string, Tone>> = {
  operational: 'good', init: 'warn', limited: 'warn', protective_stop: 'bad', estop_latched: 'bad', fault_latched: 'bad',
};
const PRESENCE: Partial<Record<string, Tone>> = { online: 'good', degraded: 'warn', lost: 'bad' };
const HEALTH: Partial<Record<string, Tone>> = { ok: 'good', degraded: 'warn', failed: 'bad' };
const MISSION: Partial<Record<string, Tone>> = { blocked: 'warn', failed: 'bad', running: 'good' };

function Region({ name, word, tone = 'plain', note }: { name: string; word: string | undefined; tone?: Tone | undefined; note?: ReactNode }) {
  return (
    <div className={classes.region} data-tone={word === undefined ? 'plain' : tone}>
      <dt>{name}</dt>
      <dd>
        <strong>{word === undefined ? '–' : words(word)}</strong>
        {note !== undefined && <span className={classes.regionNote}>{note}</span>}
      </dd>
    </div>
  );
}

export function Regions({ machine }: { machine: Machine }) {
  const { operation, health, updates } = machine.reported;
  const update = foremost(updates);
  // The row is newer than the document: what a person waits for after a stop is shown as soon as it is known.
  const { presence, presence_since: since, mode, safety } = machine.summary;
  const why = operation !== undefined && operation.safety === safety ? held(operation) : undefined;
  const times = machine.sections_reported_at;
  const stale = presence !== 'online';
  // What may be otherwise by now is not shown as good.
  const known = (tone: Tone | undefined) => (stale && tone === 'good' ? 'plain' : tone);
  return (
    <dl className={classes.regions} aria-label="State">
      <Region name="Mode" word={mode ?? undefined} note={operation === undefined ? undefined : <AsOf at={times.operation} stale={stale} />} />
      <Region name="Safety" word={safety ?? undefined} tone={known(SAFETY[safety ?? ''])} note={why} />
      <Region name="Authority" word={operation?.authority} note={operation === undefined ? undefined : AUTHORITY[operation.authority]} />
      <Region name="Mission" word={operation?.mission} tone={known(MISSION[operation?.mission ?? ''])} />
      <Region name="Link" word={presence} tone={PRESENCE[presence]} note={<>{machine.presence_reason}, <Age at={since} ago /></>} />
      <Region name="Health" word={health?.level} tone={known(HEALTH[health?.level ?? ''])} note={health === undefined ? undefined : <AsOf at={times.health} stale={stale} />} />
      <Region name="Update" word={update?.phase} tone={update?.phase === 'rolled_back' || update?.phase === 'refused' ? 'warn' : 'plain'} note={update === undefined ? undefined : `${update.product} ${update.version}`} />
    </dl>
  );
}

/** Why a machine does not move freely, and whether it is measured to be at rest. */
function held({ held_by: causes = [], at_rest: atRest }: Operation) {
  const parts = causes.map((cause) => CAUSES[cause] ?? words(cause));
  if (atRest !== undefined && atRest !== null) parts.push(atRest ? 'at rest, as measured' : 'not at rest yet');
  return parts.length === 0 ? undefined : parts.join(' · ');
}

const CAUSES: Partial<Record<string, string>> = {
  estop: 'the emergency stop is pressed or its circuit is broken',
  estop_asked: 'somebody at the machine asked for it',
  tamper: 'the case is open',
  runaway: 'it moved faster than it may',
  moved_unpowered: 'it moved without power',
  output_failed: 'its power could not be switched',
  started: 'waits to be resumed at the machine after its start',
  ended_unknown: 'nobody knows how it ended; waits to be resumed at the machine',
  asked: 'asked to stop; waits to be resumed at the machine',
  not_resumed: 'reset; waits to be resumed at the machine',
  late: 'its safety loop came too late; waits to be resumed at the machine',
  unmeasured: 'its motion is not measured',
  link_lost: 'no link to the server',
};

const AUTHORITY: Partial<Record<string, string>> = {
  none: 'nobody may move it',
  mission: 'its mission moves it',
  teleop: 'a remote operator moves it',
  local_manual: 'a person at the machine',
  service: 'a person servicing it',
};

export function Problems({ machine }: { machine: Machine }) {
  const problems = machine.reported.health?.problems ?? [];
  if (problems.length === 0) return null;
  return (
    <section className={classes.problems} aria-label="Problems">
      <h2>{problems.length === 1 ? 'One problem stands' : `${problems.length} problems stand`}</h2>
      <ul>
        {problems.map((problem) => (
          <li key={`${problem.kind}${problem.message}`}>
            <SeverityMark severity={problem.severity} />
            <span>{problem.message}</span>
            <span className="mono muted">{problem.kind}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}
