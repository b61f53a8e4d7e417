//! Releases on the server: which there are, how they come here, and in which form machines fetch them.
//!
//! Begin with [`Releases::publish`]: contents come first ([`Releases::take`]), the manifest that names them last, and it is accepted only when
//! all of them are here and are what their names say. What is published stays as it is. [`Releases::get`] and [`Releases::of_manifest`] look
//! releases up; [`encodings`] makes contents shorter for the way, [`deltas`] says what a way costs, [`metadata`] keeps what vouches for
//! manifests. Which machine gets which release is decided elsewhere.

pub mod catalogue;
mod coding;
pub mod deltas;
pub mod encodings;
pub mod error;
pub mod metadata;
pub mod serving;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use muster_model::Timestamp;
use muster_release::{Manifest, Sha256Digest};
use muster_runtime::{Clock, Tasks};
use muster_store::{ContentError, Contents, Documents, PutContent, Reading};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::catalogue::Catalogue;
pub use self::catalogue::Release;
use self::deltas::Deltas;
use self::encodings::Encodings;
pub use self::error::{PublishError, ReleasesError};
use self::metadata::Metadata;

/// Releases in the catalogue.
pub const RELEASES_MAX: usize = 10_000;
/// Contents and manifests that come at once: a part of each is held in memory.
pub const UPLOADS_MAX: usize = 16;
/// Contents of which is remembered that they were read and are right; beyond it all of that is forgotten, and they are read again.
const KNOWN_MAX: usize = 500_000;
/// Missing contents that are named.
const NAMED_MAX: usize = 3;

/// All releases of the server. Cheap to clone.
#[derive(Clone)]
pub struct Releases(Arc<Inner>);

struct Inner {
    contents: Contents,
    documents: Arc<dyn Documents>,
    catalogue: RwLock<Catalogue>,
    /// One release is published after the other: counters are compared.
    publishing: tokio::sync::Mutex<()>,
    seen: Mutex<Seen>,
    encodings: Encodings,
    deltas: Deltas,
    metadata: Metadata,
    uploads: Arc<Semaphore>,
}

/// What is known of contents since the start.
#[derive(Default)]
struct Seen {
    /// They were read, and are what their names say.
    right: HashMap<Sha256Digest, u64>,
    /// They were read, and are not.
    damaged: HashSet<Sha256Digest>,
}

/// What releases are opened from.
pub struct Opened {
    contents: Contents,
    documents: Arc<dyn Documents>,
    catalogue: Catalogue,
    encodings: encodings::Kept,
    metadata: Metadata,
}

impl Opened {
    /// Reads the catalogue and what lies beside it in a data directory. Blocks.
    ///
    /// # Errors
    ///
    /// Something of it cannot be read.
    pub fn read(
        data: &std::path::Path,
        contents: Contents,
        documents: Arc<dyn Documents>,
        encoded_max_bytes: u64,
    ) -> Result<Self, ReleasesError> {
        Ok(Self {
            catalogue: Catalogue::read(&*documents)?,
            encodings: encodings::Kept::open(&data.join("encoded"), encoded_max_bytes)?,
            metadata: Metadata::open(&data.join("trust"))?,
            contents,
            documents,
        })
    }
}

impl Releases {
    /// Releases with tasks on which they are made shorter.
    pub fn new(opened: Opened, tasks: Tasks, clock: Clock) -> Self {
        let encodings = Encodings::new(opened.encodings, opened.contents.clone(), tasks.clone(), clock);
        Self(Arc::new(Inner {
            contents: opened.contents,
            documents: opened.documents,
            catalogue: RwLock::new(opened.catalogue),
            publishing: tokio::sync::Mutex::new(()),
            seen: Mutex::default(),
            deltas: Deltas::new(tasks),
            encodings,
            metadata: opened.metadata,
            uploads: Arc::new(Semaphore::new(UPLOADS_MAX)),
        }))
    }

    /// One release, by its product and version.
    pub fn get(&self, product: &str, version: &str) -> Option<Arc<Release>> {
        self.0.catalogue.read().get(product, version)
    }

    /// One release, by the SHA-256 of its manifest.
    pub fn of_manifest(&self, digest: Sha256Digest) -> Option<Arc<Release>> {
        self.0.catalogue.read().of_manifest(digest)
    }

