/** How figures and times are written. Local zone on the screen, UTC on hover. */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** `now`, `12 s`, `4 min`, `1 h 12 min`, `3 d 4 h`. Anything in the future is `now`: clocks differ a little. */
export function formatAge(ms: number): string {
  if (!Number.isFinite(ms)) return '–';
  if (ms < 1_000) return 'now';
  if (ms < MINUTE) return `${Math.floor(ms / 1_000)} s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min`;
  if (ms < DAY) return pair(ms, HOUR, 'h', MINUTE, 'min');
  return pair(ms, DAY, 'd', HOUR, 'h');
}

/** Like `formatAge`, with `ago` where that is English. */
export function formatAgo(ms: number): string {
  const age = formatAge(ms);
  return age === 'now' || age === '–' ? age : `${age} ago`;
}

function pair(ms: number, big: number, bigUnit: string, small: number, smallUnit: string): string {
  const bigs = Math.floor(ms / big);
  const smalls = Math.floor((ms % big) / small);
  return smalls === 0 ? `${bigs} ${bigUnit}` : `${bigs} ${bigUnit} ${smalls} ${smallUnit}`;
}

const two = (value: number) => String(value).padStart(2, '0');

export function formatClock(ms: number): string {
  const moment = new Date(ms);
  return `${two(moment.getHours())}:${two(moment.getMinutes())}:${two(moment.getSeconds())}`;
}

export function formatDay(ms: number): string {
  const moment = new Date(ms);
  return `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())}`;
}

/** The clock alone for today (seen from `now`), with the day before it otherwise. */
export function formatMoment(ms: number, now: number): string {
  return formatDay(ms) === formatDay(now) ? formatClock(ms) : `${formatDay(ms)} ${formatClock(ms)}`;
}

/** What a hover shows: UTC, to the millisecond. */
export function formatUtc(ms: number): string {
  return Number.isFinite(ms) ? `${new Date(ms).toISOString().replace('T', ' ').replace('Z', '')} UTC` : '';
}

/** The value of an `<input type="datetime-local" step="1">`. */
export function toLocalInput(ms: number): string {
  return `${formatDay(ms)}T${formatClock(ms)}`;
}

export function fromLocalInput(text: string): number | null {
  const ms = new Date(text).getTime();
  return text === '' || Number.isNaN(ms) ? null : ms;
}

export function formatNumber(value: number | null | undefined, digits = 0): string {
  return value === null || value === undefined || !Number.isFinite(value) ? '–' : value.toFixed(digits);
}

export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit] ?? ''}`;
}

/** Rates count in thousands, as network people do. */
export function formatRate(bytesPerSecond: number): string {
  const units = ['B/s', 'kB/s', 'MB/s', 'GB/s'];
  let value = bytesPerSecond;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit] ?? ''}`;
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString('en')} ${count === 1 ? one : many}`;
}

/** With a capital letter and a full stop, as what the server says of itself begins small. */
export function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?…]$/.test(text) ? '' : '.'}`;
}

/** `estop_latched` → `estop latched`. */
export function words(identifier: string): string {
  return identifier.replaceAll('_', ' ');
}

/** N, NE, E … for a heading in degrees. */
export function compass(degrees: number): string {
  const names = ['N', 'NE', 'E', 'SE', 'S', 'SW', 'W', 'NW'];
  return names[Math.round((((degrees % 360) + 360) % 360) / 45) % 8] ?? '';
}
