/** The faces a page shows when it has nothing else to show: loading, empty, error. */
import { Button, Loader } from '@mantine/core';
import type { ReactNode } from 'react';
import { ApiError } from '@/api/client';
import { FailedIcon, UnpluggedIcon } from './icons';
import classes from './faces.module.css';

export function Loading({ what }: { what: string }) {
  return (
    <div className={classes.face} role="status">
      <Loader size="sm" color="var(--accent)" />
      <p className={classes.text}>Loading {what} …</p>
    </div>
  );
}

interface EmptyProps {
  title: string;
  /** Whether this is all there is on the page. */
  whole?: boolean;
  children?: ReactNode;
  action?: ReactNode;
}

export function Empty({ title, whole = false, children, action }: EmptyProps) {
  const Title = whole ? 'h1' : 'p';
  return (
    <div className={classes.face}>
      <Title className={classes.title}>{title}</Title>
      {children !== undefined && <div className={classes.text}>{children}</div>}
      {action}
    </div>
  );
}

export function Failure({ error, what, retry }: { error: unknown; what: string; retry?: () => void }) {
  const problem = error instanceof ApiError ? error.problem : null;
  const gone = error instanceof ApiError && error.unreachable;
  const text = error instanceof Error ? error.message : String(error);
  return (
    <div className={classes.face} role="alert">
      <span className={classes.sign}>{gone ? <UnpluggedIcon size={28} /> : <FailedIcon size={28} />}</span>
      <p className={classes.title}>
        {gone ? 'The fleet server cannot be reached' : `Could not load ${what}`}
      </p>
      <div className={classes.text}>
        {gone ? 'Machines go on by themselves. This page comes back when the server does.' : text}
        {problem?.errors?.map((each) => (
          <div key={`${each.at}${each.detail}`}>
            <span className="mono">{each.at}</span>: {each.detail}
          </div>
        ))}
        {problem !== null && problem.code !== '' && <div className="muted">{problem.title} · {problem.code}</div>}
      </div>
      {retry !== undefined && <Button variant="default" size="xs" onClick={retry}>Try again</Button>}
    </div>
  );
}

/** Something is shown, but it is not the newest. */
export function StaleNote({ children }: { children: ReactNode }) {
  return (
    <div className={classes.stale} role="status">
      <UnpluggedIcon />
      <span>{children}</span>
    </div>
  );
}
