/** What may move on a machine, why not, what comes next, and how its safety is set up. It shows; it lets nothing go. */
import { useQuery } from '@tanstack/react-query';
import { fetchEvents } from '@/api/queries';
import { commandsQuery } from '@/api/commands';
import type { Machine } from '@/api/types';
import { words } from '@/kit/format';
import { AttentionIcon, FailedIcon, OkIcon, UnknownIcon } from '@/kit/icons';
import panel from '@/kit/panel.module.css';
import { SeverityMark } from '@/kit/status';
import { Age, AsOf, Moment } from '@/kit/times';
import { useMoment } from '@/time/use-moment';
import { cause, decided, grants, inWords, nextSteps, setup } from './words';
import classes from './safety.module.css';

const TONES: Partial<Record<string, 'good' | 'warn' | 'bad'>> = {
  operational: 'good', init: 'warn', limited: 'warn', protective_stop: 'warn', estop_latched: 'bad', fault_latched: 'bad',
};
const SIGNS = { good: OkIcon, warn: AttentionIcon, bad: FailedIcon, unknown: UnknownIcon };
const EVENTS_SHOWN = 5;
const COMMANDS_SHOWN = 3;

export function SafetyPanel({ machine }: { machine: Machine }) {
  const { operation, safety } = machine.reported;
  const stale = machine.summary.presence !== 'online';
  return (
    <section className={`${panel.panel} ${classes.panel}`} data-dense aria-label="Safety">
      <h2>Safety</h2>
      <div className={classes.columns}>
        <Standing machine={machine} stale={stale} />
        {safety === undefined ? <p className="muted">How its safety is set up is not known: its runtime does not say so.</p> : <SetUp machine={machine} />}
        <div>
          <Events id={machine.summary.id} />
          <Commands id={machine.summary.id} />
        </div>
      </div>
      <Gate machine={machine} stale={stale} />
      {operation === undefined && <p className="sr-only">Its safety region is not known.</p>}
    </section>
  );
}

function Standing({ machine, stale }: { machine: Machine; stale: boolean }) {
  const { operation } = machine.reported;
  if (operation === undefined) return <p className="muted">It has not said yet how it stands.</p>;
  // What may be otherwise by now is not shown as good.
  const tone = stale && TONES[operation.safety] === 'good' ? 'unknown' : TONES[operation.safety] ?? 'unknown';
  const Sign = SIGNS[tone];
  const causes = operation.held_by ?? [];
  const steps = nextSteps(operation);
  return (
    <div className={classes.standing} data-tone={tone}>
      <p className={classes.region}><Sign size={22} /><strong>{words(operation.safety)}</strong></p>
      {causes.length > 0 && <ul>{causes.map((each) => <li key={each}>{cause(each)}</li>)}</ul>}
      <p>
        {operation.at_rest === true && 'At rest, as measured.'}
        {operation.at_rest === false && <strong>Not at rest yet.</strong>}
        {(operation.at_rest === undefined || operation.at_rest === null) && moves(operation.safety === 'operational', stale)}{' '}
        <AsOf at={machine.sections_reported_at.operation} stale={stale} />
      </p>
      {steps.length > 0 && (
        <>
          <h3>Before it may move again</h3>
          <ol>{steps.map((step) => <li key={step}>{step}</li>)}</ol>
          <p className="muted">None of this can be done from here.</p>
        </>
      )}
    </div>
  );
}

/** Of what is not measured to be at rest. What may be otherwise by now is not said as if it were so. */
function moves(allowed: boolean, stale: boolean): string {
  if (!allowed) return 'Whether it is at rest is not measured.';
  return stale ? 'It may have stopped since, or move.' : 'It may move.';
}

