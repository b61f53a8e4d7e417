/** A rule of one's own: when it holds, what it does then, and what it would do to somebody before it is in force. */
import { Button, Checkbox, NativeSelect, SegmentedControl, Textarea, TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { checkQuery, peopleQuery, policiesQuery, putPolicy } from '@/api/access';
import type { AccessPolicy, Permission, PolicyEffect, PutPolicy } from '@/api/types';
import { ApiError, type Answer } from '@/api/client';
import { oneLine, REASON_MAX_CHARS } from '@/kit/confirm';
import { Waits, waitsAs } from '@/kit/refused';
import classes from './access.module.css';
import { DryRun } from './dry-run';
import { faultAt, Refusal } from './parts';
import own from './policy-form.module.css';
import { shownName } from './use-me';

export const POLICY_MAX_CHARS = 2_000;
const POLICY_NAME_MAX_CHARS = 64;
const isPolicyName = (name: string) => /^[a-z0-9-]+$/.test(name);
/** The server looks at what was written when nothing was written for so long. */
const LOOK_AFTER_MS = 400;
const PERMISSIONS: readonly Permission[] = ['read', 'stop', 'operate', 'diagnose', 'deploy', 'configure', 'enrol', 'administer', 'audit'];

const EXAMPLES: [string, string][] = [
  ['machine.labels.line == "3"', 'on machines of line 3'],
  ['now.getHours("Europe/Berlin") >= 20', 'after eight in the evening'],
  ['person.name.endsWith("@example.com")', 'for people of one company'],
];

const SECOND_EXAMPLES: [string, string][] = [
  ['true', 'always'],
  ['action == "people.remove"', 'to remove people'],
];

const EFFECTS: { value: PolicyEffect; label: string }[] = [
  { value: 'forbid', label: 'Forbids' }, { value: 'permit', label: 'Permits' }, { value: 'second_person', label: 'Asks for a second person' },
];
const MEANINGS: Record<PolicyEffect, string> = {
  forbid: 'nobody may, whatever is granted',
  permit: 'somebody may, though nothing grants it',
  second_person: 'whoever may, may not alone',
};

/** What is seen is decided by grants alone, and a stop waits for nobody. */
const isAbout = (effect: PolicyEffect, permission: Permission) => permission !== 'read' && (effect !== 'second_person' || permission !== 'stop');

export function PolicyForm({ based, onDone }: { based: Answer<AccessPolicy> | null; onDone: () => void }) {
  const queries = useQueryClient();
  const people = useQuery(peopleQuery).data?.items ?? [];
  const [name, setName] = useState(based?.document.name ?? '');
  const [effect, setEffect] = useState<PolicyEffect>(based?.document.effect ?? 'forbid');
  const [permissions, setPermissions] = useState<readonly Permission[]>(based?.document.permissions ?? []);
  const [condition, setCondition] = useState(based?.document.condition ?? '');
  const [description, setDescription] = useState(based?.document.description ?? '');
  const [reason, setReason] = useState('');
  const [chosen, setChosen] = useState<string | null>(null);
  const person = chosen ?? people[0]?.name;
  const about = permissions.filter((each) => isAbout(effect, each));
  const [settled] = useDebouncedValue(condition.trim(), LOOK_AFTER_MS);
  // What is missing besides the expression does not keep anybody from trying it.
  const tried: PutPolicy = { effect, permissions: about, condition: settled, description: description.trim() || 'being written', reason: 'tried, not in force' };
  const check = useQuery({ ...checkQuery({ person: person ?? '', policy: tried }), enabled: person !== undefined && settled !== '' });
  const save = useMutation({
    mutationFn: () => putPolicy(name, { effect, permissions: about, condition: condition.trim(), description: description.trim(), reason: reason.trim() }, based?.etag ?? null),
    onSuccess: () => {
      for (const queryKey of [policiesQuery.queryKey, ['access-check'], ['mine'], ['me']]) void queries.invalidateQueries({ queryKey });
      onDone();
    },
  });
  const wrong = settled === condition.trim() && check.error !== null ? (faultAt(check.error, 'body.condition') ?? check.error.message) : undefined;
  const ready = isPolicyName(name) && condition.trim() !== '' && description.trim() !== '' && reason.trim() !== '' && wrong === undefined;
  const conflict = save.error instanceof ApiError && save.error.problem.status === 412;
  const proposal = waitsAs(save.error);
  if (proposal !== null) return <Waits proposal={proposal} onClose={onDone} />;
  return (
    <form
      className={classes.form}
      onSubmit={(event) => {
        event.preventDefault();
        if (ready && !save.isPending) save.mutate();
      }}
    >
      {based === null && <TextInput label="Name" placeholder="night" required withAsterisk={false} maxLength={POLICY_NAME_MAX_CHARS} value={name} data-autofocus error={name !== '' && !isPolicyName(name) ? 'Only a-z, 0-9 and “-” are accepted' : undefined} onChange={(event) => setName(event.currentTarget.value)} />}
      <div className={own.effect}>
        <SegmentedControl aria-label="What it does" data={EFFECTS} value={effect} onChange={(value) => setEffect(value as PolicyEffect)} />
        <span className="muted">{MEANINGS[effect]}</span>
      </div>
      {effect === 'second_person' && (
        <p className="muted">Whoever may do it proposes it, and it is done when somebody else who may do it approves, within 24 hours. It is never about <b>read</b> and <b>stop</b>: a stop waits for nobody.</p>
      )}
      <fieldset className={own.permissions}>
        <legend>What it is about{about.length === 0 && <span className="muted">: everything{effect === 'second_person' && ' but read and stop'}, as nothing is chosen</span>}</legend>
        {PERMISSIONS.filter((each) => isAbout(effect, each)).map((each) => (
          <Checkbox key={each} size="sm" label={each} checked={permissions.includes(each)} onChange={(event) => setPermissions(event.currentTarget.checked ? [...permissions, each] : permissions.filter((other) => other !== each))} />
        ))}
      </fieldset>
      <Textarea
        label="When it holds"
        description={effect === 'second_person' ? 'An expression in CEL over person, machine, permission, action and now; action is the word of the audit log, like people.change' : 'An expression in CEL over person, machine, permission and now'}
        classNames={{ input: own.code ?? '' }}
        autosize
        minRows={3}
        maxRows={12}
        spellCheck={false}
        maxLength={POLICY_MAX_CHARS}
        value={condition}
        error={wrong ?? faultAt(save.error, 'body.condition')}
        onChange={(event) => setCondition(event.currentTarget.value)}
      />
      {condition === '' && (
        <ul className={own.examples} aria-label="Examples">
          {[...(effect === 'second_person' ? SECOND_EXAMPLES : []), ...EXAMPLES].map(([text, meaning]) => <li key={text}><button type="button" className={classes.link} onClick={() => setCondition(text)}><code>{text}</code></button> <span className="muted">{meaning}</span></li>)}
        </ul>
      )}
      <TextInput label="What it is for" description="Told to whoever meets it" required withAsterisk={false} maxLength={REASON_MAX_CHARS} value={description} error={faultAt(save.error, 'body.description')} onChange={(event) => setDescription(oneLine(event.currentTarget.value))} />
      {person !== undefined && settled !== '' && wrong === undefined && (
        <section className={own.tried} aria-label="What it would do">
          <h3>What it would do</h3>
          <NativeSelect label="Person" maw={320} value={person} data={people.map((each) => ({ value: each.name, label: shownName(each) }))} onChange={(event) => setChosen(event.currentTarget.value)} />
          <DryRun person={person} policy={tried} />
        </section>
      )}
      <TextInput label="Why it is changed" description="Kept in the audit log" required maxLength={REASON_MAX_CHARS} value={reason} onChange={(event) => setReason(oneLine(event.currentTarget.value))} />
      {conflict
        ? <p className={classes.refused} role="alert">{based === null ? `There is a policy called ${name} already.` : 'Somebody else changed it meanwhile: close this, look at theirs, and change it again.'}</p>
        : <Refusal error={save.error} told={['body.condition', 'body.description']} />}
      <div className={classes.buttons} data-end>
        <Button variant="default" onClick={onDone}>Cancel</Button>
        <Button type="submit" loading={save.isPending} disabled={!ready}>Put it in force</Button>
      </div>
    </form>
  );
}
