/** What a machine should become, section by section, beside what it says of it. Nothing where nothing was ever desired. */
import { useQuery } from '@tanstack/react-query';
import { desiredQuery } from '@/api/desired';
import type { Machine } from '@/api/types';
import { StaleNote } from '@/kit/faces';
import { words } from '@/kit/format';
import panel from '@/kit/panel.module.css';
import { Age } from '@/kit/times';
import { useMoment } from '@/time/use-moment';
import { Calibrations } from './calibration';
import classes from './desired.module.css';
import { Status } from './status';

export function DesiredPanels({ machine }: { machine: Machine }) {
  const { past } = useMoment();
  const query = useQuery({ ...desiredQuery(machine.summary.id, machine.summary.reported_at ?? null), enabled: !past });
  // The past shows what the machine reported then.
  const answer = past ? undefined : query.data;
  const desired = answer?.document;
  return (
    <>
      {query.isError && !past && <StaleNote>What is desired could not be asked for: {query.error.message}</StaleNote>}
      {desired !== undefined && desired.version > 0 && (
        <section className={panel.panel} aria-label="Desired state">
          <div className={panel.head}>
            <h2>Desired state</h2>
            <span className="muted">
              version {desired.version}
              {desired.converged ? ', and the machine is so' : desired.held_version < desired.version ? `, the machine holds ${desired.held_version === 0 ? 'none' : desired.held_version}` : ', not all of it is applied'}
            </span>
          </div>
          {desired.sections.length > 0 && (
            <div className={panel.scroll}>
              <table className={panel.table}>
                <thead><tr><th>Section</th><th>Status</th><th>Version</th><th>Changed</th><th>Why</th></tr></thead>
                <tbody>
                  {desired.sections.map((section) => (
                    <tr key={section.name}>
                      <td>{words(section.name)}</td>
                      <td><Status status={section.status} />{section.status_reason !== undefined && <div className={classes.why}>{section.status_reason}</div>}</td>
                      <td>{section.version}</td>
                      <td><Age at={section.changed_at} ago /></td>
                      <td className={classes.why}>“{section.reason}”, {section.issuer}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )}
        </section>
      )}
      <Calibrations machine={machine} desired={desired} etag={answer?.etag ?? null} />
    </>
  );
}
