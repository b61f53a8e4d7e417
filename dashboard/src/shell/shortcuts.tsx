import { Modal } from '@mantine/core';
import classes from './shell.module.css';

const SHORTCUTS: { title: string; keys: [string[], string][] }[] = [
  {
    title: 'Everywhere',
    keys: [
      [['f'], 'Fleet'],
      [['e'], 'Events'],
      [['a'], 'Access'],
      [['/'], 'Search or filter'],
      [['t'], 'Light, dark, as the system'],
      [['?'], 'This help'],
    ],
  },
  {
    title: 'Time',
    keys: [
      [['['], 'To the event before'],
      [[']'], 'To the event after'],
      [['k'], 'Play or pause the past'],
      [['l', 'Esc'], 'Back to live'],
      [['←', '→'], 'On the timeline: earlier, later'],
    ],
  },
  {
    title: 'Table of machines',
    keys: [
      [['↑', '↓'], 'Row before, row after'],
      [['Page ↑', 'Page ↓'], 'A page of rows'],
      [['Home', 'End'], 'First row, last row'],
      [['Enter'], 'Open the machine'],
    ],
  },
];

export function Shortcuts({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  return (
    <Modal opened={opened} onClose={onClose} title="Keyboard shortcuts" closeButtonProps={{ 'aria-label': 'Close' }}>
      <div className={classes.shortcuts}>
        {SHORTCUTS.map((group) => (
          <section key={group.title}>
            <h3>{group.title}</h3>
            <dl>
              {group.keys.map(([keys, what]) => (
                <div key={what}>
                  <dt>{keys.map((key) => <kbd key={key}>{key}</kbd>)}</dt>
                  <dd>{what}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </Modal>
  );
}
