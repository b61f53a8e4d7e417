/** Making a token by which a machine becomes part of the fleet, and handing it over. */
import { Button, Checkbox, NativeSelect, Tabs, TextInput } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { renderSVG } from 'uqr';
import { enrolmentsQuery, makeEnrolment } from '@/api/identities';
import type { EnrolmentMade } from '@/api/types';
import { Waits, waitsAs } from '@/kit/refused';
import { Moment } from '@/kit/times';
import classes from './access.module.css';
import { cloudInit, enrolCommand, serverAddress } from './enrol';
import own from './enrol.module.css';
import { Copy, faultAt, Refusal } from './parts';

const KIND_MAX_CHARS = 32;
const NAME_MAX_CHARS = 100;

const LIVES = [
  { value: '3600', label: 'an hour' },
  { value: '86400', label: 'a day' },
  { value: '604800', label: '7 days' },
  { value: '2592000', label: '30 days' },
];

/** `site=munich line=3`; null where that is none. */
export function parseLabels(text: string): Record<string, string> | null {
  const pairs = text.split(/[\s,]+/).filter((pair) => pair !== '').map((pair) => pair.split(/=(.*)/s, 2));
  return pairs.every(([key, value]) => key !== '' && value !== undefined && value !== '') ? Object.fromEntries(pairs as [string, string][]) : null;
}

export function EnrolForm({ onDone }: { onDone: () => void }) {
  const queries = useQueryClient();
  const [kind, setKind] = useState('');
  const [name, setName] = useState('');
  const [text, setText] = useState('');
  const [life, setLife] = useState('3600');
  const [waits, setWaits] = useState(false);
  const labels = parseLabels(text);
  const make = useMutation({
    mutationFn: () =>
      makeEnrolment({
        labels: labels ?? {}, expires_in_s: Number(life), policy: waits ? 'pending' : 'accept',
        ...(kind !== '' && { kind }), ...(name.trim() !== '' && { name: name.trim() }),
      }),
    onSuccess: () => void queries.invalidateQueries({ queryKey: enrolmentsQuery.queryKey }),
  });
  if (make.data !== undefined) return <HandOver made={make.data} onDone={onDone} />;
  const proposal = waitsAs(make.error);
  if (proposal !== null) return <Waits proposal={proposal} onClose={onDone} />;
  return (
    <form
      className={classes.form}
      onSubmit={(event) => {
        event.preventDefault();
        if (labels !== null && !make.isPending) make.mutate();
      }}
    >
      <p>What stands here the machine gets with its certificate. It cannot choose any of it.</p>
      <TextInput label="Name" placeholder="frida" description="Empty: what it calls itself" maxLength={NAME_MAX_CHARS} value={name} data-autofocus error={faultAt(make.error, 'body.name')} onChange={(event) => setName(event.currentTarget.value)} />
      <TextInput label="Kind" placeholder="lekiwi" maxLength={KIND_MAX_CHARS} value={kind} error={faultAt(make.error, 'body.kind')} onChange={(event) => setKind(event.currentTarget.value.toLowerCase())} />
      <TextInput
        label="Labels"
        placeholder="site=munich line=3"
        description="What people are granted can depend on them"
        value={text}
        spellCheck={false}
        error={labels === null ? 'Write them like site=munich line=3' : faultAt(make.error, 'body.labels')}
        onChange={(event) => setText(event.currentTarget.value)}
      />
      <NativeSelect label="The token is good for" value={life} data={LIVES} onChange={(event) => setLife(event.currentTarget.value)} />
      <Checkbox label="It waits until a person accepts it" checked={waits} onChange={(event) => setWaits(event.currentTarget.checked)} />
      <Refusal error={make.error} told={['body.name', 'body.kind', 'body.labels']} />
      <div className={classes.buttons} data-end>
        <Button variant="default" onClick={onDone}>Cancel</Button>
        <Button type="submit" loading={make.isPending} disabled={labels === null}>Make a token</Button>
      </div>
    </form>
  );
}

/** The token, once, in all the ways in which it gets to a machine. */
export function HandOver({ made, onDone }: { made: EnrolmentMade; onDone: () => void }) {
  const [server, setServer] = useState(() => serverAddress(globalThis.location));
  const { token, enrolment } = made;
  const again = enrolment.machine_id !== null;
  const address = server.trim().replace(/\/+$/, '');
  const command = `${enrolCommand(token, address)}${again ? ' --again' : ''}`;
  const snippet = cloudInit(token, address);
  return (
    <div className={classes.form}>
      <p>
        For {again ? 'this machine alone' : 'one machine'}, until <Moment at={enrolment.expires_at} />. <strong>It is shown only now</strong>, and whoever has it becomes a machine of the fleet: hand it over as you would a key.
      </p>
      <TextInput label="Where the machine reaches the server" value={server} spellCheck={false} onChange={(event) => setServer(event.currentTarget.value)} />
      <Tabs defaultValue="command">
        <Tabs.List>
          <Tabs.Tab value="command">Command</Tabs.Tab>
          <Tabs.Tab value="code">Code for a camera</Tabs.Tab>
          <Tabs.Tab value="boot">cloud-init</Tabs.Tab>
          <Tabs.Tab value="token">Token alone</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="command" className={own.panel}><p>On the machine, as the user that runs it:</p><Text text={command} label="Copy the command" /></Tabs.Panel>
        <Tabs.Panel value="code" className={own.panel}>
          <p>The token, to be scanned beside the machine:</p>
          <img className={own.code} src={`data:image/svg+xml,${encodeURIComponent(renderSVG(token, { border: 2 }))}`} alt="QR code of the token" />
        </Tabs.Panel>
        <Tabs.Panel value="boot" className={own.panel}><p>For the first boot of a computer that has <span className="mono">muster-machine</span> and its unit:</p><Text text={snippet} label="Copy the snippet" /></Tabs.Panel>
        <Tabs.Panel value="token" className={own.panel}><Text text={token} label="Copy the token" /></Tabs.Panel>
      </Tabs>
      {enrolment.policy === 'pending' && <p>It then waits here until somebody accepts it.</p>}
      <div className={classes.buttons} data-end><Button onClick={onDone}>I have handed it over</Button></div>
    </div>
  );
}

function Text({ text, label }: { text: string; label: string }) {
  return (
    <div className={own.text}>
      {/* What scrolls must be reachable by keyboard. */}
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <pre tabIndex={0}>{text}</pre>
      <Copy text={text} label={label} />
    </div>
  );
}
