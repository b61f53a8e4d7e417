/**
 * Server-sent events, for when no WebSocket gets through: `/api/v1/stream` carries one subscription, so that all that the
 * page asks for is asked for at once, and told apart here.
 */
import { doubts, NOT_SIGNED_IN } from '@/api/client';
import type { Severity } from '@/api/types';
import { SEVERITIES } from '@/api/vocabulary';
import type { Item, LiveFilters, ServerMessage, SubscribeRequest } from './messages';

/** Takes text as it comes, and gives the data of every event that is complete. Comments only show that someone is there. */
export class EventReader {
  #rest = '';

  push(text: string): string[] {
    const blocks = (this.#rest + text).split('\n\n');
    this.#rest = blocks.pop() ?? '';
    return blocks
      .map((block) =>
        block
          .split('\n')
          .filter((line) => line.startsWith('data:'))
          .map((line) => line.slice('data:'.length).trimStart())
          .join('\n'),
      )
      .filter((data) => data !== '');
  }
}

/** One request for all of them. Filters differ, and are applied by `wants`; of the rates the highest is asked for. */
export function streamPath(requests: readonly SubscribeRequest[], resumeAfter: number | null): string {
  const topics = [...new Set(['fleet.summary', ...requests.flatMap((request) => request.topics)])];
  const rate = Math.max(1, ...requests.map((request) => request.throttle?.rate_per_s ?? 10));
  const query = new URLSearchParams({ topics: topics.join(','), rate: String(rate) });
  if (resumeAfter !== null) query.set('resume_after', String(resumeAfter));
  return `/api/v1/stream?${query}`;
}

/** Whether a pattern names a topic: `*` is one word, `>` at the end one or more. */
export function matches(pattern: string, topic: string): boolean {
  const wanted = pattern.split('.');
  const given = topic.split('.');
  if (wanted.at(-1) === '>') {
    return given.length >= wanted.length && wanted.slice(0, -1).every((word, at) => word === '*' || word === given[at]);
  }
  return given.length === wanted.length && wanted.every((word, at) => word === '*' || word === given[at]);
}

/** Whether an item is for this subscription. */
export function wants(request: SubscribeRequest, item: Item): boolean {
  return request.topics.some((topic) => matches(topic, item.topic)) && passes(request.filters, item.data);
}

function passes(filters: LiveFilters | undefined, data: unknown): boolean {
  if (filters === undefined) return true;
  const { kind, severity } = data as { kind?: string; severity?: Severity };
  if (filters.severity !== undefined && severity !== undefined && SEVERITIES.indexOf(severity) < SEVERITIES.indexOf(filters.severity)) return false;
  if (filters.event_types === undefined || kind === undefined) return true;
  return filters.event_types.some((type) => kind === type || kind.startsWith(`${type}.`));
}

interface Listener {
  opened(): void;
  heard(): void;
  message(message: ServerMessage): void;
  closed(): void;
}

/** Reads a stream until it ends, breaks or is stopped. */
export function openStream(path: string, listener: Listener): () => void {
  const abort = new AbortController();
  const read = async () => {
    const answer = await fetch(path, { headers: { accept: 'text/event-stream' }, signal: abort.signal });
    // A WebSocket is refused without a word; this says why.
    if (answer.status === NOT_SIGNED_IN) doubts.tell(NOT_SIGNED_IN);
    if (!answer.ok || answer.body === null) return;
    listener.opened();
    const events = new EventReader();
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done || abort.signal.aborted) return;
      listener.heard();
      for (const data of events.push(value)) listener.message(JSON.parse(data) as ServerMessage);
    }
  };
  read().catch(() => undefined).finally(() => {
    if (!abort.signal.aborted) listener.closed();
  });
  return () => abort.abort();
}
