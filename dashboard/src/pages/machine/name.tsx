/** The name of a machine, and changing it. */
import { ActionIcon, Button, TextInput } from '@mantine/core';
import { useState } from 'react';
import { DISPLAY_NAME } from '@/api/profile';
import type { Machine } from '@/api/types';
import { DISPLAY_NAME_MAX_CHARS } from '@/api/vocabulary';
import { EditIcon } from '@/kit/icons';
import { Permitted, usePermit } from '@/kit/permit';
import { Waits } from '@/kit/refused';
import { useMoment } from '@/time/use-moment';
import classes from './page.module.css';
import { refusal, useEdit } from './use-edit';

export function Name({ machine }: { machine: Machine }) {
  const { past } = useMoment();
  const permit = usePermit('configure', machine.summary.id);
  const [draft, setDraft] = useState<string | null>(null);
  const edit = useEdit(machine.summary.id, DISPLAY_NAME, () => setDraft(null));
  const own = machine.reported.identity?.name ?? '';
  const start = async () => {
    setDraft(machine.display_name ?? '');
    const now = await edit.begin();
    if (now !== null) setDraft(now.display_name ?? '');
  };
  const save = () => {
    const text = (draft ?? '').trim();
    edit.save({ display_name: text === '' ? null : text });
  };
  if (draft === null || past) {
    return (
      <>
        <div className={classes.name}>
          <h1>{machine.summary.name}</h1>
          {!past && (
            <Permitted by={permit}>
              <ActionIcon variant="subtle" color="gray" aria-label="Change the name" title="Change the name" onClick={() => void start()}><EditIcon /></ActionIcon>
            </Permitted>
          )}
          {machine.display_name !== null && own !== '' && own !== machine.display_name && <span className="muted">calls itself {own}</span>}
        </div>
        {!past && edit.waits !== null && <div className={classes.waits}><Waits proposal={edit.waits} /></div>}
      </>
    );
  }
  return (
    <form
      className={classes.nameForm}
      onSubmit={(event) => {
        event.preventDefault();
        save();
      }}
    >
      <TextInput
        aria-label="Name shown for this machine"
        placeholder={own}
        description="Empty: the name the machine calls itself"
        inputWrapperOrder={['input', 'description', 'error']}
        value={draft}
        maxLength={DISPLAY_NAME_MAX_CHARS}
        data-autofocus
        // The person just asked for this field.
        // oxlint-disable-next-line jsx-a11y/no-autofocus
        autoFocus
        w={320}
        error={edit.error === null ? undefined : refusal(edit.error)}
        onChange={(event) => setDraft(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === 'Escape') {
            event.stopPropagation();
            setDraft(null);
          }
        }}
      />
      <Button type="submit" loading={edit.saving}>{edit.theirs === null ? 'Save' : 'Save mine over it'}</Button>
      <Button variant="default" onClick={() => setDraft(null)}>Cancel</Button>
      {edit.theirs !== null && (
        <p className={classes.conflict} role="alert">
          Somebody else changed the name to “{edit.theirs.display_name ?? own}” meanwhile.{' '}
          <button type="button" onClick={() => setDraft(null)}>Keep theirs</button>
        </p>
      )}
    </form>
  );
}
