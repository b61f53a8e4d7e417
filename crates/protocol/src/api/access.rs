//! People, what they may do, and who did what.
//!
//! Begin with [`Me`]: who asks, and what they may do. Secrets appear once, in the answer that makes them.

use muster_model::access::{Permission, PersonName, Role};
use muster_model::{MachineId, Timestamp};
use serde::{Deserialize, Serialize};

/// Shortest password, in characters.
pub const PASSWORD_MIN_CHARS: usize = 12;
/// Longest password, in characters.
pub const PASSWORD_MAX_CHARS: usize = 256;
/// Most grants of one person or token.
pub const GRANTS_MAX: usize = 32;
/// Longest life of an API token, in seconds: a year.
pub const TOKEN_LIFETIME_MAX_S: u64 = 31_536_000;
/// How long an API token lives where nothing is said, in seconds: 90 days.
pub const TOKEN_LIFETIME_DEFAULT_S: u64 = 7_776_000;
/// Longest expression of a policy, in characters.
pub const POLICY_MAX_CHARS: usize = 2_000;

document! {
    /// A role over some machines.
    #[serde(deny_unknown_fields)]
    AccessGrant {
        /// What may be done.
        role: Role,
        /// To which machines: `*`, or a filter of `label.KEY` and `id` terms such as `label.site=munich`.
        scope: String,
    }
}

document! {
    /// Who asks, and what they may do.
    Me {
        /// Whether anybody is signed in. If not, the rest says how to.
        signed_in: bool,
        /// By which name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        name: Option<String>,
        /// The name to be shown.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        display_name: Option<String>,
        /// By what: `session`, `token`, or `posture` where everybody on the server's computer is let in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        by: Option<String>,
        /// What was granted.
        grants: Vec<AccessGrant>,
        /// What may be done at all, to at least one machine.
        permissions: Vec<Permission>,
        /// What may be done to the whole fleet.
        permissions_everywhere: Vec<Permission>,
        /// Whether everybody on the server's computer is let in without signing in, as in the demo.
        trusts_loopback: bool,
        /// Whether there are no people yet: the set-up link, which the server said when it started, makes the first.
        needs_set_up: bool,
        /// Whether a code is asked for besides the password.
        second_factor: bool,
        /// When the session ends at the latest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        expires_at: Option<Timestamp>,
        /// A provider at which people sign in besides, by the name on the button.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        provider: Option<String>,
    }
}

document! {
    /// Signing in.
    #[serde(deny_unknown_fields)]
    SignIn {
        /// By which name.
        name: String,
        /// The password.
        #[cfg_attr(feature = "schema", schema(write_only))]
        password: String,
        /// The code of the second factor, or one of the codes for the day it is lost, where the person has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false, write_only))]
        code: Option<String>,
        /// Whether the answer holds the session for a program, instead of a cookie for a browser.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        as_token: bool,
    }
}

document! {
    /// Somebody is signed in.
    SignedIn {
        /// Who.
        name: String,
        /// The session, for `Authorization: Bearer`, where it was asked for so. Told once.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        token: Option<String>,
        /// When it ends at the latest.
        expires_at: Timestamp,
    }
}

document! {
    /// A program asks to be signed in by a browser.
    DeviceStarted {
        /// What it asks with. Told once.
        device_code: String,
        /// What it shows to the person.
        user_code: String,
        /// Where the person types it, on this server.
        verification_path: String,
        /// Until when it waits.
        expires_at: Timestamp,
        /// How long to wait between two questions, in seconds.
        interval_s: u32,
    }
}

document! {
    /// Whether somebody said yes.
    #[serde(deny_unknown_fields)]
    DeviceAsks {
        /// What it was told when it began.
        #[cfg_attr(feature = "schema", schema(write_only))]
        device_code: String,
    }
}

document! {
    /// A program that waits to be signed in.
    DeviceRequest {
        /// The address from which it asks.
        from: String,
        /// What it calls itself.
        agent: String,
        /// Since when.
        started_at: Timestamp,
    }
}

document! {
    /// Making the first person, with the set-up link.
    #[serde(deny_unknown_fields)]
    SetUp {
        /// What stands in the link behind `#`.
        #[cfg_attr(feature = "schema", schema(write_only))]
        token: String,
        /// The name to sign in by: a-z, 0-9, `.`, `-`, `_`, `@`.
        name: String,
        /// The password: 12 to 256 characters.
        #[cfg_attr(feature = "schema", schema(write_only))]
        password: String,
    }
}

