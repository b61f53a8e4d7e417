//! Content by its SHA-256, behind an object store: in files of one folder now, in a bucket later.
//!
//! Begin with [`Contents::put`]: what comes is hashed on its way and gets its name only when all of it is there and right, so that nothing
//! half-written is ever seen, and nothing is acknowledged that a power cut could take away. Nothing is ever removed here.
//!
//! On a disk, content lies in `releases/ab/abcd…`. What `object_store` leaves to us there: all folders are made, and synced, when the store is
//! opened (of two writers into a new folder the second would not wait for the folder's own entry), what was left half-written is removed then,
//! and what is found in place is synced again before it counts as kept.

mod error;
mod piece;
#[cfg(test)]
mod tests;

use std::fmt::Display;
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path as Location;
use object_store::{
    GetOptions, GetRange, GetResultPayload, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload,
};
use sha2::{Digest, Sha256};

use crate::directory::DataDirectory;
use crate::error::OpenError;
pub use error::ContentError;
pub use piece::pieces_of_file;

const FOLDER: &str = "releases";
/// What is handed to the object store at once: a bucket takes no smaller parts than 5 MiB of what comes in several.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// `object_store` names what is half-written with this behind the name of what it is to become.
const HALF_WRITTEN: char = '#';

/// Bounds for contents.
#[derive(Clone, Copy, Debug)]
pub struct ContentsOptions {
    /// What stays free on the disk for everything else.
    pub reserve_bytes: u64,
}

/// What came of putting content into the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutContent {
    /// It is there now.
    New,
    /// It was there, and is what it should be.
    There,
}

/// All content of releases that the fleet has. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Contents {
    store: Arc<dyn ObjectStore>,
    disk: Arc<OnDisk>,
}

/// What has to be known where the store is a folder.
#[derive(Debug)]
struct OnDisk {
    root: PathBuf,
    reserve_bytes: u64,
    // The directory stays ours as long as somebody may write into it.
    _directory: DataDirectory,
}

/// Content that is being read.
pub type Reading = BoxStream<'static, Result<Bytes, ContentError>>;

impl Contents {
    /// Opens the store in a data directory, and makes it where it is not there. Blocks.
    pub fn open(directory: &DataDirectory, options: ContentsOptions) -> Result<Self, OpenError> {
        let root = directory.file(FOLDER);
        let refused = |doing| {
            let path = root.clone();
            move |source| OpenError::Io { path, doing, source }
        };
        prepare(&root).map_err(refused("prepared"))?;
        let store = LocalFileSystem::new_with_prefix(&root)
            .map_err(|error| refused("opened")(std::io::Error::other(error)))?
            .with_fsync(true);
        Ok(Self {
            store: Arc::new(store),
            disk: Arc::new(OnDisk {
                root,
                reserve_bytes: options.reserve_bytes,
                _directory: directory.clone(),
            }),
        })
    }

