/** Who may do what: the pages of it, and which of them whoever looks may see. */
import { Link, Navigate, Outlet } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import classes from '@/access/access.module.css';
import { Sessions } from '@/access/sessions';
import { Tokens } from '@/access/tokens';
import { useForYou } from '@/access/use-for-you';
import { useMe } from '@/access/use-me';
import type { Permission } from '@/api/types';
import { Empty } from '@/kit/faces';
import { LockIcon } from '@/kit/icons';
import { useFleetPermit, useSomePermit, type Permit } from '@/kit/permit';
import { useTitle } from '@/kit/use-title';
import own from './page.module.css';

const NOW = { at: undefined };

interface Part {
  to: '/access/people' | '/access/roles' | '/access/machines' | '/access/approvals' | '/access/tokens' | '/access/sessions' | '/access/audit';
  label: string;
  /** Absent: everybody sees their own. */
  needs?: Permission;
  /** Whether it is there for who may do it to some machines only. */
  some?: true;
}

const PARTS: readonly Part[] = [
  { to: '/access/people', label: 'People', needs: 'administer' },
  { to: '/access/roles', label: 'Roles and policies' },
  { to: '/access/machines', label: 'Machines', needs: 'enrol', some: true },
  { to: '/access/approvals', label: 'Approvals' },
  { to: '/access/tokens', label: 'Tokens' },
  { to: '/access/sessions', label: 'Sessions' },
  { to: '/access/audit', label: 'Audit', needs: 'audit' },
];

export function AccessPage() {
  return (
    <div className={own.frame}>
      <nav className={own.nav} aria-label="Access">
        {PARTS.map((part) => <PartLink key={part.to} part={part} />)}
      </nav>
      <div className={own.body}><Outlet /></div>
    </div>
  );
}

function PartLink({ part }: { part: Part }) {
  const everywhere = useFleetPermit(part.needs ?? 'read');
  const some = useSomePermit(part.needs ?? 'read');
  const permit = part.some === true ? some : everywhere;
  const waits = useForYou();
  const locked = part.needs !== undefined && !permit.allowed;
  return (
    <Link to={part.to} search={NOW} activeOptions={{ includeSearch: false }} title={locked ? permit.why : undefined}>
      {part.label}{part.to === '/access/approvals' && waits > 0 && <><span className={own.count} aria-hidden>{waits}</span><span className="sr-only">, {waits} for you</span></>}{locked && <><LockIcon size={13} /><span className="sr-only">, not for you</span></>}
    </Link>
  );
}

/** The first of them that says something to whoever looks. */
export function AccessStart() {
  const people = useFleetPermit('administer');
  const audit = useFleetPermit('audit');
  return <Navigate to={people.allowed ? '/access/people' : audit.allowed ? '/access/audit' : '/access/roles'} search={NOW} replace />;
}

/** A page for those who may see it; everybody else is told why they may not. */
export function Guarded({ by, what, children }: { by: Permit; what: string; children: ReactNode }) {
  if (by.allowed) return children;
  return <Empty whole title={`You may not see ${what}`}>{by.why}</Empty>;
}

export function TokensPage() {
  useTitle('Tokens');
  const me = useMe();
  const all = useFleetPermit('administer').allowed;
  return (
    <div className={classes.page}>
      <div className={classes.head}><h1>Tokens</h1><span className="muted">{all ? 'of everybody' : 'of yours; those who administer the fleet see everybody’s'}</span></div>
      <section className={classes.panel} aria-label="Tokens"><Tokens owner={all ? undefined : me?.name} self={me?.name ?? ''} forOthers={all} /></section>
    </div>
  );
}

export function SessionsPage() {
  useTitle('Sessions');
  const me = useMe();
  const all = useFleetPermit('administer').allowed;
  return (
    <div className={classes.page}>
      <div className={classes.head}><h1>Sessions</h1><span className="muted">{all ? 'of everybody' : 'of yours; those who administer the fleet see everybody’s'}</span></div>
      <section className={classes.panel} aria-label="Sessions"><Sessions person={all ? undefined : me?.name} /></section>
    </div>
  );
}
