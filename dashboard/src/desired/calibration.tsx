/** How the devices of a machine are calibrated: what is in force, what is desired, and where the two differ. */
import { Button, Modal, TextInput } from '@mantine/core';
import { useState } from 'react';
import type { Desired, Machine } from '@/api/types';
import { AttentionIcon, EditIcon, PlusIcon } from '@/kit/icons';
import panel from '@/kit/panel.module.css';
import { Permitted, usePermit } from '@/kit/permit';
import { Age } from '@/kit/times';
import { useMoment } from '@/time/use-moment';
import classes from './desired.module.css';
import { Editor } from './editor';
import { rows, type DeviceRow } from './profiles';

interface CalibrationsProps {
  machine: Machine;
  desired: Desired | undefined;
  etag: string | null;
}

interface Editing {
  row: DeviceRow;
  rollBack: boolean;
}

export function Calibrations({ machine, desired, etag }: CalibrationsProps) {
  const { past } = useMoment();
  const permit = usePermit('configure', machine.summary.id);
  const [editing, setEditing] = useState<Editing | null>(null);
  const [naming, setNaming] = useState<string | null>(null);
  const devices = rows(machine, desired);
  if (past && devices.length === 0) return null;
  const stop = () => setEditing(null);
  return (
    <section className={panel.panel} aria-label="Calibration">
      <div className={panel.head}>
        <h2>Calibration</h2>
        {devices.length === 0 && <span className="muted">none: values are taken as they are</span>}
        <span className={panel.spacer} />
        {!past && desired !== undefined && (
          <Permitted by={permit}>
            <Button variant="default" size="xs" leftSection={<PlusIcon size={14} />} onClick={() => setNaming('')}>Calibrate a device</Button>
          </Permitted>
        )}
      </div>
      {devices.length > 0 && (
        <div className={panel.scroll}>
          <table className={panel.table}>
            <thead><tr><th>Device</th><th>In force</th><th>Decided</th><th>Versions</th><th><span className="sr-only">Change</span></th></tr></thead>
            <tbody>
              {devices.map((row) => (
                <tr key={row.device}>
                  <td className="mono">{row.device}</td>
                  <td>
                    {row.reported === null || row.reported.version === 0 ? 'values as they are' : `version ${row.reported.version}`}
                    {row.reported?.drift !== undefined && (
                      <div className={classes.why}>
                        <span className={classes.status} data-status="conflict"><AttentionIcon />differs</span> {row.reported.drift}
                      </div>
                    )}
                  </td>
                  <td>{row.reported === null ? 'not by the machine yet' : <>{row.reported.source === 'local' ? 'at the machine' : 'by the server'}, <Age at={row.reported.since} ago /></>}</td>
                  <td>{row.reported?.versions ?? 0}</td>
                  <td>
                    {!past && desired !== undefined && (
                      <div className={classes.actions}>
                        <Permitted by={permit}>
                          <Button variant="default" size="xs" leftSection={<EditIcon />} aria-label={`Change ${row.device}`} onClick={() => setEditing({ row, rollBack: false })}>Change</Button>
                        </Permitted>
                        <Permitted by={permit}>
                          <Button variant="default" size="xs" aria-label={`Roll back ${row.device}`} onClick={() => setEditing({ row, rollBack: true })}>Roll back</Button>
                        </Permitted>
                      </div>
                    )}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <Modal opened={naming !== null && !past} onClose={() => setNaming(null)} title="Calibrate a device" closeButtonProps={{ 'aria-label': 'Close' }} attributes={{ header: { role: 'presentation' } }}>
        <form
          className={classes.editor}
          onSubmit={(event) => {
            event.preventDefault();
            const device = (naming ?? '').trim();
            if (device === '') return;
            setNaming(null);
            setEditing({ row: devices.find((row) => row.device === device) ?? { device, reported: null, desired: null }, rollBack: false });
          }}
        >
          <TextInput
            label="Device"
            description="A thermal zone (cpu-thermal), battery.volts, or a sensor or actuator of the machine file"
            value={naming ?? ''}
            maxLength={64}
            data-autofocus
            onChange={(event) => setNaming(event.currentTarget.value)}
          />
          <div className={classes.buttons}><Button type="submit" disabled={(naming ?? '').trim() === ''}>Go on</Button></div>
        </form>
      </Modal>
      <Modal
        opened={editing !== null && !past}
        onClose={stop}
        title={editing === null ? '' : `${editing.rollBack ? 'Roll back' : 'Calibrate'} ${editing.row.device} of ${machine.summary.name}`}
        size="xl"
        closeButtonProps={{ 'aria-label': 'Close' }}
        attributes={{ header: { role: 'presentation' } }}
      >
        {editing !== null && desired !== undefined && (
          <Editor key={editing.row.device} id={machine.summary.id} row={editing.row} rollBack={editing.rollBack} desired={desired} etag={etag} onDone={stop} />
        )}
      </Modal>
    </section>
  );
}
