/** What a machine runs for people, and what it watches: phases, health, what is used, what was really granted. */
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { api, document } from '@/api/client';
import type { LogPage, Machine, ReportedState } from '@/api/types';
import { Empty, Failure, Loading } from '@/kit/faces';
import { formatBytes, formatNumber, plural, words } from '@/kit/format';
import panel from '@/kit/panel.module.css';
import { Age, AsOf, Moment } from '@/kit/times';
import { useMoment } from '@/time/use-moment';
import classes from './workloads.module.css';

type Workload = NonNullable<ReportedState['workloads']>['workloads'][number];
type Service = NonNullable<ReportedState['services']>['services'][number];

/** Lines that are shown of one workload. */
const LINES = 12;

/** Nothing is shown of a machine that runs nothing and watches nothing. */
export function Workloads({ machine }: { machine: Machine }) {
  const { workloads, services } = machine.reported;
  const stale = machine.summary.presence !== 'online';
  return (
    <>
      {workloads !== undefined && (
        <section className={`${panel.card} ${classes.card}`} aria-label="Workloads" data-stale={stale || undefined}>
          <header>
            <h2>Workloads</h2>
            <AsOf at={machine.sections_reported_at.workloads} stale={stale} />
          </header>
          {workloads.refused !== undefined && workloads.refused !== null && (
            <p className={classes.refused} role="alert">What the fleet wants is not accepted: {workloads.refused}</p>
          )}
          {workloads.workloads.length === 0
            ? <Empty title="Nothing runs here">The machine’s file and the fleet want no workloads.</Empty>
            : <WorkloadTable machine={machine.summary.id} workloads={workloads.workloads} />}
        </section>
      )}
      {services !== undefined && (
        <section className={`${panel.card} ${classes.card}`} aria-label="Watched services" data-stale={stale || undefined}>
          <header>
            <h2>Watched services</h2>
            <AsOf at={machine.sections_reported_at.services} stale={stale} />
          </header>
          <ServiceTable services={services.services} />
        </section>
      )}
    </>
  );
}

function WorkloadTable({ machine, workloads }: { machine: string; workloads: Workload[] }) {
  const [open, setOpen] = useState<string | null>(null);
  return (
    <table className={panel.rows}>
      <thead>
        <tr>
          <th scope="col">Name</th><th scope="col">Phase</th><th scope="col">Since</th>
          <th scope="col">Restarts</th><th scope="col">Memory</th><th scope="col">Processor</th>
        </tr>
      </thead>
      {workloads.map((workload) => (
        <tbody key={workload.name}>
          <tr data-phase={workload.phase}>
            <th scope="row">
              <button
                type="button"
                className={classes.name}
                aria-expanded={open === workload.name}
                onClick={() => setOpen(open === workload.name ? null : workload.name)}
              >
                {workload.name}
              </button>
            </th>
            <td>
              {words(workload.phase)}
              {workload.conflict === true && <strong className={classes.conflict}> conflict</strong>}
              {workload.reason !== undefined && workload.reason !== null && <span className={classes.reason}>{workload.reason}</span>}
            </td>
            <td><Age at={workload.since} /></td>
            <td>{workload.restarts}</td>
            <td>{workload.memory_bytes === undefined || workload.memory_bytes === null ? '' : formatBytes(workload.memory_bytes)}</td>
            <td>{workload.cpu_percent === undefined || workload.cpu_percent === null ? '' : `${formatNumber(workload.cpu_percent, 1)} %`}</td>
          </tr>
          {open === workload.name && (
            <tr><td colSpan={6}><Details machine={machine} workload={workload} /></td></tr>
          )}
        </tbody>
      ))}
    </table>
  );
}

function Details({ machine, workload }: { machine: string; workload: Workload }) {
  const granted = workload.granted ?? [];
  const missing = granted.filter((grant) => grant.state !== 'granted').length;
  return (
    <div className={classes.details}>
      <p>
        {words(workload.kind)}, wanted by the {workload.source}, version <span className="mono">{workload.version}</span>
        {workload.runner !== undefined && workload.runner !== null && <>, kept by {workload.runner}</>}
        {workload.last_exit !== undefined && workload.last_exit !== null && <>; last ended: {workload.last_exit}</>}
      </p>
      {workload.conflict === true && <p>The fleet wants another definition under this name. The machine’s own file stays in force.</p>}
      <h3>Isolation{missing > 0 && <strong className={classes.conflict}> {plural(missing, 'thing')} not granted</strong>}</h3>
      {granted.length === 0
        ? <p className="muted">Not known: it did not run yet.</p>
        : (
          <ul className={classes.grants}>
            {granted.map((grant) => (
              <li key={grant.what} data-state={grant.state}>
                <span>{words(grant.what)}</span> <strong>{words(grant.state)}</strong>{grant.detail !== undefined && grant.detail !== '' && <span className="muted"> {grant.detail}</span>}
              </li>
            ))}
          </ul>
        )}
      <h3>Last lines</h3>
      <LastLines machine={machine} name={workload.name} />
    </div>
  );
}

/** The newest of what the machine forwarded; all of it lies in its own files. */
function LastLines({ machine, name }: { machine: string; name: string }) {
  const { at } = useMoment();
  const query = useQuery({
    queryKey: ['workload-lines', machine, name, at],
    queryFn: ({ signal }) =>
      document<LogPage>(
        api.GET('/api/v1/machines/{id}/logs', {
          params: { path: { id: machine }, query: { target: `workload.${name}`, to: at === null ? undefined : new Date(at).toISOString(), limit: LINES } },
          signal,
        }),
      ),
    refetchInterval: at === null ? 5_000 : false,
  });
  if (query.isPending) return <Loading what="its lines" />;
  if (query.isError) return <Failure error={query.error} what="its lines" retry={() => void query.refetch()} />;
  const lines = query.data.items.toReversed();
  if (lines.length === 0) return <p className="muted">The server holds none.</p>;
  return (
    <ol className={classes.lines} aria-label={`Last lines of ${name}`}>
      {lines.map((line) => <li key={`${line.at}${line.message}`}><Moment at={line.at} /> {line.message}</li>)}
    </ol>
  );
}

function ServiceTable({ services }: { services: Service[] }) {
  if (services.length === 0) return <Empty title="Nothing is watched">The machine’s file names no services.</Empty>;
  return (
    <table className={panel.rows}>
      <thead>
        <tr><th scope="col">Name</th><th scope="col">Kind</th><th scope="col">State</th><th scope="col">Since</th></tr>
      </thead>
      <tbody>
        {services.map((service) => (
          <tr key={service.name} data-phase={service.required && service.state !== 'running' ? 'failed' : service.state}>
            <th scope="row">{service.name}{service.required && <span className="muted"> required</span>}</th>
            <td>{words(service.kind)}</td>
            <td>{words(service.state)}{service.detail !== undefined && service.detail !== '' && <span className={classes.reason}>{service.detail}</span>}</td>
            <td><Age at={service.since} /></td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
