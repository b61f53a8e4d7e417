/** The roles and what they hold; rules of one's own on top of them; and what somebody could do by all that. */
import { Button, Modal, NativeSelect } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import classes from '@/access/access.module.css';
import { DryRun } from '@/access/dry-run';
import { PolicyForm } from '@/access/policy-form';
import { shownName } from '@/access/use-me';
import { peopleQuery, policiesQuery, readPolicy, removePolicy, rolesQuery } from '@/api/access';
import type { AccessPolicy, PolicyEffect } from '@/api/types';
import type { Answer } from '@/api/client';
import { Confirm } from '@/kit/confirm';
import { Empty, Failure, Loading, StaleNote } from '@/kit/faces';
import { OkIcon, PlusIcon } from '@/kit/icons';
import panel from '@/kit/panel.module.css';
import { Permitted, useFleetPermit, type Permit } from '@/kit/permit';
import { Age } from '@/kit/times';
import { useTitle } from '@/kit/use-title';
import own from './roles.module.css';

const NOW = { at: undefined };

export function RolesPage() {
  useTitle('Roles and policies');
  const permit = useFleetPermit('administer');
  return (
    <div className={classes.page}>
      <div className={classes.head}><h1>Roles and policies</h1></div>
      <RoleTable />
      <Policies permit={permit} />
      {permit.allowed && <CouldDo />}
    </div>
  );
}

const MEANINGS: Record<string, string> = {
  read: 'see machines, what they report, what happened',
  stop: 'stop machines',
  operate: 'take control, give ordinary commands',
  diagnose: 'have recordings made and brought',
  deploy: 'decide what runs on machines',
  configure: 'change labels, names, calibrations',
  enrol: 'give machines identities, and take them away',
  administer: 'change people, policies; end sessions and tokens',
  audit: 'read who did what',
};

