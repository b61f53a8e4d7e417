/** Asks before something is done that cannot be taken back, and why where that is kept. */
import { Button, Modal, Textarea } from '@mantine/core';
import { useState, type ReactNode } from 'react';
import classes from './confirm.module.css';
import { sentence } from './format';

export const REASON_MAX_CHARS = 500;

export const oneLine = (text: string) => text.replaceAll(/\p{Cc}+/gu, ' ');

interface ConfirmProps {
  title: string;
  /** What the button says. */
  action: string;
  opened: boolean;
  asksWhy: boolean;
  busy: boolean;
  error: Error | null;
  onClose: () => void;
  onConfirm: (reason: string) => void;
  children: ReactNode;
}

export function Confirm({ title, action, opened, asksWhy, busy, error, onClose, onConfirm, children }: ConfirmProps) {
  const [reason, setReason] = useState('');
  const ready = (!asksWhy || reason.trim() !== '') && !busy;
  return (
    <Modal opened={opened} onClose={onClose} onExitTransitionEnd={() => setReason('')} title={title} closeButtonProps={{ 'aria-label': 'Close' }} attributes={{ header: { role: 'presentation' } }}>
      <form
        className={classes.form}
        onSubmit={(event) => {
          event.preventDefault();
          if (ready) onConfirm(reason.trim());
        }}
      >
        <div>{children}</div>
        {asksWhy && (
          <Textarea
            label="Why"
            description="Kept in the audit log"
            required
            autosize
            minRows={2}
            maxLength={REASON_MAX_CHARS}
            value={reason}
            data-autofocus
            onChange={(event) => setReason(oneLine(event.currentTarget.value))}
          />
        )}
        {error !== null && <p className={classes.refused} role="alert">{sentence(error.message)}</p>}
        <div className={classes.buttons}>
          <Button variant="default" onClick={onClose}>Cancel</Button>
          <Button type="submit" className={classes.danger} loading={busy} disabled={!ready}>{action}</Button>
        </div>
      </form>
    </Modal>
  );
}
