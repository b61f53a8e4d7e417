/** Requests to the server, and what can come of them: a document, or a `Problem` thrown as `ApiError`. */
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

export type Query = Record<string, string | number | undefined>;

export interface Answer<T> {
  document: T;
  etag: string | null;
}

export async function get<T>(path: string, query: Query, signal?: AbortSignal): Promise<T> {
  return (await send<T>('GET', path, { query, signal })).document;
}

export async function send<T>(
  method: 'GET' | 'PUT' | 'DELETE',
  path: string,
  options: { query?: Query; body?: unknown; ifMatch?: string | null; signal?: AbortSignal | undefined } = {},
): Promise<Answer<T>> {
  const parameters = new URLSearchParams();
  for (const [key, value] of Object.entries(options.query ?? {})) {
    if (value !== undefined && value !== '') parameters.set(key, String(value));
  }
  const text = parameters.toString();
  const headers: Record<string, string> = { accept: 'application/json, application/problem+json' };
  if (options.body !== undefined) headers['content-type'] = 'application/json';
  if (options.ifMatch) headers['if-match'] = options.ifMatch;
  let response: Response;
  try {
    response = await fetch(`/api/v1/${path}${text === '' ? '' : `?${text}`}`, {
      method,
      headers,
      ...(options.body !== undefined && { body: JSON.stringify(options.body) }),
      ...(options.signal && { signal: options.signal }),
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new ApiError(makeProblem(0, 'No answer', 'The fleet server cannot be reached.'));
  }
  if (!response.ok) throw new ApiError(await readProblem(response));
  const document = response.status === 204 ? undefined : await response.json();
  return { document: document as T, etag: response.headers.get('etag') };
}

async function readProblem(response: Response): Promise<Problem> {
  if (response.headers.get('content-type')?.includes('json')) {
    try {
      const document: unknown = await response.json();
      if (typeof document === 'object' && document !== null && 'detail' in document) return document as Problem;
    } catch {
      // Not the JSON it said it was: the status has to do.
    }
  }
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
