//! What a machine believes, on its disk.
//!
//! ```text
//! root.json timestamp.json snapshot.json targets.json    as they came, verified
//! seen.json                                               how far each of them had come, and what is known of the time
//! ```
//!
//! Each file is replaced by rename and synced. A document counts when it is opened if it is still signed by who may and is not older than
//! `seen.json` says; else it is as if it was never there, and `seen.json` goes on keeping older ones out. What `seen.json` says of the
//! server's documents holds for the keys that signed them: who replaces a stolen key of the server begins anew with its versions.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use muster_model::Timestamp;
use serde::{Deserialize, Serialize};
use tough::schema::{Root, Signed, Snapshot, Targets, Timestamp as Stamp};

use super::{TELLING, TrustError};
use crate::digest::Sha256Digest;
use crate::files::{Files, read_small, replace};
use crate::tuf::root::{Roots, ids};
use crate::tuf::{ROOT_MAX_BYTES, Role, SNAPSHOT_MAX_BYTES, TARGETS_MAX_BYTES, TIMESTAMP_MAX_BYTES, decode};

const SEEN: &str = "seen.json";
const SEEN_MAX_BYTES: usize = 4_096;
const FORMAT: u8 = 1;
/// What the server says of the time is written down again when it has moved by so much: each time costs the disk something.
const ATTESTED_STEP_MS: i64 = 3_600_000;

/// How far everything had come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Seen {
    format: u8,
    /// The SHA-256 of the root that came with the machine.
    given: Sha256Digest,
    /// The version of the root.
    root: u64,
    /// Whose versions the next three are: the SHA-256 of the ids of the server's keys.
    keys: Sha256Digest,
    timestamp: u64,
    snapshot: u64,
    targets: u64,
    /// When the newest timestamp was signed, by its own word.
    signed_at: Option<Timestamp>,
    /// What the server said last, over a connection that proves who it is.
    attested: Option<Timestamp>,
}

impl Seen {
    fn new(given: Sha256Digest, root: &Root) -> Self {
        Self {
            format: FORMAT,
            given,
            root: root.version.get(),
            keys: keys(root),
            timestamp: 0,
            snapshot: 0,
            targets: 0,
            signed_at: None,
            attested: None,
        }
    }

    /// The same for a root. With other keys of the server its versions begin anew, and so does what they said of the time.
    pub(super) fn under(&self, root: &Root) -> Self {
        let mut seen = if self.keys == keys(root) {
            self.clone()
        } else {
            Self {
                attested: self.attested,
                ..Self::new(self.given, root)
            }
        };
        seen.root = self.root.max(root.version.get());
        seen
    }

    /// The least version of a document that is taken.
    pub(super) const fn least(&self, role: Role) -> u64 {
        match role {
            Role::Root => self.root,
            Role::Timestamp => self.timestamp,
            Role::Snapshot => self.snapshot,
            Role::Targets => self.targets,
        }
    }

    pub(super) fn saw(&mut self, role: Role, version: u64) {
        let seen = match role {
            Role::Root => &mut self.root,
            Role::Timestamp => &mut self.timestamp,
            Role::Snapshot => &mut self.snapshot,
            Role::Targets => &mut self.targets,
        };
        *seen = version.max(*seen);
    }

    pub(super) const fn signed_at(&self) -> Option<Timestamp> {
        self.signed_at
    }

    pub(super) fn saw_signed_at(&mut self, at: Timestamp) {
        self.signed_at = Some(self.signed_at.map_or(at, |before| before.max(at)));
    }

    pub(super) const fn attested(&self) -> Option<Timestamp> {
        self.attested
    }

    pub(super) fn attest(&mut self, now: Timestamp) {
        let moved_ms = self.attested.map(|before| now.millis_since(before));
        if moved_ms.is_none_or(|moved| moved.abs() >= ATTESTED_STEP_MS) {
            self.attested = Some(now);
        }
    }
}

