//! The metadata in a folder of releases: adding a release to what is vouched for, and signing by several people one after the other.
//!
//! Nothing is built on what is not vouched for: who can write into the folder could plant a release there and wait for somebody to sign
//! the next version of the list.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use muster_model::Timestamp;
use semver::Version;
use serde_json::Value;
use tough::TargetName;
use tough::schema::{Hashes, Root, Signed, Target, Targets};

use super::root::{Roots, file_name, ids, numbered, standings, vouched};
use super::{
    KEYS_MAX, Keys, METADATA, ROOT_MAX_BYTES, Role, SPEC_VERSION, Standing, TARGETS, TARGETS_MAX_BYTES,
    TufError, decode, encode, hex, in_days, time,
};
use crate::digest::Sha256Digest;
use crate::files::{Disk, Files, make_all, read_small, replace};
use crate::folder::{Folder, FolderError, Release};

const PENDING: &str = ".pending.json";

/// The metadata in a folder of releases.
#[derive(Clone, Copy, Debug)]
pub struct Repository<'f> {
    folder: &'f Folder,
}

/// What is to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A release that is in the folder.
    Add {
        /// Its product.
        product: String,
        /// Its version.
        version: Version,
    },
    /// A release that machines are to take no more.
    Withdraw {
        /// Its product.
        product: String,
        /// Its version.
        version: Version,
    },
    /// What is there, again: for a later end, or by other keys.
    Renew,
}

/// How far a document has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Whose it is: root or targets.
    pub role: Role,
    /// Its version.
    pub version: u64,
    /// When it ends.
    pub expires: Timestamp,
    /// By whom it is signed; for a root by the one before and by itself.
    pub standings: Vec<Standing>,
    /// What is different from the version before, a line each.
    pub changes: Vec<String>,
    /// Where it lies: under its name if enough have signed, else as `….pending.json`.
    pub path: PathBuf,
}

impl Progress {
    /// Enough have signed.
    pub fn is_complete(&self) -> bool {
        self.standings.iter().all(Standing::is_complete)
    }
}

/// What is vouched for in a folder.
#[derive(Clone, Debug)]
pub struct Vouched {
    /// The list of releases.
    pub targets: Targets,
    /// By whom.
    pub standing: Standing,
    /// The length and the digest of its file.
    pub length: u64,
    /// As it stands in the snapshot.
    pub sha256: Sha256Digest,
}

impl<'f> Repository<'f> {
    /// That in this folder.
    pub const fn of(folder: &'f Folder) -> Self {
        Self { folder }
    }

    fn files(&self) -> &dyn Files {
        self.folder.files()
    }

    /// Puts the roots that somebody knows into the folder; gives the versions that were not there.
    ///
    /// # Errors
    ///
    /// [`TufError::Metadata`] if the folder has another root of the same version.
    pub fn publish(&self, roots: &Roots) -> Result<Vec<u64>, TufError> {
        make_all(self.files(), Path::new(METADATA))?;
        let mut new = Vec::new();
        for (bytes, root) in roots.all() {
            let path = Path::new(METADATA).join(file_name(root.version.get()));
            if self.files().find(&path)?.is_some() {
                if read_small(self.files(), &path, ROOT_MAX_BYTES as usize)? != bytes {
                    return Err(TufError::Metadata {
                        path,
                        what: "it is the root of other keys, or was signed again".to_owned(),
                    });
                }
                continue;
            }
            replace(self.files(), &path, bytes)?;
            new.push(root.version.get());
        }
        Ok(new)
    }

    /// The roots in the folder that follow from what somebody knows.
    ///
    /// # Errors
    ///
    /// As [`Roots::anchored`] has them.
    pub fn follow(&self, mut roots: Roots) -> Result<Roots, TufError> {
        roots.follow(self.files(), Path::new(METADATA))?;
        Ok(roots)
    }

