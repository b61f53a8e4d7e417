/** Search, filter language, quick filters, and what the table shows of it. */
import { ActionIcon, Button, Checkbox, Popover, SegmentedControl, TextInput } from '@mantine/core';
import { useHotkeys } from '@mantine/hooks';
import { useEffect, useRef, useState, type ReactNode } from 'react';
import type { FleetSummary } from '@/api/types';
import { STATUS_WORDS } from '@/api/vocabulary';
import { chosenValues, FIELD_NAMES, withValues, type FieldName } from '@/fleet/filter';
import { words } from '@/kit/format';
import { CloseIcon, ColumnsIcon, HelpIcon, SearchIcon } from '@/kit/icons';
import { STATUS_LOOKS } from '@/kit/status';
import { COLUMNS, DEFAULT_COLUMNS, type Density } from './columns';
import classes from './toolbar.module.css';

/** The address bar follows the typing after this pause. */
const TYPING_MS = 250;

interface ToolbarProps {
  filter: string;
  error: { message: string } | null;
  onFilter: (filter: string) => void;
  summary: FleetSummary | undefined;
  chosenColumns: readonly string[];
  onColumns: (columns: string[]) => void;
  density: Density;
  onDensity: (density: Density) => void;
  count: string;
  /** The button that stops what is shown. */
  stop: ReactNode;
}

export function Toolbar(props: ToolbarProps) {
  const { filter, error, onFilter, summary, count, stop } = props;
  return (
    <div className={classes.toolbar}>
      <SearchBox filter={filter} error={error} onFilter={onFilter} />
      <QuickFilter field="kind" label="Kind" filter={filter} onFilter={onFilter} counts={summary?.by_kind} />
      <QuickFilter field="region" label="Region" filter={filter} onFilter={onFilter} counts={summary?.by_region} />
      <QuickFilter field="status" label="Status" filter={filter} onFilter={onFilter} counts={summary?.by_status} order={STATUS_WORDS} />
      <span className={classes.count} role="status">{count}</span>
      <ColumnChooser {...props} />
      {stop}
    </div>
  );
}

function SearchBox({ filter, error, onFilter }: Pick<ToolbarProps, 'filter' | 'error' | 'onFilter'>) {
  const [draft, setDraft] = useState(filter);
  const [seen, setSeen] = useState(filter);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const input = useRef<HTMLInputElement>(null);
  // A filter that was set elsewhere (a tile, the back button) replaces what stands here.
  if (seen !== filter) {
    setSeen(filter);
    if (draft.trim() !== filter) setDraft(filter);
  }
  useEffect(() => () => clearTimeout(timer.current), []);
  useHotkeys([['/', () => input.current?.focus()]]);
  const commit = (text: string) => {
    clearTimeout(timer.current);
    onFilter(text.trim());
  };
  return (
    <div className={classes.search}>
      <TextInput
        ref={input}
        size="sm"
        type="text"
        role="searchbox"
        aria-label="Search or filter machines"
        placeholder="Search, or filter like  kind=car battery<20 label.line=3"
        leftSection={<SearchIcon />}
        rightSection={
          draft === '' ? <FilterHelp /> : (
            <ActionIcon variant="subtle" color="gray" size="sm" aria-label="Clear the filter" onClick={() => { setDraft(''); commit(''); input.current?.focus(); }}>
              <CloseIcon size={14} />
            </ActionIcon>
          )
        }
        value={draft}
        spellCheck={false}
        autoComplete="off"
        error={error?.message}
        onChange={(event) => {
          const text = event.currentTarget.value;
          setDraft(text);
          clearTimeout(timer.current);
          timer.current = setTimeout(() => commit(text), TYPING_MS);
        }}
        onKeyDown={(event) => {
          if (event.key === 'Enter') commit(draft);
          if (event.key === 'Escape') {
            event.stopPropagation();
            if (draft === '') input.current?.blur();
            setDraft('');
            commit('');
          }
        }}
        classNames={{ input: classes.searchInput, error: classes.error }}
      />
    </div>
  );
}

const EXAMPLES: [string, string][] = [
  ['frida', 'the word in name, id, kind, region or a label'],
  ['kind=car region=munich|berlin', 'all terms hold; one of the values does'],
  ['battery<20 cpu>=80', 'figures: = != < <= > >='],
  ['name~oslo status!=ok', 'contains; is not'],
  ['label.line=3', 'a label'],
];

