/** Which releases a machine runs, by its own word, and how far it is with another. */
import type { ReportedState } from '@/api/types';
import { formatBytes, words } from '@/kit/format';
import { Age, type AsOfProps } from '@/kit/times';
import { Card } from './card';
import classes from './releases.module.css';

type Updates = NonNullable<ReportedState['updates']>;
type Product = Updates['products'][number];
type Update = NonNullable<Product['update']>;

/** The further from its end, the more a person looking at the whole machine wants to know of it. */
const URGENCY = ['idle', 'confirmed', 'offered', 'refused', 'rolled_back', 'waiting', 'fetching', 'verified', 'installing', 'probation'];

/** The update that says most about the machine. */
export function foremost(updates: Updates | undefined): (Update & { product: string }) | undefined {
  const all = (updates?.products ?? []).flatMap((product) => (product.update === undefined ? [] : [{ ...product.update, product: product.product }]));
  return all.toSorted((one, other) => URGENCY.indexOf(other.phase) - URGENCY.indexOf(one.phase))[0];
}

/** What is said of an update in one line. */
export function told(update: Update): string {
  const asked = update.act === 'go_back' ? `back from ${update.version}` : `to ${update.version}`;
  const progress = update.phase === 'fetching' && update.to_fetch_bytes > 0 ? `, ${formatBytes(update.fetched_bytes)} of ${formatBytes(update.to_fetch_bytes)}` : '';
  return `${asked}: ${words(update.phase)}${progress}`;
}

export function ReleasesCard({ updates, asOf }: { updates: Updates; asOf: AsOfProps | undefined }) {
  return (
    <Card title="Releases" asOf={asOf}>
      {updates.stopped === true && <p className={classes.stopped}>All updates are stopped: nothing is begun.</p>}
      <ul className={classes.products}>
        {updates.products.map((product) => <OneProduct key={product.product} product={product} />)}
      </ul>
    </Card>
  );
}

function OneProduct({ product: { product, running, other, update } }: { product: Product }) {
  return (
    <li>
      <div className={classes.line}>
        <strong className="mono">{product}</strong>
        <span>{running === undefined ? 'nothing yet' : running.version}</span>
        {running !== undefined && !running.confirmed && <span className={classes.probation}>on probation</span>}
        {running?.started_at !== undefined && <span className="muted">started <Age at={running.started_at} ago /></span>}
        {other !== undefined && <span className="muted">before it {other.version}</span>}
      </div>
      {update !== undefined && update.phase !== 'confirmed' && (
        <div className={classes.update} data-phase={update.phase}>
          <span>{told(update)}</span>
          {(update.why ?? []).length > 0 && <ul className={classes.why}>{(update.why ?? []).map((why) => <li key={why}>{why}</li>)}</ul>}
        </div>
      )}
    </li>
  );
}
