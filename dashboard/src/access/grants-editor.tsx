/** What is granted: roles, and the machines that each of them reaches, looked up while it is typed. */
import { ActionIcon, Autocomplete, Button, NativeSelect } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { keepPreviousData, queryOptions, useQuery } from '@tanstack/react-query';
import { rolesQuery } from '@/api/access';
import type { AccessGrant, MachinePage, Role } from '@/api/types';
import { api, document } from '@/api/client';
import { PAGE_LIMIT_MAX } from '@/api/vocabulary';
import { plural } from '@/kit/format';
import { CloseIcon, PlusIcon } from '@/kit/icons';
import classes from './grants-editor.module.css';
import { EVERYTHING, scopeFault } from './scope';

export const GRANTS_MAX = 32;
const ROLES: readonly Role[] = ['viewer', 'operator', 'engineer', 'admin'];
/** The server is asked when nothing was typed for so long. */
const LOOK_AFTER_MS = 250;

/** A grant while it is edited: with a name for React, and the scope as it was typed. */
export interface GrantDraft {
  key: number;
  role: Role;
  everywhere: boolean;
  scope: string;
}

export const toDrafts = (grants: readonly AccessGrant[]): GrantDraft[] =>
  grants.map(({ role, scope }, key) => ({ key, role, everywhere: scope === EVERYTHING, scope: scope === EVERYTHING ? '' : scope }));

export const toGrants = (drafts: readonly GrantDraft[]): AccessGrant[] =>
  drafts.map(({ role, everywhere, scope }) => ({ role, scope: everywhere ? EVERYTHING : scope.trim() }));

export const areSound = (drafts: readonly GrantDraft[]) => drafts.every((draft) => draft.everywhere || scopeFault(draft.scope) === null);

interface GrantsEditorProps {
  drafts: readonly GrantDraft[];
  onDrafts: (drafts: GrantDraft[]) => void;
  /** What the server says against the scope of a grant, by its place. */
  faults?: (index: number) => string | undefined;
}

export function GrantsEditor({ drafts, onDrafts, faults }: GrantsEditorProps) {
  const change = (key: number, part: Partial<GrantDraft>) => onDrafts(drafts.map((draft) => (draft.key === key ? { ...draft, ...part } : draft)));
  const next = 1 + Math.max(-1, ...drafts.map((draft) => draft.key));
  return (
    <fieldset className={classes.editor}>
      <legend>What is granted</legend>
      {drafts.length === 0 && <p className="muted">Nothing: they can sign in, and see nothing.</p>}
      {drafts.map((draft, index) => (
        <GrantRow
          key={draft.key}
          draft={draft}
          fault={faults?.(index)}
          onChange={(part) => change(draft.key, part)}
          onRemove={() => onDrafts(drafts.filter((each) => each !== draft))}
        />
      ))}
      <Button
        variant="default"
        size="xs"
        leftSection={<PlusIcon size={14} />}
        disabled={drafts.length >= GRANTS_MAX}
        onClick={() => onDrafts([...drafts, { key: next, role: 'viewer', everywhere: false, scope: '' }])}
      >
        Add a grant
      </Button>
    </fieldset>
  );
}

interface GrantRowProps {
  draft: GrantDraft;
  fault: string | undefined;
  onChange: (part: Partial<GrantDraft>) => void;
  onRemove: () => void;
}

function GrantRow({ draft, fault, onChange, onRemove }: GrantRowProps) {
  const roles = useQuery(rolesQuery).data?.items;
  const about = roles?.find((each) => each.role === draft.role)?.description;
  const wrong = draft.everywhere || draft.scope === '' ? null : scopeFault(draft.scope);
  const labels = useQuery({ ...labelsQuery, enabled: !draft.everywhere }).data ?? [];
  return (
    <div className={classes.grant}>
      <NativeSelect aria-label="Role" value={draft.role} data={ROLES.map((role) => ({ value: role, label: role }))} onChange={(event) => onChange({ role: event.currentTarget.value as Role })} />
      <NativeSelect
        aria-label={`Where ${draft.role} is granted`}
        value={draft.everywhere ? 'all' : 'some'}
        data={[{ value: 'all', label: 'on every machine' }, { value: 'some', label: 'on machines with' }]}
        onChange={(event) => onChange({ everywhere: event.currentTarget.value === 'all' })}
      />
      {draft.everywhere ? <span className={classes.everywhere}>and the fleet as such</span> : (
        <Autocomplete
          className={classes.scope}
          aria-label={`Scope of ${draft.role}`}
          placeholder="label.site=munich"
          data={labels}
          value={draft.scope}
          spellCheck={false}
          error={fault ?? wrong ?? undefined}
          onChange={(scope) => onChange({ scope })}
        />
      )}
      <ActionIcon variant="subtle" color="gray" size="lg" aria-label={`Take ${draft.role} away`} onClick={onRemove}><CloseIcon /></ActionIcon>
      <p className={classes.reach}>
        {about}{about !== undefined && ' '}
        {!draft.everywhere && <Reach scope={draft.scope} wrong={scopeFault(draft.scope) !== null} />}
      </p>
    </div>
  );
}

/** How many machines a scope reaches now. More can come to it, with their labels. */
function Reach({ scope, wrong }: { scope: string; wrong: boolean }) {
  const [settled] = useDebouncedValue(scope.trim(), LOOK_AFTER_MS);
  const query = useQuery({ ...reachQuery(settled), enabled: !wrong && scopeFault(settled) === null });
  if (wrong || query.data === undefined) return null;
  const { total, items } = query.data;
  const names = items.map((row) => row.name).join(', ');
  return (
    <strong role="status" className={total === 0 ? classes.none : undefined}>
      {total === 0 ? 'It reaches no machine now.' : `It reaches ${plural(total, 'machine')} now: ${names}${total > items.length ? ' …' : '.'}`}
    </strong>
  );
}

const reachQuery = (filter: string) =>
  queryOptions({
    queryKey: ['reach', filter],
    queryFn: ({ signal }) => document<MachinePage>(api.GET('/api/v1/machines', { params: { query: { filter, sort: 'name', limit: 4 } }, signal })),
    placeholderData: keepPreviousData,
    staleTime: 10_000,
  });

/** The labels there are, as scopes: those that most machines have first. */
const labelsQuery = queryOptions({
  queryKey: ['labels-in-use'],
  queryFn: async ({ signal }) => {
    const page = await document<MachinePage>(api.GET('/api/v1/machines', { params: { query: { limit: PAGE_LIMIT_MAX } }, signal }));
    const counts = new Map<string, number>();
    for (const row of page.items) {
      for (const [key, value] of Object.entries(row.labels)) {
        // What has a space in it cannot be written in a filter.
        if (/[\s,|]/.test(key + value) || value === '') continue;
        counts.set(`label.${key}=${value}`, (counts.get(`label.${key}=${value}`) ?? 0) + 1);
      }
    }
    return [...counts].toSorted((a, b) => b[1] - a[1] || a[0].localeCompare(b[0])).slice(0, 50).map(([scope]) => scope);
  },
  staleTime: 60_000,
});
