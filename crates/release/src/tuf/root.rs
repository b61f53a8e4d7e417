//! The root: who may sign what. It is made once, in a ceremony, and from then on changed by those whom it names.
//!
//! A new version is signed by enough keys of the one before and by enough of its own, so that whoever knows one can follow to the next
//! ([`Roots::follow`]).

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use muster_model::Timestamp;
use tough::schema::key::Key;
use tough::schema::{RoleKeys, Root, Signed};

use super::keys::PublicKey;
use super::{
    KEYS_MAX, Keys, PrivateKey, ROOT_MAX_BYTES, Role, SPEC_VERSION, Standing, TufError, decode, encode, hex,
    in_days,
};
use crate::files::{Disk, Files, read_small, replace};

/// Versions of the root in one directory.
pub const ROOTS_MAX: usize = 256;

/// Who holds a role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holders {
    /// Their keys.
    pub keys: Vec<PublicKey>,
    /// So many of them must sign.
    pub threshold: u64,
}

/// The first root.
#[derive(Clone, Debug)]
pub struct Ceremony {
    /// Keys that are made for the root, `root-1.pem` and so on.
    pub root_keys: usize,
    /// So many of them must sign.
    pub root_threshold: u64,
    /// Keys that are made for releases, `targets-1.pem` and so on.
    pub targets_keys: usize,
    /// So many of them must sign.
    pub targets_threshold: u64,
    /// The keys of the server for snapshot and timestamp; without them two are made, `snapshot.pem` and `timestamp.pem`.
    pub online: Option<(PublicKey, PublicKey)>,
    /// For so many days it is good.
    pub days: u32,
}

impl Ceremony {
    /// Makes the keys and the root in a directory, which has none yet.
    ///
    /// # Errors
    ///
    /// [`TufError::Asked`] if the numbers make no sense: then nothing is made.
    pub fn hold(&self, directory: &Path, now: Timestamp) -> Result<Signed<Root>, TufError> {
        let holds = [
            (Role::Root, self.root_keys, self.root_threshold),
            (Role::Targets, self.targets_keys, self.targets_threshold),
        ];
        for (role, keys, threshold) in holds {
            check(role, keys, threshold)?;
        }
        let expires = in_days(now, self.days)?;
        let disk = Disk::create(directory)?;
        if !Roots::names(&disk, Path::new(""))?.is_empty() {
            return Err(TufError::Asked {
                what: format!("there is a root in {}", directory.display()),
                accepted: "a directory without one (a root is changed with `muster release keys rotate`)"
                    .to_owned(),
            });
        }
        let mut roles = BTreeMap::new();
        for (role, keys, threshold) in holds {
            let mut made = Vec::new();
            for number in 1..=keys {
                made.push(PrivateKey::make(&directory.join(format!("{role}-{number}.pem")))?.public());
            }
            roles.insert(
                role,
                Holders {
                    keys: made,
                    threshold,
                },
            );
        }
        let (snapshot, timestamp) = match &self.online {
            Some(online) => online.clone(),
            None => (
                PrivateKey::make(&directory.join("snapshot.pem"))?.public(),
                PrivateKey::make(&directory.join("timestamp.pem"))?.public(),
            ),
        };
        for (role, key) in [(Role::Snapshot, snapshot), (Role::Timestamp, timestamp)] {
            let keys = vec![key];
            roles.insert(role, Holders { keys, threshold: 1 });
        }
        let mut document = Signed {
            signed: build(NonZeroU64::MIN, expires, &roles)?,
            signatures: Vec::new(),
        };
        let may_sign = ids(&document.signed, Role::Root);
        Keys::open(directory)?.sign(&mut document, Role::Root, &may_sign)?;
        replace(&disk, &file_name(1), &encode(&document))?;
        Ok(document)
    }
}

/// What is to be different in the next root.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Keys that come.
    pub add: Vec<(Role, PublicKey)>,
    /// Keys that go, by the first digits of their ids.
    pub remove: Vec<(Role, String)>,
    /// Thresholds that are others.
    pub thresholds: Vec<(Role, u64)>,
    /// For so many days it is good.
    pub days: u32,
}

