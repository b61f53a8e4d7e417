/** One card of facts, with the age of what it says. */
import type { ReactNode } from 'react';
import panel from '@/kit/panel.module.css';
import { AsOf, type AsOfProps } from '@/kit/times';
import classes from './facts.module.css';

export type Fact = [string, ReactNode] | null;

export const fact = (name: string, value: ReactNode | null | undefined): Fact =>
  value === null || value === undefined || value === '' ? null : [name, value];

export interface CardProps {
  title: string;
  children?: ReactNode;
  facts?: Fact[];
  /** When the machine reported it. */
  asOf?: AsOfProps | undefined;
}

export function Card({ title, children, facts, asOf }: CardProps) {
  const known = (facts ?? []).filter((each): each is [string, ReactNode] => each !== null);
  return (
    <section className={panel.card} aria-label={title} data-stale={asOf?.stale || undefined}>
      <header>
        <h2>{title}</h2>
        {asOf !== undefined && <AsOf {...asOf} />}
      </header>
      {known.length > 0 && (
        <dl className={classes.facts}>
          {known.map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      )}
      {children}
    </section>
  );
}
