/** Name, pages, connection, the server's clock and version. */
import { ActionIcon, Menu, Tooltip, useMantineColorScheme } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { useForYou } from '@/access/use-for-you';
import { useMe } from '@/access/use-me';
import type { FleetSummary } from '@/api/types';
import { formatAge, formatClock, formatUtc, plural } from '@/kit/format';
import { AutoIcon, KeyboardIcon, LiveIcon, MoonIcon, SunIcon, UnpluggedIcon } from '@/kit/icons';
import { useConnectionFace, useServerNow } from '@/live/use-live';
import { useMoment } from '@/time/use-moment';
import { LocalMark, PersonMenu } from './person';
import classes from './shell.module.css';

/** A link to what is only now leaves the past. */
const NOW = { at: undefined };

const WAITING_SHOWN_MAX = 99;

export function Header({ summary, onHelp }: { summary: FleetSummary | undefined; onHelp: () => void }) {
  const me = useMe();
  return (
    <header className={classes.header}>
      <Link to="/" search={{}} className={classes.brand} aria-label="Muster, to the fleet">
        <img src="/icon.svg" alt="" width={24} height={24} />
        <span>Muster</span>
      </Link>
      <nav className={classes.nav} aria-label="Pages">
        <Link to="/" search={{}} activeOptions={{ exact: true, includeSearch: false }}>Fleet</Link>
        <Link to="/events" search={{}} activeOptions={{ includeSearch: false }}>Events</Link>
        <Link to="/access" search={NOW} activeOptions={{ includeSearch: false }}>Access</Link>
        <Waiting />
        <a href="/docs.html">API</a>
      </nav>
      <div className={classes.spacer} />
      {me?.trusts_loopback === true && <LocalMark />}
      <ConnectionPill />
      <ServerClock version={summary?.server_version} />
      <SchemeMenu />
      <Tooltip label="Keyboard shortcuts ( ? )">
        <ActionIcon variant="subtle" color="gray" size="lg" className={classes.shortcutsButton} aria-label="Keyboard shortcuts" onClick={onHelp}>
          <KeyboardIcon size={18} />
        </ActionIcon>
      </Tooltip>
      {me !== null && !me.trusts_loopback && <PersonMenu me={me} />}
    </header>
  );
}

/** What waits for whoever looks. */
function Waiting() {
  const count = useForYou();
  if (count === 0) return null;
  const says = `${plural(count, 'act waits', 'acts wait')} for your approval`;
  return <Link to="/access/approvals" search={NOW} className={classes.waiting} aria-label={says} title={says}><span>{count > WAITING_SHOWN_MAX ? `${WAITING_SHOWN_MAX}+` : count}</span></Link>;
}

function ConnectionPill() {
  const { face, status, now } = useConnectionFace();
  const { past } = useMoment();
  const { connection, heardAt } = status;
  const away = formatAge(now - connection.since);
  const isStream = connection.kind === 'live' && connection.way === 'stream';
  const text = {
    live: `${past ? 'Connected' : 'Live'}${isStream ? ', no WebSocket' : ''}`,
    connecting: 'Connecting …',
    reconnecting: `Reconnecting, ${away}`,
    lost: `Server lost ${away} ago`,
  }[face];
  const hint = {
    live: isStream
      ? 'No WebSocket gets through to the fleet server, perhaps because of a proxy. Changes arrive as server-sent events.'
      : 'Connected to the fleet server. Changes arrive by themselves.',
    connecting: 'Asking the fleet server for a live connection.',
    reconnecting: 'The live connection ended; it is being opened again.',
    lost: heardAt === null ? 'The fleet server was not heard yet.' : `Last heard at ${formatClock(heardAt)}.`,
  }[face];
  return (
    <span className={classes.pill} data-face={face} data-way={isStream ? 'stream' : undefined} title={hint} role="status" aria-label={`Connection: ${text}`}>
      {face === 'live' ? <LiveIcon size={14} /> : <UnpluggedIcon size={14} />}
      {text}
    </span>
  );
}

function ServerClock({ version }: { version: string | undefined }) {
  const now = useServerNow();
  return (
    <span className={classes.clock}>
      <time dateTime={new Date(now).toISOString()} title={`The server’s clock: ${formatUtc(now)}`}>{formatClock(now)}</time>
      <span className={classes.version} title="Version of the fleet server">{version === undefined ? '' : `v${version}`}</span>
    </span>
  );
}

const SCHEMES = [
  { value: 'light', label: 'Light', Icon: SunIcon },
  { value: 'dark', label: 'Dark', Icon: MoonIcon },
  { value: 'auto', label: 'As the system', Icon: AutoIcon },
] as const;

function SchemeMenu() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const current = SCHEMES.find((scheme) => scheme.value === colorScheme) ?? SCHEMES[2];
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" size="lg" aria-label={`Colours: ${current.label}`} title={`Colours: ${current.label}`}>
          <current.Icon size={18} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        {SCHEMES.map(({ value, label, Icon }) => (
          <Menu.Item
            key={value}
            leftSection={<Icon />}
            role="menuitemradio"
            aria-checked={value === colorScheme}
            className={value === colorScheme ? classes.checked : undefined}
            onClick={() => setColorScheme(value)}
          >
            {label}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}