document! {
    /// A person.
    Person {
        /// The name to sign in by.
        name: PersonName,
        /// The name to be shown; empty: the other one.
        display_name: String,
        /// What is granted.
        grants: Vec<AccessGrant>,
        /// Whether they cannot sign in, and nothing of theirs is valid.
        disabled: bool,
        /// Whether there is a password. Who has none signs in at a provider, or not at all: somebody for tokens only.
        has_password: bool,
        /// Whether a code is asked for besides the password.
        second_factor: bool,
        /// The provider that vouches for them, for people who came from one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        provider: Option<String>,
        /// Since when.
        created_at: Timestamp,
        /// When the newest session of theirs began that is not over.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        signed_in_at: Option<Timestamp>,
        /// The version for `If-Match`.
        version: u64,
    }
}

document! {
    /// The people.
    People {
        /// By name.
        items: Vec<Person>,
    }
}

document! {
    /// What a person is to be.
    #[serde(deny_unknown_fields)]
    PutPerson {
        /// The name to be shown; empty: the name to sign in by.
        #[serde(default)]
        display_name: String,
        /// What is granted: at most 32.
        grants: Vec<AccessGrant>,
        /// Whether they cannot sign in, and nothing of theirs is valid.
        #[serde(default)]
        disabled: bool,
        /// A first password, for a new person. Absent: none, or the one they have.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false, write_only))]
        password: Option<String>,
        /// Why: 1 to 500 characters.
        #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 500))]
        reason: String,
    }
}

document! {
    /// Another password.
    #[serde(deny_unknown_fields)]
    PutPassword {
        /// The one so far, for one's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false, write_only))]
        current: Option<String>,
        /// The new one: 12 to 256 characters.
        #[cfg_attr(feature = "schema", schema(write_only))]
        password: String,
    }
}

document! {
    /// A second factor that is not in force yet: the code of it puts it in force.
    SecondFactorOffer {
        /// The secret, base32, to be typed into an authenticator.
        secret: String,
        /// The same as an `otpauth://` address.
        address: String,
        /// The address as a QR code, an SVG image.
        qr_svg: String,
    }
}

document! {
    /// Puts the second factor in force.
    #[serde(deny_unknown_fields)]
    ConfirmSecondFactor {
        /// A code of the authenticator.
        #[cfg_attr(feature = "schema", schema(write_only))]
        code: String,
    }
}

document! {
    /// The codes for the day the second factor is lost, each for one use. Told once.
    RecoveryCodes {
        /// The codes.
        codes: Vec<String>,
    }
}

document! {
    /// A session of somebody who signed in.
    AccessSession {
        /// Its public name, to end it by.
        id: String,
        /// Whose.
        person: PersonName,
        /// Whether it is the one that asks.
        current: bool,
        /// Since when.
        created_at: Timestamp,
        /// When it was used last, to the minute.
        used_at: Timestamp,
        /// When it ends at the latest.
        expires_at: Timestamp,
        /// The address from which it was begun.
        from: String,
        /// What the browser or program called itself.
        agent: String,
    }
}

document! {
    /// Sessions.
    AccessSessions {
        /// The newest first.
        items: Vec<AccessSession>,
    }
}

document! {
    /// A token for programs.
    AccessToken {
        /// Its public name, to revoke it by.
        id: String,
        /// What it is for, in a few words.
        name: String,
        /// Whose. It can never do what they cannot.
        owner: PersonName,
        /// What it is narrowed to.
        grants: Vec<AccessGrant>,
        /// Since when.
        created_at: Timestamp,
        /// When it ends.
        expires_at: Timestamp,
        /// When it was used last, to the minute.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        used_at: Option<Timestamp>,
        /// From where it was used last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        used_from: Option<String>,
    }
}

document! {
    /// Tokens.
    AccessTokens {
        /// The newest first.
        items: Vec<AccessToken>,
    }
}

document! {
    /// A token to be made.
    #[serde(deny_unknown_fields)]
    MakeToken {
        /// What it is for: 1 to 100 characters.
        #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 100))]
        name: String,
        /// What it is narrowed to; absent: all that its owner may.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        grants: Option<Vec<AccessGrant>>,
        /// Whose; absent: of whoever asks.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        owner: Option<String>,
        /// How long it lives, in seconds: 60 to 31,536,000; absent: 90 days.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false, minimum = 60, maximum = 31_536_000))]
        expires_in_s: Option<u64>,
    }
}

document! {
    /// A token that was made.
    TokenMade {
        /// The token itself. Told once.
        secret: String,
        /// What is kept of it.
        token: AccessToken,
    }
}

document! {
    /// A role.
    RoleDescription {
        /// Which.
        role: Role,
        /// What it holds.
        permissions: Vec<Permission>,
        /// In words.
        description: String,
    }
}

document! {
    /// The roles, from least to most.
    Roles {
        /// All there are.
        items: Vec<RoleDescription>,
    }
}