    /// The roots in the folder, believing the oldest: for showing, not for trusting.
    ///
    /// # Errors
    ///
    /// As [`Roots::anchored`] has them. `None` where nothing was signed yet.
    pub fn roots(&self) -> Result<Option<Roots>, TufError> {
        let place = Path::new(METADATA);
        let Some(first) = Roots::names(self.files(), place)?.first().copied() else {
            return Ok(None);
        };
        let bytes = read_small(
            self.files(),
            &place.join(file_name(first)),
            ROOT_MAX_BYTES as usize,
        )?;
        self.follow(Roots::anchored(&bytes)?).map(Some)
    }

    /// The newest list of releases, if this root vouches for it; `None` if there is none yet.
    ///
    /// # Errors
    ///
    /// [`TufError::NotVouched`], [`TufError::Metadata`].
    pub fn vouched(&self, root: &Root) -> Result<Option<Vouched>, TufError> {
        let Some((path, bytes, document)) = self.newest()? else {
            return Ok(None);
        };
        let standing = Standing::of(root, &document, Role::Targets);
        vouched(&path.display().to_string(), standing.clone())?;
        Ok(Some(Vouched {
            targets: document.signed,
            standing,
            length: bytes.len() as u64,
            sha256: Sha256Digest::of(&bytes),
        }))
    }

    #[expect(clippy::type_complexity, reason = "a path, what lies there, and what it says")]
    fn newest(&self) -> Result<Option<(PathBuf, Vec<u8>, Signed<Targets>)>, TufError> {
        let place = Path::new(METADATA);
        let Some(version) = numbered(self.files(), place, ".targets.json")?.pop() else {
            return Ok(None);
        };
        let path = place.join(format!("{version}.targets.json"));
        let bytes = read_small(self.files(), &path, TARGETS_MAX_BYTES as usize)?;
        let wrong = |what: String| TufError::Metadata {
            path: path.clone(),
            what,
        };
        let document: Signed<Targets> = decode(&bytes).map_err(wrong)?;
        if document.signed.version.get() != version {
            return Err(wrong(format!("its version is {}", document.signed.version)));
        }
        Ok(Some((path, bytes, document)))
    }

    /// Makes the next list of releases and signs it with the keys at hand. If that is not enough it waits in the folder as
    /// `N.targets.pending.json` until [`countersign`] has made it so.
    ///
    /// # Errors
    ///
    /// [`TufError`]; nothing was signed then.
    pub fn sign(
        &self,
        keys: &Keys,
        wanted: &Wanted,
        now: Timestamp,
        days: u32,
    ) -> Result<Progress, TufError> {
        let roots = self.follow(Roots::open(keys.path())?)?;
        let expires = in_days(now, days)?;
        let place = Path::new(METADATA);
        self.publish(&roots)?;
        if let Some(version) = numbered(self.files(), place, &format!(".targets{PENDING}"))?.pop() {
            return Err(TufError::Pending {
                path: place.join(format!("{version}.targets{PENDING}")),
            });
        }
        let (base, is_known) = self.base(&roots, wanted)?;
        let mut targets = base.clone().unwrap_or_else(|| Targets {
            delegations: None,
            ..Targets::new(SPEC_VERSION.to_owned(), NonZeroU64::MIN, expires)
        });
        if let Some(before) = &base {
            targets.version = before.version.checked_add(1).ok_or_else(|| TufError::Asked {
                what: "the list of releases has the last version there is".to_owned(),
                accepted: "a folder of its own".to_owned(),
            })?;
        }
        targets.expires = expires;
        match wanted {
            Wanted::Add { product, version } => self.add(&mut targets, product, version)?,
            Wanted::Withdraw { product, version } => {
                let name = target_name(product, version)?;
                if targets.remove_target(&name).is_none() {
                    return Err(FolderError::Missing {
                        what: format!("a signed {product} {version}"),
                    }
                    .into());
                }
            }
            Wanted::Renew => {}
        }
        // What was signed by keys that were replaced since is shown as if it were new.
        let changes = changes(base.as_ref().filter(|_| is_known), &targets);
        let mut document = Signed {
            signed: targets,
            signatures: Vec::new(),
        };
        keys.sign(&mut document, Role::Targets, &ids(roots.latest(), Role::Targets))?;
        let standings = vec![Standing::of(roots.latest(), &document, Role::Targets)];
        put(self.files(), place, Role::Targets, &document, standings, changes)
    }

