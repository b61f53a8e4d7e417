/** The documents about people and what they may, as `crates/protocol/src/api/access.rs` has them. */
export type Permission = 'read' | 'stop' | 'operate' | 'diagnose' | 'deploy' | 'configure' | 'enrol' | 'administer' | 'audit';
export type Role = 'viewer' | 'operator' | 'engineer' | 'admin';
export interface AccessGrant { role: Role; scope: string }
export interface Me {
  signed_in: boolean; name?: string; display_name?: string; by?: string; grants: AccessGrant[]; permissions: Permission[];
  permissions_everywhere: Permission[]; trusts_loopback: boolean; needs_set_up: boolean; second_factor: boolean; expires_at?: string; provider?: string;
}
export interface SignIn { name: string; password: string; code?: string; as_token?: boolean }
export interface SignedIn { name: string; token?: string; expires_at: string }
export interface SetUp { token: string; name: string; password: string }
export interface Person {
  name: string; display_name: string; grants: AccessGrant[]; disabled: boolean; has_password: boolean; second_factor: boolean; provider?: string;
  created_at: string; signed_in_at?: string; version: number;
}
export interface People { items: Person[] }
export interface PutPerson { display_name?: string; grants: AccessGrant[]; disabled?: boolean; password?: string; reason: string }
export interface PutPassword { current?: string; password: string }
export interface SecondFactorOffer { secret: string; address: string; qr_svg: string }
export interface RecoveryCodes { codes: string[] }
export interface AccessSession {
  id: string; person: string; current: boolean; created_at: string; used_at: string; expires_at: string; from: string; agent: string;
}
export interface AccessSessions { items: AccessSession[] }
export interface AccessToken {
  id: string; name: string; owner: string; grants: AccessGrant[]; created_at: string; expires_at: string; used_at?: string; used_from?: string;
}
export interface AccessTokens { items: AccessToken[] }
export interface MakeToken { name: string; grants?: AccessGrant[]; owner?: string; expires_in_s?: number }
export interface TokenMade { secret: string; token: AccessToken }
export interface RoleDescription { role: Role; permissions: Permission[]; description: string }
export interface Roles { items: RoleDescription[] }
export type PolicyEffect = 'forbid' | 'permit';
export interface AccessPolicy {
  name: string; effect: PolicyEffect; permissions: Permission[]; condition: string; description: string; version: number; updated_at: string;
}
export interface AccessPolicies { items: AccessPolicy[] }
export interface PutPolicy { effect: PolicyEffect; permissions?: Permission[]; condition: string; description: string; reason: string }
export interface CheckAccess { person: string; machine?: string; grants?: AccessGrant[]; policy?: PutPolicy }
export interface AccessDecision { permission: Permission; allowed: boolean; rule: string; machines?: number }
export interface AccessChecked { person: string; decisions: AccessDecision[] }
export interface AuditObject { kind: string; id: string; name?: string }
export type AuditOutcome = 'done' | 'refused' | 'failed';
export interface AuditEntry {
  position: number; at: string; person: string; by: string; by_id?: string; action: string; objects: AuditObject[]; objects_in_all?: number; reason?: string;
  from: string; outcome: AuditOutcome; status: number; rule?: string; detail?: string;
}
export interface AuditPage { items: AuditEntry[]; next_cursor?: string; head: number }
export interface AuditChecked { sound: boolean; entries: number; head_hash: string; findings: string[] }
