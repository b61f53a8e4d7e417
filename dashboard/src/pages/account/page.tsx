/** Oneself: what is granted, the password, the second factor, where one is signed in, the tokens. */
import { SecondFactor } from '@/access/second-factor';
import { Sessions } from '@/access/sessions';
import { PasswordForm } from '@/access/password';
import { Grants } from '@/access/parts';
import { Tokens } from '@/access/tokens';
import { shownName, useMe } from '@/access/use-me';
import classes from '@/access/access.module.css';
import { Empty } from '@/kit/faces';
import { Moment } from '@/kit/times';
import { useTitle } from '@/kit/use-title';

export function AccountPage() {
  useTitle('Your account');
  const me = useMe();
  if (me === null) return null;
  const name = me.name ?? '';
  if (me.trusts_loopback) {
    return (
      <Empty whole title="Nobody has to sign in here">
        Everybody on this computer is the person <span className="mono">local</span>, who may do everything: there is no password, and nothing to end.
      </Empty>
    );
  }
  return (
    <div className={classes.page} data-narrow>
      <div className={classes.head}>
        <h1>{shownName(me)}</h1>
        <span className="muted">signs in as <span className="mono">{name}</span>{me.expires_at !== undefined && <>, this session ends at the latest at <Moment at={me.expires_at} /></>}</span>
      </div>
      <section className={classes.panel} aria-label="What you may do">
        <h2>What you may do</h2>
        <div className={classes.mine}><Grants grants={me.grants} none="Nothing is granted to you yet: ask somebody who administers the fleet." /></div>
      </section>
      <section className={classes.panel} id="password" aria-label="Password">
        <h2>Password</h2>
        {me.provider !== undefined && <p>If you sign in with {me.provider}, your password is there.</p>}
        <PasswordForm person={name} own hasOne />
      </section>
      <section className={classes.panel} id="second-factor" aria-label="Second factor">
        <h2>Second factor</h2>
        <SecondFactor person={name} on={me.second_factor} />
      </section>
      <section className={classes.panel} id="sessions" aria-label="Your sessions">
        <h2>Your sessions</h2>
        <Sessions person={name} />
      </section>
      <section className={classes.panel} id="tokens" aria-label="Your tokens">
        <h2>Your tokens</h2>
        <Tokens owner={name} self={name} forOthers={false} />
      </section>
    </div>
  );
}
