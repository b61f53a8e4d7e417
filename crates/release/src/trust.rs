//! What a machine believes about releases: begin with [`Trust`].
//!
//! The crate `tough` does the work of The Update Framework: whose signatures count, in which order metadata is taken, what is older than
//! what is known. What it lacks is here:
//!
//! - **What is kept is kept by rename and fsync.** tough writes into a directory of its own for each update, and only what was verified
//!   comes from there into ours. What is found damaged is left out, told ([`Trust::damaged`]) and fetched again; how far everything had
//!   come stands in a file of its own, so that a damaged file is no way back to an old version.
//! - **The time is not the clock alone** ([`Now`]): a clock that was set back makes nothing good again, and one that is ahead blocks for
//!   no longer than it is, or until the server says what time it is.
//! - **Lengths are exact, all is bounded**, also the time that a file may take ([`gate`]).
//! - **A manifest must say of itself what is said of it** ([`Vouched::verify`]).
//!
//! No network is known here: the caller brings a [`Fetch`].

mod error;
mod gate;
mod kept;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use muster_model::Timestamp;
use serde_json::Value;
use tough::schema::{Signed, Targets};
use tough::{ExpirationEnforcement, Limits, RepositoryLoader, TargetName};
use url::Url;

pub use self::error::TrustError;
use self::gate::Gate;
use self::kept::Kept;
use crate::digest::Sha256Digest;
use crate::files::{Disk, Files};
use crate::manifest::Manifest;
use crate::tuf::{ROOT_MAX_BYTES, Role, SNAPSHOT_MAX_BYTES, TARGETS_MAX_BYTES, TIMESTAMP_MAX_BYTES, time};

/// Versions of the root that are followed in one update.
const ROOTS_MAX: u64 = 256;
/// Where tough writes.
const WORK: &str = "work";
/// Names are resolved against it; nothing is ever asked there.
const NOWHERE: &str = "muster://releases/";

/// Gets a file of the metadata. Whoever carries it out is not believed.
pub trait Fetch: fmt::Debug + Send + Sync {
    /// Begins to get a file: `timestamp.json`, `3.root.json`. No more of it is read than such a file may have.
    fn fetch<'a>(&'a self, name: &'a str) -> Fetching<'a>;
}

/// A file that is being asked for.
pub type Fetching<'a> = Pin<Box<dyn Future<Output = Result<Content, FetchError>> + Send + 'a>>;

/// The content of a file, piece by piece.
pub type Content = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// Why a file does not come.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// There is none. Only this ends the search for a newer root.
    #[error("it is not there")]
    NotFound,
    /// It is not known whether there is one.
    #[error(transparent)]
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

/// What is known of the time when an update begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The clock of this computer.
    pub clock: Timestamp,
    /// What the server said over a connection that proves who it is, moved on by a clock that only grows. It counts instead of the clock,
    /// in both directions, and is kept.
    pub attested: Option<Timestamp>,
}

/// The metadata that a machine believes, in a directory of its own. One process uses it at a time.
#[derive(Debug)]
pub struct Trust {
    path: PathBuf,
    kept: Kept,
    damaged: Vec<String>,
}

/// What was vouched for at the time of an update.
#[derive(Clone, Debug)]
pub struct Trusted {
    /// The version of the root.
    pub root: u64,
    /// The version of the timestamp.
    pub timestamp: u64,
    /// The version of the snapshot.
    pub snapshot: u64,
    /// The version of the list of releases.
    pub targets: u64,
    /// From then on none of it is good any more.
    pub until: Timestamp,
    list: Signed<Targets>,
}

/// A manifest that is vouched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouched {
    /// The product.
    pub product: String,
    /// The version.
    pub version: String,
    /// The number that only grows.
    pub counter: u64,
    /// The SHA-256 of the manifest.
    pub sha256: Sha256Digest,
    /// Its length in bytes, exactly.
    pub length: u64,
}

impl Trust {
    /// Opens what is kept in a directory, and makes it where it is not there. `root` is the root that came with the machine. Another one
    /// than last time, which does not follow from what is kept, means that somebody begins anew: then nothing of before counts.
    ///
    /// # Errors
    ///
    /// [`TrustError::Root`] if that root is none, [`TrustError::Disk`].
    pub fn open(directory: &Path, root: &[u8]) -> Result<Self, TrustError> {
        let files: Arc<dyn Files> = Arc::new(Disk::create(directory)?);
        let (kept, damaged) = Kept::open(files, root)?;
        Ok(Self {
            path: directory.to_owned(),
            kept,
            damaged,
        })
    }

    /// What was found damaged when it was opened, a sentence each. It is fetched again; that it happened may be worth telling.
    pub fn damaged(&self) -> &[String] {
        &self.damaged
    }

    /// The version of the root that is believed.
    pub fn root(&self) -> u64 {
        self.kept.root().signed.version.get()
    }

    /// Brings the metadata up to date. What was verified before something was refused is kept, as TUF wants it.
    ///
    /// It needs a tokio runtime with time; it waits for the disk on the thread that it runs on.
    ///
    /// # Errors
    ///
    /// [`TrustError`] with what was refused, and why.
    pub async fn update(&mut self, fetch: Arc<dyn Fetch>, now: Now) -> Result<Trusted, TrustError> {
        let work = self.path.join(WORK);
        self.prepare(&work)?;
        let gate = Gate::new(fetch, &self.kept, now);
        let nowhere = Url::parse(NOWHERE).map_err(|error| TrustError::Other {
            what: error.to_string(),
        })?;
        let root = self.kept.root_bytes();
        let limits = Limits {
            max_root_size: ROOT_MAX_BYTES,
            max_targets_size: TARGETS_MAX_BYTES,
            max_timestamp_size: TIMESTAMP_MAX_BYTES,
            max_snapshot_size: SNAPSHOT_MAX_BYTES,
            max_root_updates: ROOTS_MAX,
        };
        // tough knows only the clock; the gate looks at the end of each document, with the time that counts, before the next is asked for.
        let loading = RepositoryLoader::new(&root, nowhere.clone(), nowhere)
            .transport(gate.clone())
            .limits(limits)
            .datastore(&work)
            .expiration_enforcement(ExpirationEnforcement::Unsafe)
            .load();
        let loaded = Box::pin(loading).await;
        let done = match loaded {
            Ok(repository) => gate.finish(&repository),
            Err(error) => Err(gate.refusal().unwrap_or_else(|| error.into())),
        };
        self.kept.keep(gate.verified())?;
        clear(&work)?;
        done
    }

