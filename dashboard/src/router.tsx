/** The pages and what stands in the address bar of each. */
import {
  createRootRoute, createRoute, createRouter, Navigate, lazyRouteComponent, retainSearchParams, type ErrorComponentProps,
} from '@tanstack/react-router';
import type { AuditSearch } from '@/api/access';
import type { Severity } from '@/api/types';
import { SEVERITIES } from '@/api/vocabulary';
import { FleetPage } from '@/pages/fleet/page';
import { Failure } from '@/kit/faces';
import { NotFound } from '@/shell/not-found';
import { Shell } from '@/shell/shell';
import { formatAt, parseMoment } from '@/time/moment';

type Raw = Record<string, unknown>;

const text = (value: unknown) => (typeof value === 'string' && value !== '' ? value : undefined);
const moment = (value: unknown) => {
  const ms = parseMoment(value);
  return ms === null ? undefined : formatAt(ms);
};

/** Shared by every page: the moment that is shown. */
export interface RootSearch {
  at?: string | undefined;
}

export interface FleetSearch {
  filter?: string | undefined;
  sort?: string | undefined;
}

export interface EventsSearch {
  severity?: Severity | undefined;
  kind?: string | undefined;
  machine?: string | undefined;
  from?: string | undefined;
  to?: string | undefined;
}

export interface MachineSearch {
  tab?: 'events' | 'logs' | undefined;
  span?: string | undefined;
}

const rootRoute = createRootRoute({
  component: Shell,
  notFoundComponent: NotFound,
  errorComponent: ({ error, reset }: ErrorComponentProps) => <Failure error={error} what="this page" retry={reset} />,
  validateSearch: (search: Raw): RootSearch => ({ at: moment(search['at']) }),
  search: { middlewares: [retainSearchParams(['at'])] },
});

const fleetRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/',
  component: FleetPage,
  validateSearch: (search: Raw): FleetSearch => ({ filter: text(search['filter']), sort: text(search['sort']) }),
});

const machineRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/machines/$id',
  component: lazyRouteComponent(() => import('@/pages/machine/page'), 'MachinePage'),
  validateSearch: (search: Raw): MachineSearch => ({
    tab: search['tab'] === 'logs' ? 'logs' : undefined,
    span: text(search['span']),
  }),
});

const eventsRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/events',
  component: lazyRouteComponent(() => import('@/pages/events/page'), 'EventsPage'),
  validateSearch: (search: Raw): EventsSearch => ({
    severity: SEVERITIES.find((each) => each === search['severity']),
    kind: text(search['kind']),
    machine: text(search['machine']),
    from: moment(search['from']),
    to: moment(search['to']),
  }),
});

const setUpRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/set-up',
  staticData: { timeless: true },
  // The gate shows it: nobody is signed in there.
  component: () => null,
});

const signInRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/sign-in',
  staticData: { timeless: true },
  validateSearch: (search: Raw): { problem?: string | undefined } => ({ problem: text(search['problem']) }),
  // The gate shows it to whoever is not signed in; who is has nothing to do here.
  component: () => <Navigate to="/" replace />,
});

const deviceRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/device',
  staticData: { timeless: true },
  component: lazyRouteComponent(() => import('@/pages/device/page'), 'DevicePage'),
  validateSearch: (search: Raw): { code?: string | undefined } => ({ code: text(search['code']) }),
});

const accountRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/account',
  staticData: { timeless: true },
  component: lazyRouteComponent(() => import('@/pages/account/page'), 'AccountPage'),
});

const accessRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/access',
  staticData: { timeless: true },
  component: lazyRouteComponent(() => import('@/pages/access/page'), 'AccessPage'),
});

const accessRoutes = [
  createRoute({ getParentRoute: () => accessRoute, path: '/', component: lazyRouteComponent(() => import('@/pages/access/page'), 'AccessStart') }),
  createRoute({ getParentRoute: () => accessRoute, path: '/people', component: lazyRouteComponent(() => import('@/pages/access/people'), 'PeoplePage') }),
  createRoute({ getParentRoute: () => accessRoute, path: '/people/$name', component: lazyRouteComponent(() => import('@/pages/access/person'), 'PersonPage') }),
  createRoute({ getParentRoute: () => accessRoute, path: '/roles', component: lazyRouteComponent(() => import('@/pages/access/roles'), 'RolesPage') }),
  createRoute({ getParentRoute: () => accessRoute, path: '/machines', component: lazyRouteComponent(() => import('@/pages/access/machines'), 'MachinesPage') }),
  createRoute({ getParentRoute: () => accessRoute, path: '/tokens', component: lazyRouteComponent(() => import('@/pages/access/page'), 'TokensPage') }),
  createRoute({ getParentRoute: () => accessRoute, path: '/sessions', component: lazyRouteComponent(() => import('@/pages/access/page'), 'SessionsPage') }),
  createRoute({ getParentRoute: () => accessRoute, path: '/approvals', component: lazyRouteComponent(() => import('@/pages/access/approvals'), 'ApprovalsPage') }),
  createRoute({ getParentRoute: () => accessRoute, path: '/approvals/$proposal', component: lazyRouteComponent(() => import('@/pages/access/approval'), 'ApprovalPage') }),
  createRoute({
    getParentRoute: () => accessRoute,
    path: '/audit',
    component: lazyRouteComponent(() => import('@/pages/access/audit'), 'AuditPage'),
    validateSearch: (search: Raw): AuditSearch => ({
      person: text(search['person']),
      action: text(search['action']),
      object: text(search['object']),
      outcome: text(search['outcome']),
      from: moment(search['from']),
      to: moment(search['to']),
    }),
  }),
] as const;

/** Plain query strings, as people and the command line write them. */
function parseSearch(query: string): Record<string, string> {
  return Object.fromEntries(new URLSearchParams(query));
}

function stringifySearch(search: Record<string, unknown>): string {
  const parameters = new URLSearchParams();
  for (const [key, value] of Object.entries(search)) {
    if (typeof value === 'string' && value !== '') parameters.set(key, value);
  }
  const query = parameters.toString().replaceAll('%3A', ':').replaceAll('%7C', '|').replaceAll('%3D', '=');
  return query === '' ? '' : `?${query}`;
}

export const router = createRouter({
  routeTree: rootRoute.addChildren([fleetRoute, machineRoute, eventsRoute, setUpRoute, signInRoute, deviceRoute, accountRoute, accessRoute.addChildren(accessRoutes)]),
  parseSearch,
  stringifySearch,
  defaultPreload: 'intent',
  scrollRestoration: false,
});

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
  interface StaticDataRouteOption {
    /** What it shows is only ever now: no moment of the past can be chosen. */
    timeless?: boolean;
  }
}
