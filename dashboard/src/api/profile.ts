/** What people decide about a machine: read with its version, written only over that version. */
import { answer, api, type Answer } from './client';
import type { DisplayName, Labels } from './types';

export interface Editable<T> {
  read: (id: string) => Promise<Answer<T>>;
  write: (id: string, document: T, etag: string | null) => Promise<Answer<T>>;
}

const based = (id: string, etag: string | null) => ({ path: { id }, header: { 'If-Match': etag } });

export const LABELS: Editable<Labels> = {
  read: (id) => answer(api.GET('/api/v1/machines/{id}/labels', { params: { path: { id } } })),
  write: (id, body, etag) => answer(api.PUT('/api/v1/machines/{id}/labels', { params: based(id, etag), body })),
};

export const DISPLAY_NAME: Editable<DisplayName> = {
  read: (id) => answer(api.GET('/api/v1/machines/{id}/display-name', { params: { path: { id } } })),
  write: (id, body, etag) => answer(api.PUT('/api/v1/machines/{id}/display-name', { params: based(id, etag), body })),
};
