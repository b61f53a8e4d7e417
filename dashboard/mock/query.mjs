// The filter language and the sort of `GET machines`, as far as the mock needs them. Written apart from the dashboard's
// own, so that a test of one against the other says something.

const WORDS = { id: 'id', name: 'name', kind: 'kind', region: 'region', status: 'status', presence: 'presence', mode: 'mode', safety: 'safety', version: 'version' };
const NUMBERS = { battery: 'battery_percent', temperature: 'temperature_celsius', cpu: 'cpu_percent', memory: 'memory_percent', disk: 'disk_percent', last_seen: 'last_seen' };
const TERM = /^([^=<>~!]*)(!=|<=|>=|=|~|<|>)(.*)$/;

const terms = (filter) => filter.split(/[\s,]+/).filter(Boolean);

export function filterError(filter) {
  for (const term of terms(filter)) {
    const found = TERM.exec(term);
    if (!found) continue;
    const [, field, , value] = found;
    if (!(field in WORDS) && !(field in NUMBERS) && !field.startsWith('label.')) return `there is no field "${field}"`;
    if (value.split('|').includes('')) return `"${term}" has no value`;
    if (field in NUMBERS && value.split('|').some((each) => Number.isNaN(Number(each)))) return `"${value}" is not a number`;
  }
  return null;
}

function held(row, field) {
  if (field.startsWith('label.')) return row.labels[field.slice(6)] ?? null;
  const value = row[WORDS[field] ?? NUMBERS[field]];
  return field === 'last_seen' ? Date.parse(value) : value === '' ? null : value;
}

export function matchesFilter(filter, row) {
  return terms(filter).every((term) => {
    const found = TERM.exec(term);
    if (!found) {
      const word = term.toLowerCase();
      const labels = Object.entries(row.labels).map(([key, value]) => `${key}=${value}`);
      return [row.name, row.id, row.kind, row.region, ...labels].some((text) => text.toLowerCase().includes(word));
    }
    const [, field, operator, value] = found;
    const values = value.split('|');
    const have = held(row, field);
    if (field in NUMBERS) {
      if (have === null) return false;
      const tests = { '=': (n) => have === n, '~': (n) => have === n, '!=': (n) => have !== n, '<': (n) => have < n, '<=': (n) => have <= n, '>': (n) => have > n, '>=': (n) => have >= n };
      return operator === '!=' ? values.map(Number).every(tests['!=']) : values.map(Number).some(tests[operator]);
    }
    const text = (have ?? '').toLowerCase();
    if (operator === '!=') return values.every((each) => each.toLowerCase() !== text);
    return values.some((each) => (operator === '~' ? text.includes(each.toLowerCase()) : text === each.toLowerCase()));
  });
}

export function sortRows(rows, sort) {
  const descending = sort.startsWith('-');
  const field = descending ? sort.slice(1) : sort;
  const sign = descending ? -1 : 1;
  return rows.toSorted((a, b) => {
    const [x, y] = [held(a, field), held(b, field)];
    if (x === null || y === null) return x === y ? 0 : x === null ? 1 : -1;
    return (x < y ? -1 : x > y ? 1 : 0) * sign || (a.id < b.id ? -1 : 1);
  });
}
