/**
 * The one live connection of the page. Components ask for topics through `useLive`; this keeps the connection, subscribes
 * again after a loss, and resumes events after the last position that was heard. It is a WebSocket; where none gets through
 * it is server-sent events, and the WebSocket is tried again now and then.
 */
import type { Problem } from '@/api/types';
import { serverClock } from './clock';
import { advance, begin, type Connection, type ConnectionEvent } from './connection';
import type { Batch, ServerMessage, SubscribeRequest } from './messages';
import { openStream, streamPath, wants } from './sse';

/** Which piece of a snapshot this is: a long one comes in several. */
export interface Part {
  first: boolean;
  last: boolean;
}

export interface Handler {
  snapshot(batch: Batch, part: Part): void;
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
  /** Between two pieces of a snapshot. */
  isPart: boolean;
}

export interface LiveStatus {
  connection: Connection;
  everLive: boolean;
  /** When the server was last heard, in local time; null before the first time. */
  heardAt: number | null;
}

const TICK_MS = 250;
/** A WebSocket that has not opened by then is not let through. */
const SOCKET_WITHIN_MS = 4_000;
/** While there is a stream instead, how often a WebSocket is tried. */
const SOCKET_AGAIN_MS = 60_000;
/** Components come and go together: what they ask for is asked for at once. */
const GATHER_MS = 50;

export class LiveClient {
  #url: string;
  #socket: WebSocket | null = null;
  #stopStream: (() => void) | null = null;
  #restream: ReturnType<typeof setTimeout> | undefined;
  #again: ReturnType<typeof setInterval> | undefined;
  #connection: Connection;
  #everLive = false;
  #heardAt: number | null = null;
  #subscriptions = new Map<string, Subscription>();
  #listeners = new Set<() => void>();
  #status: LiveStatus;
  #state: 'new' | 'running' | 'held' = 'new';

  constructor(url: string) {
    this.#url = url;
    this.#connection = begin(Date.now());
    this.#status = { connection: this.#connection, everLive: false, heardAt: null };
  }

  /** Begins, or goes on after `hold`. */
  start(): void {
    const before = this.#state;
    this.#state = 'running';
    if (before === 'held') this.hurry();
    if (before !== 'new') return;
    this.#connection = begin(Date.now());
    this.#status = { ...this.#status, connection: this.#connection };
    this.#open();
    setInterval(() => this.#step({ type: 'tick' }), TICK_MS);
    window.addEventListener('online', () => this.hurry());
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible') this.hurry();
    });
  }

  /** Stays away from the server: nobody is signed in, and each try would be refused. */
  hold(): void {
    if (this.#state !== 'running') return;
    this.#step({ type: 'hold' });
    this.#state = 'held';
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
    const subscription: Subscription = { request, resume, handler, position: null, isPart: false };
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
    subscription.isPart = false;
    this.#send({ type: 'subscribe', ...request, ...(resume && position !== null && { resume_after: position }) });
  }

  #send(message: { type: 'subscribe' | 'unsubscribe' | 'ping'; [key: string]: unknown }): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
    else if (this.#stopStream !== null && message.type !== 'ping') this.#streamSoon();
  }

  #open(): void {
    this.#trySocket(() => {
      if (this.#connection.kind === 'connecting') this.#openStream();
    });
  }

  #trySocket(onRefused: () => void): void {
    const socket = new WebSocket(this.#url);
    let opened = false;
    this.#socket = socket;
    const late = setTimeout(() => socket.close(), SOCKET_WITHIN_MS);
    socket.addEventListener('open', () => {
      clearTimeout(late);
      if (this.#socket !== socket) return;
      opened = true;
      this.#endStream();
      this.#step({ type: 'opened', way: 'socket' });
      for (const subscription of this.#subscriptions.values()) this.#ask(subscription);
    });
    socket.addEventListener('message', (message: MessageEvent<unknown>) => {
      if (this.#socket !== socket || typeof message.data !== 'string') return;
      this.#step({ type: 'heard' });
      this.#take(JSON.parse(message.data) as ServerMessage);
    });
    socket.addEventListener('close', () => {
      clearTimeout(late);
      if (this.#socket !== socket) return;
      this.#socket = null;
      if (opened) this.#step({ type: 'closed' });
      else onRefused();
    });
  }

  /** All subscriptions in one stream; anew whenever they change. */
  #openStream(): void {
    clearTimeout(this.#restream);
    this.#stopStream?.();
    const subscriptions = [...this.#subscriptions.values()];
    const positions = subscriptions.filter((each) => each.resume).map((each) => each.position ?? each.request.resume_after ?? null);
    const known = positions.filter((position) => position !== null);
    for (const subscription of subscriptions) subscription.isPart = false;
    const path = streamPath(subscriptions.map((each) => each.request), known.length === 0 ? null : Math.min(...known));
    this.#stopStream = openStream(path, {
      opened: () => {
        this.#step({ type: 'opened', way: 'stream' });
        this.#again ??= setInterval(() => {
          if (this.#socket === null) this.#trySocket(() => undefined);
        }, SOCKET_AGAIN_MS);
      },
      heard: () => this.#step({ type: 'heard' }),
      message: (message) => {
        if (message.type === 'lagged') for (const { request } of this.#subscriptions.values()) this.#take({ ...message, id: request.id });
        if (message.type !== 'snapshot' && message.type !== 'update') return;
        for (const { request } of this.#subscriptions.values()) {
          const items = message.items.filter((item) => wants(request, item));
          // A piece with nothing for this one can still be the last.
          if (items.length > 0 || message.type === 'snapshot') this.#take({ ...message, id: request.id, items });
        }
      },
      closed: () => {
        this.#stopStream = null;
        this.#step({ type: 'closed' });
      },
    });
  }

  #streamSoon(): void {
    clearTimeout(this.#restream);
    this.#restream = setTimeout(() => {
      if (this.#stopStream !== null) this.#openStream();
    }, GATHER_MS);
  }

  #endStream(): void {
    clearTimeout(this.#restream);
    clearInterval(this.#again);
    this.#again = undefined;
    this.#stopStream?.();
    this.#stopStream = null;
  }

  #take(message: ServerMessage): void {
    switch (message.type) {
      case 'snapshot':
      case 'update': {
        serverClock.observe(Date.parse(message.server_time), Date.now());
        const subscription = this.#subscriptions.get(message.id);
        if (subscription === undefined) return;
        subscription.position = Math.max(subscription.position ?? 0, message.position);
        if (message.type === 'snapshot') {
          const part = { first: !subscription.isPart, last: message.more !== true };
          subscription.isPart = !part.last;
          subscription.handler.snapshot(message, part);
        } else subscription.handler.update(message);
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
    if (this.#state !== 'running') return;
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
    if (before.kind === 'live' && after.kind === 'live' && before.way === after.way) {
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
    this.#endStream();
  }
}

const scheme = typeof location !== 'undefined' && location.protocol === 'https:' ? 'wss' : 'ws';
export const live = new LiveClient(typeof location === 'undefined' ? '' : `${scheme}://${location.host}/ws`);
