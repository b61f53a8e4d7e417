/** What a certificate of a machine needs of people, worst first. */
import type { MachineIdentity } from '@/api/types';

/** Certificates renew at two thirds of their life; one that is so near its end did not. */
const ENDS_SOON_SHARE = 0.2;

export type Concern = 'waits' | 'cloned' | 'ended' | 'ends soon' | 'shut out' | 'none';

const ORDER: readonly Concern[] = ['waits', 'cloned', 'ended', 'ends soon', 'none', 'shut out'];

export function concern(identity: MachineIdentity, now: number): Concern {
  if (identity.standing === 'pending') return 'waits';
  if (identity.standing === 'revoked') return 'shut out';
  if (identity.cloned_at !== null) return 'cloned';
  if (identity.not_after === null || Date.parse(identity.not_after) <= now) return 'ended';
  const certificate = identity.certificates.find((each) => each.not_after === identity.not_after);
  if (certificate === undefined) return 'none';
  const [begin, end] = [Date.parse(certificate.issued_at), Date.parse(certificate.not_after)];
  return end - now < (end - begin) * ENDS_SOON_SHARE ? 'ends soon' : 'none';
}

const name = (identity: MachineIdentity) => identity.name ?? identity.machine_id;

/** Those that need somebody first, then by name. */
export function byConcern(identities: readonly MachineIdentity[], now: number): MachineIdentity[] {
  const rank = (identity: MachineIdentity) => ORDER.indexOf(concern(identity, now));
  return identities.toSorted((a, b) => rank(a) - rank(b) || name(a).localeCompare(name(b)));
}

/** Whether a word is in its name, id, kind or a label. */
export function hasWord(identity: MachineIdentity, text: string): boolean {
  const word = text.trim().toLowerCase();
  const labels = Object.entries(identity.labels).map(([key, value]) => `${key}=${value}`);
  return [identity.name ?? '', identity.machine_id, identity.kind ?? '', ...labels].some((each) => each.toLowerCase().includes(word));
}