/// The keys of the server, as one value.
fn keys(root: &Root) -> Sha256Digest {
    let mut words = Vec::new();
    for role in [Role::Timestamp, Role::Snapshot] {
        let mut ids = ids(root, role);
        ids.sort();
        words.push(format!("{role}:{}", ids.join(",")));
    }
    Sha256Digest::of(words.join(";").as_bytes())
}

/// A document with the bytes of its file.
#[derive(Clone, Debug)]
pub(super) struct Whole<T> {
    pub(super) document: Signed<T>,
    pub(super) bytes: Bytes,
}

/// What was verified in an update, to be kept.
#[derive(Clone, Debug)]
pub(super) struct Verified {
    pub(super) seen: Seen,
    pub(super) root: Option<Whole<Root>>,
    pub(super) timestamp: Option<Whole<Stamp>>,
    pub(super) snapshot: Option<Whole<Snapshot>>,
    pub(super) targets: Option<Bytes>,
}

/// What is believed.
#[derive(Debug)]
pub(super) struct Kept {
    files: Arc<dyn Files>,
    seen: Seen,
    root: Whole<Root>,
    timestamp: Option<Whole<Stamp>>,
    snapshot: Option<Whole<Snapshot>>,
    targets: Option<Bytes>,
}

impl Kept {
    /// Reads it, and says what of it was damaged.
    pub(super) fn open(files: Arc<dyn Files>, given: &[u8]) -> Result<(Self, Vec<String>), TrustError> {
        let digest = Sha256Digest::of(given);
        let given = Whole {
            document: Roots::anchored(given)
                .map_err(TrustError::Root)?
                .latest_signed()
                .clone(),
            bytes: Bytes::copy_from_slice(given),
        };
        let mut damaged = Vec::new();
        let seen = read_seen(&*files, &mut damaged)?;
        let there = read_root(&*files, seen.as_ref(), &mut damaged)?;
        let root = match (there, &seen) {
            // The root that came with the machine is another than it was.
            (Some(there), Some(seen)) if seen.given != digest => {
                let follows = given.document.signed.version > there.document.signed.version
                    && there.document.signed.verify_role(&given.document).is_ok();
                if !follows {
                    return Self::anew(files, given, digest).map(|kept| (kept, damaged));
                }
                given
            }
            (Some(there), _) => there,
            (None, Some(seen)) if seen.given != digest => {
                return Self::anew(files, given, digest).map(|kept| (kept, damaged));
            }
            (None, None) if damaged.is_empty() => {
                return Self::anew(files, given, digest).map(|kept| (kept, damaged));
            }
            (None, _) => given,
        };
        let mut seen = seen.unwrap_or_else(|| Seen::new(digest, &root.document.signed));
        seen.given = digest;
        // Not yet under a root that is older than the one that was lost: that one may have had other keys.
        let under = if root.document.signed.version.get() >= seen.root {
            seen.under(&root.document.signed)
        } else {
            seen
        };
        let mut kept = Self {
            files,
            seen: under,
            root,
            timestamp: None,
            snapshot: None,
            targets: None,
        };
        kept.read_told(&mut damaged)?;
        Ok((kept, damaged))
    }

    /// With nothing of before.
    fn anew(files: Arc<dyn Files>, root: Whole<Root>, given: Sha256Digest) -> Result<Self, TrustError> {
        let seen = Seen::new(given, &root.document.signed);
        for role in TELLING {
            let name = format!("{role}.json");
            if files.find(Path::new(&name))?.is_some() {
                files.remove_file(Path::new(&name))?;
            }
        }
        files.sync_directory(Path::new(""))?;
        replace(&*files, Path::new("root.json"), &root.bytes)?;
        replace(&*files, Path::new(SEEN), &crate::tuf::encode(&seen))?;
        Ok(Self {
            files,
            seen,
            root,
            timestamp: None,
            snapshot: None,
            targets: None,
        })
    }

