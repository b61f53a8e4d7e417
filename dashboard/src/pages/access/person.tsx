/** One person: what is granted to them, how they sign in, where they are signed in, what they could do. */
import { Button, Checkbox, TextInput } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate, useParams } from '@tanstack/react-router';
import { useState } from 'react';
import classes from '@/access/access.module.css';
import { DryRun } from '@/access/dry-run';
import { areSound, GrantsEditor, toDrafts, toGrants } from '@/access/grants-editor';
import { faultAt, Refusal } from '@/access/parts';
import { PasswordForm } from '@/access/password';
import { RemoveSecondFactor } from '@/access/second-factor';
import { Sessions } from '@/access/sessions';
import { shownName, useMe } from '@/access/use-me';
import { peopleQuery, personQuery, putPerson, removePerson } from '@/api/access';
import type { Person } from '@/api/types';
import { ApiError, type Answer } from '@/api/client';
import { Confirm, oneLine, REASON_MAX_CHARS } from '@/kit/confirm';
import { Empty, Failure, Loading } from '@/kit/faces';
import { OkIcon } from '@/kit/icons';
import { Permitted, useFleetPermit, type Permit } from '@/kit/permit';
import { waitsAs } from '@/kit/refused';
import { Age, Moment } from '@/kit/times';
import { useTitle } from '@/kit/use-title';
import { Guarded } from './page';
import { Standing } from './people';

const NOW = { at: undefined };
const DISPLAY_NAME_MAX_CHARS = 100;

export function PersonPage() {
  const { name } = useParams({ from: '/access/people/$name' });
  useTitle(name);
  const permit = useFleetPermit('administer');
  return <Guarded by={permit} what="the people of this fleet"><OnePerson key={name} name={name} permit={permit} /></Guarded>;
}

function OnePerson({ name, permit }: { name: string; permit: Permit }) {
  const query = useQuery(personQuery(name));
  const me = useMe();
  if (query.isPending) return <><h1 className="sr-only">{name}</h1><Loading what={name} /></>;
  if (query.data === undefined) {
    if (query.error instanceof ApiError && query.error.problem.status === 404) {
      return <Empty whole title="There is no such person" action={<Link to="/access/people" search={NOW}>To the people</Link>}><span className="mono">{name}</span> is nobody’s name here.</Empty>;
    }
    return <><h1 className="sr-only">{name}</h1><Failure error={query.error} what={name} retry={() => void query.refetch()} /></>;
  }
  const person = query.data.document;
  const own = me?.name === person.name;
  return (
    <div className={classes.page} data-narrow>
      <div className={classes.head}>
        <Link to="/access/people" search={NOW}>People</Link> /
        <h1>{shownName(person)}</h1>
        {person.display_name !== '' && <span className="mono muted">{person.name}</span>}
        <Standing person={person} />
        <span className={classes.spacer} />
        <span className="muted">
          since <Moment at={person.created_at} />{person.signed_in_at !== undefined && <>, signed in <Age at={person.signed_in_at} ago /></>}
        </span>
      </div>
      <EditPerson answer={query.data} permit={permit} />
      <section className={classes.panel} aria-label="What they could do">
        <h2>What could {shownName(person)} do?</h2>
        <DryRun person={person.name} />
      </section>
      <section className={classes.panel} aria-label="Signing in">
        <h2>Signing in</h2>
        {own ? <p>This is you: change your own password and second factor in <Link to="/account" search={NOW}>your account</Link>.</p> : (
          <>
            <p>{person.has_password ? 'Whoever is given a new password has to be told it by you; their sessions end.' : 'There is no password: nobody can sign in by this name here.'}</p>
            <PasswordForm person={person.name} own={false} hasOne={person.has_password} />
            {person.second_factor && (
              <>
                <p>A code is asked for besides the password. Where the telephone and the recovery codes are lost:</p>
                <div className={classes.buttons}><RemoveSecondFactor person={person.name} own={false} /></div>
              </>
            )}
          </>
        )}
      </section>
      <section className={classes.panel} aria-label="Sessions">
        <h2>Sessions</h2>
        <Sessions person={person.name} />
      </section>
      <RemovePerson person={person} etag={query.data.etag ?? ''} own={own} permit={permit} />
    </div>
  );
}

