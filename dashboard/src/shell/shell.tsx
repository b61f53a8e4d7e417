/** What stands around every page: header, connection, past banner, scrubber. */
import { useMantineColorScheme } from '@mantine/core';
import { useDisclosure, useHotkeys } from '@mantine/hooks';
import { useIsFetching, useQueryClient } from '@tanstack/react-query';
import { Outlet, useMatches, useNavigate, useParams } from '@tanstack/react-router';
import { useEffect, useRef } from 'react';
import { Gate } from '@/access/gate';
import { useSummary, useSummaryFeed } from '@/fleet/use-summary';
import { formatAge } from '@/kit/format';
import { StaleNote } from '@/kit/faces';
import { useConnectionFace } from '@/live/use-live';
import { live } from '@/live/client';
import { parseMoment } from '@/time/moment';
import { PastBanner } from '@/time/past-banner';
import { Scrubber } from '@/time/scrubber';
import { MomentProvider, useMoment } from '@/time/use-moment';
import { Header } from './header';
import { Shortcuts } from './shortcuts';
import classes from './shell.module.css';

export function Shell() {
  // Who may do what is always shown as it is now.
  const timeless = useMatches({ select: (matches) => matches.some((match) => match.staticData.timeless === true) });
  return (
    <Gate>
      <MomentProvider timeless={timeless}>
        <Frame timeless={timeless} />
      </MomentProvider>
    </Gate>
  );
}

function Frame({ timeless }: { timeless: boolean }) {
  const { at, past, go } = useMoment();
  const navigate = useNavigate();
  const [helpOpen, help] = useDisclosure(false);
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  useSummaryFeed();
  useHeal();
  const now = useSummary(null);
  const historyFrom = parseMoment(now.data?.history_from);
  const moving = useIsFetching({ predicate: (query) => at !== null && query.queryKey.includes(at) }) > 0;
  const machine = useParams({ strict: false }).id;

  useHotkeys([
    ['shift+?', help.toggle],
    ['?', help.toggle],
    ['f', () => void navigate({ to: '/' })],
    ['e', () => void navigate({ to: '/events' })],
    ['a', () => void navigate({ to: '/access' })],
    ['t', () => setColorScheme(NEXT_SCHEME[colorScheme])],
    ['Escape', () => (past && !helpOpen ? go(null) : undefined)],
  ]);

  return (
    <div className={classes.frame} data-past={past || undefined}>
      <a className={classes.skip} href="#main">Skip to the page</a>
      <Header summary={now.data} onHelp={help.open} />
      <PastBanner moving={moving} historyFrom={historyFrom} />
      <ConnectionBar />
      <main id="main" className={classes.main} tabIndex={-1}>
        <Outlet />
      </main>
      {!timeless && <Scrubber historyFrom={historyFrom} machine={machine} />}
      <Shortcuts opened={helpOpen} onClose={help.close} />
    </div>
  );
}

const NEXT_SCHEME = { light: 'dark', dark: 'auto', auto: 'light' } as const;

/** A lost server is shown across the page, not only in a corner. */
function ConnectionBar() {
  const { face, status, now } = useConnectionFace();
  if (face !== 'lost') return null;
  const known = status.heardAt;
  return (
    <div className={classes.lost}>
      <StaleNote>
        {known === null
          ? 'The fleet server does not answer. '
          : `The fleet server is lost: showing what was known ${formatAge(now - known)} ago. `}
        Machines go on by themselves; this page returns when the server does.
      </StaleNote>
      <button type="button" className={classes.retry} onClick={() => live.hurry()}>Try now</button>
    </div>
  );
}

/** After the server was away, everything that was asked is asked again. */
function useHeal(): void {
  const queries = useQueryClient();
  const { face, status } = useConnectionFace();
  const away = useRef(false);
  useEffect(() => {
    if (face === 'live') {
      if (away.current) void queries.invalidateQueries({ type: 'active' });
      away.current = false;
    } else if (status.everLive || face === 'lost') {
      away.current = true;
    }
  }, [face, status.everLive, queries]);
}
