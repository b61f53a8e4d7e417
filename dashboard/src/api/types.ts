/**
 * The documents of the REST API, in the names the code uses. Their shapes are the server's: see `schema.d.ts`, which
 * `npm run generate` makes from the committed OpenAPI document.
 */
export type Timestamp = string;
export type Severity = 'debug' | 'info' | 'warning' | 'error' | 'critical';
export type Presence = 'online' | 'degraded' | 'lost';
export type StatusWord = 'failed' | 'lost' | 'attention' | 'updating' | 'parked' | 'ok' | 'unknown';
export type Mode = 'idle' | 'working' | 'driving' | 'parked' | 'charging' | 'teleoperated' | 'service';
export type Safety = 'init' | 'operational' | 'limited' | 'protective_stop' | 'estop_latched' | 'fault_latched';
export type Authority = 'none' | 'mission' | 'teleop' | 'local_manual' | 'service';
export type Mission =
  | 'idle' | 'accepted' | 'running' | 'pausing' | 'paused' | 'resuming' | 'cancelling' | 'blocked'
  | 'succeeded' | 'failed' | 'cancelled';
export type NodeStatus = 'starting' | 'running' | 'restarting' | 'failed';
export type Health = 'ok' | 'degraded' | 'failed';
export type UpdatePhase =
  | 'idle' | 'offered' | 'fetching' | 'verified' | 'waiting' | 'installing' | 'probation' | 'confirmed' | 'rolled_back';
export type Quality = 'good' | 'uncertain' | 'bad';

export interface MachineSummary {
  id: string;
  name: string;
  kind: string;
  region: string;
  labels: Record<string, string>;
  status: StatusWord;
  status_reason: string;
  presence: Presence;
  presence_since: Timestamp;
  mode: Mode | null;
  safety: Safety | null;
  battery_percent: number | null;
  charging: boolean | null;
  temperature_celsius: number | null;
  cpu_percent: number | null;
  memory_percent: number | null;
  disk_percent: number | null;
  speed_m_per_s: number | null;
  latitude_degrees: number | null;
  longitude_degrees: number | null;
  version: string;
  last_seen: Timestamp;
  reported_at: Timestamp | null;
}

export interface MachinePage {
  items: MachineSummary[];
  next_cursor: string | null;
  total: number;
  at: Timestamp;
  past: boolean;
  position: number;
}

export interface NetworkInterface {
  name: string;
  mac?: string | null;
  addresses: string[];
  up: boolean;
  speed_mbit_per_s?: number | null;
}

export interface Disk {
  mount: string;
  size_bytes: number;
  used_bytes: number;
  used_percent: number;
}

export interface NodeReport {
  name: string;
  status: NodeStatus;
  restarts: number;
  last_failure?: string | null;
}

export interface HealthProblem {
  kind: string;
  severity: Severity;
  message: string;
}

export interface ReportedState {
  identity?: { name: string; kind: string; region?: string | null };
  hardware?: {
    vendor?: string | null;
    model?: string | null;
    serial?: string | null;
    revision?: string | null;
    architecture: string;
    processor?: string | null;
    processors: number;
    memory_bytes: number;
  };
  network?: { hostname: string; interfaces: NetworkInterface[] };
  platform?: { os: string; kernel: string; boot_id: string; booted_at: Timestamp };
  deployment?: { agent_version: string; release?: string | null; phase: UpdatePhase };
  operation?: { mode: Mode; safety: Safety; authority: Authority; mission: Mission };
  resources?: {
    cpu_percent: number;
    load_1m: number;
    memory_used_bytes: number;
    memory_percent: number;
    disks: Disk[];
  };
  power?: {
    battery_percent?: number | null;
    charging: boolean;
    external_supply: boolean;
    volts?: number | null;
    amperes?: number | null;
  };
  thermal?: { highest_celsius: number; zones: { name: string; celsius: number }[] };
  location?: {
    latitude_degrees: number;
    longitude_degrees: number;
    heading_degrees: number;
    speed_m_per_s: number;
  };
  nodes?: { nodes: NodeReport[] };
  health?: { level: Health; problems: HealthProblem[] };
}

export interface Machine {
  summary: MachineSummary;
  reported: ReportedState;
  state_version: number;
  display_name: string | null;
  profile_version: number;
  presence_reason: string;
  registered_at: Timestamp;
  session: number;
  boot_id: string | null;
  highest_record: number;
  at: Timestamp;
  past: boolean;
  position: number;
}

export interface FleetEvent {
  position: number;
  machine_id: string;
  machine_name: string;
  kind: string;
  severity: Severity;
  message: string;
  occurred_at: Timestamp;
  recorded_at: Timestamp;
  data?: unknown;
  correlation_id?: string | null;
  causation_id?: string | null;
}

export interface EventPage {
  items: FleetEvent[];
  next_cursor: string | null;
  searched_to: Timestamp;
}

export interface FleetSummary {
  total: number;
  by_status: Record<string, number>;
  by_presence: Record<string, number>;
  by_kind: Record<string, number>;
  by_region: Record<string, number>;
  by_mode: Record<string, number>;
  by_version: Record<string, number>;
  low_battery: number;
  at: Timestamp;
  past: boolean;
  position: number;
  history_from: Timestamp | null;
  server_time: Timestamp;
  server_version: string;
}

export interface TimelineBucket {
  at: Timestamp;
  events: number;
  warnings: number;
  errors: number;
}

export interface Timeline {
  buckets: TimelineBucket[];
  bucket_ms: number;
  searched_to: Timestamp;
}

export interface Point {
  at: Timestamp;
  min: number;
  mean: number;
  max: number;
  count: number;
  quality: Quality;
}

export interface Series {
  metric: string;
  unit: string;
  about: string;
  points: Point[];
}

export interface Telemetry {
  machine_id: string;
  from: Timestamp;
  to: Timestamp;
  series: Series[];
}

export interface LogLine {
  at: Timestamp;
  severity: Severity;
  target: string;
  message: string;
  fields?: unknown;
}

export interface LogPage {
  items: LogLine[];
  next_cursor: string | null;
}

export interface Labels {
  labels: Record<string, string>;
}

export interface DisplayName {
  display_name: string | null;
}

export interface ProblemField {
  at: string;
  detail: string;
}

export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: string;
  errors?: ProblemField[];
  trace_id?: string | null;
}
