/** Commands of people other than stop. Nothing here clears a latch or lets a machine move: there is no command for that. */
import { queryOptions } from '@tanstack/react-query';
import { api, document } from './client';
import type { CommandTold, MachineCommands } from './types';

export const commandsQuery = (id: string) =>
  queryOptions({
    queryKey: ['machine', id, 'commands'],
    queryFn: ({ signal }) => document<MachineCommands>(api.GET('/api/v1/machines/{id}/commands', { params: { path: { id } }, signal })),
    refetchInterval: 3_000,
  });

export interface FaultArguments { fault?: string; clear?: boolean; for_s?: number }

export function giveFault(id: string, fault: FaultArguments): Promise<CommandTold> {
  const body = { kind: 'fault', arguments: fault, reason: 'tried out on the dashboard' };
  return document(api.POST('/api/v1/machines/{id}/commands', { params: { path: { id } }, body }));
}
