/**
 * Which machines are shown, in which order. Sorting 10,000 rows from nothing takes a frame; sorting rows that were in
 * order a second ago takes little, so the order is kept between calls.
 */
import type { MachineSummary } from '@/api/types';
import { STATUS_WORDS } from '@/api/vocabulary';
import { FIELD_NAMES, fieldValue, matches, type Field, type Filter } from './filter';

export interface Sort {
  field: Field;
  descending: boolean;
}

export const DEFAULT_SORT: Sort = { field: 'status', descending: false };

export function parseSort(text: string | undefined): Sort {
  if (text === undefined) return DEFAULT_SORT;
  const descending = text.startsWith('-');
  const field = descending ? text.slice(1) : text;
  const known = (FIELD_NAMES as readonly string[]).includes(field) || /^label\../.test(field);
  return known ? { field: field as Field, descending } : DEFAULT_SORT;
}

export function formatSort(sort: Sort): string | undefined {
  const text = `${sort.descending ? '-' : ''}${sort.field}`;
  return text === DEFAULT_SORT.field ? undefined : text;
}

type Key = string | number | null;

/** Statuses sort worst first, as people should look at them; everything else as the server sorts it. */
function sortKey(row: MachineSummary, field: Field): Key {
  return field === 'status' ? STATUS_WORDS.indexOf(row.status) : fieldValue(row, field);
}

/** What is absent comes last either way. */
export function compareKeys(a: Key, b: Key, descending: boolean): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
  const order = a < b ? -1 : a > b ? 1 : 0;
  return descending ? -order : order;
}

interface Entry {
  row: MachineSummary;
  key: Key;
  shown: boolean;
}

export class Order {
  #filter: Filter;
  #sort: Sort;
  #entries: Entry[] = [];
  #byId = new Map<string, Entry>();
  #shown: readonly string[] = [];

  constructor(filter: Filter, sort: Sort) {
    this.#filter = filter;
    this.#sort = sort;
  }

  /** The ids to show. The same array as before if nothing moved. */
  update(rows: ReadonlyMap<string, MachineSummary>): readonly string[] {
    for (const row of rows.values()) {
      const entry = this.#byId.get(row.id);
      if (entry === undefined) {
        const added = this.#enter(row);
        this.#byId.set(row.id, added);
        this.#entries.push(added);
      } else if (entry.row !== row) {
        Object.assign(entry, this.#enter(row));
      }
    }
    if (this.#byId.size > rows.size) {
      for (const id of this.#byId.keys()) if (!rows.has(id)) this.#byId.delete(id);
      this.#entries = this.#entries.filter((entry) => rows.has(entry.row.id));
    }
    this.#entries.sort((a, b) => this.#compare(a, b));
    const shown = this.#entries.filter((entry) => entry.shown).map((entry) => entry.row.id);
    const same = shown.length === this.#shown.length && shown.every((id, index) => id === this.#shown[index]);
    if (!same) this.#shown = shown;
    return this.#shown;
  }

  #enter(row: MachineSummary): Entry {
    return { row, key: sortKey(row, this.#sort.field), shown: matches(this.#filter, row) };
  }

  #compare(a: Entry, b: Entry): number {
    return compareKeys(a.key, b.key, this.#sort.descending)
      || compareKeys(a.row.name, b.row.name, false)
      || compareKeys(a.row.id, b.row.id, false);
  }
}