    /// Puts content into the store. When it comes back, a power cut does not take it away. What is there and right stays, what is there and
    /// damaged is replaced; either way all pieces are taken.
    ///
    /// # Errors
    ///
    /// [`ContentError::Wrong`] if the content is not what it is said to be, [`ContentError::CutOff`] if it does not come: then nothing is
    /// kept of it. [`ContentError::NoRoom`], [`ContentError::Store`].
    pub async fn put<E: Display>(
        &self,
        sha256: [u8; 32],
        length: u64,
        pieces: impl Stream<Item = Result<Bytes, E>> + Send,
    ) -> Result<PutContent, ContentError> {
        let is_there = match self.verify(sha256, length).await {
            Ok(()) => true,
            Err(ContentError::Missing { .. } | ContentError::Wrong { .. }) => false,
            Err(error) => return Err(error),
        };
        if !is_there {
            self.disk.has_room(length)?;
        }
        let mut incoming = Incoming::new(self, sha256, length, is_there);
        let mut pieces = std::pin::pin!(pieces);
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| ContentError::CutOff {
                taken: incoming.taken,
                length,
                why: error.to_string(),
            })?;
            incoming.take(piece).await?;
        }
        incoming.finish().await?;
        if !is_there {
            return Ok(PutContent::New);
        }
        // It may have been put there by somebody who was ended before it was durable.
        let path = self.disk.path(sha256);
        let synced = tokio::task::spawn_blocking(move || sync_with_folder(&path)).await;
        synced
            .unwrap_or_else(|ended| Err(std::io::Error::other(ended)))
            .map_err(|error| ContentError::store("made durable", sha256, std::io::Error::other(error)))?;
        Ok(PutContent::There)
    }

    /// How long content is; nothing if it is not there. Its bytes are not looked at.
    ///
    /// # Errors
    ///
    /// [`ContentError::Store`].
    pub async fn length(&self, sha256: [u8; 32]) -> Result<Option<u64>, ContentError> {
        match self.store.head(&location(sha256)).await {
            Ok(found) => Ok(Some(found.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(ContentError::store("looked up", sha256, error)),
        }
    }

    /// Reads a range of content. What is read is not compared with its name: [`verify`](Self::verify) does that.
    ///
    /// # Errors
    ///
    /// [`ContentError::Missing`], [`ContentError::Store`]; also for a range that is empty or goes beyond its end.
    pub async fn read(&self, sha256: [u8; 32], range: Range<u64>) -> Result<Reading, ContentError> {
        let options = GetOptions {
            range: Some(GetRange::Bounded(range.clone())),
            ..GetOptions::default()
        };
        let failed = move |error| match error {
            object_store::Error::NotFound { .. } => ContentError::missing(sha256),
            error => ContentError::store("read", sha256, error),
        };
        let got = self.store.get_opts(&location(sha256), options).await;
        let got = got.map_err(failed)?;
        if got.range != range {
            let beyond = format!("it ends before byte {}", range.end);
            return Err(ContentError::wrong(sha256, beyond));
        }
        Ok(match got.payload {
            GetResultPayload::File(file, _) => pieces_of_file(file, range, sha256).boxed(),
            GetResultPayload::Stream(stream) => stream.map(move |piece| piece.map_err(failed)).boxed(),
        })
    }

    /// All of some content that is short enough to be held in memory, compared with its name.
    ///
    /// # Errors
    ///
    /// [`ContentError::Missing`], [`ContentError::Wrong`], [`ContentError::Store`].
    pub async fn whole(&self, sha256: [u8; 32], length: u64) -> Result<Vec<u8>, ContentError> {
        let mut whole = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        self.compare(sha256, length, |piece| whole.extend_from_slice(piece))
            .await?;
        Ok(whole)
    }

    /// Reads content and compares it with its name and length.
    ///
    /// # Errors
    ///
    /// [`ContentError::Missing`], [`ContentError::Wrong`], [`ContentError::Store`].
    pub async fn verify(&self, sha256: [u8; 32], length: u64) -> Result<(), ContentError> {
        self.compare(sha256, length, |_| ()).await
    }

    async fn compare(
        &self,
        sha256: [u8; 32],
        length: u64,
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), ContentError> {
        let there = self.length(sha256).await?;
        let there = there.ok_or_else(|| ContentError::missing(sha256))?;
        if there != length {
            let what = format!("it has {there} bytes and not {length}");
            return Err(ContentError::wrong(sha256, what));
        }
        let mut hash = Sha256::new();
        if length > 0 {
            let mut pieces = self.read(sha256, 0..length).await?;
            while let Some(piece) = pieces.next().await {
                let piece = piece?;
                hash.update(&piece);
                each(&piece);
            }
        }
        same(sha256, hash)
    }

    /// Everything there is, with its length, in no order.
    pub fn list(&self) -> BoxStream<'static, Result<([u8; 32], u64), ContentError>> {
        let listed = self.store.list(None).filter_map(async |found| match found {
            Ok(found) => digest_of(found.location.filename()?).map(|sha256| Ok((sha256, found.size))),
            Err(source) => Some(Err(ContentError::Listing { source })),
        });
        listed.boxed()
    }
}

impl OnDisk {
    fn path(&self, sha256: [u8; 32]) -> PathBuf {
        let name = hex(sha256);
        self.root.join(&name[..2]).join(name)
    }

    fn has_room(&self, length: u64) -> Result<(), ContentError> {
        let Ok(disk) = rustix::fs::statvfs(&self.root) else {
            // A disk that does not say how much is free says it when something is written.
            return Ok(());
        };
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < length.saturating_add(self.reserve_bytes) {
            return Err(ContentError::NoRoom { free, needed: length });
        }
        Ok(())
    }
}

/// Content that is on its way into the store.
struct Incoming<'a> {
    contents: &'a Contents,
    sha256: [u8; 32],
    length: u64,
    /// It is there already: what comes is only counted.
    is_there: bool,
    taken: u64,
    hash: Sha256,
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
    upload: Option<Box<dyn MultipartUpload>>,
}

impl<'a> Incoming<'a> {
    fn new(contents: &'a Contents, sha256: [u8; 32], length: u64, is_there: bool) -> Self {
        Self {
            contents,
            sha256,
            length,
            is_there,
            taken: 0,
            hash: Sha256::new(),
            waiting: Vec::new(),
            waiting_bytes: 0,
            upload: None,
        }
    }

