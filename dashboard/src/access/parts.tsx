/** Small pieces that several pages about people have. */
import { Button, CopyButton } from '@mantine/core';
import type { AccessGrant } from '@/api/types';
import { ApiError } from '@/api/client';
import { CopyIcon, OkIcon } from '@/kit/icons';
import { Refused } from '@/kit/refused';
import classes from './access.module.css';

export function Grants({ grants, none = 'nothing' }: { grants: readonly AccessGrant[]; none?: string }) {
  if (grants.length === 0) return <span className="muted">{none}</span>;
  return (
    <ul className={classes.grants}>
      {grants.map(({ role, scope }) => (
        <li key={role + scope} className={classes.grant}><b>{role}</b>{scope === '*' ? 'everywhere' : <span className="mono">{scope}</span>}</li>
      ))}
    </ul>
  );
}

/** Something that is told once. */
export function Secret({ text, label }: { text: string; label: string }) {
  return (
    <div className={classes.secret}>
      <code>{text}</code>
      <Copy text={text} label={label} />
    </div>
  );
}

export function Copy({ text, label }: { text: string; label: string }) {
  return (
    <CopyButton value={text} timeout={2_000}>
      {({ copied, copy }) => (
        <Button variant="default" size="xs" leftSection={copied ? <OkIcon size={14} /> : <CopyIcon size={14} />} aria-label={copied ? 'Copied' : label} onClick={copy}>
          {copied ? 'Copied' : 'Copy'}
        </Button>
      )}
    </CopyButton>
  );
}

/** What the server says against one field of a form. */
export function faultAt(error: Error | null, at: string): string | undefined {
  if (!(error instanceof ApiError)) return undefined;
  return error.problem.errors?.find((each) => each.at === at || each.at.startsWith(`${at}.`))?.detail;
}

/** What is wrong with a whole form, as far as no field says it. */
export function Refusal({ error, told }: { error: Error | null; told?: readonly string[] }) {
  if (error === null) return null;
  const fields = error instanceof ApiError ? (error.problem.errors ?? []) : [];
  // What a field says of itself is not said again.
  if (fields.length > 0 && fields.every((each) => told?.some((at) => each.at.startsWith(at)) === true)) return null;
  return <Refused error={error} className={classes.refused} />;
}
