/** The pages of whoever is not signed in: signing in, the first start, the set-up link. */
import { Button } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useEffect, useState, type ReactNode } from 'react';
import { meQuery, setUp } from '@/api/access';
import type { Me } from '@/api/types';
import { sentence } from '@/kit/format';
import { FailedIcon } from '@/kit/icons';
import classes from './door.module.css';
import { NameField, NewPassword, nameFault, passwordFault } from './fields';
import { ProviderProblem } from './provider';
import { SignInForm } from './sign-in';
import { shownName } from './use-me';

function Door({ title, children, wide = false }: { title: string; children: ReactNode; wide?: boolean }) {
  useEffect(() => {
    document.title = `${title} · Muster`;
  }, [title]);
  return (
    <main className={classes.door}>
      <p className={classes.brand}><img src="/icon.svg" alt="" width={30} height={30} />Muster</p>
      <div className={classes.card} data-wide={wide || undefined}>
        <h1>{title}</h1>
        {children}
      </div>
      <p className={classes.where}>The fleet server at <span className="mono">{globalThis.location.host}</span></p>
    </main>
  );
}

export function SignInPage({ provider }: { provider: string | undefined }) {
  return <Door title="Sign in"><ProviderProblem /><SignInForm provider={provider} /></Door>;
}

/** Over the page on which somebody was when their session ended. */
export function SignInAgain({ last, provider }: { last: Me; provider: string | undefined }) {
  return (
    <div className={classes.form}>
      <p>Your session is over, {shownName(last)}. The page and what you typed on it are kept.</p>
      <SignInForm name={last.name ?? ''} provider={provider} />
      <p className={classes.where}>
        Somebody else? <button type="button" className={classes.other} onClick={() => globalThis.location.reload()}>Sign in anew</button>; what was typed is lost then.
      </p>
    </div>
  );
}

export function NotSetUpPage() {
  return (
    <Door title="This fleet has no people yet" wide>
      <p>When the server started it wrote a link for one use to its standard error. Whoever opens it becomes the first admin:</p>
      <pre className={classes.command}>{globalThis.location.origin}/set-up#…</pre>
      <p>As a service of the system, the link is in its journal:</p>
      <pre className={classes.command}>journalctl -u muster | grep set-up</pre>
      <p className="muted">The link is valid for an hour. Start the server again for a new one.</p>
    </Door>
  );
}

export function SetUpPage({ me }: { me: Me }) {
  const navigate = useNavigate();
  if (!me.needs_set_up) {
    return (
      <Door title="The fleet is set up already">
        <p>The link was for the first admin, and for one use. {me.signed_in ? 'You are signed in.' : 'Sign in with your name; an admin makes one for you if you have none.'}</p>
        <Button onClick={() => void navigate({ to: '/', replace: true })}>{me.signed_in ? 'To the fleet' : 'Sign in'}</Button>
      </Door>
    );
  }
  return <Door title="Become the first admin"><SetUpForm /></Door>;
}

function SetUpForm() {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const token = globalThis.location.hash.slice(1);
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [tried, setTried] = useState(false);
  const send = useMutation({
    mutationFn: () => setUp({ token, name, password }),
    onSuccess: async () => {
      // The link is of no more use: it leaves the address bar and its history.
      await navigate({ to: '/', replace: true });
      await queries.invalidateQueries({ queryKey: meQuery.queryKey });
    },
  });
  if (token === '') {
    return <p>The link is not whole: what stands behind its <span className="mono">#</span> is missing. Open it as the server wrote it.</p>;
  }
  const wrong = nameFault(name) ?? passwordFault(password);
  return (
    <form
      className={classes.form}
      onSubmit={(event) => {
        event.preventDefault();
        setTried(true);
        if (wrong === null && !send.isPending) send.mutate();
      }}
    >
      <p className="muted">You may do everything: make people, and say what they may. More admins can follow.</p>
      <NameField value={name} onChange={setName} faults={tried} focus />
      <NewPassword value={password} onChange={setPassword} faults={tried} />
      {send.error !== null && (
        <p className={classes.refused} role="alert">
          <FailedIcon />
          <span>{sentence(send.error.message)}</span>
        </p>
      )}
      <Button type="submit" loading={send.isPending}>Set up</Button>
    </form>
  );
}
