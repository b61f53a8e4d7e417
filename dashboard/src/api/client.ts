/**
 * Requests to the server, checked against its OpenAPI document, and what can come of them: a document, or a `Problem`
 * thrown as `ApiError`.
 */
import createClient from 'openapi-fetch';
import type { paths } from './schema';
import type { Problem } from './types';

const WAITS_FOR_A_SECOND_PERSON = 'MST-A080';

export class ApiError extends Error {
  readonly problem: Problem;
  /** How long the server wants to be left alone, in seconds. */
  readonly retryAfterS: number | null;

  constructor(problem: Problem, retryAfterS: number | null = null) {
    super(problem.detail);
    this.name = 'ApiError';
    this.problem = problem;
    this.retryAfterS = retryAfterS;
  }

  /** The proposal under which it waits for a second person: nothing went wrong, and nothing was done yet. */
  get proposal(): string | null {
    return this.problem.code === WAITS_FOR_A_SECOND_PERSON ? (this.problem.proposal ?? null) : null;
  }

  /** No answer at all: the server is gone or cannot be reached. */
  get unreachable(): boolean {
    return this.problem.status === 0;
  }
}

export const api = createClient<paths>({
  baseUrl: '/',
  headers: { accept: 'application/json, application/problem+json' },
});

/** Refusals that say something about whoever asks: that nobody is signed in, or that they may not. */
export const NOT_SIGNED_IN = 401;
export const NOT_ALLOWED = 403;

/** A page that keeps asking for what is not allowed brings no more than one doubt in this time. */
const DOUBT_AGAIN_MS = 5_000;
const listeners = new Set<() => void>();
let doubtedAt = 0;

/** Tells whoever has to know that what is known about the person who asks may not be so any more. */
export const doubts = {
  watch: (listener: () => void): (() => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
  tell: (status: typeof NOT_SIGNED_IN | typeof NOT_ALLOWED) => {
    if (status === NOT_ALLOWED && Date.now() - doubtedAt < DOUBT_AGAIN_MS) return;
    doubtedAt = Date.now();
    for (const listener of listeners) listener();
  },
};

/** Other tabs of this browser have the same session: they are told when it changes. */
const tabs = typeof BroadcastChannel === 'undefined' ? null : new BroadcastChannel('muster-session');
tabs?.addEventListener('message', () => doubts.tell(NOT_SIGNED_IN));
// A channel between tabs of one origin: there is no other to name.
// oxlint-disable-next-line unicorn/require-post-message-target-origin
export const tellOtherTabs = () => tabs?.postMessage('changed');

export interface Answer<T> {
  document: T;
  etag: string | null;
}

interface Outcome {
  data?: unknown;
  error?: unknown;
  response: Response;
}

/** The document of an answer, of the type that the caller knows this path to answer with. */
export async function document<T>(call: Promise<Outcome>): Promise<T> {
  return (await answer<T>(call)).document;
}

export async function answer<T>(call: Promise<Outcome>): Promise<Answer<T>> {
  let outcome: Outcome;
  try {
    outcome = await call;
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new ApiError(makeProblem(0, 'No answer', 'The fleet server cannot be reached.'));
  }
  const { data, error, response } = outcome;
  if (!response.ok) {
    const problem = isProblem(error) ? error : unexpected(response);
    const seconds = Number(response.headers.get('retry-after') ?? Number.NaN);
    const refused = new ApiError(problem, Number.isFinite(seconds) ? seconds : null);
    // What waits says nothing against whoever asked.
    if ((response.status === NOT_SIGNED_IN || response.status === NOT_ALLOWED) && refused.proposal === null) doubts.tell(response.status);
    throw refused;
  }
  return { document: data as T, etag: response.headers.get('etag') };
}

function isProblem(error: unknown): error is Problem {
  return typeof error === 'object' && error !== null && 'detail' in error && 'status' in error;
}

function unexpected(response: Response): Problem {
  const gone = response.status === 502 || response.status === 503 || response.status === 504;
  return makeProblem(
    response.status,
    gone ? 'Server not available' : 'Unexpected answer',
    `The server answered with status ${response.status}${response.statusText ? ` (${response.statusText})` : ''}.`,
  );
}

function makeProblem(status: number, title: string, detail: string): Problem {
  return { type: 'about:blank', title, status, detail, code: '' };
}
