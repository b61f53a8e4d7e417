/** What a machine says of itself, in cards: only what it knows is shown. */
import type { Machine, ReportedState } from '@/api/types';
import { compass, formatBytes, formatNumber } from '@/kit/format';
import { Age, Moment, type AsOfProps } from '@/kit/times';
import { Card, fact } from './card';
import classes from './facts.module.css';
import { ReleasesCard } from './releases';

const FULL = 90;

function Gauge({ name, percent, text }: { name: string; percent: number; text: string }) {
  return (
    <div className={classes.gauge} data-warn={percent >= FULL || undefined}>
      <span className={classes.gaugeName}>{name}</span>
      <span className={classes.gaugeText}>{text}</span>
      <span className={classes.gaugeBar}><span style={{ width: `${Math.min(100, Math.max(0, percent))}%` }} /></span>
    </div>
  );
}

export function Facts({ machine }: { machine: Machine }) {
  const state = machine.reported;
  const asOf = (section: keyof ReportedState): AsOfProps => ({ at: machine.sections_reported_at[section], stale: machine.summary.presence !== 'online' });
  return (
    <div className={classes.cards}>
      {state.resources !== undefined && <ResourcesCard resources={state.resources} hardware={state.hardware} asOf={asOf('resources')} />}
      {state.power !== undefined && <PowerCard power={state.power} asOf={asOf('power')} />}
      {state.thermal !== undefined && (
        <Card title="Temperatures" asOf={asOf('thermal')} facts={state.thermal.zones.map((zone) => fact(zone.name, `${formatNumber(zone.celsius, 1)} °C`))} />
      )}
      {state.location !== undefined && <LocationCard location={state.location} asOf={asOf('location')} />}
      {state.updates !== undefined && state.updates.products.length > 0 && <ReleasesCard updates={state.updates} asOf={asOf('updates')} />}
      {state.nodes !== undefined && <NodesCard nodes={state.nodes.nodes} asOf={asOf('nodes')} />}
      {state.network !== undefined && <NetworkCard network={state.network} asOf={asOf('network')} />}
      {state.hardware !== undefined && <HardwareCard hardware={state.hardware} asOf={asOf('hardware')} />}
      {state.platform !== undefined && (
        <Card
          title="System"
          asOf={asOf('platform')}
          facts={[
            fact('System', state.platform.os),
            fact('Kernel', <span className="mono">{state.platform.kernel}</span>),
            fact('Booted', <><Moment at={state.platform.booted_at} />, <Age at={state.platform.booted_at} ago /></>),
            fact('Muster', state.deployment?.agent_version),
          ]}
        />
      )}
      <Card
        title="Known to the fleet"
        facts={[
          fact('Since', <><Moment at={machine.registered_at} /></>),
          fact('Session', machine.session),
          fact('State version', machine.state_version),
          fact('State reported', <Age at={machine.summary.reported_at} ago />),
          fact('Highest record', machine.highest_record),
          fact('Boot', machine.boot_id === null ? null : <span className="mono">{machine.boot_id}</span>),
        ]}
      />
    </div>
  );
}

type Section<K extends keyof ReportedState> = NonNullable<ReportedState[K]>;

interface WithAge {
  asOf: AsOfProps;
}

function ResourcesCard({ resources, hardware, asOf }: WithAge & { resources: Section<'resources'>; hardware: ReportedState['hardware'] }) {
  const memory = hardware === undefined ? formatBytes(resources.memory_used_bytes) : `${formatBytes(resources.memory_used_bytes)} of ${formatBytes(hardware.memory_bytes)}`;
  return (
    <Card title="Resources" asOf={asOf}>
      <Gauge name="Processor" percent={resources.cpu_percent} text={`${formatNumber(resources.cpu_percent)} %, load ${formatNumber(resources.load_1m, 2)}`} />
      <Gauge name="Memory" percent={resources.memory_percent} text={`${formatNumber(resources.memory_percent)} %, ${memory}`} />
      {resources.disks.map((disk) => (
        <Gauge key={disk.mount} name={disk.mount} percent={disk.used_percent} text={`${formatNumber(disk.used_percent)} %, ${formatBytes(disk.used_bytes)} of ${formatBytes(disk.size_bytes)}`} />
      ))}
    </Card>
  );
}

