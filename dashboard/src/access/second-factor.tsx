/** The second factor: a code of an authenticator besides the password, and codes for the day it is lost. */
import { Button, TextInput } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { confirmSecondFactor, meQuery, offerSecondFactor, removeSecondFactor } from '@/api/access';
import type { SecondFactorOffer } from '@/api/types';
import { Confirm } from '@/kit/confirm';
import { OkIcon } from '@/kit/icons';
import classes from './access.module.css';
import { Copy, faultAt, Refusal, Secret } from './parts';

export function SecondFactor({ person, on }: { person: string; on: boolean }) {
  const queries = useQueryClient();
  const [codes, setCodes] = useState<string[] | null>(null);
  const offer = useMutation({ mutationFn: offerSecondFactor });
  if (codes !== null) {
    return (
      <RecoveryCodes
        codes={codes}
        onDone={() => {
          setCodes(null);
          offer.reset();
          void queries.invalidateQueries({ queryKey: meQuery.queryKey });
        }}
      />
    );
  }
  if (offer.data !== undefined) return <Confirmation offer={offer.data} onCodes={setCodes} onCancel={offer.reset} />;
  return (
    <>
      <p>
        {on
          ? <span className={classes.mark} data-tone="good"><OkIcon />On: a code is asked for besides the password. For another authenticator switch it off and set it up again.</span>
          : 'Off. With it a password that somebody else learns is not enough: a code of an authenticator on your telephone is asked for besides.'}
      </p>
      <Refusal error={offer.error} />
      <div className={classes.buttons}>
        {on ? <RemoveSecondFactor person={person} own /> : <Button variant="default" loading={offer.isPending} onClick={() => offer.mutate()}>Set it up</Button>}
      </div>
    </>
  );
}

function Confirmation({ offer, onCodes, onCancel }: { offer: SecondFactorOffer; onCodes: (codes: string[]) => void; onCancel: () => void }) {
  const [code, setCode] = useState('');
  const confirm = useMutation({ mutationFn: () => confirmSecondFactor(code.replaceAll(' ', '')), onSuccess: (made) => onCodes(made.codes) });
  return (
    <div className={classes.enrol}>
      <img className={classes.qr} src={`data:image/svg+xml,${encodeURIComponent(offer.qr_svg)}`} alt="QR code for the authenticator" />
      <div>
        <p>Scan this with an authenticator, or type the secret into it:</p>
        <Secret text={offer.secret} label="Copy the secret" />
        <form
          className={classes.form}
          data-narrow
          onSubmit={(event) => {
            event.preventDefault();
            if (code.trim() !== '' && !confirm.isPending) confirm.mutate();
          }}
        >
          <TextInput
            label="The code that it shows"
            name="one-time-code"
            autoComplete="one-time-code"
            inputMode="numeric"
            value={code}
            // The person just asked for this.
            // oxlint-disable-next-line jsx-a11y/no-autofocus
            autoFocus
            error={faultAt(confirm.error, 'body.code')}
            onChange={(event) => setCode(event.currentTarget.value)}
          />
          <Refusal error={confirm.error} told={['body.code']} />
          <div className={classes.buttons}>
            <Button type="submit" loading={confirm.isPending} disabled={code.trim() === ''}>Switch it on</Button>
            <Button variant="default" onClick={onCancel}>Cancel</Button>
          </div>
        </form>
      </div>
    </div>
  );
}

function RecoveryCodes({ codes, onDone }: { codes: readonly string[]; onDone: () => void }) {
  return (
    <div className={`${classes.form} ${classes.printed}`}>
      <p className={classes.done} role="status"><OkIcon />The second factor is on.</p>
      <p>Each of these codes takes the place of the authenticator once, for the day it is lost. <strong>They are shown only now</strong>: keep them where the telephone is not.</p>
      <ol className={classes.codes} aria-label="Recovery codes">{codes.map((code) => <li key={code}>{code}</li>)}</ol>
      <div className={classes.buttons}>
        <Copy text={codes.join('\n')} label="Copy the codes" />
        <Button variant="default" size="xs" onClick={() => globalThis.print()}>Print</Button>
        <Button size="xs" onClick={onDone}>I have kept them</Button>
      </div>
    </div>
  );
}

export function RemoveSecondFactor({ person, own }: { person: string; own: boolean }) {
  const queries = useQueryClient();
  const [asks, setAsks] = useState(false);
  const remove = useMutation({
    mutationFn: () => removeSecondFactor(person),
    onSuccess: () => {
      setAsks(false);
      void queries.invalidateQueries({ queryKey: meQuery.queryKey });
      void queries.invalidateQueries({ queryKey: ['people'] });
    },
  });
  return (
    <>
      <Button variant="default" onClick={() => { remove.reset(); setAsks(true); }}>{own ? 'Switch it off …' : 'Remove the second factor …'}</Button>
      <Confirm
        title={own ? 'Switch the second factor off' : `Remove the second factor of ${person}`}
        action={own ? 'Switch it off' : 'Remove it'}
        opened={asks}
        asksWhy={false}
        busy={remove.isPending}
        error={remove.error}
        onClose={() => setAsks(false)}
        onConfirm={() => remove.mutate()}
      >
        <p>From then on the password alone is enough{own ? '' : ', until they set up another one'}. Be sure who asks for it: this is what somebody wants who has stolen a password.</p>
      </Confirm>
    </>
  );
}
