/** The people: who there is, what is granted to them, and adding one. */
import { Button, Modal, TextInput } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import classes from '@/access/access.module.css';
import { NameField, nameFault, NewPassword, passwordFault } from '@/access/fields';
import { areSound, GrantsEditor, toGrants, type GrantDraft } from '@/access/grants-editor';
import { faultAt, Grants, Refusal } from '@/access/parts';
import { shownName, useMe } from '@/access/use-me';
import { peopleQuery, putPerson } from '@/api/access';
import type { Person } from '@/api/types';
import { ApiError } from '@/api/client';
import { oneLine, REASON_MAX_CHARS } from '@/kit/confirm';
import { Empty, Failure, Loading, StaleNote } from '@/kit/faces';
import { plural } from '@/kit/format';
import { AttentionIcon, CloseIcon, OkIcon, PlusIcon } from '@/kit/icons';
import panel from '@/kit/panel.module.css';
import { Permitted, useFleetPermit, type Permit } from '@/kit/permit';
import { Waits, waitsAs } from '@/kit/refused';
import { Age } from '@/kit/times';
import { useTitle } from '@/kit/use-title';
import { Guarded } from './page';

const NOW = { at: undefined };
const DISPLAY_NAME_MAX_CHARS = 100;

export function PeoplePage() {
  useTitle('People');
  const permit = useFleetPermit('administer');
  return <Guarded by={permit} what="the people of this fleet"><AllPeople permit={permit} /></Guarded>;
}

function AllPeople({ permit }: { permit: Permit }) {
  const query = useQuery(peopleQuery);
  const me = useMe();
  const [adding, setAdding] = useState(false);
  if (query.isPending) return <><h1 className="sr-only">People</h1><Loading what="the people" /></>;
  if (query.data === undefined) return <><h1 className="sr-only">People</h1><Failure error={query.error} what="the people" retry={() => void query.refetch()} /></>;
  const { items } = query.data;
  return (
    <div className={classes.page}>
      <div className={classes.head}>
        <h1>People</h1>
        <span className="muted">{items.length === 0 ? '' : plural(items.length, 'person', 'people')}</span>
        <span className={classes.spacer} />
        <Permitted by={permit}><Button leftSection={<PlusIcon size={14} />} onClick={() => setAdding(true)} aria-haspopup="dialog">Add a person</Button></Permitted>
      </div>
      {query.isError && <StaleNote>The people could not be asked for again: {query.error.message}</StaleNote>}
      <section className={classes.panel} aria-label="People">
        {items.length === 0 ? (
          <Empty title="Nobody is here yet">{me?.trusts_loopback === true ? 'Nobody has to sign in here, so nobody needs to be. People that are added now sign in when the server asks them to.' : 'Add those who work with the fleet.'}</Empty>
        ) : <PeopleTable people={items} />}
      </section>
      <Modal opened={adding} onClose={() => setAdding(false)} title="Add a person" size="xl" closeOnClickOutside={false} closeButtonProps={{ 'aria-label': 'Close' }} attributes={{ header: { role: 'presentation' } }}>
        <AddPerson onDone={() => setAdding(false)} />
      </Modal>
    </div>
  );
}

function PeopleTable({ people }: { people: readonly Person[] }) {
  return (
    <div className={panel.scroll}>
      <table className={`${panel.table} ${classes.table}`}>
        <thead><tr><th scope="col">Name</th><th scope="col">Granted</th><th scope="col">Signs in with</th><th scope="col">Signed in</th></tr></thead>
        <tbody>
          {people.map((person) => (
            <tr key={person.name}>
              <td><Link to="/access/people/$name" params={{ name: person.name }} search={NOW}>{shownName(person)}</Link>{person.display_name !== '' && <> <span className="mono muted">{person.name}</span></>}</td>
              <td><Grants grants={person.grants} /></td>
              <td><Standing person={person} /></td>
              <td>{person.signed_in_at === undefined ? <span className="muted">not known</span> : <Age at={person.signed_in_at} ago />}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** How somebody signs in, or why they cannot. */
export function Standing({ person }: { person: Person }) {
  if (person.disabled) return <span className={classes.mark} data-tone="bad"><CloseIcon size={14} />disabled</span>;
  if (person.provider !== undefined) return <span>{person.provider}</span>;
  if (!person.has_password) return <span className={classes.mark} data-tone="off">tokens only</span>;
  return person.second_factor
    ? <span className={classes.mark} data-tone="good"><OkIcon size={14} />password and code</span>
    : <span className={classes.mark} data-tone="warn"><AttentionIcon size={14} />password alone</span>;
}

function AddPerson({ onDone }: { onDone: () => void }) {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const [name, setName] = useState('');
  const [displayName, setDisplayName] = useState('');
  const [password, setPassword] = useState('');
  const [drafts, setDrafts] = useState<GrantDraft[]>([{ key: 0, role: 'viewer', everywhere: true, scope: '' }]);
  const [reason, setReason] = useState('');
  const [tried, setTried] = useState(false);
  const add = useMutation({
    mutationFn: () => putPerson(name, { display_name: displayName.trim(), grants: toGrants(drafts), reason: reason.trim(), ...(password !== '' && { password }) }, null),
    onSuccess: () => {
      void queries.invalidateQueries({ queryKey: peopleQuery.queryKey });
      onDone();
      void navigate({ to: '/access/people/$name', params: { name }, search: NOW });
    },
  });
  const ready = nameFault(name) === null && (password === '' || passwordFault(password) === null) && areSound(drafts) && reason.trim() !== '';
  const proposal = waitsAs(add.error);
  if (proposal !== null) return <Waits proposal={proposal} onClose={onDone} />;
  const taken = add.error instanceof ApiError && add.error.problem.status === 412;
  return (
    <form
      className={classes.form}
      onSubmit={(event) => {
        event.preventDefault();
        setTried(true);
        if (ready && !add.isPending) add.mutate();
      }}
    >
      <NameField value={name} onChange={(next) => { setName(next); add.reset(); }} faults={tried} focus />
      <TextInput label="Name to be shown" placeholder={name === '' ? 'Ada Lovelace' : name} maxLength={DISPLAY_NAME_MAX_CHARS} value={displayName} error={faultAt(add.error, 'body.display_name')} onChange={(event) => setDisplayName(event.currentTarget.value)} />
      <NewPassword label="First password (empty: somebody for tokens only, or who signs in at a provider)" value={password} onChange={setPassword} faults={tried} required={false} error={faultAt(add.error, 'body.password')} />
      <GrantsEditor drafts={drafts} onDrafts={setDrafts} faults={(index) => faultAt(add.error, `body.grants.${index}`)} />
      <TextInput label="Why" description="Kept in the audit log" required maxLength={REASON_MAX_CHARS} value={reason} error={tried && reason.trim() === '' ? 'A reason is needed' : undefined} onChange={(event) => setReason(oneLine(event.currentTarget.value))} />
      {taken ? <p className={classes.refused} role="alert">There is somebody called {name} already.</p> : <Refusal error={add.error} told={['body.display_name', 'body.password', 'body.grants']} />}
      <div className={classes.buttons} data-end>
        <Button variant="default" onClick={onDone}>Cancel</Button>
        <Button type="submit" loading={add.isPending}>Add {name === '' ? 'them' : name}</Button>
      </div>
    </form>
  );
}
