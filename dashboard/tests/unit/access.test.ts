import { describe, expect, it } from 'vitest';
import type { AccessChecked, AuditEntry, Me, RoleDescription } from '../../src/api/types';
import { nameFault, passwordFault } from '../../src/access/fields';
import { areSound, toDrafts, toGrants } from '../../src/access/grants-editor';
import { scopeFault } from '../../src/access/scope';
import { agentInWords } from '../../src/access/words';
import { decided, missing } from '../../src/kit/permit';
import { merged } from '../../src/pages/access/use-audit';

describe('a scope', () => {
  it.each(['*', ' * ', 'label.site=munich', 'label.site=munich|berlin label.line~3', 'id=0192f0c1-0000-7000-8000-000000000001'])('%s is accepted', (scope) => {
    expect(scopeFault(scope)).toBeNull();
  });

  // The same that the server refuses: see `crates/model/src/access/tests.rs`.
  it.each([
    ['kind=car', /none must choose/], ['region=munich', /none must choose/], ['battery>20', /none must choose/], ['munich', /none must choose/],
    ['label.site!=berlin', /nobody thought of/], ['label.site=munich kind=car', /kind=car/], ['id!=0192f0c1-0000-7000-8000-000000000001', /nobody thought of/],
    ['', /empty/], ['label.site=', /no value/], ['labels.site=munich', /no field/], [`label.site=${'x'.repeat(512)}`, /512 bytes/],
  ])('%s is refused', (scope, why) => {
    expect(scopeFault(scope)).toMatch(why);
  });

  it('survives being edited', () => {
    const grants = [{ role: 'viewer' as const, scope: '*' }, { role: 'operator' as const, scope: 'label.site=munich' }];
    expect(toGrants(toDrafts(grants))).toEqual(grants);
    expect(areSound(toDrafts(grants))).toBe(true);
    expect(areSound([{ key: 0, role: 'viewer', everywhere: false, scope: 'kind=car' }])).toBe(false);
  });
});

describe('a name and a password', () => {
  it.each([['ada', null], ['ada@example.com', null], ['7-of_9.x', null], ['', /needed/], ['Ada', /a-z/], ['-ada', /begins/], ['a da', /accepted/]] as [string, RegExp | null][])('%j', (name, why) => {
    if (why === null) expect(nameFault(name)).toBeNull();
    else expect(nameFault(name)).toMatch(why);
  });

  it('asks for nothing but length', () => {
    expect(passwordFault('aaaaaaaaaaa')).toMatch(/12 characters/);
    expect(passwordFault('aaaaaaaaaaaa')).toBeNull();
    // Counted as people count, not as they are kept.
    expect(passwordFault('🔑'.repeat(11))).toMatch(/12 characters/);
    expect(passwordFault('x'.repeat(257))).toMatch(/256/);
  });
});

const ME: Me = {
  signed_in: true, name: 'ada', grants: [{ role: 'viewer', scope: 'label.site=munich' }], permissions: ['read'], permissions_everywhere: [],
  trusts_loopback: false, needs_set_up: false, second_factor: false,
};
const ROLES: RoleDescription[] = [
  { role: 'viewer', permissions: ['read'], description: '' }, { role: 'operator', permissions: ['read', 'stop'], description: '' },
  { role: 'admin', permissions: ['read', 'stop', 'audit'], description: '' },
];

describe('what may not be done', () => {
  it('says what it needs, who holds that, and what one has', () => {
    expect(missing('stop', ME, ROLES)).toBe('Needs stop, which operator and admin hold; you have viewer on label.site=munich.');
    expect(missing('audit', ME, ROLES, true)).toBe('Needs audit for the whole fleet, which admin holds; you have viewer on label.site=munich.');
    expect(missing('stop', { ...ME, grants: [] }, [])).toBe('Needs stop; you have no grant.');
  });

  it('says of a machine what the server says', () => {
    const checked: AccessChecked = { person: 'ada', decisions: [{ permission: 'stop', allowed: false, rule: 'the policy night forbids it' }, { permission: 'read', allowed: true, rule: 'viewer' }] };
    expect(decided('stop', checked)).toEqual({ allowed: false, why: 'The policy night forbids it.' });
    expect(decided('read', checked)?.allowed).toBe(true);
    expect(decided('deploy', checked)).toBeNull();
  });
});

const entry = (position: number): AuditEntry => ({ position, at: '', person: '', by: '', action: '', objects: [], from: '', outcome: 'done', status: 200 });

describe('the audit log', () => {
  it('shows each entry once, the newest first', () => {
    expect(merged([entry(4), entry(5)], [entry(4), entry(3)]).map((each) => each.position)).toEqual([5, 4, 3]);
  });
});

describe('what a browser calls itself', () => {
  it.each([
    ['Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0', 'Firefox on Linux'],
    ['Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0', 'Edge on Windows'],
    ['Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Mobile/15E148 Safari/604.1', 'Safari on iOS'],
    ['muster/0.1.0', 'muster/0.1.0'],
    ['', 'not said'],
  ])('%s', (agent, words) => {
    expect(agentInWords(agent)).toBe(words);
  });
});
