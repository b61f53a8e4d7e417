/** A program waits to be signed in: somebody who is signed in types the code that it shows, and says yes or no. */
import { Button, TextInput } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import { answerDevice, deviceQuery } from '@/api/access';
import { ApiError } from '@/api/client';
import { Refusal } from '@/access/parts';
import { shownName, useMe } from '@/access/use-me';
import classes from '@/access/access.module.css';
import { Empty, Failure, Loading } from '@/kit/faces';
import { Moment } from '@/kit/times';
import { useTitle } from '@/kit/use-title';

const NOT_THERE = 404;

export function DevicePage() {
  useTitle('Sign a program in');
  const me = useMe();
  const { code } = useSearch({ from: '/device' });
  if (me === null) return null;
  if (me.trusts_loopback) {
    return <Empty whole title="Nobody has to sign in here">Everybody on this computer is let in, and programs are too.</Empty>;
  }
  return (
    <div className={classes.page} data-narrow>
      <div className={classes.head}><h1>Sign a program in</h1></div>
      <section className={classes.panel} aria-label="Sign a program in">
        {code === undefined ? <AskCode /> : <Waiting key={code} code={code} who={shownName(me)} />}
      </section>
    </div>
  );
}

function AskCode({ unknown }: { unknown?: string }) {
  const navigate = useNavigate();
  const [code, setCode] = useState('');
  return (
    <form
      className={classes.code}
      onSubmit={(event) => {
        event.preventDefault();
        if (code.trim() !== '') void navigate({ to: '/device', search: { code: code.trim().toUpperCase() } });
      }}
    >
      <TextInput
        label="Code"
        description="Eight letters, as the program shows them"
        placeholder="BCDF-GHJK"
        value={code}
        error={unknown !== undefined && `No program waits under ${unknown}: a code is good for ten minutes, and for one answer`}
        onChange={(event) => setCode(event.currentTarget.value)}
      />
      <Button type="submit">Look it up</Button>
    </form>
  );
}

function Waiting({ code, who }: { code: string; who: string }) {
  const asks = useQuery(deviceQuery(code));
  const say = useMutation({ mutationFn: (yes: boolean) => answerDevice(code, yes) });
  if (say.isSuccess) {
    return say.variables
      ? <p role="status">It is signed in as {who} and goes on by itself. You can close this page; its session is among yours, and can be ended there.</p>
      : <p role="status">It was turned away.</p>;
  }
  if (asks.error instanceof ApiError && asks.error.problem.status === NOT_THERE) return <AskCode unknown={code} />;
  if (asks.isError) return <Failure error={asks.error} what="who waits" retry={() => void asks.refetch()} />;
  if (asks.data === undefined) return <Loading what="who waits" />;
  const { agent, from, started_at: since } = asks.data;
  return (
    <>
      <p>
        <b>{agent === '' ? 'A program without a name' : agent}</b> at <span className="mono">{from}</span> has waited since <Moment at={since} />. Does it show
        the code <b className="mono">{code}</b>? It will be able to do whatever you may.
      </p>
      <p className="muted">Say yes only if you have just started it yourself. Nobody who calls or writes to you needs this.</p>
      <div className={classes.answers}>
        <Button loading={say.isPending && say.variables} onClick={() => say.mutate(true)}>Sign it in as {who}</Button>
        <Button variant="default" loading={say.isPending && !say.variables} onClick={() => say.mutate(false)}>Turn it away</Button>
      </div>
      <Refusal error={say.error} />
    </>
  );
}
