/** Which entries of the audit log: by whom, what, to which machine, how it ended, when. */
import { Autocomplete, Button, Select } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { peopleQuery, type AuditSearch } from '@/api/access';
import { useFleetPermit } from '@/kit/permit';
import { MachineSelect, TimeField } from '@/pages/events/filters';
import own from './audit.module.css';

const OUTCOMES = [
  { value: '', label: 'Any outcome' },
  { value: 'done', label: 'Done' },
  { value: 'refused', label: 'Refused' },
  { value: 'failed', label: 'Failed' },
  { value: 'proposed', label: 'Proposed' },
];

const MACHINE_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Families of acts that are suggested; any other can be typed. */
const ACTIONS = ['machines', 'machines.stop', 'machines.command', 'machines.desire', 'recordings', 'people', 'policies', 'proposals', 'session.begin', 'sessions', 'tokens', 'identities', 'enrolments', 'audit'];

interface AuditFiltersProps {
  search: AuditSearch;
  onChange: (part: AuditSearch) => void;
  filtered: boolean;
  onClear: () => void;
}

export function AuditFilters({ search, onChange, filtered, onClear }: AuditFiltersProps) {
  const permit = useFleetPermit('administer');
  const people = useQuery({ ...peopleQuery, enabled: permit.allowed }).data?.items ?? [];
  return (
    <div className={own.filters} role="group" aria-label="Filters">
      <TextFilter key={`person ${search.person ?? ''}`} label="Person" placeholder="Anybody" data={people.map((each) => each.name)} value={search.person} onChange={(person) => onChange({ person })} />
      <TextFilter key={`action ${search.action ?? ''}`} label="Act" placeholder="Act, like people" data={ACTIONS} value={search.action} onChange={(action) => onChange({ action })} />
      {search.object === undefined || MACHINE_ID.test(search.object)
        ? <MachineSelect machine={search.object} onChange={(object) => onChange({ object })} />
        : <TextFilter key={`object ${search.object}`} label="Object" placeholder="Any object" data={[]} value={search.object} onChange={(object) => onChange({ object })} />}
      <Select aria-label="Outcome" size="sm" w={140} allowDeselect={false} data={OUTCOMES} value={search.outcome ?? ''} onChange={(value) => onChange({ outcome: value === null || value === '' ? undefined : value })} />
      <TimeField label="From" value={search.from} onChange={(from) => onChange({ from })} />
      <TimeField label="To" value={search.to} onChange={(to) => onChange({ to })} />
      {filtered && <Button variant="subtle" size="sm" onClick={onClear}>Clear filters</Button>}
    </div>
  );
}

interface TextFilterProps {
  label: string;
  placeholder: string;
  data: string[];
  value: string | undefined;
  onChange: (value: string | undefined) => void;
}

function TextFilter({ label, placeholder, data, value, onChange }: TextFilterProps) {
  const [draft, setDraft] = useState(value ?? '');
  const commit = (text: string) => {
    const clean = text.trim().replace(/\.[*>]?$/, '');
    if (clean !== (value ?? '')) onChange(clean === '' ? undefined : clean);
  };
  return (
    <Autocomplete
      aria-label={label}
      placeholder={placeholder}
      size="sm"
      w={160}
      data={data}
      value={draft}
      spellCheck={false}
      onChange={setDraft}
      onOptionSubmit={commit}
      onBlur={() => commit(draft)}
      onKeyDown={(event) => {
        if (event.key === 'Enter') commit(draft);
      }}
    />
  );
}
