/**
 * What whoever looks may not do is there all the same, and says why not: which permission it needs, who holds it. The server decides
 * again in any case; this only spares people the way to a refusal. What a second person must approve can be begun, and says so before.
 */
import { Tooltip } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { cloneElement, useId, type HTMLAttributes, type MouseEvent, type ReactElement } from 'react';
import { grantInWords, useMe } from '@/access/use-me';
import { mineQuery, rolesQuery } from '@/api/access';
import type { AccessChecked, Me, Permission, RoleDescription } from '@/api/types';
import { sentence } from './format';

export interface Permit {
  allowed: boolean;
  /** Why not, in a sentence. */
  why: string;
  /** The policy by which it waits until a second person approves. */
  second?: string;
}

const YES: Permit = { allowed: true, why: '' };
const NEVER_WAIT: ReadonlySet<Permission> = new Set(['read', 'stop', 'audit']);

/** To do something to one machine, or to machines in general where none is named. */
export function usePermit(needs: Permission, machine?: string): Permit {
  const me = useMe();
  const exact = useQuery({ ...mineQuery(machine ?? ''), enabled: me !== null && machine !== undefined }).data;
  const first = me === null ? YES : held(needs, me.permissions, me);
  const roles = useQuery({ ...rolesQuery, enabled: !first.allowed }).data?.items;
  const said = exact === undefined ? null : decided(needs, exact);
  return said ?? explained(first, needs, me, roles);
}

/** To do something to the fleet as such. */
export function useFleetPermit(needs: Permission): Permit {
  const me = useMe();
  const permit = me === null ? YES : held(needs, me.permissions_everywhere, me);
  const roles = useQuery({ ...rolesQuery, enabled: !permit.allowed }).data?.items;
  // Nobody waits to read or to stop, and where nobody signs in there is no second person.
  const waits = permit.allowed && me !== null && !me.trusts_loopback && !NEVER_WAIT.has(needs);
  const second = useQuery({ ...mineQuery(), enabled: waits }).data?.decisions.find((each) => each.permission === needs)?.second_person;
  return waits && second !== undefined ? { ...permit, second } : explained(permit, needs, me, roles, true);
}

/** To do something to some machines at least: which, the server says of each. */
export function useSomePermit(needs: Permission): Permit {
  const everywhere = useFleetPermit(needs);
  const some = usePermit(needs);
  return everywhere.allowed ? everywhere : some;
}

function held(needs: Permission, permissions: readonly Permission[], { trusts_loopback: trusts }: Me): Permit {
  return trusts || permissions.includes(needs) ? YES : { allowed: false, why: '' };
}

function explained(permit: Permit, needs: Permission, me: Me | null, roles: readonly RoleDescription[] | undefined, everywhere = false): Permit {
  return permit.allowed || me === null ? permit : { allowed: false, why: missing(needs, me, roles ?? [], everywhere) };
}

/** What the server says of one permission. */
export function decided(needs: Permission, { decisions }: AccessChecked): Permit | null {
  const found = decisions.find((each) => each.permission === needs);
  if (found === undefined) return null;
  if (!found.allowed) return { allowed: false, why: sentence(found.rule) };
  return found.second_person === undefined ? YES : { ...YES, second: found.second_person };
}

/** What a button says that does nothing by itself. */
export const asksForSecond = (policy: string) => `A second person must approve it: the policy ${policy} asks for one.`;

/** The same in the dashboard's words, as long as no machine is looked at. */
export function missing(needs: Permission, me: Me, roles: readonly RoleDescription[], everywhere = false): string {
  const holders = roles.filter((each) => each.permissions.includes(needs)).map((each) => each.role);
  const which = holders.length === 0 ? '' : `, which ${holders.join(' and ')} ${holders.length === 1 ? 'holds' : 'hold'}`;
  const grants = me.grants.map(grantInWords);
  return sentence(`needs ${needs}${everywhere ? ' for the whole fleet' : ''}${which}; you have ${grants.length === 0 ? 'no grant' : grants.join(', ')}`);
}

interface PermittedProps {
  by: Permit;
  /** A button. It stays where it is and can be reached; where it may not be pressed it just does nothing but say why. */
  children: ReactElement<HTMLAttributes<HTMLElement>>;
}

export function Permitted({ by, children }: PermittedProps) {
  const id = useId();
  if (by.allowed && by.second === undefined) return children;
  const says = by.second === undefined ? by.why : asksForSecond(by.second);
  const refused = by.allowed ? { 'aria-describedby': id, title: undefined } : {
    'aria-disabled': true,
    'aria-describedby': id,
    'data-disabled': true,
    disabled: false,
    title: undefined,
    onClick: (event: MouseEvent) => event.preventDefault(),
  };
  return (
    <>
      {/* What it says is read out already, as the description of the button. */}
      <Tooltip aria-hidden label={says} multiline maw={340} withArrow withinPortal events={{ hover: true, focus: true, touch: true }}>
        {cloneElement(children, refused as HTMLAttributes<HTMLElement>)}
      </Tooltip>
      <span id={id} className="sr-only">{says}</span>
    </>
  );
}