    /// What the next list is made from, and whether the newest root vouches for that.
    fn base(&self, roots: &Roots, wanted: &Wanted) -> Result<(Option<Targets>, bool), TufError> {
        let latest = match self.vouched(roots.latest()) {
            Ok(found) => return Ok((found.map(|found| found.targets), true)),
            Err(error) => error,
        };
        // Keys that signed it may have been replaced since: who renews sees everything that is in it before they sign.
        if *wanted == Wanted::Renew {
            for (_, root) in roots.all().rev() {
                if let Ok(Some(found)) = self.vouched(root) {
                    return Ok((Some(found.targets), false));
                }
            }
        }
        Err(latest)
    }

    fn add(&self, targets: &mut Targets, product: &str, version: &Version) -> Result<(), TufError> {
        let releases = self.folder.versions(product)?;
        let release = releases.into_iter().find(|it| it.manifest.version == *version);
        let release = release.ok_or_else(|| FolderError::Missing {
            what: format!("{product} {version}"),
        })?;
        let (name, target) = (target_name(product, version)?, target(&release));
        if let Some(there) = targets.targets.get(&name)
            && there.hashes != target.hashes
        {
            return Err(TufError::Asked {
                what: format!("{product} {version} is signed with another content"),
                accepted: "another version: a version is given once".to_owned(),
            });
        }
        // Its name among the published ones has its hash, as consistent snapshots ask for.
        let bytes = release
            .manifest
            .encode()
            .map_err(|source| FolderError::Manifest {
                release: format!("{product} {version}"),
                source,
            })?;
        let published = Path::new(TARGETS).join(published(product, &version.to_string(), release.digest));
        if let Some(folder) = published.parent() {
            make_all(self.files(), folder)?;
        }
        replace(self.files(), &published, &bytes)?;
        targets.add_target(name, target);
        Ok(())
    }
}

/// Under which name a manifest is published, from the base of targets.
pub fn published(product: &str, version: &str, sha256: Sha256Digest) -> String {
    format!("{product}/{sha256}.{version}.json")
}

fn target_name(product: &str, version: &Version) -> Result<TargetName, TufError> {
    TargetName::new(format!("{product}/{version}.json")).map_err(|error| TufError::Asked {
        what: error.to_string(),
        accepted: "the name of a product and its version".to_owned(),
    })
}

fn target(release: &Release) -> Target {
    let manifest = &release.manifest;
    let custom = [
        ("product", Value::from(manifest.product.clone())),
        ("version", Value::from(manifest.version.to_string())),
        ("counter", Value::from(manifest.counter)),
    ];
    Target {
        length: release.manifest_bytes,
        hashes: Hashes {
            sha256: release.digest.as_bytes().to_vec().into(),
            _extra: HashMap::new(),
        },
        custom: custom
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
        _extra: HashMap::new(),
    }
}

fn changes(before: Option<&Targets>, after: &Targets) -> Vec<String> {
    let line = |sign: char, name: &TargetName, target: &Target| {
        let counter = target
            .custom
            .get("counter")
            .map_or(String::new(), |it| format!("counter {it}, "));
        format!(
            "{sign} {} ({counter}sha256 {})",
            name.raw(),
            hex(&target.hashes.sha256)
        )
    };
    let there = |targets: Option<&Targets>, name| targets.and_then(|it| it.targets.get(name)).cloned();
    let mut lines: Vec<String> = Vec::new();
    for (name, target) in &after.targets {
        match there(before, name) {
            Some(same) if same == *target => {}
            Some(other) => {
                lines.push(line('-', name, &other));
                lines.push(line('+', name, target));
            }
            None => lines.push(line('+', name, target)),
        }
    }
    let gone = before.into_iter().flat_map(|it| &it.targets);
    lines.extend(
        gone.filter(|(name, _)| !after.targets.contains_key(*name))
            .map(|(name, target)| line('-', name, target)),
    );
    lines.sort_by(|one, other| one[1..].cmp(&other[1..]));
    lines
}