function SetUp({ machine }: { machine: Machine }) {
  const { safety } = machine.reported;
  if (safety === undefined) return null;
  const loop = grants(safety);
  return (
    <>
      <div>
        <h3>Failsafes</h3>
        {safety.failsafe.length === 0 ? <p className="muted">None is configured.</p> : (
          <ul className={classes.rows}>
            {safety.failsafe.map((row) => {
              const { when, after, what, until } = inWords(row, safety);
              return <li key={row.when + row.after_ms}>When <strong>{when}</strong>: {after} {what}, {until}.</li>;
            })}
          </ul>
        )}
        <h3>Its safety loop</h3>
        {loop.length === 0 ? <p className="muted">It takes its turns among the runtime’s other work: nothing real moves.</p> : (
          <ul className={classes.grants}>
            {loop.map(({ name, granted, detail }) => (
              <li key={name} data-granted={granted}>
                {granted ? <OkIcon /> : <AttentionIcon />}<span>{name}: <strong>{granted ? 'granted' : 'refused'}</strong>, {detail}</span>
              </li>
            ))}
          </ul>
        )}
      </div>
      <div>
        <h3>Set up</h3>
        <dl className={classes.facts}>
          {setup(safety).map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}
        </dl>
      </div>
    </>
  );
}

/** What the gate did not let through as it was asked for. Only machines with actuators have one. */
function Gate({ machine, stale }: { machine: Machine; stale: boolean }) {
  const { gate } = machine.reported;
  if (gate === undefined) return null;
  return (
    <div>
      <h3>Commands the gate held back <AsOf at={machine.sections_reported_at.gate} stale={stale} /></h3>
      {gate.decisions.length === 0 ? <p className="muted">None so far: whatever was asked of its actuators passed.</p> : (
        <div className={panel.scroll}>
          <table className={panel.table}>
            <thead><tr><th>Actuator</th><th>Asked</th><th>By</th><th>Why</th><th>How often</th><th>Last</th></tr></thead>
            <tbody>
              {gate.decisions.map((row) => {
                const { what, who, why, times } = decided(row);
                return (
                  <tr key={row.actuator + row.authority + row.reason}>
                    <td className="mono">{row.actuator}</td>
                    <td>{what}</td>
                    <td>{who}</td>
                    <td>{why}</td>
                    <td>{times}</td>
                    <td><Age at={row.last_at} ago /></td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      )}
    </div>
  );
}

function Events({ id }: { id: string }) {
  const { at } = useMoment();
  const query = useQuery({
    queryKey: ['machine', id, 'safety-events', at],
    queryFn: ({ signal }) => fetchEvents({ machine: id, kind: 'safety', to: at ?? undefined }, { limit: EVENTS_SHOWN, signal }),
    refetchInterval: at === null ? 3_000 : false,
  });
  return (
    <>
      <h3>Recent safety events</h3>
      {query.isPending && <p className="muted">Loading …</p>}
      {query.isError && <p role="alert">They could not be loaded: {query.error.message}</p>}
      {query.data?.items.length === 0 && <p className="muted">Nothing happened yet.</p>}
      <ul className={classes.events}>
        {query.data?.items.map((event) => (
          <li key={event.position}>
            <SeverityMark severity={event.severity} />
            <span>{event.message}</span>
            <span className="muted"><Age at={event.occurred_at} ago /></span>
          </li>
        ))}
      </ul>
    </>
  );
}

const ANSWERS: Partial<Record<string, string>> = { accepted: 'taken', duplicate: 'it had it already', expired: 'came too late', refused: 'refused' };

function Commands({ id }: { id: string }) {
  const { past } = useMoment();
  const query = useQuery({ ...commandsQuery(id), enabled: !past });
  if (past) return null;
  const items = query.data?.items.slice(0, COMMANDS_SHOWN) ?? [];
  return (
    <>
      <h3>Commands of people</h3>
      {query.isError && <p role="alert">They could not be loaded: {query.error.message}</p>}
      {query.data !== undefined && items.length === 0 && <p className="muted">None was given yet.</p>}
      <ul className={classes.events}>
        {items.map((command) => (
          <li key={command.command_id}>
            <span><strong>{words(command.kind)}</strong>{command.arguments !== undefined && <span className="mono muted"> {JSON.stringify(command.arguments)}</span>}</span>
            <span>{command.answer === null ? 'no answer yet' : ANSWERS[command.answer] ?? command.answer}{command.answer_reason !== null && `: ${command.answer_reason}`}</span>
            <span className="muted">{command.issuer}, <Moment at={command.issued_at} /></span>
          </li>
        ))}
      </ul>
    </>
  );
}
