/** Proposals in words: what would be done to what, and what came of it. Without React, so that tests can ask it. */
import type { Proposal } from '@/api/types';

const DOTS = '••••••';
/** Fields of answers that are told once. */
const TOLD_ONCE: ReadonlySet<string> = new Set(['secret', 'token']);

/** What it is about, as its path names it: a person, a policy … */
function named(path: string): string {
  const last = path.split('?')[0]?.split('/')[4] ?? '';
  try {
    return decodeURIComponent(last);
  } catch {
    return last;
  }
}

const removes = (proposal: Proposal) => proposal.method === 'DELETE';

const ACTS: Record<string, (proposal: Proposal, what: string) => string> = {
  'machines.label': (proposal, machine) => (removes(proposal) ? `take all labels of ${machine} away` : `change the labels of ${machine}`),
  'machines.name': (proposal, machine) => (removes(proposal) ? `take the name of ${machine} away` : `rename ${machine}`),
  'machines.desire': (proposal, machine) => `${removes(proposal) ? 'desire no' : 'change the desired'} ${sectionOf(proposal.path)} of ${machine}`,
  'machines.command': (_, machine) => `give ${machine} a command`,
  'recordings.remove': (_, machine) => `remove a recording of ${machine}`,
  'people.change': (_, person) => `add or change the person ${person}`,
  'people.remove': (_, person) => `remove the person ${person}`,
  'people.password': (_, person) => `give ${person} another password`,
  'people.second_factor.remove': (_, person) => `switch off the second factor of ${person}`,
  'sessions.end': (_, session) => `end the session ${session}`,
  'tokens.make': () => 'make a token',
  'tokens.revoke': (_, token) => `revoke the token ${token}`,
  'policies.change': (_, policy) => `add or change the policy ${policy}`,
  'policies.remove': (_, policy) => `remove the policy ${policy}`,
  'enrolments.make': (proposal, what) => (proposal.machine === undefined ? 'make a token for a machine that enrols' : `make a new token for ${what}`),
  'enrolments.withdraw': () => 'withdraw a token for a machine that enrols',
  'identities.accept': (_, machine) => `accept ${machine} into the fleet`,
  'identities.revoke': (_, machine) => `shut ${machine} out`,
  'identities.renew': (_, machine) => `have ${machine} renew its certificate`,
  'authorities.rotate': () => 'exchange the authority that issues certificates',
};

const sectionOf = (path: string) => path.split('?')[0]?.split('/')[6] ?? 'state';

/** `change the labels of car-frida`; what has no words of its own here: the word of the audit log. */
export function actInWords(proposal: Proposal): string {
  const machine = proposal.machine_name === undefined || proposal.machine_name === '' ? proposal.machine : proposal.machine_name;
  const what = machine ?? named(proposal.path);
  return ACTS[proposal.action]?.(proposal, what) ?? `${proposal.action}${machine === undefined ? '' : ` of ${machine}`}`;
}

/** What came of it; empty while it waits. */
export function outcomeInWords(proposal: Proposal): string {
  const { decided_by: by = 'somebody', decision_reason: reason = '', detail = '' } = proposal;
  const because = reason === '' ? '' : `: “${reason}”`;
  switch (proposal.state) {
    case 'waiting': return '';
    case 'doing': return `approved by ${by}${because}; it is being done`;
    case 'done': return `approved by ${by}${because}`;
    case 'failed': return `approved by ${by}${because}, and it could not be done: ${detail === '' ? 'nothing more is known' : detail}`;
    case 'refused': return `refused by ${by}${because}`;
    case 'withdrawn': return `taken back by ${proposal.person}`;
    case 'expired': return detail === '' ? 'nobody decided in time' : detail;
  }
}

/** JSON that people can read; what is none stays as it is. */
export function readable(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

export interface Told {
  /** Each with the name of its field. */
  secrets: [string, string][];
  /** The whole answer, with dots for those. */
  text: string;
}

/** What is told once in an answer, apart from the rest. */
export function told(answer: string): Told {
  let value: unknown;
  try {
    value = JSON.parse(answer);
  } catch {
    return { secrets: [], text: answer };
  }
  const secrets: [string, string][] = [];
  const text = JSON.stringify(value, (key, each: unknown) => {
    if (typeof each !== 'string' || each === '' || !TOLD_ONCE.has(key)) return each;
    secrets.push([key, each]);
    return DOTS;
  }, 2);
  return { secrets, text };
}

const endedAt = (proposal: Proposal) => Date.parse(proposal.decided_at ?? proposal.expires_at);

/** What waits for whoever looks, what waits for others, and what is decided. */
export function parted(items: readonly Proposal[]): { forYou: Proposal[]; others: Proposal[]; decided: Proposal[] } {
  const waits = items.filter((each) => each.state === 'waiting');
  return {
    // What ends first is decided first.
    forYou: waits.filter((each) => each.may_decide).toSorted((a, b) => Date.parse(a.expires_at) - Date.parse(b.expires_at)),
    others: waits.filter((each) => !each.may_decide),
    decided: items.filter((each) => each.state !== 'waiting').toSorted((a, b) => endedAt(b) - endedAt(a)),
  };
}
