//! Content by its hash.
//!
//! A blob lies in `BLOBS/ab/abcd…`, named by the SHA-256 of what is in it. It comes there by rename, whole and durable, or not at all; what
//! is read is compared with its name and its length. One process writes at a time.

#[cfg(test)]
mod tests;

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::digest::{Hasher, Sha256Digest};
use crate::files::{DiskError, Files, Found, PIECE_BYTES, beside, make_all};

/// A store of blobs in one directory.
#[derive(Clone, Debug)]
pub struct Blobs {
    files: Arc<dyn Files>,
    place: PathBuf,
}

/// What is wrong with a blob, or with the disk.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// It is not there.
    #[error("the blob {digest} is not there")]
    Missing {
        /// Which.
        digest: Sha256Digest,
    },
    /// What is there, or came, is something else.
    #[error("the blob {digest} is not what its name says: {what}")]
    Wrong {
        /// Which was meant.
        digest: Sha256Digest,
        /// How it differs.
        what: String,
    },
    /// What was given could not be read.
    #[error("what is to become the blob {digest} cannot be read")]
    Source {
        /// Which was meant.
        digest: Sha256Digest,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl BlobError {
    /// The stable code, with a page under `docs/errors/`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "MST-U005",
            Self::Wrong { .. } => "MST-U006",
            Self::Source { .. } | Self::Disk(_) => "MST-U007",
        }
    }
}

/// What came of putting a blob into the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is there now.
    New,
    /// It was there, and is what it should be.
    There,
}

impl Blobs {
    /// Opens the store in a directory, and makes it where it is not there.
    ///
    /// # Errors
    ///
    /// [`BlobError::Disk`].
    pub fn open(files: Arc<dyn Files>, place: &Path) -> Result<Self, BlobError> {
        make_all(&*files, place)?;
        // Folders that somebody made who was ended before they were durable.
        files.sync_directory(place)?;
        Ok(Self {
            files,
            place: place.to_owned(),
        })
    }

    /// The store in a directory that is there, for reading.
    pub fn at(files: Arc<dyn Files>, place: &Path) -> Self {
        Self {
            files,
            place: place.to_owned(),
        }
    }

    fn path(&self, digest: Sha256Digest) -> PathBuf {
        let name = digest.to_string();
        self.place.join(&name[..2]).join(name)
    }

    /// Whether a blob of this name and length is there. Its content is looked at when it is read.
    ///
    /// # Errors
    ///
    /// [`BlobError::Disk`].
    pub fn has(&self, digest: Sha256Digest, length: u64) -> Result<bool, BlobError> {
        let found = self.files.find(&self.path(digest))?;
        Ok(matches!(found, Some(Found::File { length: there, .. }) if there == length))
    }

    /// Puts content into the store. When it comes back, a power cut does not take the blob away. One that is there and right stays; one
    /// that is damaged is replaced.
    ///
    /// # Errors
    ///
    /// [`BlobError::Wrong`] if the content is not what it is said to be: then nothing is kept of it.
    pub fn put(&self, digest: Sha256Digest, length: u64, content: &mut dyn Read) -> Result<Put, BlobError> {
        let path = self.path(digest);
        let folder = path.parent().unwrap_or(&self.place);
        if self.files.find(folder)?.is_none() {
            self.files.make_directory(folder)?;
            self.files.sync_directory(&self.place)?;
        }
        match self.verify(digest, length) {
            Ok(()) => {
                // It may have been made by somebody who was ended before it was durable.
                self.files.sync_directory(folder)?;
                return Ok(Put::There);
            }
            Err(BlobError::Missing { .. } | BlobError::Wrong { .. }) => {}
            Err(error) => return Err(error),
        }
        let new = beside(&path);
        if self.files.find(&new)?.is_some() {
            self.files.remove_file(&new)?;
        }
        let written = self.write(&new, digest, length, content);
        if written.is_err() {
            // Whatever is left of it is removed by whoever tries again.
            let _ = self.files.remove_file(&new);
        }
        written?;
        self.files.rename(&new, &path)?;
        self.files.sync_directory(folder)?;
        Ok(Put::New)
    }

