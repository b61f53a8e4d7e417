/** The columns of the table of machines: what stands in each, how wide it is, what it sorts by. */
import type { ReactNode } from 'react';
import type { MachineSummary } from '@/api/types';
import type { Field } from '@/fleet/filter';
import { formatNumber, words } from '@/kit/format';
import { ChargingIcon } from '@/kit/icons';
import { StatusChip } from '@/kit/status';
import { Age } from '@/kit/times';
import classes from './table.module.css';

export interface Column {
  key: string;
  label: string;
  /** A track of the CSS grid. */
  width: string;
  /** Its least width in pixels, for sideways scrolling. */
  min: number;
  sort?: Field;
  /** Figures stand right, words left. */
  figure?: boolean;
  render: (row: MachineSummary) => ReactNode;
}

const flexible = (min: number, share: number) => ({ width: `minmax(${min}px, ${share}fr)`, min });
const fixed = (px: number) => ({ width: `${px}px`, min: px });
/** The moment of the past goes along where a row is opened in another tab. */
function machineHref(id: string): string {
  const at = new URLSearchParams(globalThis.location.search).get('at');
  return `/machines/${id}${at === null ? '' : `?at=${at}`}`;
}

const none = <span className={classes.none}>–</span>;
const word = (text: string | null) => (text === null || text === '' ? none : words(text));

/** From these percentages on, a bar is drawn in the colour of attention. */
const FULL = 90;
const LOW_BATTERY = 20;

function Percent({ value, warn }: { value: number | null; warn: boolean }) {
  if (value === null) return none;
  return (
    <span className={classes.percent} data-warn={warn || undefined}>
      <span className={classes.bar}><span style={{ width: `${Math.min(100, Math.max(0, value))}%` }} /></span>
      <span className={classes.number}>{formatNumber(value)} %</span>
    </span>
  );
}

function Battery({ row }: { row: MachineSummary }) {
  const { battery_percent: charge, charging } = row;
  return (
    <span className={classes.battery}>
      <Percent value={charge} warn={charge !== null && charge < LOW_BATTERY && charging !== true} />
      {charging === true && <span className={classes.charging} title="Charging"><ChargingIcon size={14} /><span className="sr-only">charging</span></span>}
    </span>
  );
}

export const COLUMNS: readonly Column[] = [
  {
    key: 'name', label: 'Name', ...flexible(170, 1.6), sort: 'name',
    render: (row) => <a className={classes.name} href={machineHref(row.id)} tabIndex={-1} title={row.id}>{row.name}</a>,
  },
  { key: 'kind', label: 'Kind', ...flexible(74, 0.6), sort: 'kind', render: (row) => word(row.kind) },
  { key: 'region', label: 'Region', ...flexible(84, 0.7), sort: 'region', render: (row) => word(row.region) },
  {
    key: 'status', label: 'Status', ...flexible(250, 2.4), sort: 'status',
    render: (row) => (
      <span className={classes.status} title={row.status_reason}>
        <StatusChip word={row.status} />
        {row.status_reason !== '' && <span className={classes.reason}>{words(row.status_reason)}</span>}
      </span>
    ),
  },
  { key: 'mode', label: 'Mode', ...flexible(96, 0.7), sort: 'mode', render: (row) => word(row.mode) },
  { key: 'safety', label: 'Safety', ...flexible(120, 0.8), sort: 'safety', render: (row) => word(row.safety) },
  { key: 'presence', label: 'Presence', ...flexible(92, 0.6), sort: 'presence', render: (row) => row.presence },
  { key: 'battery', label: 'Battery', ...fixed(140), sort: 'battery', render: (row) => <Battery row={row} /> },
  {
    key: 'temperature', label: 'Temp.', ...fixed(88), sort: 'temperature', figure: true,
    render: (row) => (row.temperature_celsius === null ? none : `${formatNumber(row.temperature_celsius, 1)} °C`),
  },
  { key: 'cpu', label: 'CPU', ...fixed(118), sort: 'cpu', render: (row) => <Percent value={row.cpu_percent} warn={(row.cpu_percent ?? 0) >= FULL} /> },
  { key: 'memory', label: 'Memory', ...fixed(118), sort: 'memory', render: (row) => <Percent value={row.memory_percent} warn={(row.memory_percent ?? 0) >= FULL} /> },
  { key: 'disk', label: 'Disk', ...fixed(118), sort: 'disk', render: (row) => <Percent value={row.disk_percent} warn={(row.disk_percent ?? 0) >= FULL} /> },
  {
    key: 'speed', label: 'Speed', ...fixed(88), figure: true,
    render: (row) => (row.speed_m_per_s === null ? none : `${formatNumber(row.speed_m_per_s, 1)} m/s`),
  },
  {
    key: 'labels', label: 'Labels', ...flexible(140, 1.2),
    render: (row) => {
      const pairs = Object.entries(row.labels).map(([key, value]) => `${key}=${value}`).join(' ');
      return pairs === '' ? none : <span className={classes.cut} title={pairs}>{pairs}</span>;
    },
  },
  { key: 'version', label: 'Version', ...flexible(84, 0.5), sort: 'version', render: (row) => word(row.version) },
  {
    key: 'last_seen', label: 'Last seen', ...fixed(104), sort: 'last_seen', figure: true,
    render: (row) => <Age at={row.last_seen} />,
  },
  { key: 'id', label: 'Id', ...flexible(300, 2), sort: 'id', render: (row) => <span className="mono">{row.id}</span> },
];

export const DEFAULT_COLUMNS: readonly string[] = [
  'name', 'kind', 'region', 'status', 'mode', 'battery', 'temperature', 'cpu', 'version', 'last_seen',
];

/** On a screen narrower than this many pixels status stands beside the name, where it is seen without scrolling. */
export const NARROW_PX = 640;

/** The chosen columns in their order. The name is always there. */
export function arranged(chosen: readonly string[], narrow: boolean): readonly Column[] {
  const columns = COLUMNS.filter((column) => column.key === 'name' || chosen.includes(column.key));
  const status = columns.find((column) => column.key === 'status');
  if (!narrow || status === undefined) return columns;
  const [name, ...rest] = columns.filter((column) => column !== status);
  const slim = (column: Column, min: number, share: number): Column => ({ ...column, ...flexible(min, share) });
  return [...(name === undefined ? [] : [slim(name, 130, 1)]), slim(status, 210, 1.6), ...rest];
}

export const DENSITIES = { compact: 28, normal: 36, large: 48 } as const;
export type Density = keyof typeof DENSITIES;
