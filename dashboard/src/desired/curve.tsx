/** What a profile makes of values: what is in force beside what would be. */
import 'uplot/dist/uPlot.min.css';
import { useComputedColorScheme } from '@mantine/core';
import { useEffect } from 'react';
import uPlot from 'uplot';
import { useElementWidth } from '@/kit/use-width';
import classes from './desired.module.css';

const HEIGHT_PX = 200;

type Pairs = readonly (readonly number[])[];

/** Without a profile in force values are taken as they are: a straight line. */
function straight(over: Pairs): Pairs {
  const ends = over.length < 2 ? over : [over[0] ?? [0, 0], over.at(-1) ?? [0, 0]];
  return ends.map(([x = 0]) => [x, x]);
}

function columns(pairs: Pairs): [number[], number[]] {
  return [pairs.map(([x = 0]) => x), pairs.map(([, y = 0]) => y)];
}

export function Curve({ before, after }: { before: Pairs | null; after: Pairs | null }) {
  const { ref, width } = useElementWidth<HTMLDivElement>();
  const scheme = useComputedColorScheme('light');
  useEffect(() => {
    const box = ref.current;
    if (box === null || width === 0 || after === null) return undefined;
    const colour = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const axis = { stroke: colour('--muted'), font: '11px system-ui, sans-serif', grid: { stroke: colour('--line'), width: 1 }, ticks: { show: false } };
    const data = uPlot.join([columns(before ?? straight(after)), columns(after)]);
    const made = new uPlot(
      {
        width,
        height: HEIGHT_PX,
        legend: { show: false },
        cursor: { drag: { x: false, y: false } },
        scales: { x: { time: false } },
        axes: [{ ...axis, size: 24 }, { ...axis, size: 52 }],
        series: [
          {},
          { stroke: colour('--plot-1'), width: 1.6, points: { show: false }, spanGaps: true },
          { stroke: colour('--plot-2'), width: 1.6, points: { show: false }, spanGaps: true },
        ],
      },
      data,
      box,
    );
    return () => made.destroy();
  }, [ref, width, scheme, before, after]);
  if (after === null) return null;
  const first = after[0];
  const last = after.at(-1);
  const about = `What comes out: from ${first?.[1]} at ${first?.[0]} to ${last?.[1]} at ${last?.[0]}`;
  return (
    <figure className={classes.curve} aria-label={about}>
      <figcaption className={classes.legend}>
        <span><i className={classes.swatch} />in force{before === null && ': none'}</span>
        <span><i className={classes.swatch} data-index="1" />this profile</span>
      </figcaption>
      <div ref={ref} className={classes.canvas} />
    </figure>
  );
}
