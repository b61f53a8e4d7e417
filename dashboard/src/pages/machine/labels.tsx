/** The labels of a machine, and changing them. */
import { ActionIcon, Button, Modal, TextInput } from '@mantine/core';
import { useState } from 'react';
import { LABELS } from '@/api/profile';
import type { Labels as LabelsDocument, Machine } from '@/api/types';
import { LABEL_KEY_MAX_CHARS, LABEL_VALUE_MAX_CHARS, LABELS_MAX } from '@/api/vocabulary';
import { CloseIcon, EditIcon, PlusIcon } from '@/kit/icons';
import { Permitted, usePermit } from '@/kit/permit';
import { Waits } from '@/kit/refused';
import { useMoment } from '@/time/use-moment';
import { checkLabels, toLabels, toPairs, type Pair } from './label-pairs';
import classes from './page.module.css';
import { refusal, useEdit } from './use-edit';

export function Labels({ machine }: { machine: Machine }) {
  const { past } = useMoment();
  const permit = usePermit('configure', machine.summary.id);
  const [pairs, setPairs] = useState<Pair[] | null>(null);
  const edit = useEdit(machine.summary.id, LABELS, () => setPairs(null));
  const labels = Object.entries(machine.summary.labels);
  const start = async () => {
    setPairs(toPairs(machine.summary.labels));
    const now = await edit.begin();
    if (now !== null) setPairs(toPairs(now.labels));
  };
  return (
    <>
      <div className={classes.labels} role="group" aria-label="Labels">
        {labels.map(([key, value]) => <span key={key} className={classes.label}>{key}<b>{value}</b></span>)}
        {labels.length === 0 && <span className="muted">No labels</span>}
        {!past && (
          <Permitted by={permit}>
            <ActionIcon variant="subtle" color="gray" aria-label="Change the labels" title="Change the labels" onClick={() => void start()}><EditIcon /></ActionIcon>
          </Permitted>
        )}
        <Modal opened={pairs !== null && !past} onClose={() => setPairs(null)} title={`Labels of ${machine.summary.name}`} size="lg" closeButtonProps={{ 'aria-label': 'Close' }}>
          {pairs !== null && <Editor pairs={pairs} onPairs={setPairs} edit={edit} onCancel={() => setPairs(null)} />}
        </Modal>
      </div>
      {!past && edit.waits !== null && <div className={classes.waits}><Waits proposal={edit.waits} /></div>}
    </>
  );
}

interface EditorProps {
  pairs: Pair[];
  onPairs: (pairs: Pair[]) => void;
  edit: ReturnType<typeof useEdit<LabelsDocument>>;
  onCancel: () => void;
}

function Editor({ pairs, onPairs, edit, onCancel }: EditorProps) {
  const wrong = checkLabels(pairs);
  const change = (row: number, part: Partial<Pair>) => onPairs(pairs.map((pair) => (pair.row === row ? { ...pair, ...part } : pair)));
  const { theirs } = edit;
  return (
    <form
      className={classes.editor}
      onSubmit={(event) => {
        event.preventDefault();
        if (wrong.size === 0) edit.save({ labels: toLabels(pairs) });
      }}
    >
      {pairs.map((pair) => (
        <div key={pair.row} className={classes.pair}>
          <TextInput
            aria-label="Label"
            placeholder="line"
            value={pair.key}
            maxLength={LABEL_KEY_MAX_CHARS}
            error={wrong.get(pair.row)}
            onChange={(event) => change(pair.row, { key: event.currentTarget.value })}
          />
          <TextInput
            aria-label={`Value of ${pair.key === '' ? 'the label' : pair.key}`}
            placeholder="3"
            value={pair.value}
            maxLength={LABEL_VALUE_MAX_CHARS}
            onChange={(event) => change(pair.row, { value: event.currentTarget.value })}
          />
          <ActionIcon variant="subtle" color="gray" size="lg" aria-label={`Remove ${pair.key === '' ? 'this label' : pair.key}`} onClick={() => onPairs(pairs.filter((each) => each !== pair))}>
            <CloseIcon />
          </ActionIcon>
        </div>
      ))}
      <Button
        variant="default"
        size="xs"
        leftSection={<PlusIcon size={14} />}
        disabled={pairs.length >= LABELS_MAX}
        onClick={() => onPairs([...pairs, { row: Math.max(0, ...pairs.map((pair) => pair.row)) + 1, key: '', value: '' }])}
      >
        Add a label
      </Button>
      {theirs !== null && (
        <div className={classes.conflict} role="alert">
          Somebody else changed the labels meanwhile. Theirs:{' '}
          {Object.entries(theirs.labels).map(([key, value]) => <span key={key} className={classes.label}>{key}<b>{value}</b></span>)}
          {Object.keys(theirs.labels).length === 0 && 'none'}
          <button type="button" onClick={() => { onPairs(toPairs(theirs.labels)); edit.reset(); }}>Take theirs</button>
        </div>
      )}
      {edit.error !== null && <p className={classes.refused} role="alert">{refusal(edit.error)}</p>}
      <div className={classes.buttons}>
        <Button variant="default" onClick={onCancel}>Cancel</Button>
        <Button type="submit" loading={edit.saving} disabled={wrong.size > 0}>{theirs === null ? 'Save' : 'Save mine over it'}</Button>
      </div>
    </form>
  );
}
