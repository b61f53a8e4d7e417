/**
 * The filter language of the server (`crates/model/src/filter.rs`), so that a table of 10,000 live rows can be
 * filtered where the rows are, and a mistake is shown while it is typed. The end-to-end tests hold both against each
 * other.
 */
import type { MachineSummary } from '@/api/types';
import { MODES, PRESENCES, SAFETIES, STATUS_WORDS } from '@/api/vocabulary';

export const FILTER_MAX_BYTES = 1024;
export const FILTER_MAX_TERMS = 32;

export const FIELD_NAMES = [
  'id', 'name', 'kind', 'region', 'status', 'presence', 'mode', 'safety', 'version',
  'battery', 'temperature', 'cpu', 'memory', 'disk', 'last_seen',
] as const;
export type FieldName = (typeof FIELD_NAMES)[number];
export type Field = FieldName | `label.${string}`;

const NUMBERS: ReadonlySet<string> = new Set(['battery', 'temperature', 'cpu', 'memory', 'disk', 'last_seen']);

const VOCABULARY: Partial<Record<string, readonly string[]>> = {
  status: STATUS_WORDS,
  presence: PRESENCES,
  mode: MODES,
  safety: SAFETIES,
};

const OPERATORS = ['!=', '<=', '>=', '=', '~', '<', '>'] as const;
export type Operator = (typeof OPERATORS)[number];

export type Term =
  | { kind: 'search'; text: string; word: string }
  | { kind: 'words'; text: string; field: Field; operator: Operator; values: string[] }
  | { kind: 'number'; text: string; field: Field; operator: Operator; values: number[] };

export interface Filter {
  terms: Term[];
}

export type FilterResult = { ok: true; filter: Filter } | { ok: false; message: string; term: string };

export function parseFilter(text: string): FilterResult {
  const terms: Term[] = [];
  const pieces = text.split(/[ ,\t\n]+/).filter((piece) => piece !== '');
  if (new TextEncoder().encode(text).length > FILTER_MAX_BYTES || pieces.length > FILTER_MAX_TERMS) {
    const message = `a filter has at most ${FILTER_MAX_BYTES} bytes and ${FILTER_MAX_TERMS} terms`;
    return { ok: false, message, term: '' };
  }
  for (const piece of pieces) {
    const term = parseTerm(piece);
    if (typeof term === 'string') return { ok: false, message: term, term: piece };
    terms.push(term);
  }
  return { ok: true, filter: { terms } };
}

/** A term, or what is wrong with it. */
function parseTerm(text: string): Term | string {
  const found = findOperator(text);
  if (found === null) return { kind: 'search', text, word: text.toLowerCase() };
  const name = text.slice(0, found.at);
  if (!isField(name)) {
    return `there is no field “${name}”: accepted are ${FIELD_NAMES.join(', ')}, and label.KEY`;
  }
  const { operator } = found;
  const values = text.slice(found.at + operator.length).split('|');
  if (values.some((value) => value === '')) {
    return `“${text}” has no value: write it like kind=car, battery<20 or name~frida`;
  }
  if (NUMBERS.has(name)) {
    const bad = values.find((value) => !isNumber(value));
    if (bad !== undefined) return `“${bad}” is not a number, and “${name}” holds numbers`;
    return { kind: 'number', text, field: name, operator, values: values.map(Number) };
  }
  if (operator !== '=' && operator !== '!=' && operator !== '~') {
    return `“${name}” holds words: use = , != or ~ with it, not “${operator}”`;
  }
  const vocabulary = VOCABULARY[name];
  if (operator !== '~' && vocabulary !== undefined) {
    const odd = values.find((value) => !vocabulary.includes(value));
    if (odd !== undefined) return `“${name}” is never “${odd}”: accepted are ${vocabulary.join(', ')}`;
  }
  return { kind: 'words', text, field: name, operator, values: values.map((value) => value.toLowerCase()) };
}

