/** One profile: written or taken from earlier, looked at by the server while it is written, seen beside what is in force, and desired. */
import { Button, Checkbox, NativeSelect, Textarea, TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { ApiError } from '@/api/client';
import { checkCalibration, desiredHistoryQuery, putDesired } from '@/api/desired';
import type { Desired } from '@/api/types';
import { formatMoment } from '@/kit/format';
import { Refused, Waits, waitsAs } from '@/kit/refused';
import { parseMoment } from '@/time/moment';
import { useNow } from '@/time/use-moment';
import { Curve } from './curve';
import classes from './desired.module.css';
import { earlier, parse, profilesOf, SECTION, TEMPLATE, type DeviceRow } from './profiles';

/** The server looks at what was written when nothing was written for so long. */
const LOOK_AFTER_MS = 300;
const REASON_MAX_CHARS = 500;

interface EditorProps {
  id: string;
  row: DeviceRow;
  rollBack: boolean;
  desired: Desired;
  etag: string | null;
  onDone: () => void;
}

const written = (profile: unknown) => JSON.stringify(profile, null, 2);

export function Editor({ id, row, rollBack, desired, etag, onDone }: EditorProps) {
  const queries = useQueryClient();
  const now = useNow();
  const history = useQuery(desiredHistoryQuery(id, SECTION));
  const versions = useMemo(() => earlier(history.data?.items ?? [], row.device), [history.data, row.device]);
  const start = row.desired?.profile ?? row.reported?.profile ?? TEMPLATE;
  const [text, setText] = useState<string | null>(null);
  const [chosen, setChosen] = useState('');
  const [reason, setReason] = useState('');
  const [overrule, setOverrule] = useState(false);
  // To roll back begins with what was desired before.
  const before = versions.find((each) => JSON.stringify(each.profile) !== JSON.stringify(row.desired?.profile));
  const shown = text ?? written(rollBack && before !== undefined ? before.profile : start);
  const [settled] = useDebouncedValue(shown, LOOK_AFTER_MS);
  const parsed = parse(settled);
  const check = useQuery({
    queryKey: ['calibration-check', settled],
    queryFn: ({ signal }) => checkCalibration('value' in parsed ? parsed.value : null, signal),
    enabled: 'value' in parsed,
    retry: false,
    staleTime: Infinity,
    gcTime: 10_000,
  });
  const inForce = row.reported?.profile;
  const beforeCurve = useQuery({
    queryKey: ['calibration-check', written(inForce)],
    queryFn: ({ signal }) => checkCalibration(inForce, signal),
    enabled: inForce !== undefined,
    staleTime: Infinity,
    gcTime: 10_000,
  });
  const save = useMutation({
    mutationFn: () => {
      if (!('value' in parsed)) throw new Error(parsed.wrong);
      const entry = { profile: parsed.value, ...(overrule && { overrule }) };
      return putDesired(id, SECTION, { ...profilesOf(desired), [row.device]: entry }, reason.trim(), etag);
    },
    onSettled: () => queries.invalidateQueries({ queryKey: ['desired', id] }),
    onSuccess: () => {
      void queries.invalidateQueries({ queryKey: ['machine', id] });
      void queries.invalidateQueries({ queryKey: ['desired-history', id] });
      onDone();
    },
  });
  const accepted = check.data?.accepted === true && settled === shown;
  const conflict = save.error instanceof ApiError && save.error.problem.status === 412;
  const proposal = waitsAs(save.error);
  if (proposal !== null) return <Waits proposal={proposal} onClose={onDone} />;
  const local = row.reported?.source === 'local' && (row.reported.version > 0 || row.reported.drift !== undefined);
  return (
    <form
      className={classes.editor}
      onSubmit={(event) => {
        event.preventDefault();
        if (accepted && reason.trim() !== '' && !save.isPending) save.mutate();
      }}
    >
      {versions.length > 0 && (
        <NativeSelect
          label="Take from"
          value={chosen}
          onChange={(event) => {
            setChosen(event.currentTarget.value);
            const version = versions.find((each) => String(each.version) === event.currentTarget.value);
            if (version !== undefined) setText(written(version.profile));
          }}
          data={[
            { value: '', label: rollBack && before !== undefined ? `what was desired before (version ${before.version})` : 'what is desired now' },
            ...versions.map((each) => ({
              value: String(each.version),
              label: `version ${each.version}, ${formatMoment(parseMoment(each.changedAt) ?? now, now)}: ${each.reason}`,
            })),
          ]}
        />
      )}
      {rollBack && history.isSuccess && before === undefined && <p className={classes.fine}>Nothing else was desired of this device so far.</p>}
      <Textarea
        label="Profile"
        description="kind, unit, input, output, clamp, stages: scale, offset, polynomial, table, deadband, axis_map"
        value={shown}
        autosize
        minRows={8}
        maxRows={18}
        spellCheck={false}
        onChange={(event) => setText(event.currentTarget.value)}
      />
      <Judgement wrong={'wrong' in parsed ? `This is no JSON: ${parsed.wrong}` : null} check={check.data} error={check.error} />
      <Curve before={inForce === undefined ? null : (beforeCurve.data?.curve ?? null)} after={check.data?.curve ?? null} />
      {local && (
        <Checkbox
          checked={overrule}
          onChange={(event) => setOverrule(event.currentTarget.checked)}
          label="Take the place of what was decided at the machine"
          description="Without it that stays in force, and the machine reports the conflict"
        />
      )}
      <TextInput
        label="Why"
        description="Kept, and read by those who look into it later"
        required
        value={reason}
        maxLength={REASON_MAX_CHARS}
        onChange={(event) => setReason(event.currentTarget.value.replaceAll(/\p{Cc}+/gu, ' '))}
      />
      <Refused error={save.error} className={classes.refused}>
        {conflict ? 'Somebody else changed what is desired meanwhile. Look at it, then apply again to put yours on top.' : save.error?.message}
      </Refused>
      <div className={classes.buttons}>
        <Button variant="default" onClick={onDone}>Cancel</Button>
        <Button type="submit" loading={save.isPending} disabled={!accepted || reason.trim() === ''}>{rollBack ? 'Roll back' : 'Apply'}</Button>
      </div>
    </form>
  );
}

interface JudgementProps {
  wrong: string | null;
  check: { accepted: boolean; refusals: { at: string; detail: string }[] } | undefined;
  error: Error | null;
}

/** What is wrong with a profile, place by place. */
function Judgement({ wrong, check, error }: JudgementProps) {
  if (wrong !== null) return <p className={classes.refused} role="status">{wrong}</p>;
  if (error !== null) return <p className={classes.refused} role="status">{error.message}</p>;
  if (check === undefined) return <p className={classes.fine} role="status">Being looked at …</p>;
  if (check.accepted) return <p className={classes.fine} role="status">In order. The machine looks at it again, with the limits of its device.</p>;
  return (
    <ul className={classes.refusals} role="status">
      {check.refusals.map((each) => <li key={`${each.at}${each.detail}`}><span className="mono">{each.at}</span>: {each.detail}</li>)}
    </ul>
  );
}
