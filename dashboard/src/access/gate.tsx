/**
 * Stands before the pages: lets in whoever is signed in, and says to everybody else how to be. Who was in keeps the page and what was
 * typed on it while they sign in again.
 */
import { Modal } from '@mantine/core';
import { focusManager, useQuery, useQueryClient } from '@tanstack/react-query';
import { useLocation } from '@tanstack/react-router';
import { lazy, Suspense, useEffect, useRef, useState, type ReactNode } from 'react';
import { meQuery } from '@/api/access';
import type { Me } from '@/api/types';
import { doubts } from '@/api/client';
import { Failure, Loading } from '@/kit/faces';
import { live } from '@/live/client';
import classes from './door.module.css';
import { MeContext } from './use-me';

const SignInPage = lazy(() => import('./door').then((door) => ({ default: door.SignInPage })));
const NotSetUpPage = lazy(() => import('./door').then((door) => ({ default: door.NotSetUpPage })));
const SetUpPage = lazy(() => import('./door').then((door) => ({ default: door.SetUpPage })));
const SignInAgain = lazy(() => import('./door').then((door) => ({ default: door.SignInAgain })));

const ASK_AGAIN_MS = 5_000;
/** Longer than that no timer of a browser runs. */
const TIMER_MAX_MS = 2_000_000_000;

export function Gate({ children }: { children: ReactNode }) {
  const query = useQuery({ ...meQuery, refetchInterval: ({ state }) => (state.status === 'error' ? ASK_AGAIN_MS : false) });
  const { pathname } = useLocation();
  const me = query.data;
  const open = me?.signed_in === true;
  const last = useLastIn(me ?? null);
  const ended = me !== undefined && !open && last !== null;
  useDoubts(me ?? null);
  useAway(me === undefined ? 'unknown' : open ? 'in' : ended ? 'ended' : 'out');

  if (me === undefined) {
    return (
      <main className={classes.waiting}>
        <h1 className="sr-only">Muster</h1>
        {query.isError ? <Failure error={query.error} what="who is signed in" retry={() => void query.refetch()} /> : <Loading what="the dashboard" />}
      </main>
    );
  }
  if (pathname === '/set-up') return <Late><SetUpPage me={me} /></Late>;
  if (open || ended) {
    return (
      <>
        <MeContext value={open ? me : last}>{children}</MeContext>
        <Modal
          opened={ended}
          onClose={() => undefined}
          withCloseButton={false}
          closeOnEscape={false}
          closeOnClickOutside={false}
          zIndex={1_000}
          centered
          title="Sign in again"
          overlayProps={{ blur: 4 }}
          attributes={{ header: { role: 'presentation' } }}
        >
          {ended && <Late><SignInAgain last={last} provider={me.provider} /></Late>}
        </Modal>
      </>
    );
  }
  return <Late>{me.needs_set_up ? <NotSetUpPage /> : <SignInPage provider={me.provider} />}</Late>;
}

function Late({ children }: { children: ReactNode }) {
  return <Suspense fallback={<div className={classes.waiting}><Loading what="the dashboard" /></div>}>{children}</Suspense>;
}

/** Who was in last. Nobody ever sees what was loaded for somebody else: then the page begins anew. */
function useLastIn(me: Me | null): Me | null {
  const [last, setLast] = useState<Me | null>(null);
  const other = me?.signed_in === true && last !== null && last.name !== me.name;
  if (me?.signed_in === true && last !== me && !other) setLast(me);
  useEffect(() => {
    if (other) globalThis.location.reload();
  }, [other]);
  return last;
}

/** Asks again who it is when something was refused, and when the session is over. */
function useDoubts(me: Me | null): void {
  const queries = useQueryClient();
  const until = me?.expires_at;
  useEffect(() => {
    const ask = () => {
      void queries.invalidateQueries({ queryKey: meQuery.queryKey }, { cancelRefetch: false });
      void queries.invalidateQueries({ queryKey: ['mine'] }, { cancelRefetch: false });
    };
    const stop = doubts.watch(ask);
    const timer = until === undefined ? undefined : setTimeout(ask, Math.min(TIMER_MAX_MS, Math.max(0, Date.parse(until) - Date.now()) + 1_000));
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, [queries, until]);
}

type Standing = 'unknown' | 'in' | 'out' | 'ended';

/** While nobody is signed in nothing is asked by itself: all of it would be refused. Who comes back has everything asked again. */
function useAway(standing: Standing): void {
  const queries = useQueryClient();
  const ended = useRef(false);
  useEffect(() => {
    if (standing === 'unknown') return;
    focusManager.setFocused(standing === 'ended' ? false : undefined);
    if (standing !== 'in') {
      live.hold();
      ended.current ||= standing === 'ended';
      return;
    }
    live.start();
    if (ended.current) void queries.invalidateQueries({ type: 'active', predicate: (query) => query.queryKey[0] !== meQuery.queryKey[0] });
    ended.current = false;
  }, [standing, queries]);
}