    /// A directory for tough, with nothing in it but what was verified.
    fn prepare(&self, work: &Path) -> Result<(), TrustError> {
        clear(work)?;
        let failed = |source| TrustError::disk("write", work, source);
        std::fs::create_dir(work).map_err(failed)?;
        for (role, bytes) in self.kept.verified() {
            std::fs::write(work.join(format!("{role}.json")), bytes).map_err(failed)?;
        }
        Ok(())
    }
}

fn clear(work: &Path) -> Result<(), TrustError> {
    match std::fs::remove_dir_all(work) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(TrustError::disk("clear", work, error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

impl Trusted {
    /// What is said of one release.
    ///
    /// # Errors
    ///
    /// [`TrustError::Unknown`] if nobody vouches for it, [`TrustError::Wrong`] if what is said of it does not fit its name.
    pub fn manifest(&self, product: &str, version: &str) -> Result<Vouched, TrustError> {
        let name = format!("{product}/{version}.json");
        let unknown = || TrustError::Unknown {
            name: name.clone(),
            targets: self.targets,
        };
        let wrong = |what: String| TrustError::Wrong {
            name: name.clone(),
            what,
        };
        let target = TargetName::new(&name).map_err(|_| unknown())?;
        let target = self
            .list
            .signed
            .find_target(&target, false)
            .map_err(|_| unknown())?;
        let sha256 = Sha256Digest::from_bytes(&target.hashes.sha256);
        let found = Vouched {
            product: product.to_owned(),
            version: version.to_owned(),
            counter: target.custom.get("counter").and_then(Value::as_u64).unwrap_or(0),
            sha256: sha256.ok_or_else(|| wrong("its SHA-256 has not 32 bytes".to_owned()))?,
            length: target.length,
        };
        for (key, meant) in [("product", product), ("version", version)] {
            let said = target.custom.get(key).and_then(Value::as_str);
            if said != Some(meant) {
                return Err(wrong(format!("its {key} is said to be {said:?}")));
            }
        }
        if found.counter == 0 {
            return Err(wrong(
                "it has no counter, or one that is no whole number above 0".to_owned(),
            ));
        }
        Ok(found)
    }

    /// The names of everything that is vouched for: `PRODUCT/VERSION.json`.
    pub fn names(&self) -> Vec<String> {
        let all = self.list.signed.targets_iter();
        let mut names: Vec<String> = all.map(|(name, _)| name.raw().to_owned()).collect();
        names.sort();
        names
    }

    /// The SHA-256 and the length of any target by its name, releases or not.
    pub fn target(&self, name: &str) -> Option<(Sha256Digest, u64)> {
        let name = TargetName::new(name).ok()?;
        let target = self.list.signed.find_target(&name, false).ok()?;
        Some((Sha256Digest::from_bytes(&target.hashes.sha256)?, target.length))
    }
}

impl Vouched {
    /// Under which name the manifest is published, from the base of targets.
    pub fn path(&self) -> String {
        crate::tuf::repository::published(&self.product, &self.version, self.sha256)
    }

    /// Reads a manifest that came from wherever, if it is the one that is vouched for.
    ///
    /// # Errors
    ///
    /// [`TrustError::Wrong`].
    pub fn verify(&self, bytes: &[u8]) -> Result<Manifest, TrustError> {
        let wrong = |what: String| TrustError::Wrong {
            name: format!("{}/{}.json", self.product, self.version),
            what,
        };
        if bytes.len() as u64 != self.length {
            return Err(wrong(format!(
                "it has {} bytes, and {} are vouched for",
                bytes.len(),
                self.length
            )));
        }
        let found = Sha256Digest::of(bytes);
        if found != self.sha256 {
            return Err(wrong(format!(
                "its SHA-256 is {found}, and {} is vouched for",
                self.sha256
            )));
        }
        let manifest = Manifest::decode(bytes).map_err(|error| wrong(error.to_string()))?;
        let says = [
            ("product", manifest.product.clone(), self.product.clone()),
            ("version", manifest.version.to_string(), self.version.clone()),
            ("counter", manifest.counter.to_string(), self.counter.to_string()),
        ];
        match says.into_iter().find(|(_, of_itself, of_it)| of_itself != of_it) {
            Some((what, of_itself, of_it)) => Err(wrong(format!(
                "its {what} is {of_itself}, and {of_it} is vouched for"
            ))),
            None => Ok(manifest),
        }
    }
}

/// The earliest end, and whose it is, in a list of releases with what it delegates.
fn earliest(list: &Signed<Targets>) -> Timestamp {
    let mut end = time(list.signed.expires);
    for role in list.signed.delegations.iter().flat_map(|it| &it.roles) {
        if let Some(delegated) = &role.targets {
            end = end.min(earliest(delegated));
        }
    }
    end
}

/// How [`Kept`] and [`Gate`] name the documents.
const TELLING: [Role; 3] = [Role::Timestamp, Role::Snapshot, Role::Targets];