    fn write(
        &self,
        new: &Path,
        digest: Sha256Digest,
        length: u64,
        content: &mut dyn Read,
    ) -> Result<(), BlobError> {
        let mut file = self.files.create(new)?;
        let failed = |source| BlobError::Source { digest, source };
        compare(digest, length, content, failed, |piece| {
            self.files.write(new, &mut file, piece).map_err(BlobError::from)
        })?;
        self.files.set_mode(new, &file, false)?;
        self.files.sync_file(new, &file)?;
        Ok(())
    }

    /// Reads a blob piece by piece. What was handed out before an error is worth nothing.
    ///
    /// # Errors
    ///
    /// [`BlobError::Missing`], [`BlobError::Wrong`], or what `each` said.
    pub fn read<E: From<BlobError>>(
        &self,
        digest: Sha256Digest,
        length: u64,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let path = self.path(digest);
        if self.files.find(&path).map_err(BlobError::from)?.is_none() {
            return Err(BlobError::Missing { digest }.into());
        }
        let mut file = self.files.open(&path).map_err(BlobError::from)?;
        let failed = |source| {
            BlobError::Disk(DiskError {
                doing: "read",
                path: path.clone(),
                source,
            })
        };
        compare(digest, length, &mut file, failed, &mut each)
    }

    /// Reads a blob and compares it with its name.
    ///
    /// # Errors
    ///
    /// [`BlobError::Missing`], [`BlobError::Wrong`].
    pub fn verify(&self, digest: Sha256Digest, length: u64) -> Result<(), BlobError> {
        self.read(digest, length, |_| Ok(()))
    }

    /// The names of all files in the store, whether they are blobs or not.
    ///
    /// # Errors
    ///
    /// [`BlobError::Disk`].
    pub fn list(&self) -> Result<Vec<Listed>, BlobError> {
        let mut all = Vec::new();
        for folder in self.files.list(&self.place)? {
            let path = self.place.join(folder);
            if !matches!(self.files.find(&path)?, Some(Found::Directory { .. })) {
                all.push(Listed::Stray(path));
                continue;
            }
            for name in self.files.list(&path)? {
                let path = path.join(&name);
                let digest = name.to_str().and_then(|name| name.parse().ok());
                let found = self.files.find(&path)?;
                all.push(match (digest, found) {
                    (Some(digest), Some(Found::File { length, .. })) if self.path(digest) == path => {
                        Listed::Blob { digest, length }
                    }
                    _ => Listed::Stray(path),
                });
            }
        }
        Ok(all)
    }
}

/// What lies in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed {
    /// A file with the name of a blob.
    Blob {
        /// Its name.
        digest: Sha256Digest,
        /// Its bytes.
        length: u64,
    },
    /// Something else: what was being written when the power was cut, or somebody's own.
    Stray(PathBuf),
}

/// Hands content on, and compares it with what it should be. Not a byte more than that is read.
fn compare<E: From<BlobError>>(
    digest: Sha256Digest,
    length: u64,
    content: &mut dyn Read,
    failed: impl Fn(io::Error) -> BlobError,
    mut each: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let wrong = |what: String| BlobError::Wrong { digest, what };
    let mut hasher = Hasher::default();
    let mut piece = vec![0; PIECE_BYTES];
    let mut there = 0_u64;
    loop {
        let read = match content.read(&mut piece) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(error).into()),
        };
        if read == 0 {
            break;
        }
        there += read as u64;
        if there > length {
            return Err(wrong(format!("it goes on after {length} bytes")).into());
        }
        hasher.update(&piece[..read]);
        each(&piece[..read])?;
    }
    if there < length {
        return Err(wrong(format!("it ends after {there} of {length} bytes")).into());
    }
    let found = hasher.finish();
    if found != digest {
        return Err(wrong(format!("the SHA-256 of its content is {found}")).into());
    }
    Ok(())
}
