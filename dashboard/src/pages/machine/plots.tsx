/** The telemetry of a machine over a span of time that ends at the moment shown. */
import { SegmentedControl } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { telemetryQuery } from '@/api/queries';
import { Empty, Failure, Loading } from '@/kit/faces';
import { serverClock } from '@/live/clock';
import type { TelemetryItem } from '@/live/messages';
import { useLive, useServerNow } from '@/live/use-live';
import { SPANS } from '@/time/moment';
import { useMoment } from '@/time/use-moment';
import { appendSamples, panels } from './columns';
import { Plot } from './plot';
import classes from './plots.module.css';

const POINTS = 400;
/** After this part of the span the points are asked for anew, so that live samples do not pile up. */
const RENEW_PART = 0.2;
const NOTHING: TelemetryItem[] = [];
const CHOICES = SPANS.slice(0, 4);

export function Plots({ id, span, onSpan }: { id: string; span: string | undefined; onSpan: (span: string | undefined) => void }) {
  const { at, past } = useMoment();
  const now = useServerNow();
  const chosen = CHOICES.find((each) => each.label === span) ?? CHOICES[0];
  const spanMs = chosen?.ms ?? 900_000;

  // The end of the span that was asked for; live samples come behind it.
  const [base, setBase] = useState(() => serverClock.now());
  const renewAt = base + spanMs * RENEW_PART;
  if (!past && now > renewAt) setBase(now);
  const to = at ?? base;
  const query = useQuery({
    ...telemetryQuery(id, to - spanMs, to, POINTS),
    placeholderData: (previous) => previous,
  });

  const key = `${base}/${spanMs}`;
  const [kept, setKept] = useState<{ key: string; items: TelemetryItem[] }>({ key, items: NOTHING });
  const items = kept.key === key ? kept.items : NOTHING;
  const take = (batch: { items: { data: unknown }[] }) => {
    if (batch.items.length === 0) return;
    const told = batch.items.map((item) => item.data as TelemetryItem);
    setKept((last) => ({ key, items: [...(last.key === key ? last.items : NOTHING), ...told] }));
  };
  useLive(
    past ? null : { id: `telemetry:${id}`, topics: [`machine.${id}.telemetry`], throttle: { rate_per_s: 2, strategy: 'latest' } },
    { snapshot: take, update: take },
  );

  const end = at ?? now;
  const from = end - spanMs;
  const asked = query.data?.series;
  const series = useMemo(
    () => appendSamples(asked ?? [], past ? NOTHING : items, to - spanMs),
    [asked, items, past, to, spanMs],
  );
  const found = useMemo(() => panels(series), [series]);

  let body;
  if (query.isPending) body = <Loading what="measurements" />;
  else if (query.isError && asked === undefined) body = <Failure error={query.error} what="measurements" retry={() => void query.refetch()} />;
  else if (found.length === 0) body = <Empty title="No measurements in this span">Nothing was measured, or it is older than what the server keeps.</Empty>;
  else {
    body = (
      <div className={classes.panels}>
        {found.map((panel) => (
          <Plot key={panel.title} panel={panel} series={series} fromMs={from} toMs={end} resolutionMs={spanMs / POINTS} />
        ))}
      </div>
    );
  }
  return (
    <section className={classes.plots} aria-label="Measurements">
      <div className={classes.head}>
        <h2>Measurements</h2>
        <SegmentedControl
          size="xs"
          aria-label="Span of time"
          data={CHOICES.map((each) => each.label)}
          value={chosen?.label ?? ''}
          onChange={(value) => onSpan(value === CHOICES[0]?.label ? undefined : value)}
        />
      </div>
      {body}
    </section>
  );
}