function FilterHelp() {
  return (
    <Popover position="bottom-end" width={430} shadow="md" withinPortal trapFocus>
      <Popover.Target>
        <ActionIcon variant="subtle" color="gray" size="sm" aria-label="How to filter"><HelpIcon /></ActionIcon>
      </Popover.Target>
      <Popover.Dropdown aria-label="How to filter">
        <dl className={classes.examples}>
          {EXAMPLES.map(([example, meaning]) => (
            <div key={example}>
              <dt className="mono">{example}</dt>
              <dd>{meaning}</dd>
            </div>
          ))}
        </dl>
        <p className={classes.fields}>
          Fields: <span className="mono">{FIELD_NAMES.join(', ')}, label.KEY</span>
        </p>
      </Popover.Dropdown>
    </Popover>
  );
}

interface QuickFilterProps {
  field: FieldName;
  label: string;
  filter: string;
  onFilter: (filter: string) => void;
  counts: Record<string, number> | undefined;
  order?: readonly string[];
}

function QuickFilter({ field, label, filter, onFilter, counts, order }: QuickFilterProps) {
  const chosen = chosenValues(filter, field);
  const values = [...new Set([...(order ?? Object.keys(counts ?? {}).toSorted()), ...chosen])].filter((value) => value !== '');
  const name = (value: string) => (field === 'status' ? ((STATUS_LOOKS as Partial<Record<string, { label: string }>>)[value]?.label ?? value) : words(value));
  return (
    <Popover position="bottom-start" shadow="md" withinPortal trapFocus>
      <Popover.Target>
        <Button variant="default" size="sm" className={classes.quick} data-chosen={chosen.length > 0 || undefined} aria-haspopup="dialog">
          {label}
          {chosen.length > 0 && <span className={classes.chosen}>{chosen.length === 1 ? name(chosen[0] ?? '') : chosen.length}</span>}
        </Button>
      </Popover.Target>
      <Popover.Dropdown aria-label={`Filter by ${label.toLowerCase()}`}>
        <div className={classes.options}>
          {values.length === 0 && <span className="muted">None known yet</span>}
          {values.map((value) => (
            <Checkbox
              key={value}
              size="sm"
              checked={chosen.includes(value)}
              label={<span className={classes.option}>{name(value)} <span className="muted">{counts?.[value] ?? 0}</span></span>}
              onChange={(event) => {
                const next = event.currentTarget.checked ? [...chosen, value] : chosen.filter((each) => each !== value);
                onFilter(withValues(filter, field, next));
              }}
            />
          ))}
          {chosen.length > 0 && <Button variant="subtle" size="compact-xs" onClick={() => onFilter(withValues(filter, field, []))}>Any {label.toLowerCase()}</Button>}
        </div>
      </Popover.Dropdown>
    </Popover>
  );
}

function ColumnChooser({ chosenColumns, onColumns, density, onDensity }: ToolbarProps) {
  return (
    <Popover position="bottom-end" shadow="md" withinPortal trapFocus>
      <Popover.Target>
        <Button variant="default" size="sm" leftSection={<ColumnsIcon />} aria-haspopup="dialog">View</Button>
      </Popover.Target>
      <Popover.Dropdown aria-label="Columns and row height">
        <SegmentedControl
          size="xs"
          fullWidth
          aria-label="Row height"
          data={[{ value: 'compact', label: 'Compact' }, { value: 'normal', label: 'Normal' }, { value: 'large', label: 'Large' }]}
          value={density}
          onChange={(value) => onDensity(value as Density)}
        />
        <div className={classes.columns}>
          {COLUMNS.map((column) => (
            <Checkbox
              key={column.key}
              size="sm"
              label={column.label}
              checked={chosenColumns.includes(column.key)}
              disabled={column.key === 'name'}
              onChange={(event) => {
                onColumns(event.currentTarget.checked ? [...chosenColumns, column.key] : chosenColumns.filter((key) => key !== column.key));
              }}
            />
          ))}
        </div>
        <Button variant="subtle" size="compact-xs" onClick={() => onColumns([...DEFAULT_COLUMNS])}>Usual columns</Button>
      </Popover.Dropdown>
    </Popover>
  );
}