    /// Timestamp, snapshot and targets, as far as they are what they should be.
    fn read_told(&mut self, damaged: &mut Vec<String>) -> Result<(), TrustError> {
        let root = &self.root.document.signed;
        let is_known = keys(root) == self.seen.keys;
        let mut tell = |role: Role, what: &str| {
            // Signed by keys that were replaced: nothing is wrong with it, and nobody asks for it any more.
            if is_known {
                damaged.push(format!("{role}.json {what}; it is fetched again"));
            }
        };
        if let Some(bytes) = read(&*self.files, Role::Timestamp, TIMESTAMP_MAX_BYTES)? {
            match decode::<Stamp>(&bytes) {
                Ok(document) if root.verify_role(&document).is_err() => {
                    tell(Role::Timestamp, "is not signed by who may");
                }
                Ok(document) if document.signed.version.get() < self.seen.timestamp => {
                    tell(Role::Timestamp, "is older than one that was here");
                }
                Ok(document) => {
                    self.seen.saw(Role::Timestamp, document.signed.version.get());
                    self.timestamp = Some(Whole { document, bytes });
                }
                Err(_) => tell(Role::Timestamp, "cannot be read"),
            }
        }
        if let Some(bytes) = read(&*self.files, Role::Snapshot, SNAPSHOT_MAX_BYTES)? {
            match decode::<Snapshot>(&bytes) {
                Ok(document) if root.verify_role(&document).is_err() => {
                    tell(Role::Snapshot, "is not signed by who may");
                }
                Ok(document) if document.signed.version.get() < self.seen.snapshot => {
                    tell(Role::Snapshot, "is older than one that was here");
                }
                Ok(document) => {
                    self.seen.saw(Role::Snapshot, document.signed.version.get());
                    if let Some(meta) = document.signed.meta.get("targets.json") {
                        self.seen.saw(Role::Targets, meta.version.get());
                    }
                    self.snapshot = Some(Whole { document, bytes });
                }
                Err(_) => tell(Role::Snapshot, "cannot be read"),
            }
        }
        if let Some(bytes) = read(&*self.files, Role::Targets, TARGETS_MAX_BYTES)? {
            match decode::<Targets>(&bytes) {
                Ok(document) if root.verify_role(&document).is_err() => {
                    tell(Role::Targets, "is not signed by who may");
                }
                Ok(_) => self.targets = Some(bytes),
                Err(_) => tell(Role::Targets, "cannot be read"),
            }
        }
        Ok(())
    }

    pub(super) const fn root(&self) -> &Signed<Root> {
        &self.root.document
    }

    pub(super) fn root_bytes(&self) -> Bytes {
        self.root.bytes.clone()
    }

    pub(super) const fn seen(&self) -> &Seen {
        &self.seen
    }

    /// The documents of the server, for comparing new ones with.
    pub(super) fn verified(&self) -> Vec<(Role, Bytes)> {
        let both = [Role::Timestamp, Role::Snapshot];
        both.into_iter()
            .filter_map(|role| Some((role, self.there(role)?)))
            .collect()
    }

    /// What need not be fetched again if it is what is asked for.
    pub(super) fn there(&self, role: Role) -> Option<Bytes> {
        match role {
            Role::Root => Some(self.root.bytes.clone()),
            Role::Timestamp => self.timestamp.as_ref().map(|it| it.bytes.clone()),
            Role::Snapshot => self.snapshot.as_ref().map(|it| it.bytes.clone()),
            Role::Targets => self.targets.clone(),
        }
    }

