//! Releases in a folder, for people and for whoever publishes them.
//!
//! ```text
//! FOLDER/manifests/PRODUCT/VERSION.json
//! FOLDER/blobs/ab/abcd…
//! ```

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::blobs::{BlobError, Blobs, Listed, Put};
use crate::digest::Sha256Digest;
use crate::files::{Disk, DiskError, Files, make_all, read_small, replace};
use crate::manifest::{MANIFEST_MAX_BYTES, Manifest, ManifestError};
use crate::tree::Tree;

/// Contents, each with the release and the path that name it first.
type Named = BTreeMap<(Sha256Digest, u64), (String, String)>;

const MANIFESTS: &str = "manifests";
const BLOBS: &str = "blobs";
/// Held while somebody writes.
const LOCK: &str = ".lock";

/// A folder of releases.
#[derive(Debug)]
pub struct Folder {
    files: Arc<dyn Files>,
    blobs: Blobs,
    _lock: Option<File>,
}

/// What cannot be done with a folder.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A manifest is not accepted.
    #[error("the manifest of {release} is not accepted")]
    Manifest {
        /// Which.
        release: String,
        /// Why.
        #[source]
        source: ManifestError,
    },
    /// A blob.
    #[error("the content cannot be kept")]
    Blob(#[from] BlobError),
    /// This version is there with something else in it.
    #[error("{product} {version} is in this folder with another content: a version is given once")]
    VersionTaken {
        /// The product.
        product: String,
        /// The version.
        version: String,
    },
    /// Another version has this counter.
    #[error(
        "the counter {counter} is that of {product} {version}: a counter is given once; the next free one is {next}"
    )]
    CounterTaken {
        /// The counter.
        counter: u64,
        /// The product.
        product: String,
        /// Whose counter it is.
        version: String,
        /// One more than the highest.
        next: u64,
    },
    /// It is not there.
    #[error("{what} is not in this folder")]
    Missing {
        /// What was asked for.
        what: String,
    },
    /// Somebody else writes into it.
    #[error("another process is writing into this folder")]
    InUse,
    /// The disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl FolderError {
    /// The stable code, with a page under `docs/errors/`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Manifest { source, .. } => source.code(),
            Self::Blob(error) => error.code(),
            Self::VersionTaken { .. } | Self::CounterTaken { .. } => "MST-U014",
            Self::Missing { .. } => "MST-U015",
            Self::InUse | Self::Disk(_) => "MST-U016",
        }
    }
}

/// A release in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// What it is.
    pub manifest: Manifest,
    /// The SHA-256 of its manifest.
    pub digest: Sha256Digest,
    /// Bytes of its manifest.
    pub manifest_bytes: u64,
}

/// What adding a release did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Added {
    /// The SHA-256 of its manifest.
    pub digest: Sha256Digest,
    /// Whether it was not there before.
    pub is_new: bool,
    /// Blobs that were not in the folder.
    pub new_blobs: usize,
    /// Their bytes.
    pub new_bytes: u64,
}

/// What was found when everything was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Manifests that are accepted.
    pub manifests: usize,
    /// Blobs that are what their names say.
    pub blobs: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Sound blobs that no manifest names.
    pub unused: usize,
    /// What is wrong, each with its place.
    pub findings: Vec<String>,
}