impl Change {
    /// The next root, signed by nobody.
    ///
    /// # Errors
    ///
    /// [`TufError::Asked`] for what cannot be.
    pub fn apply(&self, root: &Root, now: Timestamp) -> Result<Signed<Root>, TufError> {
        let mut roles = holders(root);
        for (role, id) in &self.remove {
            let holders = roles.entry(*role).or_default();
            let found: Vec<String> = holders
                .keys
                .iter()
                .map(PublicKey::id)
                .filter(|one| one.starts_with(id.as_str()))
                .collect();
            let [found] = &found[..] else {
                return Err(TufError::Asked {
                    what: format!("{} keys of {role} begin with {id:?}", found.len()),
                    accepted: "the first digits of one key (`muster release keys show`)".to_owned(),
                });
            };
            holders.keys.retain(|key| key.id() != *found);
        }
        for (role, key) in &self.add {
            let holders = roles.entry(*role).or_default();
            if !holders.keys.contains(key) {
                holders.keys.push(key.clone());
            }
        }
        for (role, threshold) in &self.thresholds {
            roles.entry(*role).or_default().threshold = *threshold;
        }
        let version = root.version.checked_add(1).ok_or_else(|| TufError::Asked {
            what: "this root has the last version there is".to_owned(),
            accepted: "a root of a new ceremony".to_owned(),
        })?;
        Ok(Signed {
            signed: build(version, in_days(now, self.days)?, &roles)?,
            signatures: Vec::new(),
        })
    }
}

/// Who holds which role.
pub fn holders(root: &Root) -> BTreeMap<Role, Holders> {
    let of = |role: Role| {
        let held = root.roles.get(&role.in_tough());
        Holders {
            keys: held
                .into_iter()
                .flat_map(|held| &held.keyids)
                .filter_map(|id| root.keys.get(id).cloned().map(PublicKey))
                .collect(),
            threshold: held.map_or(1, |held| held.threshold.get()),
        }
    };
    Role::ALL.into_iter().map(|role| (role, of(role))).collect()
}

/// The ids of the keys of a role.
pub(crate) fn ids(root: &Root, role: Role) -> Vec<String> {
    let held = root.roles.get(&role.in_tough());
    held.into_iter()
        .flat_map(|held| &held.keyids)
        .map(|id| hex(id))
        .collect()
}

fn check(role: Role, keys: usize, threshold: u64) -> Result<NonZeroU64, TufError> {
    let wrong = |what: String, accepted: String| Err(TufError::Asked { what, accepted });
    if !(1..=KEYS_MAX).contains(&keys) {
        return wrong(format!("{keys} keys of {role}"), format!("1 to {KEYS_MAX}"));
    }
    match NonZeroU64::new(threshold) {
        Some(good) if threshold <= keys as u64 => Ok(good),
        _ => wrong(
            format!("{threshold} signatures of {keys} keys of {role}"),
            format!("1 to {keys}"),
        ),
    }
}

fn build(
    version: NonZeroU64,
    expires: jiff::Timestamp,
    roles: &BTreeMap<Role, Holders>,
) -> Result<Root, TufError> {
    let mut keys: HashMap<_, Key> = HashMap::new();
    let mut held = HashMap::new();
    for (role, holders) in roles {
        let threshold = check(*role, holders.keys.len(), holders.threshold)?;
        let mut keyids = Vec::new();
        for PublicKey(key) in &holders.keys {
            let id = key.key_id().map_err(|error| TufError::Asked {
                what: error.to_string(),
                accepted: "keys that can be written".to_owned(),
            })?;
            keys.insert(id.clone(), key.clone());
            keyids.push(id);
        }
        let _extra = HashMap::new();
        held.insert(
            role.in_tough(),
            RoleKeys {
                keyids,
                threshold,
                _extra,
            },
        );
    }
    Ok(Root {
        spec_version: SPEC_VERSION.to_owned(),
        consistent_snapshot: true,
        version,
        expires,
        keys,
        roles: held,
        _extra: HashMap::new(),
    })
}

/// The name of a version of the root.
pub(crate) fn file_name(version: u64) -> PathBuf {
    PathBuf::from(format!("{version}.root.json"))
}

/// How a new root stands: by the one before, and by itself.
pub(crate) fn standings(before: &Root, new: &Signed<Root>) -> Vec<Standing> {
    vec![
        Standing::of(before, new, Role::Root),
        Standing::of(&new.signed, new, Role::Root),
    ]
}

/// The roots that somebody knows, each following from the one before.
#[derive(Clone, Debug)]
pub struct Roots {
    /// With the bytes of their files, the newest at the end.
    known: Vec<(Vec<u8>, Signed<Root>)>,
}

