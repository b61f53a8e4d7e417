/** What somebody could do, without doing it: each permission, and the rule that decides. */
import { Select } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { checkQuery } from '@/api/access';
import type { AccessGrant, PutPolicy } from '@/api/types';
import { machineSearchQuery } from '@/api/queries';
import { Failure, Loading } from '@/kit/faces';
import { plural } from '@/kit/format';
import { CloseIcon, OkIcon, SecondPersonIcon } from '@/kit/icons';
import panel from '@/kit/panel.module.css';
import classes from './access.module.css';

interface DryRunProps {
  person: string;
  /** With these grants instead of theirs. */
  grants?: AccessGrant[];
  /** With this rule besides. */
  policy?: PutPolicy;
}

/** What the server calls a policy that is only tried. */
const TRIED = 'tried';

export function DryRun({ person, grants, policy }: DryRunProps) {
  const [machine, setMachine] = useState<string | null>(null);
  const query = useQuery(checkQuery({ person, ...(machine !== null && { machine }), ...(grants !== undefined && { grants }), ...(policy !== undefined && { policy }) }));
  return (
    <div className={classes.form}>
      <MachineField value={machine} onChange={setMachine} />
      {query.isPending && <Loading what="the answer" />}
      {query.isError && query.data === undefined && <Failure error={query.error} what="the answer" retry={() => void query.refetch()} />}
      {query.data !== undefined && (
        <div className={panel.scroll} aria-busy={query.isPlaceholderData}>
          <table className={`${panel.table} ${classes.table}`}>
            <thead><tr><th scope="col">What</th><th scope="col">Allowed</th>{machine === null && <th scope="col">To</th>}<th scope="col">By which rule</th></tr></thead>
            <tbody>
              {query.data.decisions.map((each) => {
                // The fleet as such may be closed to them, and some machines be open.
                const some = machine === null && !each.allowed && (each.machines ?? 0) > 0;
                const second = each.allowed && each.second_person !== undefined;
                return (
                  <tr key={each.permission}>
                    <th scope="row">{each.permission}</th>
                    <td>
                      <span className={classes.mark} data-tone={second ? 'waits' : each.allowed ? 'good' : some ? 'warn' : 'off'}>
                        {second ? <SecondPersonIcon size={14} /> : each.allowed || some ? <OkIcon size={14} /> : <CloseIcon size={14} />}{second ? 'with a second person' : each.allowed ? 'yes' : some ? 'some' : 'no'}
                      </span>
                    </td>
                    {machine === null && <td className={classes.count}>{each.machines === undefined ? '' : plural(each.machines, 'machine')}</td>}
                    <td>{each.rule}{second && <span className="muted">; {policy !== undefined && each.second_person === TRIED ? 'this policy' : <>the policy <b>{each.second_person}</b></>} asks for a second person</span>}</td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      )}
    </div>
  );
}

function MachineField({ value, onChange }: { value: string | null; onChange: (machine: string | null) => void }) {
  const [text, setText] = useState('');
  const [name, setName] = useState('');
  const [asked] = useDebouncedValue(text.replaceAll(/[=<>!~|,]/g, ' ').trim(), 200);
  const found = useQuery(machineSearchQuery(asked));
  const data = (found.data?.items ?? []).map((row) => ({ value: row.id, label: row.name }));
  if (value !== null && !data.some((each) => each.value === value)) data.unshift({ value, label: name });
  return (
    <Select
      label="To which machine"
      placeholder="The fleet as such"
      maw={320}
      searchable
      clearable
      clearButtonProps={{ 'aria-label': 'The fleet as such' }}
      nothingFoundMessage="No such machine"
      filter={({ options }) => options}
      data={data}
      value={value}
      onSearchChange={setText}
      onChange={(machine, option) => {
        setName(option?.label ?? '');
        onChange(machine);
      }}
    />
  );
}
