//! Snapshot and timestamp: what the server signs by itself, so that nobody can hold machines at an old list of releases.
//!
//! [`refresh`] is called when something was signed and now and then: it does nothing while nothing is new and enough time is left. It
//! signs only over a list of releases that the root vouches for, so that who holds the server's keys can hand out nothing that people
//! did not sign.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use muster_model::Timestamp;
use serde_json::Value;
use tough::schema::{Hashes, Metafile, Role as Document, Root, Signed, Snapshot, Timestamp as Stamp};

use super::repository::Vouched;
use super::root::{Roots, ids, numbered, vouched};
use super::{
    METADATA, PrivateKey, PublicKey, Repository, Role, SNAPSHOT_MAX_BYTES, SPEC_VERSION, Standing,
    TIMESTAMP_MAX_BYTES, TufError, decode, encode, moment, time,
};
use crate::digest::Sha256Digest;
use crate::files::{read_small, replace};
use crate::folder::Folder;

/// When the timestamp was signed, in it: an addition of ours, which says to machines that it is not earlier.
pub(crate) const SIGNED_AT: &str = "signed_at";
/// So many snapshots stay, for machines that are in the middle of an update.
const SNAPSHOTS_KEPT: usize = 32;
const TIMESTAMP: &str = "timestamp.json";

/// The keys of the server.
#[derive(Debug)]
pub struct OnlineKeys {
    directory: PathBuf,
    snapshot: PrivateKey,
    timestamp: PrivateKey,
}

impl OnlineKeys {
    /// Opens `snapshot.pem` and `timestamp.pem` in a directory.
    ///
    /// # Errors
    ///
    /// [`TufError::Key`], [`TufError::Disk`].
    pub fn open(directory: &Path) -> Result<Self, TufError> {
        Ok(Self {
            directory: directory.to_owned(),
            snapshot: PrivateKey::read(&directory.join("snapshot.pem"))?,
            timestamp: PrivateKey::read(&directory.join("timestamp.pem"))?,
        })
    }

    /// The same, and makes each of them that is not there.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn open_or_make(directory: &Path) -> Result<Self, TufError> {
        for name in ["snapshot.pem", "timestamp.pem"] {
            let path = directory.join(name);
            if !path.exists() {
                PrivateKey::make(&path)?;
            }
        }
        Self::open(directory)
    }

    /// Their public halves, which the root must name: snapshot, timestamp.
    pub fn public(&self) -> (PublicKey, PublicKey) {
        (self.snapshot.public(), self.timestamp.public())
    }
}

/// How long what the server signs is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// Of the snapshot.
    pub snapshot_s: u32,
    /// Of the timestamp: for so long a thief of the server's keys, or a mirror, can keep something new from machines.
    pub timestamp_s: u32,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            snapshot_s: 7 * 86_400,
            timestamp_s: 86_400,
        }
    }
}

/// How it stands now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refreshed {
    /// The version of the root that vouches for all of it.
    pub root: u64,
    /// The version of the list of releases.
    pub targets: u64,
    /// The version of the snapshot.
    pub snapshot: u64,
    /// The version of the timestamp.
    pub timestamp: u64,
    /// Something was signed.
    pub is_new: bool,
    /// When it is to be called again, if nothing happens before.
    pub again_at: Timestamp,
    /// When root or targets end, whichever is first: people have to sign again before.
    pub offline_until: Timestamp,
}

/// Signs what is to be signed. `root` is the root that the server was given; newer ones in the folder must follow from it.
///
/// # Errors
///
/// [`TufError::NotVouched`] if the list of releases is not signed by who may, [`TufError::NoKey`] if the root does not name these keys.
/// What is published stays as it is then.
pub fn refresh(
    folder: &Folder,
    root: &[u8],
    keys: &OnlineKeys,
    lifetimes: Lifetimes,
    now: Timestamp,
) -> Result<Refreshed, TufError> {
    let repository = Repository::of(folder);
    let roots = Roots::anchored(root)?;
    repository.publish(&roots)?;
    let roots = repository.follow(roots)?;
    let Some(targets) = repository.vouched(roots.latest())? else {
        return Err(TufError::Metadata {
            path: PathBuf::from(METADATA),
            what: "no release was signed yet (`muster release sign`)".to_owned(),
        });
    };
    let online = Online {
        folder,
        root: roots.latest(),
        roots: &roots,
        keys,
        now,
    };
    let published = online.published()?;
    let (snapshot, new_snapshot) = online.snapshot(&targets, published.as_ref(), lifetimes.snapshot_s)?;
    let (stamp, new_stamp) = online.timestamp(&snapshot, published.as_ref(), lifetimes.timestamp_s)?;
    let half = |expires: jiff::Timestamp, seconds: u32| time(expires).plus_millis(-i64::from(seconds) * 500);
    Ok(Refreshed {
        root: roots.latest().version.get(),
        targets: targets.targets.version.get(),
        snapshot: snapshot.document.signed.version.get(),
        timestamp: stamp.signed.version.get(),
        is_new: new_snapshot || new_stamp,
        again_at: half(snapshot.document.signed.expires, lifetimes.snapshot_s)
            .min(half(stamp.signed.expires, lifetimes.timestamp_s)),
        offline_until: time(roots.latest().expires.min(targets.targets.expires)),
    })
}

