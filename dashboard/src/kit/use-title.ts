import { useEffect } from 'react';
import { useMoment } from '@/time/use-moment';

/** What the browser's tab says; the past is told there too. */
export function useTitle(title: string): void {
  const { past } = useMoment();
  useEffect(() => {
    document.title = `${past ? 'PAST · ' : ''}${title} · Muster`;
  }, [title, past]);
}
