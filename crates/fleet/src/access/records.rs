//! What is kept of people, sessions, tokens and policies: each a document of its own.

use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, Ordering};

use muster_model::Timestamp;
use muster_model::access::{Grant, Permission, PersonName};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::caller::in_words;
use super::secret::Hash;

/// How much a note of use may be behind: it is for people, and each would cost a write.
const NOTED_EVERY_MS: i64 = 60_000;

/// A person.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PersonRecord {
    /// The name to be shown; empty: the name to sign in by.
    #[serde(default)]
    pub display_name: String,
    /// What is granted.
    pub grants: Vec<Grant>,
    /// Whether nothing of theirs is valid.
    #[serde(default)]
    pub disabled: bool,
    /// The password as argon2id makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// The second factor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_factor: Option<SecondFactor>,
    /// The provider that vouches for them, and what it calls them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Vouched>,
    /// Since when.
    pub created_at: Timestamp,
    /// Grows whenever all their sessions are to end: a new password, or that they are disabled.
    #[serde(default)]
    pub era: u64,
}

impl PersonRecord {
    /// What a change of a person comes to, in words; empty: nothing.
    pub fn what_changed(&self, before: Option<&Self>) -> String {
        let Some(before) = before else {
            return format!("new: {}", in_words(&self.grants));
        };
        let mut changes = Vec::new();
        if before.grants != self.grants {
            let (before, after) = (in_words(&before.grants), in_words(&self.grants));
            changes.push(format!("{before} → {after}"));
        }
        if before.disabled != self.disabled {
            changes.push(if self.disabled { "disabled" } else { "enabled" }.to_owned());
        }
        if before.password != self.password {
            changes.push("another password".to_owned());
        }
        if before.display_name != self.display_name {
            changes.push(format!("shown as {:?}", self.display_name));
        }
        changes.join("; ")
    }
}

/// Somebody whom a provider vouches for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vouched {
    /// The provider.
    pub issuer: String,
    /// What it calls them.
    pub subject: String,
}

/// A second factor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SecondFactor {
    /// The secret, base32.
    pub secret: String,
    /// The last step of time of which a code was taken: no code counts twice.
    #[serde(default)]
    pub last_step: u64,
    /// SHA-256 of the codes for the day it is lost, in hexadecimal; each goes when it was used.
    #[serde(default)]
    pub recovery: Vec<String>,
}

/// When something was used last.
#[derive(Debug, Default)]
pub struct Used {
    at_ms: AtomicI64,
    kept_ms: AtomicI64,
}

impl Used {
    /// Last used then, and that is on the disk.
    pub fn kept(at: Timestamp) -> Self {
        Self {
            at_ms: AtomicI64::new(at.as_millis()),
            kept_ms: AtomicI64::new(at.as_millis()),
        }
    }

    /// It is used now.
    pub fn note(&self, now: Timestamp) {
        self.at_ms.fetch_max(now.as_millis(), Ordering::Relaxed);
    }

    /// When.
    pub fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.at_ms.load(Ordering::Relaxed))
    }

    /// Whether the disk should hear of it.
    pub fn is_news(&self) -> bool {
        self.at_ms.load(Ordering::Relaxed) - self.kept_ms.load(Ordering::Relaxed) >= NOTED_EVERY_MS
    }

    /// The disk has heard of it.
    pub fn was_kept(&self, at: Timestamp) {
        self.kept_ms.store(at.as_millis(), Ordering::Relaxed);
    }
}

/// A session as it is kept. Its key is the hash of its secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionRecord {
    /// Its public name.
    pub id: String,
    /// Whose.
    pub person: PersonName,
    /// The era of the person in which it was begun.
    #[serde(default)]
    pub era: u64,
    /// Since when.
    pub created_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// When it was used last, about.
    pub used_at: Timestamp,
    /// From where it was begun.
    pub from: String,
    /// What the browser called itself.
    pub agent: String,
    /// What the provider wants to hear when it ends, where one vouched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_session: Option<String>,
}

/// A session in memory.
#[derive(Debug)]
pub struct Session {
    /// What its secret hashes to.
    pub hash: Hash,
    /// Its public name.
    pub id: String,
    /// Whose.
    pub person: PersonName,
    /// The era of the person in which it was begun.
    pub era: u64,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// When it was used last.
    pub used: Used,
    /// The rest.
    pub record: SessionRecord,
}

/// A token as it is kept. Its key is the hash of its secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Its public name.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// Whose.
    pub owner: PersonName,
    /// What it is narrowed to; absent: all that its owner may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<Vec<Grant>>,
    /// Since when.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was used last, about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<Timestamp>,
    /// From where it was used last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_from: Option<String>,
}

/// A token in memory.
#[derive(Debug)]
pub struct Token {
    /// What its secret hashes to.
    pub hash: Hash,
    /// Its public name.
    pub id: String,
    /// Whose.
    pub owner: PersonName,
    /// What it is narrowed to.
    pub grants: Option<Vec<Grant>>,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was used last.
    pub used: Used,
    /// From where.
    used_from: Mutex<Option<IpAddr>>,
    /// The rest.
    pub record: TokenRecord,
}

impl Session {
    /// As it is on the disk.
    pub fn of(hash: Hash, record: SessionRecord) -> Self {
        Self {
            hash,
            id: record.id.clone(),
            person: record.person.clone(),
            era: record.era,
            expires_at: record.expires_at,
            used: Used::kept(record.used_at),
            record,
        }
    }

    /// As it should be on the disk now.
    pub fn to_record(&self) -> SessionRecord {
        SessionRecord {
            used_at: self.used.at(),
            ..self.record.clone()
        }
    }
}

impl Token {
    /// As it is on the disk.
    pub fn of(hash: Hash, record: TokenRecord) -> Self {
        Self {
            hash,
            id: record.id.clone(),
            owner: record.owner.clone(),
            grants: record.grants.clone(),
            expires_at: record.expires_at,
            used: Used::kept(record.used_at.unwrap_or(Timestamp::EPOCH)),
            used_from: Mutex::new(record.used_from.as_ref().and_then(|text| text.parse().ok())),
            record,
        }
    }

    /// It was used from there.
    pub fn note_from(&self, from: IpAddr) {
        *self.used_from.lock() = Some(from);
    }

    /// As it should be on the disk now.
    pub fn to_record(&self) -> TokenRecord {
        let at = self.used.at();
        TokenRecord {
            used_at: (at > Timestamp::EPOCH).then_some(at),
            used_from: self.used_from.lock().map(|from| from.to_string()),
            ..self.record.clone()
        }
    }
}

/// A policy as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PolicyRecord {
    /// What it does where it holds.
    pub effect: muster_protocol::api::access::PolicyEffect,
    /// Which permissions it is about; empty: all.
    #[serde(default)]
    pub permissions: Vec<Permission>,
    /// When it holds.
    pub condition: String,
    /// What it is for.
    pub description: String,
}
