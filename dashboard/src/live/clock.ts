/**
 * The server's clock as this browser can best tell it. Every answer carries the server's time; the one that took the
 * least time on the way is the nearest to the truth, so a higher estimate is taken at once and a lower one slowly.
 */
const JUMP_MS = 2_000;

export class ServerClock {
  #offset: number | null = null;

  observe(serverMs: number, localMs: number): void {
    const offset = serverMs - localMs;
    if (!Number.isFinite(offset)) return;
    if (this.#offset === null || Math.abs(offset - this.#offset) > JUMP_MS || offset > this.#offset) {
      this.#offset = offset;
    } else {
      this.#offset += (offset - this.#offset) * 0.02;
    }
  }

  /** Server time in milliseconds; local time until the server was heard. */
  now(localMs: number = Date.now()): number {
    return localMs + (this.#offset ?? 0);
  }

  toLocal(serverMs: number): number {
    return serverMs - (this.#offset ?? 0);
  }
}

export const serverClock = new ServerClock();

type Listener = () => void;

/** One tick a second for everything on the screen that ages. */
class Ticker {
  #listeners = new Set<Listener>();
  #timer: ReturnType<typeof setInterval> | undefined;
  #now = 0;

  subscribe = (listener: Listener): (() => void) => {
    this.#listeners.add(listener);
    if (this.#timer === undefined) {
      this.#now = serverClock.now();
      this.#timer = setInterval(() => {
        this.#now = serverClock.now();
        for (const each of this.#listeners) each();
      }, 1_000);
    }
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) {
        clearInterval(this.#timer);
        this.#timer = undefined;
      }
    };
  };

  now = (): number => (this.#timer === undefined ? Math.floor(serverClock.now() / 1_000) * 1_000 : this.#now);
}

export const ticker = new Ticker();