/// What is different in a root.
pub(crate) fn root_changes(before: Option<&Root>, after: &Root) -> Vec<String> {
    let mut lines = Vec::new();
    for role in Role::ALL {
        let old = before.map_or_else(Vec::new, |root| ids(root, role));
        let new = ids(after, role);
        lines.extend(
            old.iter()
                .filter(|id| !new.contains(id))
                .map(|id| format!("- {role} {id}")),
        );
        lines.extend(
            new.iter()
                .filter(|id| !old.contains(id))
                .map(|id| format!("+ {role} {id}")),
        );
        let threshold = |root: &Root| root.roles.get(&role.in_tough()).map(|it| it.threshold.get());
        if let (old, Some(new)) = (before.and_then(threshold), threshold(after))
            && old != Some(new)
        {
            lines.push(format!("~ {role}: {new} of {} must sign", ids(after, role).len()));
        }
    }
    lines
}

/// Changes the root in a directory of keys, and signs it with those. If that is not enough it waits there as `N.root.pending.json`.
///
/// # Errors
///
/// [`TufError`]; nothing was changed then.
pub fn rotate(keys: &Keys, change: &super::Change, now: Timestamp) -> Result<Progress, TufError> {
    let roots = Roots::open(keys.path())?;
    let disk = Disk::open(keys.path())?;
    if let Some(version) = numbered(&disk, Path::new(""), &format!(".root{PENDING}"))?.pop() {
        return Err(TufError::Pending {
            path: keys.path().join(format!("{version}.root{PENDING}")),
        });
    }
    let mut document = change.apply(roots.latest(), now)?;
    sign_root(keys, roots.latest(), &mut document)?;
    let changes = root_changes(Some(roots.latest()), &document.signed);
    let standings = standings(roots.latest(), &document);
    let mut progress = put(&disk, Path::new(""), Role::Root, &document, standings, changes)?;
    progress.path = keys.path().join(&progress.path);
    Ok(progress)
}

fn sign_root(keys: &Keys, before: &Root, document: &mut Signed<Root>) -> Result<(), TufError> {
    let mut may_sign = ids(before, Role::Root);
    may_sign.extend(ids(&document.signed, Role::Root));
    keys.sign(document, Role::Root, &may_sign)
}

/// Adds the signatures of the keys at hand to a root or a list of releases that waits for some, wherever its file lies. When enough have
/// signed, it takes the name under which it is used, in the same directory; a root comes into the directory of the keys as well. With
/// `only_look` nothing is signed: one should know what one signs.
///
/// # Errors
///
/// [`TufError`]; the file is as it was then.
pub fn countersign(file: &Path, keys: &Keys, only_look: bool) -> Result<Progress, TufError> {
    let (directory, name) = super::keys::split(file)?;
    let disk = Disk::open(directory)?;
    let mut roots = Roots::open(keys.path())?;
    roots.follow(&disk, Path::new(""))?;
    let text = name.to_str().unwrap_or_default();
    let signer = (!only_look).then_some(keys);
    let mut progress = if text.ends_with(&format!(".root{PENDING}")) {
        countersign_root(&disk, name, signer, &roots)?
    } else if text.ends_with(&format!(".targets{PENDING}")) {
        countersign_targets(&disk, name, signer, &roots)?
    } else {
        return Err(TufError::Asked {
            what: format!("{} is no document that waits for signatures", file.display()),
            accepted: format!("N.root{PENDING}, N.targets{PENDING}"),
        });
    };
    if progress.role == Role::Root && progress.is_complete() && !only_look {
        let bytes = read_small(&disk, &progress.path, ROOT_MAX_BYTES as usize)?;
        replace(&Disk::open(keys.path())?, &file_name(progress.version), &bytes)?;
    }
    progress.path = directory.join(&progress.path);
    Ok(progress)
}