impl Folder {
    /// Opens a folder that is there, to read it.
    ///
    /// # Errors
    ///
    /// [`FolderError::Missing`] if there are no releases in it.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let files: Arc<dyn Files> = Arc::new(Disk::open(path)?);
        if files.find(Path::new(MANIFESTS))?.is_none() || files.find(Path::new(BLOBS))?.is_none() {
            return Err(FolderError::Missing {
                what: format!("{MANIFESTS}/ with {BLOBS}/"),
            });
        }
        Ok(Self {
            blobs: Blobs::at(Arc::clone(&files), Path::new(BLOBS)),
            files,
            _lock: None,
        })
    }

    /// Opens a folder to add to it, and makes it where it is not there.
    ///
    /// # Errors
    ///
    /// [`FolderError::InUse`] while another process does the same.
    pub fn create(path: &Path) -> Result<Self, FolderError> {
        let disk = Disk::create(path)?;
        let place = path.join(LOCK);
        let failed = |source| DiskError {
            doing: "lock",
            path: place.clone(),
            source,
        };
        let lock = File::options()
            .create(true)
            .write(true)
            .truncate(false)
            .open(&place);
        let lock = lock.map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(FolderError::InUse),
            Err(std::fs::TryLockError::Error(source)) => return Err(failed(source).into()),
        }
        let files: Arc<dyn Files> = Arc::new(disk);
        make_all(&*files, Path::new(MANIFESTS))?;
        Ok(Self {
            blobs: Blobs::open(Arc::clone(&files), Path::new(BLOBS))?,
            files,
            _lock: Some(lock),
        })
    }

    pub(crate) fn files(&self) -> &dyn Files {
        &*self.files
    }

    /// Adds a release: its blobs, and then the manifest that names them. One that is there already is nothing.
    ///
    /// # Errors
    ///
    /// [`FolderError`]; the folder has no manifest then whose content is not whole.
    pub fn add(&self, manifest: &Manifest, tree: &Tree) -> Result<Added, FolderError> {
        let refused = |source| FolderError::Manifest {
            release: format!("{} {}", manifest.product, manifest.version),
            source,
        };
        let bytes = manifest.encode().map_err(refused)?;
        let digest = Sha256Digest::of(&bytes);
        let mut is_new = true;
        let there = self.versions(&manifest.product)?;
        for release in &there {
            if release.manifest.version == manifest.version {
                if release.digest != digest {
                    return Err(FolderError::VersionTaken {
                        product: manifest.product.clone(),
                        version: manifest.version.to_string(),
                    });
                }
                is_new = false;
            } else if release.manifest.counter == manifest.counter {
                let highest = there.iter().map(|release| release.manifest.counter).max();
                return Err(FolderError::CounterTaken {
                    counter: manifest.counter,
                    product: manifest.product.clone(),
                    version: release.manifest.version.to_string(),
                    next: highest.unwrap_or(0) + 1,
                });
            }
        }
        let (mut new_blobs, mut new_bytes) = (0, 0);
        for (digest, length) in manifest.contents() {
            let Some(source) = tree.sources.get(&digest) else {
                self.blobs.verify(digest, length)?;
                continue;
            };
            let mut file = File::open(&source.path).map_err(|source| BlobError::Source { digest, source })?;
            if self.blobs.put(digest, length, &mut file)? == Put::New {
                new_blobs += 1;
                new_bytes += length;
            }
        }
        let folder = Path::new(MANIFESTS).join(&manifest.product);
        make_all(&*self.files, &folder)?;
        replace(&*self.files, &folder.join(file_name(manifest)), &bytes)?;
        Ok(Added {
            digest,
            is_new,
            new_blobs,
            new_bytes,
        })
    }

    /// The names of all products, sorted.
    ///
    /// # Errors
    ///
    /// [`FolderError::Disk`].
    pub fn products(&self) -> Result<Vec<String>, FolderError> {
        let names = self.files.list(Path::new(MANIFESTS))?;
        let text = names.into_iter().filter_map(|name| name.into_string().ok());
        Ok(text
            .filter(|name| crate::manifest::product(name).is_ok())
            .collect())
    }

    /// The releases of a product by their counters; none where there is no such product.
    ///
    /// # Errors
    ///
    /// [`FolderError::Manifest`] if one of them is damaged.
    pub fn versions(&self, product: &str) -> Result<Vec<Release>, FolderError> {
        crate::manifest::product(product).map_err(|source| FolderError::Manifest {
            release: product.to_owned(),
            source,
        })?;
        let folder = Path::new(MANIFESTS).join(product);
        if self.files.find(&folder)?.is_none() {
            return Ok(Vec::new());
        }
        let mut releases = Vec::new();
        for name in self.files.list(&folder)? {
            if Path::new(&name).extension().is_some_and(|end| end == "json") {
                releases.push(self.read(&folder.join(name))?);
            }
        }
        releases.sort_by_key(|release| release.manifest.counter);
        Ok(releases)
    }

    fn read(&self, path: &Path) -> Result<Release, FolderError> {
        let bytes = read_small(&*self.files, path, MANIFEST_MAX_BYTES)?;
        let refused = |source| FolderError::Manifest {
            release: path.display().to_string(),
            source,
        };
        Ok(Release {
            manifest: Manifest::decode(&bytes).map_err(refused)?,
            digest: Sha256Digest::of(&bytes),
            manifest_bytes: bytes.len() as u64,
        })
    }

    /// Which of these contents are in the folder already.
    ///
    /// # Errors
    ///
    /// [`FolderError::Blob`].
    pub fn has(&self, contents: &BTreeMap<Sha256Digest, u64>) -> Result<BTreeSet<Sha256Digest>, FolderError> {
        let mut there = BTreeSet::new();
        for (digest, length) in contents {
            if self.blobs.has(*digest, *length)? {
                there.insert(*digest);
            }
        }
        Ok(there)
    }

    /// Reads every manifest and every blob, and says what is wrong with any.
    ///
    /// # Errors
    ///
    /// [`FolderError::Disk`] if the folder itself cannot be read.
    pub fn check(&self) -> Result<Checked, FolderError> {
        let mut checked = Checked::default();
        let named = self.check_manifests(&mut checked)?;
        let mut sound = BTreeSet::new();
        for listed in self.blobs.list()? {
            match listed {
                Listed::Stray(path) => checked
                    .findings
                    .push(format!("{}: this is no blob", path.display())),
                Listed::Blob { digest, length } => match self.blobs.verify(digest, length) {
                    Ok(()) => {
                        checked.blobs += 1;
                        checked.bytes += length;
                        sound.insert((digest, length));
                    }
                    Err(error) => checked.findings.push(said(&error)),
                },
            }
        }
        for ((digest, length), (release, path)) in &named {
            if !sound.contains(&(*digest, *length)) {
                checked.findings.push(format!(
                    "{release}: {path:?} needs the blob {digest} of {length} bytes, which is not there as it should be"
                ));
            }
        }
        checked.unused = sound.iter().filter(|blob| !named.contains_key(blob)).count();
        Ok(checked)
    }

    /// Every content that a sound manifest names, with the release and the path that name it first.
    fn check_manifests(&self, checked: &mut Checked) -> Result<Named, FolderError> {
        let mut named = BTreeMap::new();
        for product in self.files.list(Path::new(MANIFESTS))? {
            let folder = Path::new(MANIFESTS).join(&product);
            if !matches!(
                self.files.find(&folder)?,
                Some(crate::files::Found::Directory { .. })
            ) {
                checked
                    .findings
                    .push(format!("{}: this is no folder of a product", folder.display()));
                continue;
            }
            let mut counters: BTreeMap<u64, PathBuf> = BTreeMap::new();
            for name in self.files.list(&folder)? {
                let path = folder.join(&name);
                let release = match self.read(&path) {
                    Ok(release) => release,
                    Err(error) => {
                        checked.findings.push(said(&error));
                        continue;
                    }
                };
                let manifest = release.manifest;
                if *manifest.product != *product || *file_name(&manifest) != *name {
                    checked.findings.push(format!(
                        "{}: it is the manifest of {} {}",
                        path.display(),
                        manifest.product,
                        manifest.version
                    ));
                    continue;
                }
                if let Some(other) = counters.insert(manifest.counter, path.clone()) {
                    checked.findings.push(format!(
                        "{}: its counter is that of {}",
                        path.display(),
                        other.display()
                    ));
                }
                checked.manifests += 1;
                let title = format!("{} {}", manifest.product, manifest.version);
                for (path, file) in manifest.files() {
                    named
                        .entry((file.sha256, file.length))
                        .or_insert_with(|| (title.clone(), path.to_owned()));
                }
            }
        }
        Ok(named)
    }
}

fn file_name(manifest: &Manifest) -> String {
    format!("{}.json", manifest.version)
}

/// An error with what is behind it.
fn said(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut behind = error.source();
    while let Some(error) = behind {
        words = format!("{words}: {error}");
        behind = error.source();
    }
    words
}
