//! What vouches for manifests: the documents of The Update Framework, by the names that it gives them, byte for byte.
//!
//! They lie in `trust/metadata`, as [`muster_release::tuf`] expects it of a folder. A document is looked at here only as far as its name
//! promises something; whether a signature counts is a question for [`muster_release::tuf`], and machines ask it themselves.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use muster_release::tuf::{
    METADATA, ROOT_MAX_BYTES, Role, SNAPSHOT_MAX_BYTES, TARGETS_MAX_BYTES, TIMESTAMP_MAX_BYTES,
};
use parking_lot::Mutex;
use serde::Deserialize;

use super::error::ReleasesError;

/// What is written before it has its name.
const NEW: &str = "new";
/// The longest number of a version.
const NUMBER_MAX_CHARS: usize = 9;

/// The documents of one server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metadata(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    writing: Mutex<()>,
}

/// The name of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    role: Role,
    /// Absent for the timestamp alone.
    version: Option<u64>,
}

/// Why a document is not taken.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// Not a name.
    #[error(
        "{0:?} is no name of metadata: N.root.json, N.targets.json, N.snapshot.json and timestamp.json are accepted"
    )]
    Name(String),
    /// Too long.
    #[error("{name} has {bytes} bytes: up to {most} are accepted")]
    TooLong {
        /// Which.
        name: String,
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        most: u64,
    },
    /// It is not what its name says.
    #[error("{name}: {what}")]
    Other {
        /// Which.
        name: String,
        /// What is wrong, and what is accepted.
        what: String,
    },
    /// It is there, and says something else.
    #[error("{name} is here with other content: what people signed is given out once; sign a new version")]
    Taken {
        /// Which.
        name: String,
    },
    /// The disk.
    #[error(transparent)]
    Disk(#[from] ReleasesError),
}

/// As much of a document as its name promises.
#[derive(Deserialize)]
struct Document {
    signed: Signed,
}

#[derive(Deserialize)]
struct Signed {
    #[serde(rename = "_type")]
    role: String,
    version: u64,
}

impl Name {
    /// Reads the name of a file.
    ///
    /// # Errors
    ///
    /// [`MetadataError::Name`].
    pub fn parse(text: &str) -> Result<Self, MetadataError> {
        let refused = || MetadataError::Name(text.chars().take(100).collect());
        if text == "timestamp.json" {
            return Ok(Self {
                role: Role::Timestamp,
                version: None,
            });
        }
        let stem = text.strip_suffix(".json").ok_or_else(refused)?;
        let (number, word) = stem.split_once('.').ok_or_else(refused)?;
        let role = [Role::Root, Role::Targets, Role::Snapshot]
            .into_iter()
            .find(|role| role.as_str() == word)
            .ok_or_else(refused)?;
        let is_number = (1..=NUMBER_MAX_CHARS).contains(&number.len())
            && number.bytes().all(|byte| byte.is_ascii_digit())
            && !number.starts_with('0');
        if !is_number {
            return Err(refused());
        }
        let version = number.parse().map_err(|_| refused())?;
        Ok(Self {
            role,
            version: Some(version),
        })
    }

    /// The longest that such a document may be.
    pub const fn max_bytes(self) -> u64 {
        match self.role {
            Role::Root => ROOT_MAX_BYTES,
            Role::Targets => TARGETS_MAX_BYTES,
            Role::Snapshot => SNAPSHOT_MAX_BYTES,
            Role::Timestamp => TIMESTAMP_MAX_BYTES,
        }
    }

    /// What the server signs may be replaced; what people signed stays.
    const fn is_replaced(self) -> bool {
        matches!(self.role, Role::Snapshot | Role::Timestamp)
    }

    fn check(self, bytes: &[u8]) -> Result<(), MetadataError> {
        let name = self.to_string();
        if bytes.len() as u64 > self.max_bytes() {
            return Err(MetadataError::TooLong {
                name,
                bytes: bytes.len(),
                most: self.max_bytes(),
            });
        }
        let other = |what: String| MetadataError::Other {
            name: name.clone(),
            what,
        };
        let document: Document = serde_json::from_slice(bytes)
            .map_err(|error| other(format!("it is no document of The Update Framework: {error}")))?;
        if document.signed.role != self.role.as_str() {
            return Err(other(format!(
                "its _type is {:?}: {:?} is accepted under this name",
                document.signed.role.chars().take(100).collect::<String>(),
                self.role.as_str()
            )));
        }
        match self.version {
            Some(version) if version != document.signed.version => Err(other(format!(
                "its version is {}: {version} is accepted under this name",
                document.signed.version
            ))),
            _ => Ok(()),
        }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(version) = self.version {
            write!(f, "{version}.")?;
        }
        write!(f, "{}.json", self.role)
    }
}

impl Metadata {
    /// Opens the folder, and makes it where it is not there. Blocks.
    ///
    /// # Errors
    ///
    /// The disk.
    pub fn open(folder: &Path) -> Result<Self, ReleasesError> {
        let metadata = folder.join(METADATA);
        let made = make(folder)
            .and_then(|()| make(&metadata))
            .and_then(|()| sync(folder))
            .and_then(|()| folder.parent().map_or(Ok(()), sync));
        made.map_err(|source| ReleasesError::Disk {
            path: metadata,
            doing: "made",
            source,
        })?;
        Ok(Self(Arc::new(Inner {
            folder: folder.to_owned(),
            writing: Mutex::new(()),
        })))
    }

    /// The folder in which `metadata/` lies: [`muster_release::tuf::online::refresh`] can be given it once it is a folder of releases.
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    fn path(&self, name: Name) -> PathBuf {
        self.0.folder.join(METADATA).join(name.to_string())
    }

    /// A document; nothing if it is not there. Blocks.
    ///
    /// # Errors
    ///
    /// The disk.
    pub fn get(&self, name: Name) -> Result<Option<Vec<u8>>, ReleasesError> {
        let path = self.path(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ReleasesError::Disk {
                path,
                doing: "read",
                source,
            }),
        }
    }

    /// Takes a document. When it comes back, it is on the disk, and whoever reads sees the old one or the new one. Says whether it is
    /// another than was there. Blocks.
    ///
    /// # Errors
    ///
    /// [`MetadataError`]; what was there stays.
    pub fn put(&self, name: Name, bytes: &[u8]) -> Result<bool, MetadataError> {
        name.check(bytes)?;
        let _alone = self.0.writing.lock();
        match self.get(name)? {
            Some(there) if there == bytes => return Ok(false),
            Some(_) if !name.is_replaced() => {
                return Err(MetadataError::Taken {
                    name: name.to_string(),
                });
            }
            _ => {}
        }
        let path = self.path(name);
        replace(&path, bytes).map_err(|source| ReleasesError::Disk {
            path,
            doing: "written",
            source,
        })?;
        Ok(true)
    }
}

fn make(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension(NEW);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    path.parent().map_or(Ok(()), sync)
}
