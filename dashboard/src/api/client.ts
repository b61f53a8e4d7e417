/**
 * Requests to the server, checked against its OpenAPI document, and what can come of them: a document, or a `Problem`
 * thrown as `ApiError`.
 */
import createClient from 'openapi-fetch';
import type { paths } from './schema';
import type { Problem } from './types';

export class ApiError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail);
    this.name = 'ApiError';
    this.problem = problem;
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
  if (!response.ok) throw new ApiError(isProblem(error) ? error : unexpected(response));
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
