// Recordings: every machine but a Pi keeps one, more are marked, and each comes to the server within a few seconds.

const COMES_WITHIN_MS = 2_500;
const BYTES = 2_400_000;

const iso = (ms) => new Date(ms).toISOString();
const inName = (ms) => iso(ms).replaceAll(/[-:]/g, '');

export class Recordings {
  kept = new Map();
  asked = new Map();

  records(kind) {
    return kind !== 'pi';
  }

  of(id, now) {
    if (!this.kept.has(id)) this.kept.set(id, [this.made('kept', now - 3_600_000, 'estop_latched')]);
    return this.kept.get(id);
  }

  made(kind, at, why) {
    const [from, to] = [at - 120_000, at + 30_000];
    return { file: `${kind}-${inName(from)}-${inName(to)}-${why}.mcap`, from: iso(from), to: iso(to), why, pinned: kind === 'pinned', bytes: BYTES };
  }

  /** A command of people that is about recordings. */
  command(id, command, now) {
    if (command.kind === 'record.mark') this.kept.set(id, [this.made('pinned', now, 'marked'), ...this.of(id, now)]);
    if (command.kind === 'record.upload') this.asked.set(`${id}/${command.arguments.file}`, { ...command, at: now });
  }

  list(id, kind, now) {
    const items = this.records(kind) ? this.of(id, now).map((made) => ({ ...made, on_machine: true, ...this.there(id, made, now) })) : [];
    const used = items.filter((item) => item.stored !== null).length * BYTES;
    return { machine_id: id, records: this.records(kind), paused: null, rolling_s: 300, rolling_bytes: 4_200_000, used_bytes: used, max_bytes: 10_000_000_000, items };
  }

  there(id, made, now) {
    const asked = this.asked.get(`${id}/${made.file}`);
    if (asked === undefined) return { stored: null, transfer: null };
    const about = { command_id: asked.command_id, issuer: asked.issuer };
    const share = (now - asked.at) / COMES_WITHIN_MS;
    if (share < 1) return { stored: null, transfer: { ...about, state: 'coming', offset: Math.floor(share * BYTES), length: BYTES, asked_at: asked.issued_at, detail: null } };
    return { transfer: null, stored: { ...about, bytes: BYTES, sha256: '0'.repeat(64), received_at: iso(asked.at + COMES_WITHIN_MS), reason: asked.reason } };
  }

  remove(id, file) {
    this.asked.delete(`${id}/${file}`);
  }

  /** The section of a machine that comes of it. */
  reported(id, kind, now) {
    if (!this.records(kind)) return {};
    return { recordings: { rolling_s: 300, rolling_bytes: 4_200_000, kept: this.of(id, now).map(({ file, bytes }) => ({ file, bytes })) } };
  }
}