/** The operator that stands first, and of those that stand there the longest. */
function findOperator(text: string): { at: number; operator: Operator } | null {
  for (let at = 0; at < text.length; at += 1) {
    const operator = OPERATORS.find((sign) => text.startsWith(sign, at));
    if (operator !== undefined) return { at, operator };
  }
  return null;
}

function isField(name: string): name is Field {
  return (FIELD_NAMES as readonly string[]).includes(name) || (name.startsWith('label.') && name.length > 6);
}

function isNumber(text: string): boolean {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) && Number.isFinite(Number(text));
}

/** What a field holds for one machine; null is "not known, or it has none". */
export function fieldValue(row: MachineSummary, field: Field): string | number | null {
  switch (field) {
    case 'id': return row.id;
    case 'name': return row.name || null;
    case 'kind': return row.kind || null;
    case 'region': return row.region || null;
    case 'status': return row.status;
    case 'presence': return row.presence;
    case 'mode': return row.mode;
    case 'safety': return row.safety;
    case 'version': return row.version || null;
    case 'battery': return row.battery_percent;
    case 'temperature': return row.temperature_celsius;
    case 'cpu': return row.cpu_percent;
    case 'memory': return row.memory_percent;
    case 'disk': return row.disk_percent;
    case 'last_seen': return Date.parse(row.last_seen);
    default: return row.labels[field.slice('label.'.length)] || null;
  }
}

export function matches(filter: Filter, row: MachineSummary): boolean {
  return filter.terms.every((term) => termMatches(term, row));
}

function termMatches(term: Term, row: MachineSummary): boolean {
  switch (term.kind) {
    case 'search': {
      const has = (text: string) => text.toLowerCase().includes(term.word);
      return has(row.name) || has(row.id) || has(row.kind) || has(row.region)
        || Object.entries(row.labels).some(([key, value]) => has(`${key}=${value}`));
    }
    case 'words': {
      const value = fieldValue(row, term.field);
      const held = typeof value === 'string' ? value.toLowerCase() : '';
      if (term.operator === '!=') return term.values.every((each) => each !== held);
      if (term.operator === '~') return term.values.some((each) => held.includes(each));
      return term.values.includes(held);
    }
    case 'number': {
      const held = fieldValue(row, term.field);
      if (typeof held !== 'number') return false;
      const holds = (value: number) => compare(held, term.operator, value);
      return term.operator === '!=' ? term.values.every(holds) : term.values.some(holds);
    }
  }
}

function compare(held: number, operator: Operator, value: number): boolean {
  switch (operator) {
    case '=': case '~': return held === value;
    case '!=': return held !== value;
    case '<': return held < value;
    case '<=': return held <= value;
    case '>': return held > value;
    case '>=': return held >= value;
  }
}

/** The values of the term `field=a|b` in a filter text: what a quick filter shows as chosen. */
export function chosenValues(text: string, field: FieldName): string[] {
  for (const piece of text.split(/[ ,\t\n]+/)) {
    if (piece.startsWith(`${field}=`)) return piece.slice(field.length + 1).split('|').filter((value) => value !== '');
  }
  return [];
}

/** The filter text with the term `field=…` set to these values; without any, the term goes. */
export function withValues(text: string, field: FieldName, values: readonly string[]): string {
  const others = text.split(/[ ,\t\n]+/).filter((piece) => piece !== '' && !piece.startsWith(`${field}=`));
  if (values.length > 0) others.push(`${field}=${values.join('|')}`);
  return others.join(' ');
}

/** Adds a term, or takes it away if it stands there already. */
export function toggleTerms(text: string, terms: readonly string[]): string {
  const pieces = text.split(/[ ,\t\n]+/).filter((piece) => piece !== '');
  const all = terms.every((term) => pieces.includes(term));
  return all
    ? pieces.filter((piece) => !terms.includes(piece)).join(' ')
    : [...pieces.filter((piece) => !terms.includes(piece)), ...terms].join(' ');
}

export function hasTerms(text: string, terms: readonly string[]): boolean {
  const pieces = text.split(/[ ,\t\n]+/);
  return terms.every((term) => pieces.includes(term));
}