impl Roots {
    /// Those in a directory of keys. The oldest is believed, the others must follow from it.
    ///
    /// # Errors
    ///
    /// [`TufError::Asked`] if there is none.
    pub fn open(directory: &Path) -> Result<Self, TufError> {
        let disk = Disk::open(directory)?;
        let names = Self::names(&disk, Path::new(""))?;
        let Some(first) = names.first() else {
            return Err(TufError::Asked {
                what: format!("there is no root in {}", directory.display()),
                accepted:
                    "a directory of keys with `1.root.json` (`muster release keys new`, or a copy of it)"
                        .to_owned(),
            });
        };
        let bytes = read_small(&disk, &file_name(*first), ROOT_MAX_BYTES as usize)?;
        let mut roots = Self::anchored(&bytes)?;
        roots.follow(&disk, Path::new(""))?;
        if let Some(last) = names.last().filter(|last| **last != roots.latest().version.get()) {
            return Err(TufError::Metadata {
                path: directory.join(file_name(*last)),
                what: format!(
                    "there is no root version {} before it",
                    roots.latest().version.get() + 1
                ),
            });
        }
        Ok(roots)
    }

    /// One that is believed.
    ///
    /// # Errors
    ///
    /// [`TufError::Metadata`], [`TufError::NotVouched`] if it is not signed by its own keys.
    pub fn anchored(bytes: &[u8]) -> Result<Self, TufError> {
        let root: Signed<Root> = decode(bytes).map_err(|what| TufError::Metadata {
            path: PathBuf::from("root.json"),
            what,
        })?;
        vouched("this root", Standing::of(&root.signed, &root, Role::Root))?;
        Ok(Self {
            known: vec![(bytes.to_vec(), root)],
        })
    }

    /// Goes on to the newer ones that lie in a directory; gives the versions that were new.
    ///
    /// # Errors
    ///
    /// [`TufError::NotVouched`] if one does not follow from the one before.
    pub(crate) fn follow(&mut self, files: &dyn Files, place: &Path) -> Result<Vec<u64>, TufError> {
        let mut new = Vec::new();
        loop {
            let next = self.latest().version.get().saturating_add(1);
            let path = place.join(file_name(next));
            if self.known.len() == ROOTS_MAX || files.find(&path)?.is_none() {
                return Ok(new);
            }
            let bytes = read_small(files, &path, ROOT_MAX_BYTES as usize)?;
            let wrong = |what: String| TufError::Metadata {
                path: path.clone(),
                what,
            };
            let root: Signed<Root> = decode(&bytes).map_err(wrong)?;
            if root.signed.version.get() != next {
                return Err(wrong(format!("its version is {}", root.signed.version)));
            }
            for standing in standings(self.latest(), &root) {
                vouched(&path.display().to_string(), standing)?;
            }
            self.known.push((bytes, root));
            new.push(next);
        }
    }

    /// The newest.
    pub fn latest(&self) -> &Root {
        &self.newest().1.signed
    }

    /// The newest, with its signatures.
    pub fn latest_signed(&self) -> &Signed<Root> {
        &self.newest().1
    }

    fn newest(&self) -> &(Vec<u8>, Signed<Root>) {
        self.known.last().expect("there is one from the beginning")
    }

    /// All of them with their bytes, the oldest first.
    pub(crate) fn all(&self) -> impl DoubleEndedIterator<Item = (&[u8], &Root)> {
        self.known
            .iter()
            .map(|(bytes, root)| (bytes.as_slice(), &root.signed))
    }

    /// The versions that lie in a directory, in order.
    pub(crate) fn names(files: &dyn Files, place: &Path) -> Result<Vec<u64>, TufError> {
        numbered(files, place, ".root.json")
    }
}

/// It is an error if too few have signed.
pub(crate) fn vouched(what: &str, standing: Standing) -> Result<(), TufError> {
    if standing.is_complete() {
        return Ok(());
    }
    Err(TufError::NotVouched {
        what: what.to_owned(),
        standing,
    })
}

/// The numbers of the files that end like this, in order.
pub(crate) fn numbered(files: &dyn Files, place: &Path, end: &str) -> Result<Vec<u64>, TufError> {
    if files.find(place)?.is_none() && place != Path::new("") {
        return Ok(Vec::new());
    }
    let names = files.list(place)?;
    let number = |name: &str| name.strip_suffix(end).and_then(|number| number.parse().ok());
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| number(name.to_str()?)).collect();
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}
