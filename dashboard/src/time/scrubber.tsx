/** One scrubber for live and past: the whole dashboard shows the moment that is chosen here. */
import { ActionIcon, Button, SegmentedControl, Select, Tooltip } from '@mantine/core';
import { useHotkeys } from '@mantine/hooks';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useRef, useState } from 'react';
import { timelineQuery } from '@/api/queries';
import { formatMoment, fromLocalInput, toLocalInput } from '@/kit/format';
import { LeftIcon, LiveIcon, NextIcon, PauseIcon, PlayIcon, PreviousIcon, RightIcon } from '@/kit/icons';
import { serverClock } from '@/live/clock';
import { useLast } from '@/kit/use-last';
import { useConnectionFace, useServerNow } from '@/live/use-live';
import { BUCKETS, DEFAULT_SPAN_MS, pan, RATES, SPANS, windowFor, type Rate, type Window } from './moment';
import { usePlayback } from './playback';
import { nextEvent, previousEvent } from './steps';
import { Track } from './track';
import { useMoment } from './use-moment';
import classes from './scrubber.module.css';

/** While dragging, the page follows at most this often. */
const FOLLOW_MS = 200;

interface ScrubberProps {
  historyFrom: number | null;
  /** Steps from event to event stay with this machine. */
  machine: string | undefined;
}

export function Scrubber({ historyFrom, machine }: ScrubberProps) {
  const { at, past, go } = useMoment();
  const now = useServerNow();
  const [spanMs, setSpanMs] = useState(DEFAULT_SPAN_MS);
  const [drag, setDrag] = useState<{ at: number | null } | null>(null);
  const shown = drag === null ? at : drag.at;
  const { window, move } = useWindow(shown, now, spanMs);
  const timeline = useQuery({
    ...timelineQuery(window.from, window.to, BUCKETS),
    refetchInterval: past ? 30_000 : 5_000,
  });
  const shownTimeline = useLast(timeline.data);
  const { face } = useConnectionFace();
  const playback = usePlayback();
  const step = useSteps(machine);
  const follow = useThrottledGo(go);

  const choose = (to: number | null, done: boolean) => {
    setDrag(done ? null : { at: to });
    if (done) {
      follow.cancel();
      go(to, past);
    } else follow.soon(to);
  };

  useHotkeys([
    ['[', () => void step.previous()],
    [']', () => void step.next()],
    ['l', () => go(null)],
    ['k', () => (past ? playback.toggle() : undefined)],
  ]);

  return (
    <section className={classes.scrubber} aria-label="Time" data-past={past || undefined}>
      <div className={classes.group}>
        <Select
          aria-label="Length of the timeline"
          size="xs"
          w={86}
          allowDeselect={false}
          comboboxProps={{ withinPortal: true }}
          data={SPANS.map((span) => ({ value: String(span.ms), label: span.label }))}
          value={String(spanMs)}
          onChange={(value) => setSpanMs(Number(value ?? DEFAULT_SPAN_MS))}
        />
        <ActionIcon variant="default" size="md" className={classes.roomy} aria-label="Earlier" onClick={() => move(-0.5)}><LeftIcon /></ActionIcon>
        <ActionIcon variant="default" size="md" className={classes.roomy} aria-label="Later" onClick={() => move(0.5)} disabled={window.to >= now}>
          <RightIcon />
        </ActionIcon>
      </div>
      <Track
        timeline={shownTimeline}
        connected={face === 'live'}
        window={window}
        at={shown}
        now={now}
        historyFrom={historyFrom}
        onChoose={choose}
      />
      <div className={classes.group}>
        <Tooltip label="Event before ( [ )">
          <ActionIcon variant="default" size="md" aria-label="Event before" loading={step.busy} onClick={() => void step.previous()}>
            <PreviousIcon />
          </ActionIcon>
        </Tooltip>
        <Tooltip label={past ? 'Play or pause ( k )' : 'Choose a moment of the past to play from'}>
          <ActionIcon
            variant="default"
            size="md"
            aria-label={playback.playing ? 'Pause' : 'Play'}
            data-disabled={!past || undefined}
            aria-disabled={!past}
            onClick={past ? playback.toggle : undefined}
          >
            {playback.playing ? <PauseIcon /> : <PlayIcon />}
          </ActionIcon>
        </Tooltip>
        <Tooltip label="Event after ( ] )">
          <ActionIcon
            variant="default"
            size="md"
            aria-label="Event after"
            data-disabled={!past || undefined}
            aria-disabled={!past}
            onClick={past ? () => void step.next() : undefined}
          >
            <NextIcon />
          </ActionIcon>
        </Tooltip>
        <SegmentedControl
          size="xs"
          aria-label="Speed"
          className={classes.roomy}
          disabled={!past}
          data={RATES.map((rate) => ({ value: String(rate), label: `${rate}×` }))}
          value={String(playback.rate)}
          onChange={(value) => playback.setRate(Number(value) as Rate)}
        />
      </div>
      <div className={classes.group} data-last>
        <TimeInput at={shown} now={now} historyFrom={historyFrom} onChoose={(to) => choose(to, true)} />
        <Button
          size="xs"
          w={78}
          variant={past ? 'filled' : 'default'}
          color="violet"
          className={past || face !== 'live' ? undefined : classes.liveButton}
          leftSection={<LiveIcon size={12} />}
          aria-pressed={!past}
          onClick={() => go(null)}
        >
          Live
        </Button>
      </div>
      <span className="sr-only" role="status">{step.said}</span>
      {step.said !== '' && <span className={classes.said}>{step.said}</span>}
    </section>
  );
}

