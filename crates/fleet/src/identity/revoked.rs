//! Lists of certificates that are good no more (CRL): for whoever else looks at machines' certificates. This server asks its register.
//!
//! One for each authority that is trusted. Begin with [`Lists::current`]. A list is made when somebody asks for it and there is none, or
//! what it says has changed, or it is older than a day; it is on disk before anybody sees it. What is in the lists is public: serial
//! numbers and moments.
//!
//! Source: RFC 5280, 5.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use muster_model::Timestamp;
use muster_protocol::enrol::Fingerprint;
use muster_store::{Documents, Precondition};
use parking_lot::Mutex;
use rcgen::SerialNumber;
use serde::{Deserialize, Serialize};

use super::IdentityError;
use super::authority::{Authorities, fingerprint};
use super::register::{Record, Register, Standing};

/// The kind of the documents; their keys are generations.
const LIST: &str = "revocation-list";
/// How long a list is good.
pub const LIST_LIFETIME_MS: i64 = 7 * 86_400_000;
/// A list that is older is made again.
const LIST_RENEWED_AFTER_MS: i64 = 86_400_000;
/// Generations that are read; there are never so many at once.
const LISTS_MAX: usize = 1_000;

/// A certificate that is good no more.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Withdrawn {
    /// Its serial number.
    pub serial: String,
    /// The generation of its authority.
    pub authority: u32,
    /// When it ends.
    pub not_after: Timestamp,
    /// Since when it is good no more.
    pub at: Timestamp,
    /// Whether the machine was shut out; else it has a newer one.
    pub revoked: bool,
    /// Whether it was ever used.
    pub used: bool,
}

impl Withdrawn {
    /// Whether it still has to be named: until a list that was made after its end has taken the place of those before.
    pub fn counts(&self, now: Timestamp) -> bool {
        self.not_after.plus_millis(LIST_LIFETIME_MS) > now
    }

    /// Its serial number, from its digits.
    pub fn serial_number(&self) -> SerialNumber {
        let byte = |pair: &[u8]| {
            let pair = std::str::from_utf8(pair).ok()?;
            u8::from_str_radix(pair, 16).ok()
        };
        let bytes: Vec<u8> = self.serial.as_bytes().chunks(2).filter_map(byte).collect();
        SerialNumber::from_slice(&bytes)
    }
}

/// A list as it is handed out, and kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct List {
    /// The authority that signed it.
    pub authority: u32,
    /// Its number: each is larger than the one before.
    pub number: u64,
    /// When it was made.
    pub made_at: Timestamp,
    /// When it is over.
    pub ends_at: Timestamp,
    /// What it says, hashed: whether it has to be made again.
    says: Fingerprint,
    #[serde(with = "in_base64")]
    der: Vec<u8>,
}

impl List {
    /// As it is handed to programs.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// As text.
    pub fn pem(&self) -> String {
        let text = STANDARD.encode(&self.der);
        // Lines of base64 are ASCII. Source: RFC 7468, 2.
        let lines: Vec<&str> = (0..text.len())
            .step_by(64)
            .map(|begin| &text[begin..text.len().min(begin + 64)])
            .collect();
        format!(
            "-----BEGIN X509 CRL-----\n{}\n-----END X509 CRL-----\n",
            lines.join("\n")
        )
    }

    fn holds(&self, says: Fingerprint, now: Timestamp) -> bool {
        self.says == says && now.millis_since(self.made_at) < LIST_RENEWED_AFTER_MS
    }
}

/// All lists, one for each authority.
pub struct Lists {
    documents: Arc<dyn Documents>,
    kept: Mutex<Kept>,
}

struct Kept {
    lists: BTreeMap<u32, Arc<List>>,
    /// What was looked at when they were made, if they were since the start.
    as_of: Option<AsOf>,
}

/// Nothing in the lists changes while this does not, and while they are young.
#[derive(PartialEq, Eq)]
struct AsOf {
    changes: u64,
    authorities: Vec<u32>,
}

impl Lists {
    /// Reads those that were made before. Blocks.
    pub fn open(documents: Arc<dyn Documents>) -> Result<Self, IdentityError> {
        let mut lists = BTreeMap::new();
        for document in documents.list(LIST, None, LISTS_MAX)? {
            match serde_json::from_slice::<List>(&document.body) {
                Ok(list) => drop(lists.insert(list.authority, Arc::new(list))),
                Err(error) => {
                    // One that is made anew has a larger number all the same: numbers are times.
                    tracing::error!(key = %document.key, %error, "a list of revoked certificates is not understood");
                }
            }
        }
        let kept = Mutex::new(Kept { lists, as_of: None });
        Ok(Self { documents, kept })
    }