function EditPerson({ answer, permit }: { answer: Answer<Person>; permit: Permit }) {
  const queries = useQueryClient();
  const [based, setBased] = useState(answer);
  const [displayName, setDisplayName] = useState(based.document.display_name);
  const [drafts, setDrafts] = useState(() => toDrafts(based.document.grants));
  const [disabled, setDisabled] = useState(based.document.disabled);
  const [reason, setReason] = useState('');
  const { name } = based.document;
  const take = (next: Answer<Person>) => {
    setBased(next);
    setDisplayName(next.document.display_name);
    setDrafts(toDrafts(next.document.grants));
    setDisabled(next.document.disabled);
  };
  const save = useMutation({
    mutationFn: () => putPerson(name, { display_name: displayName.trim(), grants: toGrants(drafts), disabled, reason: reason.trim() }, based.etag),
    onSuccess: (saved) => {
      take(saved);
      setReason('');
      queries.setQueryData(personQuery(name).queryKey, saved);
      for (const key of ['people', 'sessions', 'access-check', 'me']) void queries.invalidateQueries({ queryKey: [key] });
    },
    onError: (error) => {
      // What waits is not so yet: the form shows again what is.
      if (waitsAs(error) !== null) {
        take(answer);
        setReason('');
      }
      if (error instanceof ApiError && error.problem.status === 412) void queries.invalidateQueries({ queryKey: personQuery(name).queryKey });
    },
  });
  const changed = displayName.trim() !== based.document.display_name || disabled !== based.document.disabled || JSON.stringify(toGrants(drafts)) !== JSON.stringify(based.document.grants);
  // While nothing is written here, what somebody else wrote is taken over.
  const newer = answer.etag !== based.etag;
  if (newer && !changed) take(answer);
  const ready = changed && areSound(drafts) && reason.trim() !== '';
  return (
    <section className={classes.panel} aria-label="What is granted">
      <form
        className={classes.form}
        onSubmit={(event) => {
          event.preventDefault();
          if (ready && !save.isPending) save.mutate();
        }}
      >
        <TextInput label="Name to be shown" maw={420} placeholder={name} maxLength={DISPLAY_NAME_MAX_CHARS} value={displayName} error={faultAt(save.error, 'body.display_name')} onChange={(event) => setDisplayName(event.currentTarget.value)} />
        <GrantsEditor drafts={drafts} onDrafts={setDrafts} faults={(index) => faultAt(save.error, `body.grants.${index}`)} />
        <Checkbox label="Disabled" description="They cannot sign in, their sessions end, their tokens are not valid. What they did stays in the audit log." checked={disabled} onChange={(event) => setDisabled(event.currentTarget.checked)} />
        {changed && <TextInput label="Why" description="Kept in the audit log" required maxLength={REASON_MAX_CHARS} value={reason} onChange={(event) => setReason(oneLine(event.currentTarget.value))} />}
        {newer && changed && (
          <p className={classes.refused} role="alert">
            Somebody else changed {name} meanwhile. <button type="button" className={classes.link} onClick={() => { save.reset(); take(answer); }}>Take theirs</button>, or{' '}
            <button type="button" className={classes.link} onClick={() => { save.reset(); setBased(answer); }}>put yours on top</button>.
          </p>
        )}
        {!(save.error instanceof ApiError && save.error.problem.status === 412) && <Refusal error={save.error} told={['body.display_name', 'body.grants']} />}
        {save.isSuccess && !changed && <p className={classes.done} role="status"><OkIcon />Saved; it is in force.</p>}
        <div className={classes.buttons}>
          <Permitted by={permit}><Button type="submit" loading={save.isPending} disabled={!ready}>Save</Button></Permitted>
          {changed && <Button variant="default" onClick={() => { save.reset(); take(answer); }}>Leave it as it was</Button>}
        </div>
      </form>
    </section>
  );
}

function RemovePerson({ person, etag, own, permit }: { person: Person; etag: string; own: boolean; permit: Permit }) {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const [asks, setAsks] = useState(false);
  const remove = useMutation({
    mutationFn: (reason: string) => removePerson(person.name, reason, etag),
    onSuccess: async () => {
      await navigate({ to: '/access/people', search: NOW });
      queries.removeQueries({ queryKey: personQuery(person.name).queryKey });
      void queries.invalidateQueries({ queryKey: peopleQuery.queryKey });
    },
  });
  return (
    <section className={classes.panel} aria-label="Removing">
      <h2>Removing</h2>
      <p>Their sessions end, their tokens are revoked. What they did stays in the audit log. Somebody who may come back is better disabled.</p>
      <div className={classes.buttons}><Permitted by={permit}><Button variant="default" onClick={() => { remove.reset(); setAsks(true); }}>Remove {shownName(person)} …</Button></Permitted></div>
      <Confirm title={`Remove ${shownName(person)}`} action={`Remove ${person.name}`} opened={asks} asksWhy busy={remove.isPending} error={remove.error} onClose={() => setAsks(false)} onConfirm={(reason) => remove.mutate(reason)}>
        <p>{own ? 'This is you: you are signed out at once, and cannot come back by this name.' : `${person.name} is signed out at once. Nobody can take that back; they can be added anew.`}</p>
      </Confirm>
    </section>
  );
}
