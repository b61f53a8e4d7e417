/** Signing in at a provider: the way there, and why somebody came back without being signed in. */
import { Button } from '@mantine/core';
import { useRouterState } from '@tanstack/react-router';
import { FailedIcon } from '@/kit/icons';
import classes from './door.module.css';

const PROBLEMS: Record<string, string> = {
  'provider-away': 'The provider cannot be reached now. Try again in a moment, or sign in with a password.',
  'provider-answer': 'The provider answered something that cannot be trusted. The log of the server says what.',
  'provider-refused': 'The provider did not sign you in.',
  'not-begun': 'This was not begun in this browser, took longer than ten minutes, or was used already. Begin again.',
  'no-grants': 'You are known there, and none of your groups may do anything here. Ask whoever administers the fleet.',
  'name-taken': 'Somebody else has your name here. Ask whoever administers the fleet.',
  disabled: 'You may not sign in any more. Ask whoever administers the fleet.',
  server: 'The server could not do it now. Try again in a moment.',
};

/** An ordinary link: the way leads through pages of others, and back to where one was. */
export function ProviderButton({ name }: { name: string }) {
  const here = useRouterState({ select: ({ location }) => location.href });
  const next = here.startsWith('/sign-in') ? '/' : here;
  return (
    <Button component="a" variant="default" href={`/api/v1/session/provider?next=${encodeURIComponent(next)}`}>
      Sign in with {name}
    </Button>
  );
}

export function ProviderProblem() {
  const problem = useRouterState({ select: ({ location }) => (location.search as { problem?: string }).problem });
  if (problem === undefined) return null;
  return (
    <p className={classes.refused} role="alert">
      <FailedIcon />
      <span>{PROBLEMS[problem] ?? 'You were not signed in.'}</span>
    </p>
  );
}
