import { describe, expect, it } from 'vitest';
import { cloudInit, enrolCommand, serverAddress } from '../../src/access/enrol';
import { parseLabels } from '../../src/access/enrol-dialog';
import { byConcern, concern, hasWord } from '../../src/access/standing';
import type { MachineIdentity } from '../../src/api/types';

const NOW = Date.parse('2026-11-22T06:00:00.000Z');
const DAY = 86_400_000;
const at = (days: number) => new Date(NOW + days * DAY).toISOString();

function identity(name: string, part: Partial<MachineIdentity> = {}): MachineIdentity {
  const not_after = part.not_after === undefined ? at(60) : part.not_after;
  return {
    machine_id: `id-${name}`, name, kind: 'lekiwi', labels: { site: 'munich' }, standing: 'accepted', standing_since: at(-30), reason: null,
    enrolled_at: at(-30), connected: true, not_after, renew_asked: false, cloned_at: null,
    certificates: [{ serial: 's', fingerprint: 'f', authority: 1, issued_at: at(-30), not_after: not_after ?? at(60), first_used_at: at(-30), superseded_at: null }], ...part,
  };
}

describe('what a certificate needs of people', () => {
  it.each([
    ['nothing while it is young', {}, 'none'],
    ['somebody who lets it in', { standing: 'pending' }, 'waits'],
    ['nothing any more', { standing: 'revoked', not_after: null }, 'shut out'],
    ['a look, where somebody else has its key', { cloned_at: at(-1) }, 'cloned'],
    ['a new token once it has ended', { not_after: at(-1) }, 'ended'],
    ['a new token where none is in force', { not_after: null }, 'ended'],
    // At two thirds it should have renewed.
    ['a look near its end', { not_after: at(5) }, 'ends soon'],
    ['nothing at two thirds', { not_after: at(14) }, 'none'],
  ] as [string, Partial<MachineIdentity>, string][])('%s', (_, part, expected) => {
    expect(concern(identity('a', part), NOW)).toBe(expected);
  });

  it('comes first, and who is shut out last', () => {
    const all = [identity('d'), identity('b', { standing: 'revoked' }), identity('c', { not_after: at(5) }), identity('a', { standing: 'pending' })];
    expect(byConcern(all, NOW).map((each) => each.name)).toEqual(['a', 'c', 'd', 'b']);
    expect(all.filter((each) => hasWord(each, ' SITE=mun')).length).toBe(4);
    expect(all.filter((each) => hasWord(each, 'id-c')).map((each) => each.name)).toEqual(['c']);
  });
});

describe('a token that is handed over', () => {
  it.each([
    ['https:', 'fleet.example:7700', '7700', 'https://fleet.example:7700'],
    ['https:', 'fleet.example', '', 'https://fleet.example:443'],
    ['http:', '[::1]', '', 'http://[::1]:80'],
  ])('is for a server with a port: %s %s', (protocol, host, port, expected) => {
    expect(serverAddress({ protocol, host, port })).toBe(expected);
  });

  it('is in the command, and no argument of a process in the first boot', () => {
    const token = `mste_${'ab'.repeat(32)}.${'cd'.repeat(32)}`;
    expect(enrolCommand(token, 'https://fleet.example:7700')).toBe(`muster-machine enroll ${token} --server https://fleet.example:7700`);
    const lines = cloudInit(token, 'https://fleet.example:7700').split('\n');
    expect(lines.filter((line) => line.includes('mste_'))).toEqual([`      ${token}`]);
    expect(lines.slice(lines.indexOf('runcmd:')).join('\n')).not.toContain('mste_');
  });

  it.each([['', {}], ['site=munich line=3', { site: 'munich', line: '3' }], ['a=b=c,d=e', { a: 'b=c', d: 'e' }], ['site', null], ['=x', null], ['site=', null]] as [string, object | null][])('has the labels of %j', (text, expected) => {
    expect(parseLabels(text)).toEqual(expected);
  });
});
