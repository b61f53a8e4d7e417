/** Remote stop. Nothing takes one back: only somebody at the machine lets it move again. */
import { api, document } from './client';
import type { StopsIssued } from './types';

export type StopTarget = { machine: string } | { filter: string } | { all: true };

export function sendStop(target: StopTarget, reason: string): Promise<StopsIssued> {
  if ('machine' in target) {
    return document(api.POST('/api/v1/machines/{id}/stop', { params: { path: { id: target.machine } }, body: { reason } }));
  }
  return document(api.POST('/api/v1/stop', { body: { ...target, reason } }));
}
