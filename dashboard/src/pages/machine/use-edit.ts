/** Editing what people decide about a machine, without writing over what somebody else wrote meanwhile. */
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { ApiError, send } from '@/api/client';

export interface Edit<T> {
  /** Loads what stands now, with its `ETag`; editing starts from that. */
  begin: () => Promise<T | null>;
  save: (document: T) => void;
  saving: boolean;
  error: Error | null;
  /** What somebody else wrote since `begin`. Saving again writes over it. */
  theirs: T | null;
  reset: () => void;
}

export function useEdit<T>(id: string, part: 'labels' | 'display-name', onSaved: () => void): Edit<T> {
  const path = `machines/${encodeURIComponent(id)}/${part}`;
  const queries = useQueryClient();
  const [etag, setEtag] = useState<string | null>(null);
  const [theirs, setTheirs] = useState<T | null>(null);
  const [loadError, setLoadError] = useState<Error | null>(null);
  const mutation = useMutation({
    mutationFn: (document: T) => send<T>('PUT', path, { body: document, ifMatch: etag }),
    onSuccess: () => {
      void queries.invalidateQueries({ queryKey: ['machine', id] });
      onSaved();
    },
    onError: async (error) => {
      if (!(error instanceof ApiError) || error.problem.status !== 412) return;
      const now = await send<T>('GET', path);
      setTheirs(now.document);
      setEtag(now.etag);
    },
  });
  const reset = () => {
    mutation.reset();
    setTheirs(null);
    setLoadError(null);
  };
  return {
    begin: async () => {
      reset();
      try {
        const now = await send<T>('GET', path);
        setEtag(now.etag);
        return now.document;
      } catch (error) {
        setLoadError(error instanceof Error ? error : new Error(String(error)));
        return null;
      }
    },
    save: (document) => {
      setTheirs(null);
      mutation.mutate(document);
    },
    saving: mutation.isPending,
    error: loadError ?? (theirs === null ? mutation.error : null),
    theirs,
    reset,
  };
}

/** What the fields of a refusal say, in a line. */
export function refusal(error: Error): string {
  const fields = error instanceof ApiError ? (error.problem.errors ?? []).map((each) => each.detail) : [];
  return [...new Set([error.message, ...fields])].join(' ');
}
