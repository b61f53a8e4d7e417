/** A status or severity: colour, shape and word together, so that none of them has to be seen alone. */
import type { ComponentType } from 'react';
import type { Severity, StatusWord } from '@/api/types';
import {
  AttentionIcon, CriticalIcon, DebugIcon, FailedIcon, InfoIcon, LostIcon, OkIcon, ParkedIcon, UnknownIcon, UpdatingIcon,
} from './icons';
import classes from './status.module.css';

export interface StatusLook {
  label: string;
  Icon: ComponentType<{ size?: number }>;
  /** What the word means, for a hover. */
  about: string;
}

export const STATUS_LOOKS: Record<StatusWord, StatusLook> = {
  failed: { label: 'Failed', Icon: FailedIcon, about: 'Stopped for safety, or broken.' },
  lost: { label: 'Lost', Icon: LostIcon, about: 'Not heard of. What stands beside it is old.' },
  attention: { label: 'Attention', Icon: AttentionIcon, about: 'Works, with something that needs a look.' },
  updating: { label: 'Updating', Icon: UpdatingIcon, about: 'Being updated.' },
  parked: { label: 'Parked', Icon: ParkedIcon, about: 'Standing, secured, not in use.' },
  ok: { label: 'OK', Icon: OkIcon, about: 'As it should be.' },
  unknown: { label: 'Unknown', Icon: UnknownIcon, about: 'It never reported its state.' },
};

const UNHEARD_OF: StatusLook = { label: '?', Icon: UnknownIcon, about: 'A word this dashboard does not know.' };

export function statusLook(word: string): StatusLook {
  return (STATUS_LOOKS as Partial<Record<string, StatusLook>>)[word] ?? { ...UNHEARD_OF, label: word };
}

export function StatusChip({ word, big = false }: { word: StatusWord; big?: boolean }) {
  const { Icon, label } = statusLook(word);
  return (
    <span className={classes.chip} data-status={word} data-big={big || undefined}>
      <Icon size={big ? 20 : 16} />
      {label}
    </span>
  );
}

export const SEVERITY_LOOKS: Record<Severity, { label: string; Icon: ComponentType<{ size?: number }> }> = {
  debug: { label: 'Debug', Icon: DebugIcon },
  info: { label: 'Info', Icon: InfoIcon },
  warning: { label: 'Warning', Icon: AttentionIcon },
  error: { label: 'Error', Icon: FailedIcon },
  critical: { label: 'Critical', Icon: CriticalIcon },
};

export function SeverityMark({ severity }: { severity: Severity }) {
  const { Icon, label } = SEVERITY_LOOKS[severity] ?? SEVERITY_LOOKS.info;
  return (
    <span className={classes.severity} data-severity={severity}>
      <Icon />
      {label}
    </span>
  );
}
