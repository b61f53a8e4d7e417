/** Which events: severity, kind, machine, span of time. */
import { Autocomplete, Button, Select } from '@mantine/core';
import { useDebouncedValue, useHotkeys } from '@mantine/hooks';
import { useQuery } from '@tanstack/react-query';
import { useRef, useState } from 'react';
import { machineQuery, machineSearchQuery } from '@/api/queries';
import type { Severity } from '@/api/types';
import { fromLocalInput, toLocalInput } from '@/kit/format';
import type { EventsSearch } from '@/router';
import { formatAt, parseMoment } from '@/time/moment';
import classes from './page.module.css';

const SEVERITY_CHOICES: { value: Severity | ''; label: string }[] = [
  { value: '', label: 'Any severity' },
  { value: 'info', label: 'Info or worse' },
  { value: 'warning', label: 'Warning or worse' },
  { value: 'error', label: 'Error or worse' },
  { value: 'critical', label: 'Critical' },
];

/** Families of kinds that are suggested; any other can be typed. */
const KINDS = [
  'disk', 'fan', 'health', 'machine', 'memory', 'mission', 'motor', 'node', 'power', 'presence', 'runtime', 'safety',
  'sensor', 'thermal',
];

interface EventFiltersProps {
  search: EventsSearch;
  onChange: (part: Partial<EventsSearch>) => void;
  filtered: boolean;
  onClear: () => void;
}

export function EventFilters({ search, onChange, filtered, onClear }: EventFiltersProps) {
  return (
    <div className={classes.filters} role="group" aria-label="Filters">
      <Select
        aria-label="Severity"
        size="sm"
        w={170}
        allowDeselect={false}
        data={SEVERITY_CHOICES}
        value={search.severity === 'debug' ? '' : (search.severity ?? '')}
        onChange={(value) => onChange({ severity: value === null || value === '' ? undefined : (value as Severity) })}
      />
      <KindInput key={search.kind ?? ''} kind={search.kind} onChange={(kind) => onChange({ kind })} />
      <MachineSelect machine={search.machine} onChange={(machine) => onChange({ machine })} />
      <TimeField label="From" value={search.from} onChange={(from) => onChange({ from })} />
      <TimeField label="To" value={search.to} onChange={(to) => onChange({ to })} />
      {filtered && <Button variant="subtle" size="sm" onClick={onClear}>Clear filters</Button>}
    </div>
  );
}

function KindInput({ kind, onChange }: { kind: string | undefined; onChange: (kind: string | undefined) => void }) {
  const [draft, setDraft] = useState(kind ?? '');
  const input = useRef<HTMLInputElement>(null);
  useHotkeys([['/', () => input.current?.focus()]]);
  const commit = (text: string) => {
    const clean = text.trim().replace(/\.[*>]?$/, '');
    onChange(clean === '' ? undefined : clean);
  };
  return (
    <Autocomplete
      ref={input}
      aria-label="Kind"
      placeholder="Kind, like thermal"
      size="sm"
      w={180}
      data={KINDS}
      value={draft}
      onChange={setDraft}
      onOptionSubmit={commit}
      onBlur={() => commit(draft)}
      onKeyDown={(event) => {
        if (event.key === 'Enter') commit(draft);
      }}
    />
  );
}

export function MachineSelect({ machine, onChange }: { machine: string | undefined; onChange: (machine: string | undefined) => void }) {
  const [text, setText] = useState('');
  const [asked] = useDebouncedValue(text.replaceAll(/[=<>!~|,]/g, ' ').trim(), 200);
  const found = useQuery(machineSearchQuery(asked));
  const chosen = useQuery({ ...machineQuery(machine ?? '', null), enabled: machine !== undefined });
  const data = (found.data?.items ?? []).map((row) => ({ value: row.id, label: row.name }));
  if (machine !== undefined && !data.some((each) => each.value === machine)) {
    data.unshift({ value: machine, label: chosen.data?.summary.name ?? machine.slice(0, 13) });
  }
  return (
    <Select
      aria-label="Machine"
      placeholder="Any machine"
      size="sm"
      w={200}
      searchable
      clearable
      clearButtonProps={{ 'aria-label': 'Any machine' }}
      nothingFoundMessage="No such machine"
      filter={({ options }) => options}
      data={data}
      value={machine ?? null}
      onSearchChange={setText}
      onChange={(value) => onChange(value ?? undefined)}
    />
  );
}

export function TimeField({ label, value, onChange }: { label: string; value: string | undefined; onChange: (value: string | undefined) => void }) {
  const ms = parseMoment(value);
  const kept = ms === null ? '' : toLocalInput(ms);
  const [draft, setDraft] = useState<string | null>(null);
  const commit = () => {
    if (draft === null) return;
    const next = fromLocalInput(draft);
    setDraft(null);
    onChange(next === null ? undefined : formatAt(next));
  };
  return (
    <label className={classes.time}>
      <span>{label}</span>
      <input
        type="datetime-local"
        step={1}
        value={draft ?? kept}
        onChange={(event) => setDraft(event.currentTarget.value)}
        onBlur={commit}
        onKeyDown={(event) => {
          if (event.key === 'Enter') commit();
        }}
      />
    </label>
  );
}
