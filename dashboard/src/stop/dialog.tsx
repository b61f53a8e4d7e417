/** Asks why, says what a remote stop does and what it is not, and sends it. */
import { Button, Modal, Textarea } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState, type ReactNode } from 'react';
import { ApiError } from '@/api/client';
import { sendStop, type StopTarget } from '@/api/stop';
import type { StopsIssued } from '@/api/types';
import { STOP_REASON_MAX_CHARS } from '@/api/vocabulary';
import { StopIcon } from '@/kit/icons';
import classes from './stop.module.css';

interface DialogProps {
  target: StopTarget;
  /** Whom it would stop, in words: `frida`, `24 machines`. */
  whom: string;
  /** What the button says: `Stop this machine`. */
  action: string;
  opened: boolean;
  onClose: () => void;
  onSent: (issued: StopsIssued) => void;
  /** Shown instead of the question once it is sent. */
  sent?: ReactNode;
}

export function StopDialog({ target, whom, action, opened, onClose, onSent, sent }: DialogProps) {
  const queries = useQueryClient();
  const [reason, setReason] = useState('');
  const send = useMutation({
    mutationFn: () => sendStop(target, reason.trim()),
    onSuccess: (issued) => {
      void queries.invalidateQueries({ queryKey: ['machine'] });
      setReason('');
      onSent(issued);
    },
  });
  const close = () => {
    send.reset();
    onClose();
  };
  const empty = reason.trim() === '';
  return (
    <Modal
      opened={opened}
      onClose={close}
      title={`Remote stop: ${whom}`}
      size="lg"
      closeButtonProps={{ 'aria-label': 'Close' }}
      // Its head is no second banner of the page.
      attributes={{ header: { role: 'presentation' } }}
    >
      {sent ?? (
        <form
          className={classes.dialog}
          onSubmit={(event) => {
            event.preventDefault();
            if (!empty && !send.isPending) send.mutate();
          }}
        >
          <p>Everything that moves is stopped and held, until <strong>somebody at the machine</strong> lets it move again. That cannot be done from here.</p>
          <p className="muted">This is no emergency stop: it takes its way through this page, the server and the network. A machine that is away is told when it comes back.</p>
          <Textarea
            label="Why"
            description="Kept, and read by people at the machine"
            required
            autosize
            minRows={2}
            maxLength={STOP_REASON_MAX_CHARS}
            value={reason}
            data-autofocus
            onChange={(event) => setReason(event.currentTarget.value.replaceAll(/\p{Cc}+/gu, ' '))}
            onKeyDown={(event) => {
              if (event.key === 'Enter' && !event.shiftKey) {
                event.preventDefault();
                event.currentTarget.form?.requestSubmit();
              }
            }}
          />
          {send.error !== null && <p className={classes.refused} role="alert">{failure(send.error)}</p>}
          <div className={classes.buttons}>
            <Button variant="default" onClick={close}>Cancel</Button>
            <Button type="submit" className={classes.danger} leftSection={<StopIcon />} loading={send.isPending} disabled={empty}>{action}</Button>
          </div>
        </form>
      )}
    </Modal>
  );
}

const TOLD_WITHOUT_RECORD = 'MST-A033';

function failure(error: Error): string {
  if (error instanceof ApiError && error.unreachable) return 'The fleet server cannot be reached, and whether anything was stopped is not known: go to the machine.';
  // The machine was told; only the record of it is missing.
  if (error instanceof ApiError && error.problem.code === TOLD_WITHOUT_RECORD) return `${error.problem.title}. ${error.message}`;
  return `Nothing was stopped. ${error.message}`;
}