struct Online<'a> {
    folder: &'a Folder,
    root: &'a Root,
    roots: &'a Roots,
    keys: &'a OnlineKeys,
    now: Timestamp,
}

/// A document with the bytes of its file.
struct Written<T> {
    document: Signed<T>,
    bytes: Vec<u8>,
}

/// What machines have been told.
struct Published {
    stamp: Signed<Stamp>,
    snapshot: Option<Written<Snapshot>>,
}

impl Online<'_> {
    /// What is there, and was signed with keys that count today. With keys that were replaced versions begin anew, as they do for machines.
    fn published(&self) -> Result<Option<Published>, TufError> {
        let path = Path::new(METADATA).join(TIMESTAMP);
        if self.folder.files().find(&path)?.is_none() {
            return Ok(None);
        }
        let bytes = read_small(self.folder.files(), &path, TIMESTAMP_MAX_BYTES as usize)?;
        let damaged = |what: String| TufError::Metadata {
            path: path.clone(),
            what: format!(
                "{what}; machines have seen its version, so a new one cannot just begin: bring it back, or replace the server's keys"
            ),
        };
        let stamp: Signed<Stamp> = decode(&bytes).map_err(damaged)?;
        if !Standing::of(self.root, &stamp, Role::Timestamp).is_complete() {
            let before = |root: &Root| Standing::of(root, &stamp, Role::Timestamp).is_complete();
            return match self.roots.all().any(|(_, root)| before(root)) {
                true => Ok(None),
                false => Err(damaged("it is not signed by who may".to_owned())),
            };
        }
        let snapshot = match stamp.signed.meta.get("snapshot.json") {
            Some(meta) => self.read_snapshot(meta)?,
            None => None,
        };
        Ok(Some(Published { stamp, snapshot }))
    }

    /// The snapshot that a timestamp names, if it is that.
    fn read_snapshot(&self, meta: &Metafile) -> Result<Option<Written<Snapshot>>, TufError> {
        let path = Path::new(METADATA).join(format!("{}.snapshot.json", meta.version));
        if self.folder.files().find(&path)?.is_none() {
            return Ok(None);
        }
        let bytes = read_small(self.folder.files(), &path, SNAPSHOT_MAX_BYTES as usize)?;
        let Ok(document) = decode::<Snapshot>(&bytes) else {
            return Ok(None);
        };
        let is_it = meta.length == Some(bytes.len() as u64)
            && meta
                .hashes
                .as_ref()
                .is_some_and(|it| it.sha256[..] == Sha256Digest::of(&bytes).as_bytes()[..])
            && Standing::of(self.root, &document, Role::Snapshot).is_complete();
        Ok(is_it.then_some(Written { document, bytes }))
    }

    fn snapshot(
        &self,
        targets: &Vouched,
        published: Option<&Published>,
        seconds: u32,
    ) -> Result<(Written<Snapshot>, bool), TufError> {
        let meta = metafile(targets.targets.version, targets.length, targets.sha256);
        if let Some(Published {
            snapshot: Some(there),
            ..
        }) = published
        {
            let old = there.document.signed.meta.get("targets.json");
            if let Some(old) = old.filter(|old| old.version > meta.version) {
                return Err(TufError::Metadata {
                    path: Path::new(METADATA).join(format!("{}.targets.json", old.version)),
                    what: "machines know this version already, and it is gone".to_owned(),
                });
            }
            if old == Some(&meta) && self.is_fresh(there.document.signed.expires, seconds) {
                let there = Written {
                    document: there.document.clone(),
                    bytes: there.bytes.clone(),
                };
                return Ok((there, false));
            }
        }
        // The timestamp knows the version that machines have seen, also where the snapshot itself is gone.
        let seen = published.and_then(|it| it.stamp.signed.meta.get("snapshot.json"));
        let mut snapshot = Snapshot::new(
            SPEC_VERSION.to_owned(),
            next(seen.map(|meta| meta.version))?,
            self.end(seconds),
        );
        snapshot.meta.insert("targets.json".to_owned(), meta);
        let document = self.signed(snapshot, Role::Snapshot, &self.keys.snapshot)?;
        let bytes = encode(&document);
        let path = Path::new(METADATA).join(format!("{}.snapshot.json", document.signed.version));
        replace(self.folder.files(), &path, &bytes)?;
        self.thin_out()?;
        Ok((Written { document, bytes }, true))
    }

    fn timestamp(
        &self,
        snapshot: &Written<Snapshot>,
        published: Option<&Published>,
        seconds: u32,
    ) -> Result<(Signed<Stamp>, bool), TufError> {
        let version = snapshot.document.signed.version;
        let meta = metafile(
            version,
            snapshot.bytes.len() as u64,
            Sha256Digest::of(&snapshot.bytes),
        );
        if let Some(Published { stamp, .. }) = published
            && stamp.signed.meta.get("snapshot.json") == Some(&meta)
            && self.is_fresh(stamp.signed.expires, seconds)
        {
            return Ok((stamp.clone(), false));
        }
        let mut stamp = Stamp::new(
            SPEC_VERSION.to_owned(),
            next(published.map(|it| it.stamp.signed.version))?,
            self.end(seconds),
        );
        stamp.meta.insert("snapshot.json".to_owned(), meta);
        let signed_at = Value::from(moment(self.now).to_string());
        stamp._extra.insert(SIGNED_AT.to_owned(), signed_at);
        let document = self.signed(stamp, Role::Timestamp, &self.keys.timestamp)?;
        replace(
            self.folder.files(),
            &Path::new(METADATA).join(TIMESTAMP),
            &encode(&document),
        )?;
        Ok((document, true))
    }

    fn signed<T: Document + Clone>(
        &self,
        document: T,
        role: Role,
        key: &PrivateKey,
    ) -> Result<Signed<T>, TufError> {
        let may_sign = ids(self.root, role);
        if !may_sign.contains(&key.public().id()) {
            return Err(TufError::NoKey {
                path: self.keys.directory.clone(),
                role,
                may_sign,
            });
        }
        let mut document = Signed {
            signed: document,
            signatures: Vec::new(),
        };
        key.sign(&mut document)?;
        vouched(role.as_str(), Standing::of(self.root, &document, role))?;
        Ok(document)
    }

    fn end(&self, seconds: u32) -> jiff::Timestamp {
        moment(self.now.plus_millis(i64::from(seconds) * 1_000))
    }

    /// More than half of its time is left, and not more than all of it: then the clock was wrong when it was signed.
    fn is_fresh(&self, expires: jiff::Timestamp, seconds: u32) -> bool {
        let left_ms = time(expires).millis_since(self.now);
        (i64::from(seconds) * 500..=i64::from(seconds) * 1_000).contains(&left_ms)
    }

    fn thin_out(&self) -> Result<(), TufError> {
        let place = Path::new(METADATA);
        let mut there = numbered(self.folder.files(), place, ".snapshot.json")?;
        there.truncate(there.len().saturating_sub(SNAPSHOTS_KEPT));
        for version in there {
            self.folder
                .files()
                .remove_file(&place.join(format!("{version}.snapshot.json")))?;
        }
        Ok(())
    }
}

fn next(version: Option<NonZeroU64>) -> Result<NonZeroU64, TufError> {
    let Some(version) = version else {
        return Ok(NonZeroU64::MIN);
    };
    version.checked_add(1).ok_or_else(|| TufError::Metadata {
        path: PathBuf::from(METADATA),
        what: "the last version there is was used; replace the server's keys".to_owned(),
    })
}

fn metafile(version: NonZeroU64, length: u64, sha256: Sha256Digest) -> Metafile {
    Metafile {
        length: Some(length),
        hashes: Some(Hashes {
            sha256: sha256.as_bytes().to_vec().into(),
            _extra: HashMap::new(),
        }),
        version,
        _extra: HashMap::new(),
    }
}
