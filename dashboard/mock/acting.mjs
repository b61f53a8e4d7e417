// What is being done, for whoever has to know it on the way: the request, and the second person beside whoever proposed it.

import { AsyncLocalStorage } from 'node:async_hooks';

const acts = new AsyncLocalStorage();

const WORDS = [
  ['PUT', /^machines\/[^/]+\/labels$/, 'machines.label'], ['PUT', /^machines\/[^/]+\/display-name$/, 'machines.name'],
  ['DELETE', /^machines\/[^/]+\/recordings\//, 'recordings.remove'], ['PUT', /^machines\/[^/]+\/desired\//, 'machines.desire'],
  ['POST', /^machines\/[^/]+\/commands$/, 'machines.command'],
  ['PUT', /^people\/[^/]+\/password$/, 'people.password'], ['DELETE', /^people\/[^/]+\/second-factor$/, 'people.second_factor.remove'],
  ['PUT', /^people\/[^/]+$/, 'people.change'], ['DELETE', /^people\/[^/]+$/, 'people.remove'],
  ['PUT', /^policies\//, 'policies.change'], ['DELETE', /^policies\//, 'policies.remove'],
  ['POST', /^tokens$/, 'tokens.make'], ['POST', /^enrolments$/, 'enrolments.make'], ['DELETE', /^enrolments\//, 'enrolments.withdraw'],
  ['POST', /^identities\/[^/]+\/enrolment$/, 'enrolments.make'], ['POST', /^identities\/[^/]+\/accept$/, 'identities.accept'],
  ['POST', /^identities\/[^/]+\/renew$/, 'identities.renew'], ['POST', /^identities\/[^/]+\/revoke$/, 'identities.revoke'],
  ['POST', /^certificate-authorities$/, 'authorities.rotate'],
];

/** The word of the audit log. */
const actionOf = (method, path) => WORDS.find(([verb, pattern]) => verb === method && pattern.test(path))?.[2];

export const within = ({ request, path, query, second }, run) =>
  acts.run({ request, path, query, action: actionOf(request.method, path), second: second?.person ?? null, proposal: second?.proposal ?? null }, run);

export const acting = () => acts.getStore();
