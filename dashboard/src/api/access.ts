/** Who asks, who there is, what they may do, and who did what. */
import { keepPreviousData, queryOptions } from '@tanstack/react-query';
import type {
  AccessChecked, AccessPolicies, AccessPolicy, AccessSessions, AccessTokens, AuditChecked, AuditPage, CheckAccess, DeviceRequest, MakeToken, Me, People, Person,
  Problem, PutPassword, PutPerson, PutPolicy, RecoveryCodes, Roles, SecondFactorOffer, SetUp, SignedIn, SignIn, TokenMade,
} from './types';
import { answer, api, ApiError, document, type Answer } from './client';

/** Over what was read; what is new must not be there yet. */
const based = (etag: string | null) => (etag === null ? { 'If-None-Match': '*' } : { 'If-Match': etag });

export const meQuery = queryOptions({
  queryKey: ['me'],
  queryFn: ({ signal }) => document<Me>(api.GET('/api/v1/me', { signal })),
  staleTime: Infinity,
  gcTime: Infinity,
});

export const signIn = (body: SignIn): Promise<SignedIn> => document(api.POST('/api/v1/session', { body }));
/** Ends the session; says where it is ended at the provider as well, for who came from one. */
export async function signOut(): Promise<string | null> {
  const { response, error } = await api.DELETE('/api/v1/session');
  if (!response.ok) throw new ApiError(error as Problem);
  return response.headers.get('location');
}
export const setUp = (body: SetUp): Promise<SignedIn> => document(api.POST('/api/v1/set-up', { body }));

/** A program that waits to be signed in, by the code that it shows. */
export const deviceQuery = (code: string) =>
  queryOptions({
    queryKey: ['device', code],
    queryFn: ({ signal }) => document<DeviceRequest>(api.GET('/api/v1/device/{code}', { params: { path: { code } }, signal })),
    retry: false,
    gcTime: 0,
  });
export const answerDevice = (code: string, yes: boolean): Promise<unknown> => {
  const params = { path: { code } };
  return document(yes ? api.POST('/api/v1/device/{code}', { params }) : api.DELETE('/api/v1/device/{code}', { params }));
};

export const peopleQuery = queryOptions({ queryKey: ['people'], queryFn: ({ signal }) => document<People>(api.GET('/api/v1/people', { signal })) });

export const personQuery = (name: string) =>
  queryOptions({ queryKey: ['people', name], queryFn: ({ signal }) => answer<Person>(api.GET('/api/v1/people/{name}', { params: { path: { name } }, signal })) });

export const putPerson = (name: string, body: PutPerson, etag: string | null): Promise<Answer<Person>> =>
  answer(api.PUT('/api/v1/people/{name}', { params: { path: { name }, header: based(etag) }, body }));
export const removePerson = (name: string, reason: string, etag: string): Promise<unknown> =>
  document(api.DELETE('/api/v1/people/{name}', { params: { path: { name }, query: { reason }, header: based(etag) } }));
export const putPassword = (name: string, body: PutPassword): Promise<unknown> => document(api.PUT('/api/v1/people/{name}/password', { params: { path: { name } }, body }));
export const removeSecondFactor = (name: string): Promise<unknown> => document(api.DELETE('/api/v1/people/{name}/second-factor', { params: { path: { name } } }));
export const offerSecondFactor = (): Promise<SecondFactorOffer> => document(api.POST('/api/v1/me/second-factor'));
export const confirmSecondFactor = (code: string): Promise<RecoveryCodes> => document(api.PUT('/api/v1/me/second-factor', { body: { code } }));

export const sessionsQuery = (person: string | undefined) =>
  queryOptions({ queryKey: ['sessions', person ?? null], queryFn: ({ signal }) => document<AccessSessions>(api.GET('/api/v1/sessions', { params: { query: { person } }, signal })) });
export const endSession = (id: string): Promise<unknown> => document(api.DELETE('/api/v1/sessions/{id}', { params: { path: { id } } }));

export const tokensQuery = queryOptions({ queryKey: ['tokens'], queryFn: ({ signal }) => document<AccessTokens>(api.GET('/api/v1/tokens', { signal })) });
export const makeToken = (body: MakeToken): Promise<TokenMade> => document(api.POST('/api/v1/tokens', { body }));
export const revokeToken = (id: string): Promise<unknown> => document(api.DELETE('/api/v1/tokens/{id}', { params: { path: { id } } }));

export const rolesQuery = queryOptions({
  queryKey: ['roles'],
  queryFn: ({ signal }) => document<Roles>(api.GET('/api/v1/roles', { signal })),
  staleTime: Infinity,
});

export const policiesQuery = queryOptions({ queryKey: ['policies'], queryFn: ({ signal }) => document<AccessPolicies>(api.GET('/api/v1/policies', { signal })) });
export const readPolicy = (name: string): Promise<Answer<AccessPolicy>> => answer(api.GET('/api/v1/policies/{name}', { params: { path: { name } } }));
export const putPolicy = (name: string, body: PutPolicy, etag: string | null): Promise<Answer<AccessPolicy>> =>
  answer(api.PUT('/api/v1/policies/{name}', { params: { path: { name }, header: based(etag) }, body }));
export const removePolicy = (name: string, reason: string, etag: string): Promise<unknown> =>
  document(api.DELETE('/api/v1/policies/{name}', { params: { path: { name }, query: { reason }, header: based(etag) } }));

export const checkQuery = (body: CheckAccess) =>
  queryOptions({
    queryKey: ['access-check', body],
    queryFn: ({ signal }) => document<AccessChecked>(api.POST('/api/v1/access/check', { body, signal })),
    placeholderData: keepPreviousData,
    retry: false,
    gcTime: 10_000,
  });

/** What whoever asks may do to a machine, or to the fleet as such. */
export const mineQuery = (machine?: string) =>
  queryOptions({
    queryKey: ['mine', machine ?? null],
    queryFn: ({ signal }) => document<AccessChecked>(api.GET('/api/v1/access/mine', { params: { query: { machine } }, signal })),
    staleTime: 30_000,
  });

export interface AuditSearch {
  person?: string | undefined;
  action?: string | undefined;
  /** The id of a machine, the name of a person … */
  object?: string | undefined;
  outcome?: string | undefined;
  from?: string | undefined;
  to?: string | undefined;
}

export const AUDIT_PER_PAGE = 100;

export function fetchAudit(search: AuditSearch, more: { cursor?: string | undefined; after?: number; order?: 'asc' | 'desc' }, signal?: AbortSignal): Promise<AuditPage> {
  return document(api.GET('/api/v1/audit', { params: { query: { ...search, ...more, limit: AUDIT_PER_PAGE } }, ...(signal && { signal }) }));
}

export const checkAudit = (): Promise<AuditChecked> => document(api.GET('/api/v1/audit/check'));
export const auditExportPath = (format: 'jsonl' | 'csv') => `/api/v1/audit/export?format=${format}`;
