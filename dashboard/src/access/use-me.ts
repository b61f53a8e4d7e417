/** Who looks at the page. The gate asks; everybody else reads what it was told. */
import { createContext, useContext } from 'react';
import type { AccessGrant, Me } from '@/api/types';

export const MeContext = createContext<Me | null>(null);

/** Who is in; while they sign in again, who was. Null before the gate is open. */
export function useMe(): Me | null {
  return useContext(MeContext);
}

export const shownName = (who: { name?: string; display_name?: string }) => (who.display_name === undefined || who.display_name === '' ? (who.name ?? '') : who.display_name);

/** `operator on label.site=munich`, as the server writes it. */
export const grantInWords = ({ role, scope }: AccessGrant) => (scope === '*' ? role : `${role} on ${scope}`);