/// What a policy does where its expression holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PolicyEffect {
    /// Nobody may, whatever is granted.
    Forbid,
    /// Somebody may, though nothing grants it.
    Permit,
    /// Whoever may, needs a second person who may, too. Never to read, and never to stop.
    SecondPerson,
}

document! {
    /// A rule of one's own.
    AccessPolicy {
        /// Its name.
        name: String,
        /// What it does where it holds.
        effect: PolicyEffect,
        /// Which permissions it is about; empty: all.
        permissions: Vec<Permission>,
        /// When it holds: an expression in CEL over `person`, `machine`, `permission`, `action` and `now`.
        condition: String,
        /// What it is for, told to whoever meets it.
        description: String,
        /// The version for `If-Match`.
        version: u64,
        /// When it was changed last.
        updated_at: Timestamp,
    }
}

document! {
    /// The rules of one's own.
    AccessPolicies {
        /// By name.
        items: Vec<AccessPolicy>,
    }
}

document! {
    /// What a rule is to be.
    #[serde(deny_unknown_fields)]
    PutPolicy {
        /// What it does where it holds.
        effect: PolicyEffect,
        /// Which permissions it is about; empty: all.
        #[serde(default)]
        permissions: Vec<Permission>,
        /// When it holds: an expression in CEL, at most 2,000 characters.
        condition: String,
        /// What it is for: 1 to 500 characters, told to whoever meets it.
        description: String,
        /// Why it is changed: 1 to 500 characters.
        #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 500))]
        reason: String,
    }
}

document! {
    /// What somebody could do, without doing it.
    #[serde(deny_unknown_fields)]
    CheckAccess {
        /// Who.
        person: String,
        /// To which machine; absent: to the fleet as such.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        machine: Option<MachineId>,
        /// With these grants instead of theirs, to see what a change would do.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        grants: Option<Vec<AccessGrant>>,
        /// With this rule besides, to see what it would do.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        policy: Option<PutPolicy>,
    }
}

document! {
    /// Whether one thing is allowed, and by which rule.
    AccessDecision {
        /// What.
        permission: Permission,
        /// Whether.
        allowed: bool,
        /// Which rule allows or refuses it, in words.
        rule: String,
        /// The policy that asks for a second person: what is allowed waits until one approves.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        second_person: Option<String>,
        /// For the fleet as such: how many machines it reaches.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        machines: Option<u64>,
    }
}

document! {
    /// What somebody could do.
    AccessChecked {
        /// Who.
        person: String,
        /// One for each permission.
        decisions: Vec<AccessDecision>,
    }
}

document! {
    /// What an act was done to.
    AuditObject {
        /// `machine`, `person`, `token`, `session`, `policy`, `proposal`, `enrolment`, `identity`, `fleet`.
        kind: String,
        /// Which.
        id: String,
        /// What it was called then.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        name: String,
    }
}

/// How an act ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AuditOutcome {
    /// Done.
    Done,
    /// They may not.
    Refused,
    /// They may, and it could not be done.
    Failed,
    /// They may, and it waits for a second person.
    Proposed,
}

impl AuditOutcome {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Proposed => "proposed",
        }
    }
}

document! {
    /// Who did what.
    AuditEntry {
        /// Its place in the audit log.
        position: u64,
        /// When.
        at: Timestamp,
        /// Who; empty: nobody was signed in.
        #[serde(default)]
        person: String,
        /// By what: `session`, `token`, `proposal`, `posture`, `set_up`, `server`; empty: by nothing.
        #[serde(default)]
        by: String,
        /// Which session, token or proposal, by its public name.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        by_id: String,
        /// Who seconded it, where a policy asks for a second person.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        second_person: String,
        /// What: `machines.stop`, `people.change` …
        action: String,
        /// To what.
        #[serde(default)]
        objects: Vec<AuditObject>,
        /// To how many, where that is more than are named.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        objects_in_all: Option<u64>,
        /// Why, as they said.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
        /// From which address.
        #[serde(default)]
        from: String,
        /// How it ended.
        outcome: AuditOutcome,
        /// The HTTP status that was answered.
        status: u16,
        /// The rule that allowed or refused it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        rule: String,
        /// What changed, or why it could not be done, in words.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        detail: String,
    }
}

document! {
    /// A page of the audit log.
    AuditPage {
        /// The entries, the newest first unless the other order was asked for.
        items: Vec<AuditEntry>,
        /// To go on with; absent: there are no more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        next_cursor: Option<String>,
        /// The last entry there is.
        head: u64,
    }
}

document! {
    /// Whether the audit log is whole.
    AuditChecked {
        /// Whether every entry fits to the one before, and none is missing at the end.
        sound: bool,
        /// How many entries there are.
        entries: u64,
        /// The hash of the last, to be written down elsewhere.
        head_hash: String,
        /// What is wrong.
        findings: Vec<String>,
    }
}
