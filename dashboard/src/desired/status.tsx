/** How a desired section stands: shape, word and colour together. */
import type { DesiredStatus } from '@/api/types';
import { AttentionIcon, FailedIcon, OkIcon, UnknownIcon, UpdatingIcon } from '@/kit/icons';
import classes from './desired.module.css';

const LOOKS = {
  pending: { label: 'Pending', Icon: UpdatingIcon },
  applied: { label: 'Applied', Icon: OkIcon },
  refused: { label: 'Refused', Icon: FailedIcon },
  conflict: { label: 'Conflict', Icon: AttentionIcon },
};

export function Status({ status }: { status: DesiredStatus }) {
  const { label, Icon } = (LOOKS as Partial<Record<string, (typeof LOOKS)['pending']>>)[status] ?? { label: status, Icon: UnknownIcon };
  return <span className={classes.status} data-status={status}><Icon />{label}</span>;
}
