//! The data directory: where all files of one server live, and the lock that keeps it to one process.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::OpenError;

/// The file that is locked while a process works in the directory.
const LOCK_FILE: &str = "lock";
/// What others than the owner could do with it.
const OTHERS: u32 = 0o077;

/// A data directory that belongs to this process for as long as a clone of this value lives.
#[derive(Clone, Debug)]
pub struct DataDirectory(Arc<Held>);

#[derive(Debug)]
struct Held {
    path: PathBuf,
    /// Closing it releases the lock.
    _lock: File,
}

impl DataDirectory {
    /// Takes the directory, creating it (for its owner alone) if only itself is missing. Blocks shortly.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref().to_owned();
        create(&path)?;
        let lock = take(&path)?;
        Ok(Self(Arc::new(Held { path, _lock: lock })))
    }

    /// Whether others than its owner may look into it or change it: what is in it by our hand they may not, what else is there they
    /// may.
    pub fn is_open_to_others(&self) -> bool {
        let found = std::fs::metadata(&self.0.path);
        found.is_ok_and(|found| found.permissions().mode() & OTHERS != 0)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.path.join(name)
    }
}

fn create(path: &Path) -> Result<(), OpenError> {
    if path.is_dir() {
        return Ok(());
    }
    let owned = path.to_owned();
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {
            // The directory's own entry must be as durable as what will be acknowledged in it.
            let parent = match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent,
                _ => Path::new("."),
            };
            File::open(parent)
                .and_then(|parent| parent.sync_all())
                .map_err(|source| OpenError::Io {
                    path: owned,
                    doing: "made durable",
                    source,
                })
        }
        Err(error) => Err(match error.kind() {
            ErrorKind::AlreadyExists | ErrorKind::NotADirectory => OpenError::NotADirectory { path: owned },
            ErrorKind::NotFound => OpenError::MissingParent { path: owned },
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => OpenError::NotWritable {
                path: owned,
                source: error,
            },
            _ => OpenError::Io {
                path: owned,
                doing: "created",
                source: error,
            },
        }),
    }
}

fn take(directory: &Path) -> Result<File, OpenError> {
    let not_writable = |source: std::io::Error| match source.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => OpenError::NotWritable {
            path: directory.to_owned(),
            source,
        },
        _ => OpenError::Io {
            path: directory.join(LOCK_FILE),
            doing: "opened",
            source,
        },
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(directory.join(LOCK_FILE))
        .map_err(not_writable)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            let mut text = String::new();
            let pid = file
                .read_to_string(&mut text)
                .ok()
                .and_then(|_| text.trim().parse().ok());
            return Err(OpenError::InUse {
                path: directory.to_owned(),
                pid,
            });
        }
        Err(errno) => {
            return Err(OpenError::Io {
                path: directory.join(LOCK_FILE),
                doing: "locked",
                source: errno.into(),
            });
        }
    }
    // Only a hint for people: on a full disk the lock must still work.
    let noted = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    if let Err(error) = noted {
        tracing::warn!(%error, "the process id could not be noted in the lock file");
    }
    Ok(file)
}