function RoleTable() {
  const query = useQuery(rolesQuery);
  if (query.isPending) return <Loading what="the roles" />;
  if (query.data === undefined) return <Failure error={query.error} what="the roles" retry={() => void query.refetch()} />;
  const roles = query.data.items;
  const permissions = [...new Set(roles.flatMap((role) => role.permissions))];
  const ordered = Object.keys(MEANINGS).filter((each) => permissions.some((known) => known === each));
  return (
    <section className={classes.panel} aria-label="Roles">
      <h2>Roles</h2>
      <p className="muted">A grant is one of these, on every machine or on those with certain labels. Grants add up.</p>
      <div className={panel.scroll}>
        <table className={`${panel.table} ${own.roles}`}>
          <thead><tr><th scope="col">Permission</th>{roles.map((role) => <th key={role.role} scope="col" title={role.description}>{role.role}</th>)}<th scope="col">To</th></tr></thead>
          <tbody>
            {ordered.map((permission) => (
              <tr key={permission}>
                <th scope="row">{permission}</th>
                {roles.map((role) => {
                  const holds = role.permissions.some((each) => each === permission);
                  return (
                    <td key={role.role}>
                      <span className={classes.mark} data-tone={holds ? 'good' : 'off'}>
                        {holds ? <OkIcon /> : <span aria-hidden>–</span>}<span className="sr-only">{holds ? 'yes' : 'no'}</span>
                      </span>
                    </td>
                  );
                })}
                <td className="muted">{MEANINGS[permission]}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

const EFFECTS: Record<PolicyEffect, { does: string; everything: string; without: string }> = {
  forbid: { does: 'forbids', everything: 'everything', without: 'What it forbids is allowed at once to whoever it is granted to.' },
  permit: { does: 'permits', everything: 'everything', without: 'Whom it lets in is refused at once.' },
  second_person: {
    does: 'asks for a second person', everything: 'for everything but read and stop',
    without: 'Whoever may do what it is about, may from then on alone. What waits because of it waits on.',
  },
};

type Editing = { based: Answer<AccessPolicy> | null } | null;

function Policies({ permit }: { permit: Permit }) {
  const queries = useQueryClient();
  const query = useQuery(policiesQuery);
  const [editing, setEditing] = useState<Editing>(null);
  const [removing, setRemoving] = useState<AccessPolicy | null>(null);
  const [asks, setAsks] = useState(false);
  const open = useMutation({ mutationFn: readPolicy, onSuccess: (based) => setEditing({ based }) });
  const remove = useMutation({
    mutationFn: ({ policy, reason }: { policy: AccessPolicy; reason: string }) => removePolicy(policy.name, reason, `"${policy.version}"`),
    onSettled: () => void queries.invalidateQueries({ queryKey: policiesQuery.queryKey }),
    onSuccess: () => {
      setAsks(false);
      void queries.invalidateQueries({ queryKey: ['access-check'] });
    },
  });
  const items = query.data?.items;
  return (
    <section className={classes.panel} aria-label="Policies">
      <div className={classes.head}>
        <h2>Policies</h2>
        <span className={classes.spacer} />
        <Permitted by={permit}>
          <Button variant="default" size="xs" leftSection={<PlusIcon size={14} />} aria-haspopup="dialog" onClick={() => setEditing({ based: null })}>Add a policy</Button>
        </Permitted>
      </div>
      <p className="muted">Rules of this fleet on top of the roles. One that forbids wins over everything; one that permits lets in who was granted nothing; one that asks for a second person lets what is allowed wait until <Link to="/access/approvals" search={NOW}>somebody else approves it</Link>.</p>
      {query.isPending && <Loading what="the policies" />}
      {query.isError && items === undefined && <Failure error={query.error} what="the policies" retry={() => void query.refetch()} />}
      {query.isError && items !== undefined && <StaleNote>The policies could not be asked for again: {query.error.message}</StaleNote>}
      {open.isError && <p className={classes.refused} role="alert">{open.error.message}</p>}
      {items?.length === 0 && <Empty title="There are none">What is granted decides alone. A policy can, for instance, forbid changes at night, or on one line while it is rebuilt.</Empty>}
      {items !== undefined && items.length > 0 && (
        <ul className={own.policies}>
          {items.map((policy) => (
            <li key={policy.name} data-effect={policy.effect}>
              <div className={classes.head}>
                <h3>{policy.name}</h3>
                <span><strong>{EFFECTS[policy.effect].does}</strong> {policy.permissions.length === 0 ? EFFECTS[policy.effect].everything : policy.permissions.join(', ')}</span>
                <span className={classes.spacer} />
                <span className="muted">changed <Age at={policy.updated_at} ago /></span>
                <div className={classes.buttons}>
                  <Permitted by={permit}>
                    <Button variant="default" size="xs" aria-label={`Change ${policy.name}`} loading={open.isPending && open.variables === policy.name} onClick={() => open.mutate(policy.name)}>Change</Button>
                  </Permitted>
                  <Permitted by={permit}>
                    <Button variant="default" size="xs" aria-label={`Remove ${policy.name}`} onClick={() => { remove.reset(); setRemoving(policy); setAsks(true); }}>Remove …</Button>
                  </Permitted>
                </div>
              </div>
              <p>{policy.description}</p>
              <pre>{policy.condition}</pre>
            </li>
          ))}
        </ul>
      )}
      <Modal
        opened={editing !== null}
        onClose={() => setEditing(null)}
        title={editing?.based === null || editing === null ? 'Add a policy' : `Change ${editing.based.document.name}`}
        size="xl"
        closeOnClickOutside={false}
        closeButtonProps={{ 'aria-label': 'Close' }}
        attributes={{ header: { role: 'presentation' } }}
      >
        {editing !== null && <PolicyForm based={editing.based} onDone={() => setEditing(null)} />}
      </Modal>
      <Confirm
        title={`Remove ${removing?.name ?? ''}`}
        action="Remove it"
        opened={asks}
        asksWhy
        busy={remove.isPending}
        error={remove.error}
        onClose={() => setAsks(false)}
        onConfirm={(reason) => (removing === null ? undefined : remove.mutate({ policy: removing, reason }))}
      >
        <p>{removing === null ? '' : EFFECTS[removing.effect].without}</p>
      </Confirm>
    </section>
  );
}

function CouldDo() {
  const people = useQuery(peopleQuery);
  const [chosen, setChosen] = useState<string | null>(null);
  const items = people.data?.items ?? [];
  const person = chosen ?? items[0]?.name;
  return (
    <section className={classes.panel} aria-label="What could this person do?">
      <h2>What could this person do?</h2>
      {people.isPending && <Loading what="the people" />}
      {people.isError && <Failure error={people.error} what="the people" retry={() => void people.refetch()} />}
      {people.data !== undefined && (person === undefined ? <Empty title="Nobody is here yet" /> : (
        <div className={classes.form}>
          <NativeSelect label="Person" maw={320} value={person} data={items.map((each) => ({ value: each.name, label: shownName(each) }))} onChange={(event) => setChosen(event.currentTarget.value)} />
          <DryRun person={person} />
        </div>
      ))}
    </section>
  );
}
