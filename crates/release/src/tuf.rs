//! Who vouches for releases: the metadata of The Update Framework, as people and the server write it.
//!
//! A *target* is a manifest, named `PRODUCT/VERSION.json`; blobs are named by manifests. Root and targets are signed by people
//! ([`Keys`], [`Ceremony`], [`Repository`]), snapshot and timestamp by the server ([`online`]). What machines make of it is in
//! [`crate::trust`]. The documents are those of the crate `tough`, and it says whether a signature counts.
//!
//! ```text
//! FOLDER/metadata/N.root.json  N.targets.json  N.snapshot.json  timestamp.json
//! FOLDER/targets/PRODUCT/SHA256.VERSION.json
//! ```
//!
//! Nothing here knows a network; the time is said by the caller.

pub mod keys;
pub mod online;
pub mod repository;
pub mod root;
pub mod standing;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;

use muster_model::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
pub use tough::schema::Root as RootDocument;
use tough::schema::{RoleType, Signed};

pub use self::keys::{Keys, PrivateKey, PublicKey};
pub use self::online::OnlineKeys;
pub use self::repository::Repository;
pub use self::root::{Ceremony, Change};
pub use self::standing::Standing;
use crate::files::DiskError;
use crate::folder::FolderError;

/// The version of the specification that is written.
/// Source: The Update Framework 1.0, 4.3.
pub(crate) const SPEC_VERSION: &str = "1.0.31";
/// `root.json` is not longer.
pub const ROOT_MAX_BYTES: u64 = 64 * 1024;
/// `timestamp.json` is not longer.
pub const TIMESTAMP_MAX_BYTES: u64 = 16 * 1024;
/// `snapshot.json` is not longer.
pub const SNAPSHOT_MAX_BYTES: u64 = 64 * 1024;
/// `targets.json` is not longer: about 6,000 releases.
pub const TARGETS_MAX_BYTES: u64 = 2 * 1024 * 1024;
/// Keys of one role.
pub const KEYS_MAX: usize = 16;
/// The longest that anything is signed for.
pub const DAYS_MAX: u32 = 3_650;

/// Where the metadata lies in a folder of releases.
pub const METADATA: &str = "metadata";
/// Where manifests lie under the names that the metadata gives them.
pub const TARGETS: &str = "targets";

/// What a key may sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Who may sign what.
    Root,
    /// Which releases there are.
    Targets,
    /// Which version of `targets.json` belongs to now.
    Snapshot,
    /// That it is still so.
    Timestamp,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Root, Self::Targets, Self::Snapshot, Self::Timestamp];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Targets => "targets",
            Self::Snapshot => "snapshot",
            Self::Timestamp => "timestamp",
        }
    }

    pub(crate) const fn in_tough(self) -> RoleType {
        match self {
            Self::Root => RoleType::Root,
            Self::Targets => RoleType::Targets,
            Self::Snapshot => RoleType::Snapshot,
            Self::Timestamp => RoleType::Timestamp,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum TufError {
    /// A file with a key cannot be used.
    #[error("the key {}: {what}", path.display())]
    Key {
        /// Which.
        path: PathBuf,
        /// What is wrong, and what is accepted.
        what: String,
    },
    /// None of the keys at hand may sign it.
    #[error("no key in {} may sign {role}: {}", path.display(), may(may_sign))]
    NoKey {
        /// Where was looked.
        path: PathBuf,
        /// What was to be signed.
        role: Role,
        /// The ids of the keys that may.
        may_sign: Vec<String>,
    },
    /// Something was asked for that makes no sense.
    #[error("{what}; accepted: {accepted}")]
    Asked {
        /// What is wrong.
        what: String,
        /// What would not be.
        accepted: String,
    },
    /// Signatures are still missing of what came before.
    #[error("{} waits for signatures: let it be signed by who is missing (`muster release keys sign`), or remove it", path.display())]
    Pending {
        /// The file.
        path: PathBuf,
    },
    /// It is not signed by who may.
    #[error("{what} is not vouched for: {standing}")]
    NotVouched {
        /// Which document.
        what: String,
        /// Who signed and who did not.
        standing: Standing,
    },
    /// It is no metadata, or says something that cannot be.
    #[error("{}: {what}", path.display())]
    Metadata {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The folder of releases.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

fn may(ids: &[String]) -> String {
    if ids.is_empty() {
        return "nobody may".to_owned();
    }
    let short: Vec<&str> = ids.iter().map(|id| short(id)).collect();
    format!("those of {} may", short.join(", "))
}

/// The first digits of a key's id, for people.
pub fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

impl TufError {
    /// The stable code, with a page under `docs/errors/`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Key { .. } => "MST-U030",
            Self::NoKey { .. } => "MST-U031",
            Self::Asked { .. } => "MST-U032",
            Self::Pending { .. } => "MST-U033",
            Self::NotVouched { .. } => "MST-U034",
            Self::Metadata { .. } => "MST-U035",
            Self::Disk(_) => "MST-U036",
            Self::Folder(error) => error.code(),
        }
    }
}

/// The bytes of a document: keys in order, so that the same document is the same file.
pub(crate) fn encode(document: &impl Serialize) -> Vec<u8> {
    let value = serde_json::to_value(document).expect("TUF documents have strings as keys");
    serde_json::to_vec(&value).expect("a JSON value can be written")
}

/// Reads a document; who signed it is not looked at.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<Signed<T>, String> {
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The time as it is written: in whole seconds.
pub(crate) fn moment(time: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_second(time.as_millis().div_euclid(1_000)).unwrap_or(jiff::Timestamp::MAX)
}

/// The other way round; what lies outside of 1970 to 9999 is the nearest of them.
pub(crate) fn time(moment: jiff::Timestamp) -> Timestamp {
    Timestamp::from_millis(moment.as_millisecond())
}

/// So many days after a time.
pub(crate) fn in_days(now: Timestamp, days: u32) -> Result<jiff::Timestamp, TufError> {
    if !(1..=DAYS_MAX).contains(&days) {
        return Err(TufError::Asked {
            what: format!("{days} days"),
            accepted: format!("1 to {DAYS_MAX} days"),
        });
    }
    Ok(moment(now.plus_millis(i64::from(days) * 86_400_000)))
}