    /// All releases: by product, of one the highest counter first.
    pub fn list(&self) -> Vec<Arc<Release>> {
        self.0.catalogue.read().list()
    }

    /// All releases of a product, the highest counter first.
    pub fn of_product(&self, product: &str) -> Vec<Arc<Release>> {
        self.0.catalogue.read().of_product(product)
    }

    /// What vouches for manifests.
    pub fn metadata(&self) -> &Metadata {
        &self.0.metadata
    }

    /// The forms in which contents go to machines.
    pub fn encodings(&self) -> &Encodings {
        &self.0.encodings
    }

    /// The manifest of a release as it was published.
    ///
    /// # Errors
    ///
    /// It is not here any more, or is damaged.
    pub async fn manifest_bytes(&self, release: &Release) -> Result<Vec<u8>, ContentError> {
        let whole = self
            .0
            .contents
            .whole(*release.manifest.as_bytes(), release.manifest_bytes);
        let whole = whole.await;
        self.note(release.manifest, release.manifest_bytes, whole.as_ref().map(drop));
        whole
    }

    /// The manifest of a release.
    ///
    /// # Errors
    ///
    /// It is not here any more, or is damaged.
    pub async fn manifest(&self, release: &Release) -> Result<Manifest, ReleasesError> {
        let bytes = self.manifest_bytes(release).await?;
        let decoded = tokio::task::spawn_blocking(move || Manifest::decode(&bytes)).await;
        let decoded = decoded.map_err(|_| ReleasesError::Stopping)?;
        decoded.map_err(|source| ReleasesError::Manifest {
            release: release.title(),
            source,
        })
    }

    /// A place among those who bring something.
    ///
    /// # Errors
    ///
    /// Too many do.
    pub fn uploading(&self) -> Result<OwnedSemaphorePermit, ReleasesError> {
        let place = self.0.uploads.clone().try_acquire_owned();
        place.map_err(|_| {
            metrics::counter!("muster_release_uploads_refused_total").increment(1);
            ReleasesError::Busy
        })
    }

    /// Takes some content. When it comes back, it is on the disk.
    ///
    /// # Errors
    ///
    /// As [`Contents::put`].
    pub async fn take<E: Display>(
        &self,
        digest: Sha256Digest,
        length: u64,
        pieces: impl Stream<Item = Result<Bytes, E>> + Send,
    ) -> Result<PutContent, ContentError> {
        let put = self.0.contents.put(*digest.as_bytes(), length, pieces).await?;
        self.note(digest, length, Ok(()));
        if put == PutContent::New {
            metrics::counter!("muster_release_bytes_received_total").increment(length);
        }
        Ok(put)
    }

    /// How long some content is; nothing if it is not here.
    ///
    /// # Errors
    ///
    /// The store.
    pub async fn length(&self, digest: Sha256Digest) -> Result<Option<u64>, ContentError> {
        if let Some(length) = self.0.seen.lock().right.get(&digest) {
            return Ok(Some(*length));
        }
        self.0.contents.length(*digest.as_bytes()).await
    }

    /// A range of some content.
    ///
    /// # Errors
    ///
    /// As [`Contents::read`].
    pub async fn read(
        &self,
        digest: Sha256Digest,
        range: std::ops::Range<u64>,
    ) -> Result<Reading, ContentError> {
        self.0.contents.read(*digest.as_bytes(), range).await
    }

    /// Those of some contents that are not here, or are known to be damaged.
    ///
    /// # Errors
    ///
    /// The store.
    pub async fn missing(
        &self,
        contents: Vec<(Sha256Digest, u64)>,
    ) -> Result<Vec<(Sha256Digest, u64)>, ContentError> {
        let mut missing = Vec::new();
        for (digest, length) in contents {
            let is_damaged = self.0.seen.lock().damaged.contains(&digest);
            if is_damaged || self.length(digest).await? != Some(length) {
                missing.push((digest, length));
            }
        }
        Ok(missing)
    }

