/** What is connected to a machine: its devices, what they measure, and what they move. Shown where the machine file describes any. */
import type { Machine } from '@/api/types';
import { AttentionIcon } from '@/kit/icons';
import panel from '@/kit/panel.module.css';
import classes from './devices.module.css';

export function DevicesPanel({ machine }: { machine: Machine }) {
  const connected = machine.reported.devices;
  if (connected === undefined) return null;
  const sensors = connected.sensors ?? [];
  const actuators = connected.actuators ?? [];
  return (
    <section className={panel.panel} aria-label="Devices">
      <h2>Devices</h2>
      <div className={panel.scroll}>
        <table className={panel.table}>
          <thead><tr><th>Device</th><th>Type</th><th>What it says</th></tr></thead>
          <tbody>
            {connected.devices.map((device) => (
              <tr key={device.name}>
                <td className="mono">{device.name}</td>
                <td>{device.kind}</td>
                <td>{device.usable ? device.detail : <Bad words={device.detail} />}</td>
              </tr>
            ))}
          </tbody>
        </table>
        {sensors.length > 0 && (
          <table className={panel.table}>
            <thead><tr><th>Sensor</th><th>On</th><th>Unit</th><th>Readings</th></tr></thead>
            <tbody>
              {sensors.map((sensor) => (
                <tr key={sensor.name}>
                  <td className="mono">{sensor.name}</td>
                  <td className="mono">{sensor.device}</td>
                  <td>{sensor.unit}</td>
                  <td>{sensor.silent === undefined ? `as telemetry: sensor.${sensor.name}` : <Bad words={sensor.silent} />}</td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
        {actuators.length > 0 && (
          <table className={panel.table}>
            <thead><tr><th>Actuator</th><th>On</th><th>At most</th><th>Changes by at most</th><th>Measured by</th></tr></thead>
            <tbody>
              {actuators.map((actuator) => (
                <tr key={actuator.name}>
                  <td className="mono">{actuator.name}</td>
                  <td className="mono">{actuator.device}</td>
                  <td>±{actuator.max} {actuator.unit}</td>
                  <td>{actuator.change_max_per_s} {actuator.unit} a second</td>
                  <td>{actuator.sensor === undefined ? 'nothing: it cannot hurt anybody' : <span className="mono">{actuator.sensor}</span>}</td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </div>
    </section>
  );
}

function Bad({ words }: { words: string }) {
  return <span className={classes.bad}><AttentionIcon />{words}</span>;
}