/** The window that is shown; it stays where it was put until the moment leaves it. */
function useWindow(at: number | null, now: number, spanMs: number) {
  const [kept, setKept] = useState<Window | null>(null);
  const [panned, setPanned] = useState(false);
  const current = kept !== null && kept.to - kept.from === spanMs ? kept : null;
  const window = panned && current !== null ? current : windowFor(at, now, spanMs, current);
  const key = `${at}/${spanMs}`;
  const [lastKey, setLastKey] = useState(key);
  if (lastKey !== key) {
    setLastKey(key);
    setPanned(false);
    setKept(windowFor(at, now, spanMs, current));
  }
  const move = (parts: number) => {
    setPanned(true);
    setKept(pan(window, parts, serverClock.now()));
  };
  return { window, move };
}

function useSteps(machine: string | undefined) {
  const { at, past, go } = useMoment();
  const [busy, setBusy] = useState(false);
  const [said, setSaid] = useState('');
  useEffect(() => {
    if (said === '') return undefined;
    const timer = setTimeout(() => setSaid(''), 4_000);
    return () => clearTimeout(timer);
  }, [said]);
  const run = async (find: () => Promise<number | null>, otherwise: string) => {
    setBusy(true);
    try {
      const found = await find();
      if (found === null) setSaid(otherwise);
      else go(found, past);
    } catch (error) {
      setSaid(error instanceof Error ? error.message : String(error));
    } finally {
      setBusy(false);
    }
  };
  return {
    busy,
    said,
    previous: () => run(() => previousEvent(at ?? serverClock.now(), { machine }), 'No event before this moment.'),
    next: async () => {
      if (at !== null) await run(() => nextEvent(at, serverClock.now(), { machine }), 'No event after this moment.');
    },
  };
}

/** Follows a dragged handle, at most every 200 ms, and with its last place in any case. */
function useThrottledGo(go: (at: number | null, replace?: boolean) => void) {
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const latest = useRef<number | null>(null);
  useEffect(() => () => clearTimeout(timer.current), []);
  return {
    soon(at: number | null) {
      latest.current = at;
      timer.current ??= setTimeout(() => {
        timer.current = undefined;
        go(latest.current, true);
      }, FOLLOW_MS);
    },
    cancel() {
      clearTimeout(timer.current);
      timer.current = undefined;
    },
  };
}

interface TimeInputProps {
  at: number | null;
  now: number;
  historyFrom: number | null;
  onChoose: (at: number | null) => void;
}

/** The exact moment, to be typed. It takes effect on Enter or when the field is left. */
function TimeInput({ at, now, historyFrom, onChoose }: TimeInputProps) {
  const [draft, setDraft] = useState<string | null>(null);
  const commit = () => {
    if (draft === null) return;
    const ms = fromLocalInput(draft);
    setDraft(null);
    if (ms !== null) onChoose(ms >= now ? null : Math.max(ms, historyFrom ?? 0));
  };
  return (
    <input
      className={classes.time}
      type="datetime-local"
      step={1}
      aria-label="Exact moment, local time"
      title={`The moment that is shown, in local time: ${formatMoment(at ?? now, now)}`}
      value={draft ?? toLocalInput(at ?? now)}
      onChange={(event) => setDraft(event.currentTarget.value)}
      onBlur={commit}
      onKeyDown={(event) => {
        if (event.key === 'Enter') commit();
        if (event.key === 'Escape') setDraft(null);
      }}
    />
  );
}