    /// Publishes a release whose contents are all here. When it comes back, it is on the disk. Says whether it was not here before.
    ///
    /// # Errors
    ///
    /// [`PublishError`] with what is accepted; nothing is published then.
    pub async fn publish(
        &self,
        named: (&str, &str),
        bytes: Vec<u8>,
        by: &str,
        now: Timestamp,
    ) -> Result<(Arc<Release>, bool), PublishError> {
        let digest = Sha256Digest::of(&bytes);
        let length = bytes.len() as u64;
        let decoding = tokio::task::spawn_blocking(move || Manifest::decode(&bytes).map(|it| (it, bytes)));
        let (manifest, bytes) = decoding
            .await
            .map_err(|_| PublishError::Stopping)?
            .map_err(PublishError::Manifest)?;
        let release = Release::of(&manifest, digest, length, by, now)?;
        if (release.product.as_str(), release.version.as_str()) != named {
            return Err(PublishError::Named {
                asked: format!("{} {}", named.0, named.1),
                release: release.title(),
            });
        }
        let _alone = self.0.publishing.lock().await;
        if let Some(there) = self.get(&release.product, &release.version) {
            return if there.manifest == digest {
                Ok((there, false))
            } else {
                Err(PublishError::VersionTaken {
                    release: release.title(),
                    there: there.manifest,
                })
            };
        }
        if let Some(highest) = self.of_product(&release.product).first()
            && highest.counter >= release.counter
        {
            return Err(PublishError::Counter {
                release: release.title(),
                counter: release.counter,
                highest: highest.counter,
                version: highest.version.clone(),
            });
        }
        if self.0.catalogue.read().len() >= RELEASES_MAX {
            return Err(PublishError::Full);
        }
        self.whole(&manifest).await?;
        let piece = Ok::<_, std::convert::Infallible>(Bytes::from(bytes));
        self.take(digest, length, futures_util::stream::iter([piece]))
            .await?;
        let release = Arc::new(release);
        let (documents, kept) = (self.0.documents.clone(), release.clone());
        let keeping = tokio::task::spawn_blocking(move || catalogue::keep(&*documents, &kept)).await;
        keeping.map_err(|_| PublishError::Stopping)??;
        self.0.catalogue.write().add(release.clone());
        metrics::counter!("muster_releases_published_total").increment(1);
        tracing::info!(product = %release.product, version = %release.version, manifest = %release.manifest, by, "a release was published");
        Ok((release, true))
    }

    /// Every content of a manifest is here, and is what its name says.
    async fn whole(&self, manifest: &Manifest) -> Result<(), PublishError> {
        let (mut missing, mut named, mut bytes) = (0, Vec::new(), 0);
        for (digest, length) in manifest.contents() {
            if self.0.seen.lock().right.get(&digest) == Some(&length) {
                continue;
            }
            let verified = self.0.contents.verify(*digest.as_bytes(), length).await;
            self.note(digest, length, verified.as_ref().copied());
            match verified {
                Ok(()) => {}
                Err(ContentError::Missing { .. } | ContentError::Wrong { .. }) => {
                    (missing, bytes) = (missing + 1, bytes + length);
                    if named.len() < NAMED_MAX {
                        let path = manifest.files().find(|(_, file)| file.sha256 == digest);
                        let path = path.map_or("", |(path, _)| path);
                        named.push(format!("{path} ({digest})"));
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        if missing == 0 {
            return Ok(());
        }
        Err(PublishError::Missing {
            missing,
            bytes,
            some: named.join(", "),
        })
    }

    /// Remembers what came of reading some content.
    fn note(&self, digest: Sha256Digest, length: u64, read: Result<(), &ContentError>) {
        let mut seen = self.0.seen.lock();
        match read {
            Ok(()) => {
                if seen.right.len() >= KNOWN_MAX {
                    seen.right.clear();
                }
                seen.right.insert(digest, length);
                seen.damaged.remove(&digest);
            }
            Err(ContentError::Wrong { sha256, what }) => {
                metrics::counter!("muster_release_contents_damaged_total").increment(1);
                tracing::error!(
                    sha256,
                    what,
                    "content of a release is damaged: publish the release again"
                );
                seen.right.remove(&digest);
                if seen.damaged.len() >= KNOWN_MAX {
                    seen.damaged.clear();
                }
                seen.damaged.insert(digest);
            }
            Err(_) => {
                seen.right.remove(&digest);
            }
        }
    }
}
