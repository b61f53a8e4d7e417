/** The words of the field, in the order people should see them. The server owns them; see `crates/model`. */
import type { Mode, Presence, Safety, Severity, StatusWord } from './types';

export const STATUS_WORDS: readonly StatusWord[] = [
  'failed', 'lost', 'attention', 'updating', 'parked', 'ok', 'unknown',
];
export const SEVERITIES: readonly Severity[] = ['debug', 'info', 'warning', 'error', 'critical'];
export const PRESENCES: readonly Presence[] = ['online', 'degraded', 'lost'];
export const MODES: readonly Mode[] = [
  'idle', 'working', 'driving', 'parked', 'charging', 'teleoperated', 'service',
];
export const SAFETIES: readonly Safety[] = [
  'init', 'operational', 'limited', 'protective_stop', 'estop_latched', 'fault_latched',
];
export const LABELS_MAX = 64;
export const LABEL_KEY_MAX_CHARS = 63;
export const LABEL_VALUE_MAX_CHARS = 256;
export const DISPLAY_NAME_MAX_CHARS = 100;
export const STOP_REASON_MAX_CHARS = 500;
export const PAGE_LIMIT_MAX = 1000;
