/** Recordings of a machine: which there are, having minutes kept, fetching one. */
import { queryOptions } from '@tanstack/react-query';
import { api, document } from './client';
import type { CommandTold, MachineRecordings } from './types';

/** How often it is asked how far one is that is on its way, and else. */
const COMING_MS = 1_000;
const ELSE_MS = 15_000;
/** A machine that is away may bring it when it is back. */
const FETCH_WITHIN_S = 86_400;

export const recordingsQuery = (id: string) =>
  queryOptions({
    queryKey: ['machine', id, 'recordings'],
    queryFn: ({ signal }) => document<MachineRecordings>(api.GET('/api/v1/machines/{id}/recordings', { params: { path: { id } }, signal })),
    refetchInterval: ({ state }) => {
      const moves = state.data?.items.some((item) => item.transfer !== null && item.transfer.state !== 'failed') ?? false;
      return moves ? COMING_MS : ELSE_MS;
    },
  });

export function markNow(id: string, reason: string): Promise<CommandTold> {
  const body = { kind: 'record.mark', reason };
  return document(api.POST('/api/v1/machines/{id}/commands', { params: { path: { id } }, body }));
}

export function fetchRecording(id: string, file: string): Promise<CommandTold> {
  const body = { kind: 'record.upload', arguments: { file }, reason: 'fetched on the dashboard', expires_in_s: FETCH_WITHIN_S };
  return document(api.POST('/api/v1/machines/{id}/commands', { params: { path: { id } }, body }));
}

export function removeRecording(id: string, file: string): Promise<unknown> {
  return document(api.DELETE('/api/v1/machines/{id}/recordings/{file}', { params: { path: { id, file } } }));
}

export const downloadPath = (id: string, file: string) => `/api/v1/machines/${id}/recordings/${encodeURIComponent(file)}`;
