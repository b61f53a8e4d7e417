/** Signing in: a name, a password, and a code where one is asked for. */
import { Button, PasswordInput, TextInput } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from 'react';
import { meQuery, signIn } from '@/api/access';
import { ApiError, tellOtherTabs } from '@/api/client';
import { sentence } from '@/kit/format';
import { FailedIcon } from '@/kit/icons';
import classes from './door.module.css';
import { faultAt } from './parts';
import { ProviderButton } from './provider';

const TOO_MANY_TRIES = 429;

/** Name and password are right, and a code is asked for besides. */
const wantsCode = (error: Error) => faultAt(error, 'body.code') !== undefined;

interface SignInProps {
  /** Whose session ended; else it is asked for. */
  name?: string;
  /** Where people sign in besides, by the name on the button. */
  provider?: string | undefined;
}

export function SignInForm({ name: known, provider }: SignInProps) {
  const queries = useQueryClient();
  const [name, setName] = useState(known ?? '');
  const [password, setPassword] = useState('');
  const [code, setCode] = useState<string | null>(null);
  const passwordField = useRef<HTMLInputElement>(null);
  const codeField = useRef<HTMLInputElement>(null);
  const [until, setUntil] = useState(0);
  const left = useSecondsTo(until);
  const send = useMutation({
    mutationFn: signIn,
    onSuccess: () => {
      tellOtherTabs();
      return queries.invalidateQueries({ queryKey: meQuery.queryKey });
    },
    onError: (error) => {
      if (!(error instanceof ApiError)) return;
      if (wantsCode(error)) setCode((typed) => typed ?? '');
      if (error.retryAfterS !== null) setUntil(Date.now() + error.retryAfterS * 1_000);
      if (error.problem.status === 401) (wantsCode(error) ? codeField : passwordField).current?.select();
    },
  });
  const asksCode = code !== null;
  useEffect(() => {
    if (asksCode) codeField.current?.focus();
  }, [asksCode]);
  const ready = name.trim() !== '' && password !== '' && (code === null || code.trim() !== '') && left === 0 && !send.isPending;
  const fault = send.error === null || (wantsCode(send.error) && send.variables?.code === undefined) ? null : failure(send.error, left);
  return (
    <form
      className={classes.form}
      aria-label="Sign in"
      onSubmit={(event) => {
        event.preventDefault();
        if (ready) send.mutate({ name: name.trim(), password, ...(code !== null && { code: code.trim() }) });
      }}
    >
      <TextInput
        label="Name"
        name="username"
        autoComplete="username"
        autoCapitalize="none"
        spellCheck={false}
        value={name}
        readOnly={known !== undefined}
        // The form is all there is on the page.
        // oxlint-disable-next-line jsx-a11y/no-autofocus
        autoFocus={known === undefined}
        onChange={(event) => {
          setName(event.currentTarget.value);
          setCode(null);
        }}
      />
      <PasswordInput
        ref={passwordField}
        label="Password"
        name="password"
        autoComplete="current-password"
        value={password}
        // oxlint-disable-next-line jsx-a11y/no-autofocus
        autoFocus={known !== undefined}
        onChange={(event) => setPassword(event.currentTarget.value)}
      />
      {code !== null && (
        <TextInput
          ref={codeField}
          label="Code"
          description="Of your authenticator, or one of your recovery codes"
          name="one-time-code"
          autoComplete="one-time-code"
          autoCapitalize="none"
          spellCheck={false}
          value={code}
          onChange={(event) => setCode(event.currentTarget.value)}
        />
      )}
      {fault !== null && <p className={classes.refused} role="alert"><FailedIcon /><span>{fault}</span></p>}
      <Button type="submit" loading={send.isPending} disabled={left > 0}>{left > 0 ? `Wait ${left} s` : 'Sign in'}</Button>
      {provider !== undefined && <ProviderButton name={provider} />}
    </form>
  );
}

function failure(error: Error, left: number): string | null {
  if (!(error instanceof ApiError)) return error.message;
  if (error.unreachable) return 'The fleet server cannot be reached.';
  if (error.problem.status === TOO_MANY_TRIES) return left > 0 ? 'There were too many wrong tries. The next one has to wait.' : null;
  return sentence(error.message);
}

/** Counts down to a moment; 0 is there. */
function useSecondsTo(until: number): number {
  return useSyncExternalStore(
    useCallback((tell: () => void) => {
      const timer = setInterval(tell, 250);
      return () => clearInterval(timer);
    }, []),
    () => Math.max(0, Math.ceil((until - Date.now()) / 1_000)),
  );
}
