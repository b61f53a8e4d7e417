/** What machines prove who they are by: certificates, the tokens by which they get the first, the authorities that issue them. */
import { queryOptions } from '@tanstack/react-query';
import { api, document } from './client';
import type { CertificateAuthorities, EnrolmentMade, EnrolmentPage, MachineIdentity, MachineIdentityPage, NewEnrolment } from './types';
import { PAGE_LIMIT_MAX } from './vocabulary';

/** Machines come, renew and go by themselves. */
const ASK_AGAIN_MS = 5_000;

/** Every identity, page by page. */
async function allIdentities(signal: AbortSignal): Promise<MachineIdentity[]> {
  const items: MachineIdentity[] = [];
  let cursor: string | undefined;
  for (;;) {
    const query = { limit: PAGE_LIMIT_MAX, cursor };
    const page: MachineIdentityPage = await document(api.GET('/api/v1/identities', { params: { query }, signal }));
    items.push(...page.items);
    if (page.next_cursor === null) return items;
    cursor = page.next_cursor;
  }
}

export const identitiesQuery = queryOptions({
  queryKey: ['identities'],
  queryFn: ({ signal }) => allIdentities(signal),
  // Thousands are not asked for again and again.
  refetchInterval: ({ state }) => ((state.data?.length ?? 0) < PAGE_LIMIT_MAX ? ASK_AGAIN_MS : false),
});

const one = (id: string) => ({ params: { path: { id } } });
export const acceptIdentity = (id: string): Promise<MachineIdentity> => document(api.POST('/api/v1/identities/{id}/accept', one(id)));
export const renewIdentity = (id: string): Promise<MachineIdentity> => document(api.POST('/api/v1/identities/{id}/renew', one(id)));
export const revokeIdentity = (id: string, reason: string): Promise<MachineIdentity> =>
  document(api.POST('/api/v1/identities/{id}/revoke', { ...one(id), body: { reason } }));
/** For a machine that is known: it stays the same. */
export const enrolAgain = (id: string): Promise<EnrolmentMade> => document(api.POST('/api/v1/identities/{id}/enrolment', one(id)));

export const enrolmentsQuery = queryOptions({
  queryKey: ['enrolments'],
  queryFn: ({ signal }) => document<EnrolmentPage>(api.GET('/api/v1/enrolments', { signal })),
  refetchInterval: ASK_AGAIN_MS,
});
export const makeEnrolment = (body: NewEnrolment): Promise<EnrolmentMade> => document(api.POST('/api/v1/enrolments', { body }));
export const withdrawEnrolment = (enrolment: string): Promise<unknown> => document(api.DELETE('/api/v1/enrolments/{enrolment}', { params: { path: { enrolment } } }));

export const authoritiesQuery = queryOptions({
  queryKey: ['certificate-authorities'],
  queryFn: ({ signal }) => document<CertificateAuthorities>(api.GET('/api/v1/certificate-authorities', { signal })),
  refetchInterval: ASK_AGAIN_MS,
});
export const rotateAuthority = (): Promise<CertificateAuthorities> => document(api.POST('/api/v1/certificate-authorities'));