function PowerCard({ power, asOf }: WithAge & { power: Section<'power'> }) {
  const { battery_percent: charge, amperes } = power;
  return (
    <Card
      title="Power"
      asOf={asOf}
      facts={[
        fact('Battery', charge === null || charge === undefined ? 'none' : `${formatNumber(charge)} %${power.charging ? ', charging' : ''}`),
        fact('Supply', power.external_supply ? 'fed from outside' : 'own battery'),
        fact('Voltage', power.volts === null || power.volts === undefined ? null : `${formatNumber(power.volts, 2)} V`),
        fact('Current', amperes === null || amperes === undefined ? null : `${formatNumber(Math.abs(amperes), 2)} A ${amperes < 0 ? 'into' : 'out of'} the battery`),
      ]}
    />
  );
}

function LocationCard({ location, asOf }: WithAge & { location: Section<'location'> }) {
  const { latitude_degrees: latitude, longitude_degrees: longitude } = location;
  const position = `${formatNumber(Math.abs(latitude), 6)}° ${latitude < 0 ? 'S' : 'N'}, ${formatNumber(Math.abs(longitude), 6)}° ${longitude < 0 ? 'W' : 'E'}`;
  return (
    <Card
      title="Location"
      asOf={asOf}
      facts={[
        fact('Position', position),
        fact('Heading', (
          <span className={classes.heading}>
            <svg width="14" height="14" viewBox="0 0 14 14" aria-hidden="true" style={{ transform: `rotate(${location.heading_degrees}deg)` }}><path d="M7 1l4 11-4-2.5-4 2.5z" fill="currentColor" /></svg>
            {formatNumber(location.heading_degrees)}° {compass(location.heading_degrees)}
          </span>
        )),
        fact('Speed', `${formatNumber(location.speed_m_per_s, 2)} m/s (${formatNumber(location.speed_m_per_s * 3.6, 1)} km/h)`),
      ]}
    />
  );
}

function NodesCard({ nodes, asOf }: WithAge & { nodes: Section<'nodes'>['nodes'] }) {
  return (
    <Card title="Runtime nodes" asOf={asOf}>
      <table className={classes.nodes}>
        <thead>
          <tr><th scope="col">Node</th><th scope="col">Status</th><th scope="col">Restarts</th></tr>
        </thead>
        <tbody>
          {nodes.map((node) => (
            <tr key={node.name} data-status={node.status}>
              <th scope="row">{node.name}</th>
              <td>
                {node.status}
                {node.last_failure !== undefined && node.last_failure !== null && <span className={classes.failure} title={node.last_failure}>last: {node.last_failure}</span>}
              </td>
              <td>{node.restarts}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Card>
  );
}

function NetworkCard({ network, asOf }: WithAge & { network: Section<'network'> }) {
  return (
    <Card title="Network" asOf={asOf} facts={[fact('Host name', <span className="mono">{network.hostname}</span>)]}>
      {network.interfaces.map((each) => (
        <div key={each.name} className={classes.link} data-up={each.up || undefined}>
          <strong className="mono">{each.name}</strong>
          <span className="muted">{each.up ? 'up' : 'down'}{each.speed_mbit_per_s ? `, ${each.speed_mbit_per_s} Mbit/s` : ''}</span>
          <span className={`${classes.addresses} mono`}>{[...each.addresses, each.mac].filter(Boolean).join('\n')}</span>
        </div>
      ))}
    </Card>
  );
}

function HardwareCard({ hardware, asOf }: WithAge & { hardware: Section<'hardware'> }) {
  return (
    <Card
      title="Hardware"
      asOf={asOf}
      facts={[
        fact('Maker', hardware.vendor),
        fact('Model', hardware.model),
        fact('Revision', hardware.revision),
        fact('Serial', hardware.serial ? <span className="mono">{hardware.serial}</span> : null),
        fact('Processor', [hardware.processor, `${hardware.processors} × ${hardware.architecture}`].filter(Boolean).join(', ')),
        fact('Memory', formatBytes(hardware.memory_bytes)),
      ]}
    />
  );
}
