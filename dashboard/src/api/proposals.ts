/** Acts that wait for a second person: which there are, one of them whole, and deciding. */
import { queryOptions } from '@tanstack/react-query';
import { api, document } from './client';
import type { Proposal, Proposals } from './types';

const ASK_AGAIN_MS = 10_000;
/** While one is being carried out. */
const DOING_AGAIN_MS = 1_000;

/** What waits, and how much of it for whoever asks. */
export const waitingQuery = queryOptions({
  queryKey: ['proposals', 'waiting'],
  queryFn: ({ signal }) => document<Proposals>(api.GET('/api/v1/proposals', { params: { query: { state: 'waiting' } }, signal })),
  refetchInterval: ASK_AGAIN_MS,
});

/** Those that are decided, too. */
export const proposalsQuery = queryOptions({
  queryKey: ['proposals', 'all'],
  queryFn: ({ signal }) => document<Proposals>(api.GET('/api/v1/proposals', { signal })),
  refetchInterval: ASK_AGAIN_MS,
});

export const proposalQuery = (proposal: string) =>
  queryOptions({
    queryKey: ['proposals', 'one', proposal],
    queryFn: ({ signal }) => document<Proposal>(api.GET('/api/v1/proposals/{proposal}', { params: { path: { proposal } }, signal })),
    refetchInterval: ({ state }) => (state.data?.state === 'waiting' ? ASK_AGAIN_MS : state.data?.state === 'doing' ? DOING_AGAIN_MS : false),
    // What it answered may hold a secret that is told once: it goes with the page.
    gcTime: 0,
  });

const one = (proposal: string) => ({ params: { path: { proposal } } });
export const approveProposal = (proposal: string, reason: string): Promise<Proposal> =>
  document(api.POST('/api/v1/proposals/{proposal}/approve', { ...one(proposal), body: reason === '' ? {} : { reason } }));
export const refuseProposal = (proposal: string, reason: string): Promise<Proposal> =>
  document(api.POST('/api/v1/proposals/{proposal}/refuse', { ...one(proposal), body: { reason } }));
export const withdrawProposal = (proposal: string): Promise<unknown> => document(api.DELETE('/api/v1/proposals/{proposal}', one(proposal)));
