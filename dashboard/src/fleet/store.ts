/**
 * The rows of all machines, outside React: a message changes the map at the next frame, and only the rows on the screen
 * that changed render again.
 */
import type { MachineSummary } from '@/api/types';

type Listener = () => void;

export class FleetStore {
  #rows = new Map<string, MachineSummary>();
  #pending = new Map<string, MachineSummary>();
  #replacing = false;
  #unheard: Set<string> | null = null;
  #loaded = false;
  #version = 0;
  #scheduled = false;
  #schedule: (flush: () => void) => void;
  #rowListeners = new Map<string, Set<Listener>>();
  #listeners = new Set<Listener>();

  constructor(schedule: (flush: () => void) => void = atNextFrame) {
    this.#schedule = schedule;
  }

  rows(): ReadonlyMap<string, MachineSummary> {
    return this.#rows;
  }

  row(id: string): MachineSummary | undefined {
    return this.#rows.get(id);
  }

  /** Grows with every change. */
  version = (): number => this.#version;

  /** Whether a first load came in, even an empty one. */
  loaded = (): boolean => this.#loaded;

  /** These rows, and no others. */
  replace(rows: Iterable<MachineSummary>): void {
    this.#pending = new Map();
    for (const row of rows) this.#pending.set(row.id, row);
    this.#replacing = true;
    this.#wake();
  }

  /** These rows anew; later ones of the same machine win. */
  merge(rows: Iterable<MachineSummary>): void {
    for (const row of rows) {
      this.#pending.set(row.id, row);
      this.#unheard?.delete(row.id);
    }
    this.#wake();
  }

  /**
   * The beginning of how things stand; the rest comes by `merge`, because the server cuts a large snapshot into pieces.
   * Machines that are not among them stay on the screen until `sweep`, so that a reconnection empties no table.
   */
  renew(rows: Iterable<MachineSummary>): void {
    this.#unheard = new Set(this.#rows.keys());
    this.merge(rows);
  }

  /** Drops the machines that were not named since `renew`. */
  sweep(): void {
    const unheard = this.#unheard;
    this.#unheard = null;
    if (unheard === null || unheard.size === 0) return;
    this.flush();
    for (const id of unheard) {
      this.#rows.delete(id);
      this.#notify(id);
    }
    this.#version += 1;
    for (const listener of this.#listeners) listener();
  }

  /** Only machines that are not known yet: for an answer that may be older than what the socket said. */
  supply(rows: Iterable<MachineSummary>): void {
    for (const row of rows) {
      if (!this.#rows.has(row.id) && !this.#pending.has(row.id)) this.#pending.set(row.id, row);
    }
    this.#wake();
  }

  /** Called after any change. */
  watch = (listener: Listener): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Called after this row changed. */
  watchRow(id: string, listener: Listener): () => void {
    let listeners = this.#rowListeners.get(id);
    if (listeners === undefined) {
      listeners = new Set();
      this.#rowListeners.set(id, listeners);
    }
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#rowListeners.get(id) === listeners) this.#rowListeners.delete(id);
    };
  }

  flush = (): void => {
    this.#scheduled = false;
    const changed = this.#pending;
    const replacing = this.#replacing;
    this.#pending = new Map();
    this.#replacing = false;
    if (changed.size === 0 && !replacing && this.#loaded) return;
    if (replacing) {
      for (const id of this.#rows.keys()) {
        if (!changed.has(id)) {
          this.#rows.delete(id);
          this.#notify(id);
        }
      }
    }
    for (const [id, row] of changed) this.#rows.set(id, row);
    this.#loaded = true;
    this.#version += 1;
    for (const id of changed.keys()) this.#notify(id);
    for (const listener of this.#listeners) listener();
  };

  #notify(id: string): void {
    const listeners = this.#rowListeners.get(id);
    if (listeners !== undefined) for (const listener of listeners) listener();
  }

  #wake(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#schedule(this.flush);
  }
}

/** At the next frame, or after a second where the browser draws none because the page is hidden. */
function atNextFrame(flush: () => void): void {
  let done = false;
  const once = () => {
    if (done) return;
    done = true;
    flush();
  };
  requestAnimationFrame(once);
  setTimeout(once, 1_000);
}
