/** The messages of `/ws`. The server owns them; see `crates/protocol/src/live.rs`. */
import type { Problem, Severity } from '@/api/types';

export interface LiveFilters {
  machines?: string[];
  kinds?: string[];
  labels?: Record<string, string>;
  event_types?: string[];
  severity?: Severity;
}

export interface SubscribeRequest {
  id: string;
  topics: string[];
  filters?: LiveFilters;
  throttle?: { rate_per_s: number; strategy: 'sample' | 'aggregate' | 'latest' };
  resume_after?: number;
}

export interface Item {
  topic: string;
  data: unknown;
}

export interface Batch {
  id: string;
  position: number;
  server_time: string;
  items: Item[];
  /** Further pieces of this snapshot follow. */
  more?: boolean;
}

export type ServerMessage =
  | ({ type: 'snapshot' } & Batch)
  | ({ type: 'update' } & Batch)
  | { type: 'lagged'; id: string; dropped: number; resume_after: number }
  | { type: 'error'; id: string | null; problem: Problem }
  | { type: 'unsubscribed'; id: string }
  | { type: 'pong'; id: string | null; server_time: string };

/** The data of `machine.<id>.telemetry`. */
export interface TelemetryItem {
  samples: {
    metric: string;
    value: number;
    unit?: string | null;
    quality: 'good' | 'uncertain' | 'bad';
    at: string;
    /** Only where several samples were taken together. */
    min?: number | null;
    max?: number | null;
    count?: number | null;
  }[];
}
