//! Identities of machines: who may enrol, which certificates there are, who was shut out.

use std::collections::BTreeMap;

use muster_model::{MachineId, Timestamp};
use serde::{Deserialize, Serialize};

/// How long a token for enrolment is good where nothing is said, in seconds: an hour.
pub const ENROLMENT_LIFETIME_DEFAULT_S: u32 = 3_600;
/// The longest that can be asked for: 30 days.
pub const ENROLMENT_LIFETIME_MAX_S: u32 = 30 * 86_400;
/// Longest kind of a machine, in characters: lower-case letters, digits and dashes.
pub const KIND_MAX_CHARS: usize = 32;
/// Longest reason for shutting a machine out, in characters.
pub const IDENTITY_REASON_MAX_CHARS: usize = 500;
/// Most identities or enrolments of one page.
pub const IDENTITIES_PAGE_MAX: u32 = 1_000;

/// What becomes of a machine that enrols.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum EnrolmentPolicy {
    /// It is part of the fleet at once.
    #[default]
    Accept,
    /// It waits until a person accepts it.
    Pending,
}

/// How an enrolment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum EnrolmentState {
    /// Nobody used it yet.
    Open,
    /// A machine used it.
    Used,
    /// Nobody used it in time.
    Expired,
}

document! {
    /// A new enrolment: what the machine will be that uses its token.
    #[serde(deny_unknown_fields)]
    NewEnrolment {
        /// What kind of machine it is: 1 to 32 lower-case letters, digits and dashes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false, max_length = 32))]
        kind: Option<String>,
        /// What it is shown as: 1 to 100 characters.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false, max_length = 100))]
        name: Option<String>,
        /// Its labels from the first.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        labels: BTreeMap<String, String>,
        /// How long the token is good, in seconds: 60 to 2,592,000. Absent: an hour.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false, minimum = 60, maximum = 2_592_000))]
        expires_in_s: Option<u32>,
        /// What becomes of the machine. Absent: it is accepted at once.
        #[serde(default)]
        policy: EnrolmentPolicy,
    }
}

document! {
    /// An enrolment, without its secret.
    Enrolment {
        /// Names it.
        id: String,
        /// How it stands.
        state: EnrolmentState,
        /// The machine that used it, or that alone may use it; null while that is open.
        #[cfg_attr(feature = "schema", schema(required = true))]
        machine_id: Option<MachineId>,
        /// What kind of machine it is for; null where nothing was said.
        #[cfg_attr(feature = "schema", schema(required = true))]
        kind: Option<String>,
        /// What the machine is shown as; null where nothing was said.
        #[cfg_attr(feature = "schema", schema(required = true))]
        name: Option<String>,
        /// The labels it gets.
        labels: BTreeMap<String, String>,
        /// What becomes of the machine.
        policy: EnrolmentPolicy,
        /// When it was made.
        created_at: Timestamp,
        /// By whom.
        created_by: String,
        /// When its token ends.
        expires_at: Timestamp,
        /// When it was used; null while it was not.
        #[cfg_attr(feature = "schema", schema(required = true))]
        used_at: Option<Timestamp>,
    }
}

document! {
    /// A new enrolment with its token, which is said once.
    EnrolmentMade {
        /// The enrolment.
        enrolment: Enrolment,
        /// The token, for one machine.
        token: String,
    }
}

document! {
    /// Enrolments.
    EnrolmentPage {
        /// The newest first.
        items: Vec<Enrolment>,
    }
}

/// How the fleet stands to a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum IdentityStanding {
    /// It has a certificate, and waits until a person accepts it.
    Pending,
    /// It is part of the fleet.
    Accepted,
    /// It was shut out.
    Revoked,
}

document! {
    /// A certificate of a machine.
    MachineCertificate {
        /// Its serial number, in hexadecimal.
        serial: String,
        /// SHA-256 of it, in hexadecimal.
        fingerprint: String,
        /// Which authority issued it.
        authority: u32,
        /// When it was issued.
        issued_at: Timestamp,
        /// When it ends.
        not_after: Timestamp,
        /// When it was used for the first time; null while it was not.
        #[cfg_attr(feature = "schema", schema(required = true))]
        first_used_at: Option<Timestamp>,
        /// When a newer one was used instead; null while it is in force.
        #[cfg_attr(feature = "schema", schema(required = true))]
        superseded_at: Option<Timestamp>,
    }
}

document! {
    /// What a machine proves who it is by.
    MachineIdentity {
        /// The machine.
        machine_id: MachineId,
        /// What it is shown as; null where nothing was said.
        #[cfg_attr(feature = "schema", schema(required = true))]
        name: Option<String>,
        /// What kind it was enrolled as; null where nothing was said.
        #[cfg_attr(feature = "schema", schema(required = true))]
        kind: Option<String>,
        /// The labels it was enrolled with.
        labels: BTreeMap<String, String>,
        /// How the fleet stands to it.
        standing: IdentityStanding,
        /// Since when.
        standing_since: Timestamp,
        /// Why it was shut out; null where it was not.
        #[cfg_attr(feature = "schema", schema(required = true))]
        reason: Option<String>,
        /// When it enrolled first.
        enrolled_at: Timestamp,
        /// Whether it is connected.
        connected: bool,
        /// When the certificate in force ends; null where none is.
        #[cfg_attr(feature = "schema", schema(required = true))]
        not_after: Option<Timestamp>,
        /// Whether it is told to renew the next time it asks.
        renew_asked: bool,
        /// When somebody else was seen last with the same key; null where nobody was.
        #[cfg_attr(feature = "schema", schema(required = true))]
        cloned_at: Option<Timestamp>,
        /// The newest first.
        certificates: Vec<MachineCertificate>,
    }
}

document! {
    /// Identities of machines, by id.
    MachineIdentityPage {
        /// Identities.
        items: Vec<MachineIdentity>,
        /// How many there are in all.
        total: u64,
        /// What to ask for to see more; null at the end.
        #[cfg_attr(feature = "schema", schema(required = true))]
        next_cursor: Option<String>,
    }
}

document! {
    /// Why a machine is shut out.
    #[serde(deny_unknown_fields)]
    RevokeIdentity {
        /// Why: 1 to 500 characters.
        #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 500))]
        reason: String,
    }
}

document! {
    /// An authority that issues certificates, or did.
    CertificateAuthority {
        /// Its number; the highest issues.
        generation: u32,
        /// SHA-256 of its certificate, in hexadecimal.
        fingerprint: String,
        /// Since when it is.
        not_before: Timestamp,
        /// When it ends.
        not_after: Timestamp,
        /// Whether it issues.
        issues: bool,
        /// Certificates in force that it issued.
        certificates: u64,
    }
}

document! {
    /// The authorities that are trusted.
    CertificateAuthorities {
        /// The newest first.
        items: Vec<CertificateAuthority>,
        /// All of them in PEM, for whoever is to trust the server.
        pem: String,
    }
}
