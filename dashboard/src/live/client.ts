/**
 * The one WebSocket of the page. Components ask for topics through `useLive`; this keeps the connection, subscribes
 * again after a loss, and resumes events after the last position that was heard.
 */
import type { Problem } from '@/api/types';
import { serverClock } from './clock';
import { advance, begin, type Connection, type ConnectionEvent } from './connection';
import type { Batch, ServerMessage, SubscribeRequest } from './messages';

export interface Handler {
  /** `fresh` is false for a snapshot that continues where the last connection ended. */
  snapshot(batch: Batch, fresh: boolean): void;
  update(batch: Batch): void;
  /** Something was dropped: what was known may have holes. */
  gap?(): void;
  refused?(problem: Problem): void;
}

interface Subscription {
  request: SubscribeRequest;
  /** Whether to resume by position: right for events, meaningless for states. */
  resume: boolean;
  handler: Handler;
  position: number | null;
}

export interface LiveStatus {
  connection: Connection;
  everLive: boolean;
  /** When the server was last heard, in local time; null before the first time. */
  heardAt: number | null;
}

const TICK_MS = 250;

export class LiveClient {
  #url: string;
  #socket: WebSocket | null = null;
  #connection: Connection;
  #everLive = false;
  #heardAt: number | null = null;
  #subscriptions = new Map<string, Subscription>();
  #listeners = new Set<() => void>();
  #status: LiveStatus;

  constructor(url: string) {
    this.#url = url;
    this.#connection = begin(Date.now());
    this.#status = { connection: this.#connection, everLive: false, heardAt: null };
  }

  start(): void {
    this.#open();
    setInterval(() => this.#step({ type: 'tick' }), TICK_MS);
    window.addEventListener('online', () => this.hurry());
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible') this.hurry();
    });
  }

  hurry(): void {
    this.#step({ type: 'hurry' });
  }

  watch = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  status = (): LiveStatus => this.#status;

  subscribe(request: SubscribeRequest, handler: Handler, resume = false): () => void {
    const subscription: Subscription = { request, resume, handler, position: null };
    this.#subscriptions.set(request.id, subscription);
    this.#ask(subscription);
    return () => {
      if (this.#subscriptions.get(request.id) !== subscription) return;
      this.#subscriptions.delete(request.id);
      this.#send({ type: 'unsubscribe', id: request.id });
    };
  }

  #ask(subscription: Subscription): void {
    const { request, resume, position } = subscription;
    this.#send({ type: 'subscribe', ...request, ...(resume && position !== null && { resume_after: position }) });
  }

  #send(message: object): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #open(): void {
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    socket.addEventListener('open', () => {
      if (this.#socket !== socket) return;
      this.#step({ type: 'opened' });
      for (const subscription of this.#subscriptions.values()) this.#ask(subscription);
    });
    socket.addEventListener('message', (message: MessageEvent<unknown>) => {
      if (this.#socket !== socket || typeof message.data !== 'string') return;
      this.#step({ type: 'heard' });
      this.#take(JSON.parse(message.data) as ServerMessage);
    });
    socket.addEventListener('close', () => {
      if (this.#socket === socket) this.#step({ type: 'closed' });
    });
  }

  #take(message: ServerMessage): void {
    switch (message.type) {
      case 'snapshot':
      case 'update': {
        serverClock.observe(Date.parse(message.server_time), Date.now());
        const subscription = this.#subscriptions.get(message.id);
        if (subscription === undefined) return;
        const fresh = !subscription.resume || subscription.position === null;
        subscription.position = Math.max(subscription.position ?? 0, message.position);
        if (message.type === 'snapshot') subscription.handler.snapshot(message, fresh);
        else subscription.handler.update(message);
        return;
      }
      case 'lagged': {
        const subscription = this.#subscriptions.get(message.id);
        if (subscription === undefined) return;
        if (subscription.resume) subscription.position = message.resume_after;
        subscription.handler.gap?.();
        this.#ask(subscription);
        return;
      }
      case 'error':
        if (message.id !== null) this.#subscriptions.get(message.id)?.handler.refused?.(message.problem);
        return;
      case 'pong':
        serverClock.observe(Date.parse(message.server_time), Date.now());
        return;
      case 'unsubscribed':
        return;
    }
  }

  #step(event: ConnectionEvent): void {
    const before = this.#connection;
    const after = advance(before, event, Date.now(), Math.random());
    if (after === before) return;
    this.#connection = after;
    if (after.kind === 'live') {
      this.#everLive = true;
      this.#heardAt = after.heardAt;
      if (before.kind === 'live' && before.pingedAt === null && after.pingedAt !== null) this.#send({ type: 'ping' });
    }
    if (after.kind === 'waiting') this.#drop();
    if (after.kind === 'connecting') this.#open();
    // Being heard again is no news to the screen: it would render at every message.
    if (before.kind === 'live' && after.kind === 'live') {
      this.#status.heardAt = this.#heardAt;
      return;
    }
    this.#status = { connection: after, everLive: this.#everLive, heardAt: this.#heardAt };
    for (const listener of this.#listeners) listener();
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }
}

const scheme = typeof location !== 'undefined' && location.protocol === 'https:' ? 'wss' : 'ws';
export const live = new LiveClient(typeof location === 'undefined' ? '' : `${scheme}://${location.host}/ws`);
