/** What a machine should become, and how far it says it is. */
import { keepPreviousData, queryOptions } from '@tanstack/react-query';
import { answer, api, document, type Answer } from './client';
import type { CalibrationCheck, CalibrationProfile, Desired, DesiredHistory } from './types';

/** Another person may change it while this machine is away: then nothing else tells. */
const ASK_AGAIN_MS = 10_000;

/** Asked for again when the machine reported something since. */
export const desiredQuery = (id: string, reportedAt: string | null) =>
  queryOptions({
    queryKey: ['desired', id, reportedAt],
    queryFn: ({ signal }) => answer<Desired>(api.GET('/api/v1/machines/{id}/desired', { params: { path: { id } }, signal })),
    placeholderData: keepPreviousData,
    refetchInterval: ASK_AGAIN_MS,
    gcTime: 30_000,
  });

export const desiredHistoryQuery = (id: string, section: string) =>
  queryOptions({
    queryKey: ['desired-history', id, section],
    queryFn: ({ signal }) =>
      document<DesiredHistory>(api.GET('/api/v1/machines/{id}/desired/{section}/history', { params: { path: { id, section } }, signal })),
    staleTime: 0,
  });

export function putDesired(id: string, section: string, content: unknown, reason: string, etag: string | null): Promise<Answer<Desired>> {
  const params = { path: { id, section }, header: { 'If-Match': etag } };
  return answer(api.PUT('/api/v1/machines/{id}/desired/{section}', { params, body: { content, reason } }));
}

export function checkCalibration(profile: unknown, signal?: AbortSignal): Promise<CalibrationCheck> {
  return document(api.POST('/api/v1/calibration/check', { body: profile as CalibrationProfile, ...(signal && { signal }) }));
}
