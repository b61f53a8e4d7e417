/** Tokens for programs: which there are, making one, revoking one. */
import { Button, Checkbox, Modal, NativeSelect, TextInput } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { makeToken, peopleQuery, revokeToken, tokensQuery } from '@/api/access';
import type { AccessToken, TokenMade } from '@/api/types';
import { Confirm } from '@/kit/confirm';
import { Empty, Failure, Loading, StaleNote } from '@/kit/faces';
import { formatAge } from '@/kit/format';
import { AttentionIcon, PlusIcon } from '@/kit/icons';
import panel from '@/kit/panel.module.css';
import { Waits, waitsAs } from '@/kit/refused';
import { Age, Moment } from '@/kit/times';
import { useServerNow } from '@/live/use-live';
import { parseMoment } from '@/time/moment';
import classes from './access.module.css';
import { areSound, GrantsEditor, toGrants, type GrantDraft } from './grants-editor';
import { faultAt, Grants, Refusal, Secret } from './parts';
import { useMe } from './use-me';

const TOKEN_NAME_MAX_CHARS = 100;
/** From then on it is said that a token ends. */
const ENDS_SOON_MS = 7 * 86_400_000;

const LIVES = [
  { value: '3600', label: 'an hour' },
  { value: '86400', label: 'a day' },
  { value: '604800', label: '7 days' },
  { value: '2592000', label: '30 days' },
  { value: '7776000', label: '90 days' },
  { value: '31536000', label: 'a year' },
];

interface TokensProps {
  /** Only those of this person; all of them if not said. */
  owner: string | undefined;
  /** Whether one can be made for somebody else. */
  forOthers: boolean;
  /** Who looks, for whom one is made unless somebody else is chosen. */
  self: string;
}