    /// Writes down what was verified, as far as it is new: the documents first, then how far they have come.
    pub(super) fn keep(&mut self, verified: Verified) -> Result<(), TrustError> {
        let files = Arc::clone(&self.files);
        let write = |role: Role, old: Option<Bytes>, new: &[u8]| match old {
            Some(old) if old == new => Ok(()),
            _ => replace(&*files, Path::new(&format!("{role}.json")), new),
        };
        if let Some(root) = verified.root {
            replace_if_other(&*files, Role::Root, &root.bytes)?;
            self.root = root;
        }
        if let Some(timestamp) = verified.timestamp {
            write(Role::Timestamp, self.there(Role::Timestamp), &timestamp.bytes)?;
            self.timestamp = Some(timestamp);
        }
        if let Some(snapshot) = verified.snapshot {
            write(Role::Snapshot, self.there(Role::Snapshot), &snapshot.bytes)?;
            self.snapshot = Some(snapshot);
        }
        if let Some(targets) = verified.targets {
            write(Role::Targets, self.there(Role::Targets), &targets)?;
            self.targets = Some(targets);
        }
        let is_there = self.files.find(Path::new(SEEN))?.is_some();
        if verified.seen != self.seen || !is_there {
            replace(&*self.files, Path::new(SEEN), &crate::tuf::encode(&verified.seen))?;
            self.seen = verified.seen;
        }
        Ok(())
    }
}

/// The file of a root may be damaged while the one that is believed came with the machine.
fn replace_if_other(files: &dyn Files, role: Role, bytes: &[u8]) -> Result<(), TrustError> {
    if read(files, role, ROOT_MAX_BYTES)?.as_deref() != Some(bytes) {
        replace(files, Path::new(&format!("{role}.json")), bytes)?;
    }
    Ok(())
}

/// A file that is there, however long it is: what is too long is damaged, and is told as what cannot be read.
fn read(files: &dyn Files, role: Role, most: u64) -> Result<Option<Bytes>, TrustError> {
    let name = format!("{role}.json");
    match files.find(Path::new(&name))? {
        None => Ok(None),
        Some(crate::files::Found::File { length, .. }) if length <= most => {
            Ok(Some(read_small(files, Path::new(&name), most as usize)?.into()))
        }
        Some(_) => Ok(Some(Bytes::new())),
    }
}

fn read_seen(files: &dyn Files, damaged: &mut Vec<String>) -> Result<Option<Seen>, TrustError> {
    if files.find(Path::new(SEEN))?.is_none() {
        // The first root is written before it, so that a root alone is a beginning that was cut.
        if files.find(Path::new("timestamp.json"))?.is_some() {
            damaged.push(format!(
                "{SEEN} is gone; how far everything had come is known from what is there"
            ));
        }
        return Ok(None);
    }
    let bytes = read_small(files, Path::new(SEEN), SEEN_MAX_BYTES);
    let seen = bytes
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Seen>(&bytes).ok());
    match seen {
        Some(seen) if seen.format == FORMAT => Ok(Some(seen)),
        _ => {
            damaged.push(format!(
                "{SEEN} cannot be read; how far everything had come is known from what is there"
            ));
            Ok(None)
        }
    }
}

fn read_root(
    files: &dyn Files,
    seen: Option<&Seen>,
    damaged: &mut Vec<String>,
) -> Result<Option<Whole<Root>>, TrustError> {
    let Some(bytes) = read(files, Role::Root, ROOT_MAX_BYTES)? else {
        if seen.is_some() {
            damaged.push("root.json is gone; it is fetched again".to_owned());
        }
        return Ok(None);
    };
    let root: Option<Signed<Root>> = decode(&bytes).ok();
    match root.filter(|root| root.signed.verify_role(root).is_ok()) {
        Some(document) if seen.is_none_or(|seen| document.signed.version.get() >= seen.root) => {
            Ok(Some(Whole { document, bytes }))
        }
        Some(_) => {
            damaged.push("root.json is older than one that was here; it is fetched again".to_owned());
            Ok(None)
        }
        None => {
            damaged.push(
                "root.json cannot be read, or is not signed by who may; it is fetched again".to_owned(),
            );
            Ok(None)
        }
    }
}
