/** Asks before something is done that cannot be taken back, and why where that is kept. */
import { Button, Modal, Textarea } from '@mantine/core';
import { useState, type ReactNode } from 'react';
import classes from './confirm.module.css';
import { Refused, waitsAs, Waits } from './refused';

export const REASON_MAX_CHARS = 500;

export const oneLine = (text: string) => text.replaceAll(/\p{Cc}+/gu, ' ');

interface ConfirmProps {
  title: string;
  /** What the button says. */
  action: string;
  opened: boolean;
  asksWhy: boolean | 'if wanted';
  /** Whether it is nothing to be afraid of. */
  calm?: boolean;
  size?: 'md' | 'lg';
  busy: boolean;
  error: Error | null;
  onClose: () => void;
  onConfirm: (reason: string) => void;
  children: ReactNode;
}

export function Confirm({ title, action, opened, asksWhy, calm = false, size = 'md', busy, error, onClose, onConfirm, children }: ConfirmProps) {
  const [reason, setReason] = useState('');
  const ready = (asksWhy !== true || reason.trim() !== '') && !busy;
  const proposal = waitsAs(error);
  return (
    <Modal opened={opened} onClose={onClose} onExitTransitionEnd={() => setReason('')} title={title} size={size} closeButtonProps={{ 'aria-label': 'Close' }} attributes={{ header: { role: 'presentation' } }}>
      {proposal !== null ? <Waits proposal={proposal} onClose={onClose} /> : (
        <form
          className={classes.form}
          onSubmit={(event) => {
            event.preventDefault();
            if (ready) onConfirm(reason.trim());
          }}
        >
          <div>{children}</div>
          {asksWhy !== false && (
            <Textarea
              label="Why"
              description={asksWhy === 'if wanted' ? 'Need not be said; kept in the audit log' : 'Kept in the audit log'}
              required={asksWhy === true}
              autosize
              minRows={2}
              maxLength={REASON_MAX_CHARS}
              value={reason}
              data-autofocus
              onChange={(event) => setReason(oneLine(event.currentTarget.value))}
            />
          )}
          <Refused error={error} className={classes.refused} />
          <div className={classes.buttons}>
            <Button variant="default" onClick={onClose}>Cancel</Button>
            <Button type="submit" className={calm ? undefined : classes.danger} loading={busy} disabled={!ready}>{action}</Button>
          </div>
        </form>
      )}
    </Modal>
  );
}