    async fn take(&mut self, piece: Bytes) -> Result<(), ContentError> {
        self.taken += piece.len() as u64;
        if self.taken > self.length {
            let what = format!("it goes on after {} bytes", self.length);
            return Err(ContentError::wrong(self.sha256, what));
        }
        if self.is_there {
            return Ok(());
        }
        self.hash.update(&piece);
        self.waiting_bytes += piece.len();
        self.waiting.push(piece);
        if self.waiting_bytes >= PART_BYTES {
            self.write_part().await?;
        }
        Ok(())
    }

    async fn write_part(&mut self) -> Result<(), ContentError> {
        let failed = |error| self.contents.disk.refused(self.sha256, self.length, error);
        let upload = match &mut self.upload {
            Some(upload) => upload,
            None => {
                let begun = self.contents.store.put_multipart(&location(self.sha256)).await;
                self.upload.insert(begun.map_err(failed)?)
            }
        };
        let payload: PutPayload = std::mem::take(&mut self.waiting).into_iter().collect();
        self.waiting_bytes = 0;
        upload.put_part(payload).await.map_err(failed)
    }

    async fn finish(mut self) -> Result<(), ContentError> {
        let checked = self.check();
        if checked.is_err() {
            if let Some(upload) = &mut self.upload {
                // What is left of it where that fails has no name, and is removed at the next start.
                let _ = upload.abort().await;
            }
            return checked;
        }
        if self.is_there {
            return Ok(());
        }
        let (disk, sha256, length) = (self.contents.disk.clone(), self.sha256, self.length);
        let failed = |error| disk.refused(sha256, length, error);
        if self.upload.is_none() {
            let payload: PutPayload = std::mem::take(&mut self.waiting).into_iter().collect();
            let put = self.contents.store.put(&location(self.sha256), payload).await;
            return put.map(drop).map_err(failed);
        }
        if self.waiting_bytes > 0 {
            self.write_part().await?;
        }
        let Some(mut upload) = self.upload.take() else {
            return Ok(());
        };
        upload.complete().await.map(drop).map_err(failed)
    }

    fn check(&mut self) -> Result<(), ContentError> {
        if self.taken < self.length {
            let what = format!("it ends after {} of {} bytes", self.taken, self.length);
            return Err(ContentError::wrong(self.sha256, what));
        }
        if self.is_there {
            return Ok(());
        }
        same(self.sha256, std::mem::take(&mut self.hash))
    }
}

impl OnDisk {
    fn refused(&self, sha256: [u8; 32], needed: u64, error: object_store::Error) -> ContentError {
        if error::is_full(&error) {
            let disk = rustix::fs::statvfs(&self.root);
            let free = disk.map_or(0, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
            return ContentError::NoRoom { free, needed };
        }
        ContentError::store("written", sha256, error)
    }
}

fn same(sha256: [u8; 32], hash: Sha256) -> Result<(), ContentError> {
    let found: [u8; 32] = hash.finalize().into();
    if found == sha256 {
        return Ok(());
    }
    let what = format!("the SHA-256 of its content is {}", hex(found));
    Err(ContentError::wrong(sha256, what))
}

fn hex(sha256: [u8; 32]) -> String {
    sha256.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn location(sha256: [u8; 32]) -> Location {
    let name = hex(sha256);
    Location::from_iter([&name[..2], &name])
}

fn digest_of(name: &str) -> Option<[u8; 32]> {
    let fits = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if name.len() != 64 || !name.bytes().all(fits) {
        return None;
    }
    let mut sha256 = [0; 32];
    for (index, byte) in sha256.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&name[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(sha256)
}

/// Makes every folder there will be, and removes what was left half-written.
fn prepare(root: &Path) -> std::io::Result<()> {
    let make = |path: &Path| match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    };
    make(root)?;
    for first in 0..=u8::MAX {
        let folder = root.join(format!("{first:02x}"));
        make(&folder)?;
        let mut is_swept = false;
        for found in fs::read_dir(&folder)? {
            let found = found?;
            if found.file_name().to_string_lossy().contains(HALF_WRITTEN) {
                tracing::info!(path = %found.path().display(), "what was left half-written of a release is removed");
                fs::remove_file(found.path())?;
                is_swept = true;
            }
        }
        if is_swept {
            File::open(&folder)?.sync_all()?;
        }
    }
    File::open(root)?.sync_all()?;
    root.parent()
        .map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

fn sync_with_folder(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()?;
    path.parent()
        .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
