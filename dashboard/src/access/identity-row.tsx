/** One machine: how the fleet stands to it, when its certificate ends, and all its certificates. */
import { Button } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import type { MachineCertificate, MachineIdentity } from '@/api/types';
import { formatAge } from '@/kit/format';
import { AttentionIcon, CloseIcon, CriticalIcon, OkIcon, RightIcon, UnknownIcon } from '@/kit/icons';
import panel from '@/kit/panel.module.css';
import { Permitted, type Permit } from '@/kit/permit';
import { Age, Moment } from '@/kit/times';
import classes from './access.module.css';
import own from './identity.module.css';
import { concern } from './standing';

interface IdentityRowProps {
  identity: MachineIdentity;
  now: number;
  open: boolean;
  busy: boolean;
  permit: Permit;
  onToggle: () => void;
  onAccept: () => void;
  onRenew: () => void;
  onAgain: () => void;
  onRevoke: () => void;
}

export function IdentityRow({ identity, now, open, busy, permit, onToggle, onAccept, onRenew, onAgain, onRevoke }: IdentityRowProps) {
  const name = identity.name ?? identity.machine_id;
  const { standing } = identity;
  return (
    <tbody>
      <tr data-standing={standing}>
        <td>
          <div className={own.machine}>
            <button type="button" className={own.toggle} aria-expanded={open} aria-label={`Certificates of ${name}`} onClick={onToggle}><RightIcon size={12} /></button>
            <div>
              {standing === 'pending' ? <strong>{name}</strong> : <Link to="/machines/$id" params={{ id: identity.machine_id }} search={{ at: undefined }}>{name}</Link>}
              {identity.kind !== null && <span className="muted"> {identity.kind}</span>}
            </div>
          </div>
        </td>
        <td>{Object.entries(identity.labels).map(([key, value]) => <span key={key} className={classes.grant}>{key}<b>{value}</b></span>)}</td>
        <td><StandingMark identity={identity} now={now} /></td>
        <td><Ends identity={identity} now={now} /></td>
        <td className={classes.action}>
          <div className={own.actions}>
            {standing === 'pending' && <Permitted by={permit}><Button size="xs" disabled={busy} aria-label={`Accept ${name}`} onClick={onAccept}>Accept</Button></Permitted>}
            {standing === 'accepted' && <Permitted by={permit}><Button size="xs" variant="default" disabled={busy || identity.renew_asked} aria-label={`${identity.renew_asked ? 'Will renew' : 'Renew'} ${name}`} onClick={onRenew}>{identity.renew_asked ? 'Will renew' : 'Renew'}</Button></Permitted>}
            <Permitted by={permit}><Button size="xs" variant="default" disabled={busy} aria-label={`New token for ${name}`} title="Where its key is lost, its certificate has ended, or it is to come back" onClick={onAgain}>New token</Button></Permitted>
            {standing !== 'revoked' && <Permitted by={permit}><Button size="xs" variant="default" aria-label={`Shut out ${name}`} onClick={onRevoke}>Shut out …</Button></Permitted>}
          </div>
        </td>
      </tr>
      {open && <tr><td colSpan={5}><Certificates identity={identity} now={now} /></td></tr>}
    </tbody>
  );
}

function StandingMark({ identity, now }: { identity: MachineIdentity; now: number }) {
  switch (concern(identity, now)) {
    case 'waits':
      return <span className={classes.mark} data-tone="warn"><UnknownIcon size={14} />waits, for <Age at={identity.standing_since} /></span>;
    case 'shut out':
      return <span><span className={classes.mark} data-tone="bad"><CloseIcon size={14} />shut out</span> <span className="muted"><Age at={identity.standing_since} ago />: “{identity.reason}”</span></span>;
    case 'cloned':
      return <span><span className={classes.mark} data-tone="bad"><CriticalIcon size={14} />cloned</span> <span className="muted">somebody else has its key, seen <Age at={identity.cloned_at} ago /></span></span>;
    case 'ended': case 'ends soon': case 'none':
      return identity.connected
        ? <span className={classes.mark} data-tone="good"><OkIcon size={14} />connected</span>
        : <span className={classes.mark} data-tone="off">accepted, away</span>;
  }
}

/** The words alone say how near the end is; the bar shows how much of its life is gone. */
function Ends({ identity, now }: { identity: MachineIdentity; now: number }) {
  if (identity.not_after === null) return <span className="muted">none in force</span>;
  const end = Date.parse(identity.not_after);
  const what = concern(identity, now);
  if (what === 'ended') return <span className={classes.mark} data-tone="bad"><AttentionIcon size={14} />ended <Age at={identity.not_after} ago /></span>;
  const begin = Date.parse(identity.certificates.find((each) => each.not_after === identity.not_after)?.issued_at ?? identity.not_after);
  const gone = end > begin ? Math.min(100, Math.max(0, (100 * (now - begin)) / (end - begin))) : 0;
  return (
    <span className={own.ends} title={identity.not_after}>
      <span className={classes.mark} data-tone={what === 'ends soon' ? 'warn' : undefined}>{what === 'ends soon' && <AttentionIcon size={14} />}in {formatAge(end - now)}</span>
      <span className={own.bar} aria-hidden><span style={{ width: `${gone}%` }} /></span>
    </span>
  );
}

function Certificates({ identity, now }: { identity: MachineIdentity; now: number }) {
  const state = (certificate: MachineCertificate) => {
    if (identity.standing === 'revoked') return 'not good: shut out';
    if (certificate.superseded_at !== null) return 'a newer one is used';
    if (Date.parse(certificate.not_after) <= now) return 'ended';
    return certificate.first_used_at === null ? 'not used yet' : 'in force';
  };
  return (
    <div className={own.details}>
      <p className="muted">Enrolled <Age at={identity.enrolled_at} ago />, id <span className="mono">{identity.machine_id}</span>. A certificate renews by itself at two thirds of its life, with a new key.</p>
      <table className={panel.rows}>
        <thead><tr><th scope="col">Serial</th><th scope="col">SHA-256</th><th scope="col">Authority</th><th scope="col">Issued</th><th scope="col">Ends</th><th scope="col">State</th></tr></thead>
        <tbody>
          {identity.certificates.map((certificate) => (
            <tr key={certificate.fingerprint}>
              <td className="mono" title={certificate.serial}>{certificate.serial.slice(0, 16)}…</td>
              <td className="mono" title={certificate.fingerprint}>{certificate.fingerprint.slice(0, 16)}…</td>
              <td>{certificate.authority}</td>
              <td><Moment at={certificate.issued_at} /></td>
              <td><Moment at={certificate.not_after} /></td>
              <td>{state(certificate)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