export function Tokens({ owner, forOthers, self }: TokensProps) {
  const queries = useQueryClient();
  const query = useQuery(tokensQuery);
  const [making, setMaking] = useState(false);
  const [revoking, setRevoking] = useState<AccessToken | null>(null);
  const [asks, setAsks] = useState(false);
  const revoke = useMutation({
    mutationFn: (token: AccessToken) => revokeToken(token.id),
    onSuccess: () => {
      setAsks(false);
      void queries.invalidateQueries({ queryKey: tokensQuery.queryKey });
    },
  });
  const items = query.data?.items.filter((each) => owner === undefined || each.owner === owner);
  return (
    <>
      {query.isPending && <Loading what="tokens" />}
      {query.isError && items === undefined && <Failure error={query.error} what="the tokens" retry={() => void query.refetch()} />}
      {query.isError && items !== undefined && <StaleNote>The tokens could not be asked for again: {query.error.message}</StaleNote>}
      {items?.length === 0 && <Empty title="There are no tokens">A program that reads the fleet or acts on it, such as a script, signs in with a token instead of a password.</Empty>}
      {items !== undefined && items.length > 0 && (
        <div className={panel.scroll}>
          <table className={`${panel.table} ${classes.table}`}>
            <thead>
              <tr><th scope="col">For</th>{owner === undefined && <th scope="col">Whose</th>}<th scope="col">Narrowed to</th><th scope="col">Since</th><th scope="col">Used</th><th scope="col">Ends</th><th><span className="sr-only">Revoke</span></th></tr>
            </thead>
            <tbody>
              {items.map((token) => (
                <tr key={token.id}>
                  <td><strong>{token.name}</strong> <span className="mono muted">{token.id}</span></td>
                  {owner === undefined && <td>{token.owner}</td>}
                  <td><Grants grants={token.grants} none="all that its owner may" /></td>
                  <td><Moment at={token.created_at} /></td>
                  <td><Age at={token.used_at} ago />{token.used_from !== undefined && <span className="muted">, from <span className="mono">{token.used_from}</span></span>}</td>
                  <td><Ends at={token.expires_at} /></td>
                  <td className={classes.action}><Button variant="default" size="xs" aria-label={`Revoke ${token.name}`} onClick={() => { revoke.reset(); setRevoking(token); setAsks(true); }}>Revoke …</Button></td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <div className={classes.buttons}><Button variant="default" size="sm" leftSection={<PlusIcon size={14} />} onClick={() => setMaking(true)} aria-haspopup="dialog">Make a token</Button></div>
      <Modal opened={making} onClose={() => setMaking(false)} title="Make a token" size="lg" closeOnClickOutside={false} closeButtonProps={{ 'aria-label': 'Close' }} attributes={{ header: { role: 'presentation' } }}>
        <MakeToken self={owner ?? self} forOthers={forOthers && owner === undefined} onDone={() => setMaking(false)} />
      </Modal>
      <Confirm
        title={`Revoke ${revoking?.name ?? ''}`}
        action="Revoke it"
        opened={asks}
        asksWhy={false}
        busy={revoke.isPending}
        error={revoke.error}
        onClose={() => setAsks(false)}
        onConfirm={() => (revoking === null ? undefined : revoke.mutate(revoking))}
      >
        <p>Whatever uses it is refused from its next request on. It cannot be taken back; a new one can be made.</p>
      </Confirm>
    </>
  );
}

function Ends({ at }: { at: string }) {
  const now = useServerNow();
  const ms = parseMoment(at) ?? 0;
  const left = ms - now;
  if (left <= 0) return <span className={classes.mark} data-tone="off">ended <Age at={at} ago /></span>;
  return <span className={classes.mark} data-tone={left < ENDS_SOON_MS ? 'warn' : undefined}>{left < ENDS_SOON_MS && <AttentionIcon size={14} />}in {formatAge(left)}</span>;
}

function MakeToken({ self, forOthers, onDone }: { self: string; forOthers: boolean; onDone: () => void }) {
  const queries = useQueryClient();
  const people = useQuery({ ...peopleQuery, enabled: forOthers });
  const me = useMe();
  const [name, setName] = useState('');
  const [chosen, setOwner] = useState<string | null>(null);
  // Where nobody has to sign in whoever looks needs no token, and others may.
  const owners = [...new Set([...(me?.trusts_loopback === true ? [] : [self]), ...(people.data?.items ?? []).filter((each) => !each.disabled).map((each) => each.name)])];
  const owner = chosen ?? owners[0];
  const [narrowed, setNarrowed] = useState(true);
  const [drafts, setDrafts] = useState<GrantDraft[]>([{ key: 0, role: 'viewer', everywhere: true, scope: '' }]);
  const [life, setLife] = useState('7776000');
  const make = useMutation({
    mutationFn: () => makeToken({ name: name.trim(), expires_in_s: Number(life), ...(owner !== undefined && owner !== self && { owner }), ...(narrowed && { grants: toGrants(drafts) }) }),
    onSuccess: () => void queries.invalidateQueries({ queryKey: tokensQuery.queryKey }),
  });
  if (make.data !== undefined) return <Made made={make.data} onDone={onDone} />;
  const proposal = waitsAs(make.error);
  if (proposal !== null) return <Waits proposal={proposal} onClose={onDone} />;
  if (owner === undefined && !people.isPending) return <Empty title="Nobody needs a token here">Everybody on this computer is let in. Add a person first: a token is always somebody’s.</Empty>;
  const ready = name.trim() !== '' && (!narrowed || (areSound(drafts) && drafts.length > 0));
  return (
    <form
      className={classes.form}
      onSubmit={(event) => {
        event.preventDefault();
        if (ready && !make.isPending) make.mutate();
      }}
    >
      <TextInput label="What it is for" placeholder="nightly report" required withAsterisk={false} maxLength={TOKEN_NAME_MAX_CHARS} value={name} data-autofocus error={faultAt(make.error, 'body.name')} onChange={(event) => setName(event.currentTarget.value)} />
      {forOthers && (
        <NativeSelect
          label="Whose"
          description="It can never do what they cannot"
          value={owner ?? ''}
          data={owners}
          onChange={(event) => setOwner(event.currentTarget.value)}
        />
      )}
      <NativeSelect label="Ends after" value={life} data={LIVES} onChange={(event) => setLife(event.currentTarget.value)} />
      <Checkbox label="May do less than its owner" description="What a program does not need it should not be able to do" checked={narrowed} onChange={(event) => setNarrowed(event.currentTarget.checked)} />
      {narrowed && <GrantsEditor drafts={drafts} onDrafts={setDrafts} faults={(index) => faultAt(make.error, `body.grants.${index}`)} />}
      <Refusal error={make.error} told={['body.name', 'body.grants']} />
      <div className={classes.buttons} data-end>
        <Button variant="default" onClick={onDone}>Cancel</Button>
        <Button type="submit" loading={make.isPending} disabled={!ready}>Make it</Button>
      </div>
    </form>
  );
}

function Made({ made, onDone }: { made: TokenMade; onDone: () => void }) {
  return (
    <div className={classes.form}>
      <p><strong>{made.token.name}</strong> is made. <strong>It is shown only now</strong>: put it where the program finds it.</p>
      <Secret text={made.secret} label="Copy the token" />
      <p className="muted">It goes with each request, as <span className="mono">Authorization: Bearer {made.secret.slice(0, 9)}…</span>; the command line reads it from <span className="mono">MUSTER_TOKEN</span>.</p>
      <div className={classes.buttons} data-end><Button onClick={onDone}>I have kept it</Button></div>
    </div>
  );
}
