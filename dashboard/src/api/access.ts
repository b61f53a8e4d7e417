/** Who asks, who there is, what they may do, and who did what. */
import { keepPreviousData, queryOptions } from '@tanstack/react-query';
import type {
  AccessChecked, AccessPolicies, AccessPolicy, AccessSessions, AccessTokens, AuditChecked, AuditPage, CheckAccess, MakeToken, Me, People, Person,
  PutPassword, PutPerson, PutPolicy, RecoveryCodes, Roles, SecondFactorOffer, SetUp, SignedIn, SignIn, TokenMade,
} from './access-documents';
import { answer, ApiError, document, type Answer } from './client';

interface Asked {
  query?: Record<string, string | number | undefined>;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

async function call(method: string, path: string, { query = {}, body, headers, signal }: Asked = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== '').map(([key, value]): [string, string] => [key, String(value)]);
  const parameters = new URLSearchParams(given);
  const response = await fetch(`/api/v1/${path}${given.length > 0 ? `?${parameters}` : ''}`, {
    method,
    headers: { accept: 'application/json, application/problem+json', ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    ...(signal && { signal }),
  });
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.includes('json') === true;
  const content: unknown = text === '' || !isJson ? undefined : JSON.parse(text);
  return response.ok ? { data: content, response } : { error: content, response };
}

const named = (name: string) => encodeURIComponent(name);
/** A document that is new has no version to be based on. */
const based = (etag: string | null): Record<string, string> => (etag === null ? { 'if-none-match': '*' } : { 'if-match': etag });

/** Null where the server does not know of people yet. */
export const meQuery = queryOptions({
  queryKey: ['me'],
  queryFn: async ({ signal }) => {
    try {
      return await document<Me>(call('GET', 'me', { signal }));
    } catch (error) {
      if (error instanceof ApiError && error.problem.status === 404) return null;
      throw error;
    }
  },
  staleTime: Infinity,
  gcTime: Infinity,
});

export const signIn = (body: SignIn): Promise<SignedIn> => document(call('POST', 'session', { body }));
export const signOut = (): Promise<unknown> => document(call('DELETE', 'session'));
export const setUp = (body: SetUp): Promise<SignedIn> => document(call('POST', 'set-up', { body }));

export const peopleQuery = queryOptions({ queryKey: ['people'], queryFn: ({ signal }) => document<People>(call('GET', 'people', { signal })) });

export const personQuery = (name: string) =>
  queryOptions({ queryKey: ['people', name], queryFn: ({ signal }) => answer<Person>(call('GET', `people/${named(name)}`, { signal })) });

export const putPerson = (name: string, body: PutPerson, etag: string | null): Promise<Answer<Person>> =>
  answer(call('PUT', `people/${named(name)}`, { body, headers: based(etag) }));
export const removePerson = (name: string, reason: string, etag: string): Promise<unknown> =>
  document(call('DELETE', `people/${named(name)}`, { query: { reason }, headers: based(etag) }));
export const putPassword = (name: string, body: PutPassword): Promise<unknown> => document(call('PUT', `people/${named(name)}/password`, { body }));
export const removeSecondFactor = (name: string): Promise<unknown> => document(call('DELETE', `people/${named(name)}/second-factor`));
export const offerSecondFactor = (): Promise<SecondFactorOffer> => document(call('POST', 'me/second-factor'));
export const confirmSecondFactor = (code: string): Promise<RecoveryCodes> => document(call('PUT', 'me/second-factor', { body: { code } }));

export const sessionsQuery = (person: string | undefined) =>
  queryOptions({ queryKey: ['sessions', person ?? null], queryFn: ({ signal }) => document<AccessSessions>(call('GET', 'sessions', { query: { person }, signal })) });
export const endSession = (id: string): Promise<unknown> => document(call('DELETE', `sessions/${named(id)}`));

export const tokensQuery = queryOptions({ queryKey: ['tokens'], queryFn: ({ signal }) => document<AccessTokens>(call('GET', 'tokens', { signal })) });
export const makeToken = (body: MakeToken): Promise<TokenMade> => document(call('POST', 'tokens', { body }));
export const revokeToken = (id: string): Promise<unknown> => document(call('DELETE', `tokens/${named(id)}`));

export const rolesQuery = queryOptions({
  queryKey: ['roles'],
  queryFn: ({ signal }) => document<Roles>(call('GET', 'roles', { signal })),
  staleTime: Infinity,
});

export const policiesQuery = queryOptions({ queryKey: ['policies'], queryFn: ({ signal }) => document<AccessPolicies>(call('GET', 'policies', { signal })) });
export const readPolicy = (name: string): Promise<Answer<AccessPolicy>> => answer(call('GET', `policies/${named(name)}`));
export const putPolicy = (name: string, body: PutPolicy, etag: string | null): Promise<Answer<AccessPolicy>> =>
  answer(call('PUT', `policies/${named(name)}`, { body, headers: based(etag) }));
export const removePolicy = (name: string, reason: string, etag: string): Promise<unknown> =>
  document(call('DELETE', `policies/${named(name)}`, { query: { reason }, headers: based(etag) }));

export const checkQuery = (body: CheckAccess) =>
  queryOptions({
    queryKey: ['access-check', body],
    queryFn: ({ signal }) => document<AccessChecked>(call('POST', 'access/check', { body, signal })),
    placeholderData: keepPreviousData,
    retry: false,
    gcTime: 10_000,
  });

/** What whoever asks may do to a machine. */
export const mineQuery = (machine: string) =>
  queryOptions({
    queryKey: ['mine', machine],
    queryFn: ({ signal }) => document<AccessChecked>(call('GET', 'access/mine', { query: { machine }, signal })),
    staleTime: 30_000,
  });

export interface AuditSearch {
  person?: string | undefined;
  action?: string | undefined;
  machine?: string | undefined;
  outcome?: string | undefined;
  from?: string | undefined;
  to?: string | undefined;
}

export const AUDIT_PER_PAGE = 100;

export function fetchAudit(search: AuditSearch, more: { cursor?: string | undefined; after?: number; order?: 'asc' | 'desc' }, signal?: AbortSignal): Promise<AuditPage> {
  return document(call('GET', 'audit', { query: { ...search, ...more, limit: AUDIT_PER_PAGE }, ...(signal && { signal }) }));
}

export const checkAudit = (): Promise<AuditChecked> => document(call('GET', 'audit/check'));
export const auditExportPath = (format: 'jsonl' | 'csv') => `/api/v1/audit/export?format=${format}`;