fn countersign_root(
    disk: &Disk,
    name: &Path,
    keys: Option<&Keys>,
    roots: &Roots,
) -> Result<Progress, TufError> {
    let bytes = read_small(disk, name, ROOT_MAX_BYTES as usize)?;
    let wrong = |what: String| TufError::Metadata {
        path: name.to_owned(),
        what,
    };
    let mut document: Signed<Root> = decode(&bytes).map_err(wrong)?;
    let before = roots.latest();
    if before.version.checked_add(1) != Some(document.signed.version) {
        return Err(wrong(format!(
            "its version is {}, and the newest root known here is {}",
            document.signed.version, before.version
        )));
    }
    if let Some(keys) = keys {
        sign_root(keys, before, &mut document)?;
    }
    let standings = standings(before, &document);
    let changes = root_changes(Some(before), &document.signed);
    if keys.is_none() {
        return Ok(looked(Role::Root, &document, standings, changes, name));
    }
    put(disk, Path::new(""), Role::Root, &document, standings, changes)
}

/// A document as it lies there.
fn looked<T: tough::schema::Role>(
    role: Role,
    document: &Signed<T>,
    standings: Vec<Standing>,
    changes: Vec<String>,
    path: &Path,
) -> Progress {
    Progress {
        role,
        version: document.signed.version().get(),
        expires: time(document.signed.expires()),
        standings,
        changes,
        path: path.to_owned(),
    }
}

fn countersign_targets(
    disk: &Disk,
    name: &Path,
    keys: Option<&Keys>,
    roots: &Roots,
) -> Result<Progress, TufError> {
    let bytes = read_small(disk, name, TARGETS_MAX_BYTES as usize)?;
    let wrong = |what: String| TufError::Metadata {
        path: name.to_owned(),
        what,
    };
    let mut document: Signed<Targets> = decode(&bytes).map_err(wrong)?;
    // What people are shown is what is different from a version that somebody vouched for; without one it is everything.
    let previous = PathBuf::from(format!("{}.targets.json", document.signed.version.get() - 1));
    let mut before = None;
    if disk.find(&previous)?.is_some() {
        let bytes = read_small(disk, &previous, TARGETS_MAX_BYTES as usize)?;
        before = decode::<Targets>(&bytes)
            .ok()
            .filter(|it| Standing::of(roots.latest(), it, Role::Targets).is_complete())
            .map(|it| it.signed);
    }
    if let Some(keys) = keys {
        keys.sign(&mut document, Role::Targets, &ids(roots.latest(), Role::Targets))?;
    }
    let standings = vec![Standing::of(roots.latest(), &document, Role::Targets)];
    let changes = changes(before.as_ref(), &document.signed);
    if keys.is_none() {
        return Ok(looked(Role::Targets, &document, standings, changes, name));
    }
    put(disk, Path::new(""), Role::Targets, &document, standings, changes)
}

/// Writes a document under the name that it has earned.
fn put<T: tough::schema::Role>(
    files: &dyn Files,
    place: &Path,
    role: Role,
    document: &Signed<T>,
    standings: Vec<Standing>,
    changes: Vec<String>,
) -> Result<Progress, TufError> {
    let version = document.signed.version().get();
    let bytes = encode(document);
    let most = if role == Role::Root {
        ROOT_MAX_BYTES
    } else {
        TARGETS_MAX_BYTES
    };
    if bytes.len() as u64 > most {
        return Err(TufError::Asked {
            what: format!("{role} would have {} bytes", bytes.len()),
            accepted: format!(
                "{most} bytes (withdraw releases that nobody needs; {KEYS_MAX} keys of a role)"
            ),
        });
    }
    let pending = place.join(format!("{version}.{role}{PENDING}"));
    let mut progress = looked(role, document, standings, changes, &pending);
    if progress.is_complete() {
        progress.path = place.join(format!("{version}.{role}.json"));
        replace(files, &progress.path, &bytes)?;
        if files.find(&pending)?.is_some() {
            files.remove_file(&pending)?;
            files.sync_directory(place)?;
        }
    } else {
        replace(files, &pending, &bytes)?;
    }
    Ok(progress)
}

impl FromStr for Role {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == word);
        found.ok_or_else(|| format!("{word:?} is no role: root, targets, snapshot or timestamp is accepted"))
    }
}
