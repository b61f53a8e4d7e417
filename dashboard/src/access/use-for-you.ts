/** How many acts wait that whoever looks could approve. Programs and those that nobody asks who they are cannot be the second person. */
import { useQuery } from '@tanstack/react-query';
import { waitingQuery } from '@/api/proposals';
import { useMe } from './use-me';

export function useForYou(): number {
  const me = useMe();
  return useQuery({ ...waitingQuery, enabled: me?.signed_in === true && me.by === 'session' }).data?.for_you ?? 0;
}
