/** Who is signed in, in the header; or that nobody has to be. */
import { Button, Popover } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { useMutation } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { grantInWords, shownName } from '@/access/use-me';
import { signOut } from '@/api/access';
import type { Me } from '@/api/types';
import { tellOtherTabs } from '@/api/client';
import { PersonIcon, UnlockedIcon } from '@/kit/icons';
import classes from './shell.module.css';

const NOW = { at: undefined };

const LINKS = [['password', 'Password'], ['second-factor', 'Second factor'], ['sessions', 'Your sessions'], ['tokens', 'Your tokens']] as const;

export function PersonMenu({ me }: { me: Me }) {
  const [opened, { toggle, close }] = useDisclosure(false);
  const out = useMutation({
    mutationFn: signOut,
    // Begins anew, so that nothing of what was loaded stays with the page.
    onSettled: (provider) => {
      tellOtherTabs();
      globalThis.location.assign(provider ?? '/');
    },
  });
  const name = shownName(me);
  return (
    <Popover opened={opened} onDismiss={close} position="bottom-end" width={250} shadow="md" withinPortal trapFocus returnFocus>
      <Popover.Target>
        <Button variant="subtle" color="gray" size="sm" px={10} className={classes.person} leftSection={<PersonIcon size={18} />} aria-label={`Signed in as ${name}`} onClick={toggle}>
          <span className={classes.personName}>{name}</span>
        </Button>
      </Popover.Target>
      <Popover.Dropdown p={0} aria-label={name}>
        <div className={classes.who}>
          <strong>{name}</strong>
          {me.name !== name && <span className="muted">{me.name}</span>}
          <ul aria-label="What is granted to you">
            {me.grants.length === 0 && <li className="muted">Nothing is granted to you yet.</li>}
            {me.grants.map((grant) => <li key={grantInWords(grant)}>{grantInWords(grant)}</li>)}
          </ul>
        </div>
        <nav className={classes.whoLinks} aria-label="Your account">
          {LINKS.map(([hash, label]) => (
            <Link key={hash} to="/account" search={NOW} hash={hash} onClick={close}>{label}{hash === 'second-factor' && !me.second_factor && <span className="muted">, off</span>}</Link>
          ))}
        </nav>
        <div className={classes.whoOut}>
          <Button variant="subtle" color="gray" size="sm" fullWidth justify="flex-start" px={12} loading={out.isPending} onClick={() => out.mutate()}>Sign out</Button>
        </div>
      </Popover.Dropdown>
    </Popover>
  );
}

/** Quiet, and always there: nobody should take this for a server that asks who one is. */
export function LocalMark() {
  return (
    <Popover position="bottom-end" width={360} shadow="md" withinPortal trapFocus>
      <Popover.Target>
        <button type="button" className={classes.local} aria-label="Local: everybody on this computer may do everything">
          <UnlockedIcon size={14} />Local
        </button>
      </Popover.Target>
      <Popover.Dropdown aria-label="Nobody has to sign in">
        <div className={classes.about}>
          <h2>Nobody has to sign in here</h2>
          <p>Everybody on this computer may do everything, as the person <span className="mono">local</span>. The server was started so, and can be reached from this computer only.</p>
          <p>For a fleet of your own start <span className="mono">muster serve</span>: it asks who people are.</p>
          <p><Link to="/access" search={NOW}>Who could do what</Link></p>
        </div>
      </Popover.Dropdown>
    </Popover>
  );
}
