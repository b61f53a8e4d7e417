/** Editing what people decide about a machine, without writing over what somebody else wrote meanwhile. */
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { ApiError } from '@/api/client';
import type { Editable } from '@/api/profile';
import { waitsAs } from '@/kit/refused';

export interface Edit<T> {
  /** Loads what stands now, with its `ETag`; editing starts from that. */
  begin: () => Promise<T | null>;
  save: (document: T) => void;
  saving: boolean;
  error: Error | null;
  /** The proposal under which it waits for a second person. */
  waits: string | null;
  /** What somebody else wrote since `begin`. Saving again writes over it. */
  theirs: T | null;
  reset: () => void;
}

export function useEdit<T>(id: string, part: Editable<T>, onSaved: () => void): Edit<T> {
  const queries = useQueryClient();
  const [etag, setEtag] = useState<string | null>(null);
  const [theirs, setTheirs] = useState<T | null>(null);
  const [loadError, setLoadError] = useState<Error | null>(null);
  const mutation = useMutation({
    mutationFn: (document: T) => part.write(id, document, etag),
    onSuccess: () => {
      void queries.invalidateQueries({ queryKey: ['machine', id] });
      onSaved();
    },
    onError: async (error) => {
      // It is not so yet: the page goes on showing what is.
      if (waitsAs(error) !== null) onSaved();
      if (!(error instanceof ApiError) || error.problem.status !== 412) return;
      const now = await part.read(id);
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
        const now = await part.read(id);
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
    error: loadError ?? (theirs === null && waitsAs(mutation.error) === null ? mutation.error : null),
    waits: waitsAs(mutation.error),
    theirs,
    reset,
  };
}

/** What the fields of a refusal say, in a line. */
export function refusal(error: Error): string {
  const fields = error instanceof ApiError ? (error.problem.errors ?? []).map((each) => each.detail) : [];
  return [...new Set([error.message, ...fields])].join(' ');
}