    /// The lists of now, those of the oldest authority first. Blocks.
    pub fn current(
        &self,
        register: &Register,
        authorities: &Authorities,
        now: Timestamp,
    ) -> Result<Vec<Arc<List>>, IdentityError> {
        let mut kept = self.kept.lock();
        let as_of = AsOf {
            // Before the register is looked at: what changes in between is looked at again.
            changes: register.changes(),
            authorities: authorities
                .all()
                .iter()
                .map(|authority| authority.generation)
                .collect(),
        };
        let young = |list: &Arc<List>| now.millis_since(list.made_at) < LIST_RENEWED_AFTER_MS;
        if kept.as_of.as_ref() != Some(&as_of) || !kept.lists.values().all(young) {
            self.make(&mut kept, register, authorities, now)?;
            kept.as_of = Some(as_of);
        }
        Ok(kept.lists.values().cloned().collect())
    }

    fn make(
        &self,
        kept: &mut Kept,
        register: &Register,
        authorities: &Authorities,
        now: Timestamp,
    ) -> Result<(), IdentityError> {
        let mut named: BTreeMap<u32, Vec<Withdrawn>> = BTreeMap::new();
        for withdrawn in register.records().iter().flat_map(|record| of(record, now)) {
            named.entry(withdrawn.authority).or_default().push(withdrawn);
        }
        for authority in authorities.all() {
            let generation = authority.generation;
            let mut named = named.remove(&generation).unwrap_or_default();
            named.sort();
            let says = fingerprint(&serde_json::to_vec(&named).unwrap_or_default());
            let before = kept.lists.get(&generation);
            if before.is_some_and(|before| before.holds(says, now)) {
                continue;
            }
            let (number, made_at) = following(before.map(|before| (before.number, before.made_at)), now);
            let ends_at = made_at.plus_millis(LIST_LIFETIME_MS);
            let list = List {
                authority: generation,
                number,
                made_at,
                ends_at,
                says,
                der: authority.revoked(&named, number, made_at, ends_at)?,
            };
            // Plain data: it can always be written.
            let body = serde_json::to_vec(&list).unwrap_or_default();
            self.documents
                .put(LIST, &generation.to_string(), Precondition::Any, now, &body)?;
            kept.lists.insert(generation, Arc::new(list));
        }
        let gone = |generation: &u32| authorities.all().iter().all(|one| one.generation != *generation);
        let gone: Vec<u32> = kept.lists.keys().copied().filter(gone).collect();
        for generation in gone {
            self.documents
                .delete(LIST, &generation.to_string(), Precondition::Any)?;
            kept.lists.remove(&generation);
        }
        Ok(())
    }
}

/// Number and time of the next list. The number is the time in seconds where that is larger: so it grows also where an older
/// `documents.db` was put back. A clock that was wrong by more than a list lives does not bind those after it.
fn following(before: Option<(u64, Timestamp)>, now: Timestamp) -> (u64, Timestamp) {
    let by_time = u64::try_from(now.as_millis() / 1_000).unwrap_or(0);
    let Some((number, made_at)) = before else {
        return (by_time.max(1), now);
    };
    let made_at = if made_at.millis_since(now) < LIST_LIFETIME_MS {
        made_at.max(now)
    } else {
        now
    };
    (by_time.max(number + 1), made_at)
}

/// The certificates of a machine that are good no more.
fn of(record: &Record, now: Timestamp) -> impl Iterator<Item = Withdrawn> {
    let out = matches!(record.standing, Standing::Revoked { .. }).then_some(record.standing_since);
    let kept = record
        .certificates
        .iter()
        .filter_map(move |certificate| certificate.withdrawn(out));
    kept.chain(record.withdrawn.iter().cloned())
        .filter(move |withdrawn| withdrawn.counts(now))
}

mod in_base64 {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1_000)
    }

    #[test]
    fn numbers_grow_whatever_the_clock_does_and_times_do_within_reason() {
        let day = 86_400;
        assert_eq!(following(None, at(0)), (1, at(0)));
        assert_eq!(following(None, at(1_000)), (1_000, at(1_000)));
        // Twice in a second.
        assert_eq!(following(Some((1_000, at(1_000))), at(1_000)), (1_001, at(1_000)));
        assert_eq!(following(Some((1_001, at(1_000))), at(2_000)), (2_000, at(2_000)));
        // Set back by an hour: the next one is not older than the one before.
        assert_eq!(following(Some((9_000, at(9_000))), at(5_400)), (9_001, at(9_000)));
        // Set back by years: the clock was wrong before.
        let wrong = 400 * day;
        assert_eq!(
            following(Some((u64::try_from(wrong).unwrap(), at(wrong))), at(day)),
            (u64::try_from(wrong).unwrap() + 1, at(day))
        );
    }

    #[test]
    fn serial_numbers_are_read_as_they_were_written() {
        let withdrawn = Withdrawn {
            serial: "4f00ff".to_owned(),
            authority: 1,
            not_after: at(1),
            at: at(0),
            revoked: true,
            used: true,
        };
        assert_eq!(withdrawn.serial_number().to_bytes(), [0x4f, 0, 0xff]);
    }
}
