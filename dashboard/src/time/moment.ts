/** The arithmetic of time travel: moments, windows of the timeline, steps. All in milliseconds of server time. */

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

export const BUCKETS = 180;

export interface Span {
  label: string;
  spokenLabel: string;
  ms: number;
}

export const SPANS: readonly Span[] = [
  { label: '15 min', spokenLabel: '15 minutes', ms: 15 * MINUTE },
  { label: '1 h', spokenLabel: '1 hour', ms: HOUR },
  { label: '6 h', spokenLabel: '6 hours', ms: 6 * HOUR },
  { label: '24 h', spokenLabel: '24 hours', ms: 24 * HOUR },
  { label: '7 d', spokenLabel: '7 days', ms: 7 * 24 * HOUR },
];
export const DEFAULT_SPAN_MS = HOUR;

export const RATES = [1, 10, 60] as const;
export type Rate = (typeof RATES)[number];

export interface Window {
  from: number;
  to: number;
}

/** A moment as the address bar holds it; null if there is none or it makes no sense. */
export function parseMoment(text: unknown): number | null {
  if (typeof text !== 'string' || !/^\d{4}-\d{2}-\d{2}T/.test(text)) return null;
  const ms = Date.parse(text);
  return Number.isNaN(ms) || ms < 0 ? null : ms;
}

export function formatAt(ms: number): string {
  return new Date(ms).toISOString();
}

/**
 * The window that is shown for a moment. It ends now while the moment fits in; otherwise it stands so that the moment is
 * in the middle. A window that already holds the moment stays where it is, so that nothing moves under the pointer.
 */
export function windowFor(at: number | null, now: number, spanMs: number, current: Window | null): Window {
  const bucket = spanMs / BUCKETS;
  const end = Math.ceil(now / bucket) * bucket;
  if (at === null) return { from: end - spanMs, to: end };
  if (current !== null && current.to - current.from === spanMs && at >= current.from && at <= current.to) return current;
  if (at >= end - spanMs) return { from: end - spanMs, to: end };
  const from = Math.floor((at - spanMs / 2) / bucket) * bucket;
  return { from, to: from + spanMs };
}

/** Moves a window by a part of its span, not beyond now. */
export function pan(window: Window, parts: number, now: number): Window {
  const span = window.to - window.from;
  const bucket = span / BUCKETS;
  const last = Math.ceil(now / bucket) * bucket;
  const to = Math.min(last, window.to + Math.round(parts * BUCKETS) * bucket);
  return { from: to - span, to };
}

/** Where a moment stands in the window, 0 to 1. */
export function positionOf(ms: number, window: Window): number {
  return Math.min(1, Math.max(0, (ms - window.from) / (window.to - window.from)));
}

/** The moment at a position of the window, to the second; null for "now or later". */
export function momentAt(position: number, window: Window, now: number): number | null {
  const ms = window.from + Math.min(1, Math.max(0, position)) * (window.to - window.from);
  const whole = Math.round(ms / SECOND) * SECOND;
  return whole >= now - SECOND ? null : whole;
}

/** Moves a moment; null when it arrives at now, clamped where history begins. */
export function shift(at: number | null, byMs: number, now: number, historyFrom: number | null): number | null {
  const moved = Math.max((at ?? now) + byMs, historyFrom ?? 0);
  return moved >= now ? null : moved;
}

/** One press of an arrow key: a bucket, which is what can be told apart on the track. */
export function keyStepMs(spanMs: number): number {
  return spanMs / BUCKETS;
}

const TICK_STEPS = [
  MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE,
  HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, 24 * HOUR, 48 * HOUR,
];

/** Round local times to write under the track, at most `most` of them. */
export function ticks(window: Window, most: number): number[] {
  const span = window.to - window.from;
  const step = TICK_STEPS.find((each) => span / each <= most) ?? 48 * HOUR;
  const zone = new Date(window.from).getTimezoneOffset() * MINUTE;
  const first = Math.ceil((window.from - zone) / step) * step + zone;
  const found: number[] = [];
  for (let tick = first; tick <= window.to; tick += step) found.push(tick);
  return found;
}
