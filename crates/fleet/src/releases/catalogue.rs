//! The catalogue: which releases there are. A document each, and all of them in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use muster_model::Timestamp;
use muster_model::release::{ManifestDigest, ProductName, ReleaseError};
use muster_model::rollout::{ReleaseFacts, Requirement, RequirementTest};
use muster_protocol::api::{ReleaseFits, ReleaseSummary};
use muster_release::manifest::{self, Architecture, Fits, Payload, Test};
use muster_release::{Manifest, Sha256Digest};
use muster_store::{DocumentError, Documents, Precondition};
use serde::{Deserialize, Serialize};

use super::error::{PublishError, ReleasesError};

const KIND: &str = "release";
const PAGE: usize = 1_000;

/// What is known of a release without its manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// What it is a release of: a name that can be assigned to machines ([`ProductName`]).
    pub product: String,
    /// Its version.
    pub version: String,
    /// A number that only grows.
    pub counter: u64,
    /// The SHA-256 of its manifest.
    pub manifest: Sha256Digest,
    /// How long the manifest is.
    pub manifest_bytes: u64,
    /// `tree`, `executable`, `agent` or `image`.
    pub payload: String,
    /// Bytes of all its files.
    pub bytes: u64,
    /// How many files.
    pub files: u64,
    /// Which machines it is for.
    pub fits: Fits,
    /// What must hold of a machine that installs it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub preconditions: Vec<manifest::Precondition>,
    /// Since when it is here.
    pub published_at: Timestamp,
    /// Who published it.
    pub published_by: String,
}

impl Release {
    /// What is known of a release that is published now.
    ///
    /// # Errors
    ///
    /// No machine could be told of it: [`PublishError::Product`].
    pub fn of(
        manifest: &Manifest,
        digest: Sha256Digest,
        manifest_bytes: u64,
        by: &str,
        now: Timestamp,
    ) -> Result<Self, PublishError> {
        let product: ProductName = manifest.product.parse().map_err(PublishError::Product)?;
        Ok(Self {
            product: product.as_str().to_owned(),
            version: manifest.version.to_string(),
            counter: manifest.counter,
            manifest: digest,
            manifest_bytes,
            payload: word(&manifest.payload).to_owned(),
            bytes: manifest.bytes(),
            files: manifest.files().count() as u64,
            fits: manifest.fits.clone(),
            preconditions: manifest.preconditions.clone(),
            published_at: now,
            published_by: by.to_owned(),
        })
    }

    /// Product and version, for people.
    pub fn title(&self) -> String {
        format!("{} {}", self.product, self.version)
    }

    /// The digest of its manifest, as assignments to machines and their reports name it.
    pub fn manifest_digest(&self) -> ManifestDigest {
        let digest = self.manifest.to_string().parse();
        digest.expect("a SHA-256 in text is the digest of a manifest in text")
    }

    /// What a rollout must know of it.
    ///
    /// # Errors
    ///
    /// Its product has a name that cannot be assigned: it was published by another version.
    pub fn facts(&self) -> Result<ReleaseFacts, ReleaseError> {
        let requirement = |precondition: &manifest::Precondition| Requirement {
            reading: precondition.reading.clone(),
            test: match &precondition.test {
                Test::AtLeast(least) => RequirementTest::AtLeast(*least),
                Test::AtMost(most) => RequirementTest::AtMost(*most),
                Test::In(words) => RequirementTest::In(words.clone()),
            },
        };
        let architectures = self.fits.architectures.iter().map(|it| it.as_str().to_owned());
        Ok(ReleaseFacts {
            product: self.product.parse()?,
            version: self.version.clone(),
            counter: self.counter,
            manifest: self.manifest_digest(),
            manifest_bytes: self.manifest_bytes,
            architectures: architectures.collect(),
            kinds: self.fits.kinds.clone(),
            is_started: matches!(self.payload.as_str(), "executable" | "agent"),
            preconditions: self.preconditions.iter().map(requirement).collect(),
        })
    }

    /// As a document.
    pub fn summary(&self) -> ReleaseSummary {
        let architectures = self.fits.architectures.iter().copied();
        ReleaseSummary {
            product: self.product.clone(),
            version: self.version.clone(),
            counter: self.counter,
            payload: self.payload.clone(),
            manifest: self.manifest.to_string(),
            manifest_bytes: self.manifest_bytes,
            bytes: self.bytes,
            files: self.files,
            fits: ReleaseFits {
                architectures: architectures
                    .map(Architecture::as_str)
                    .map(str::to_owned)
                    .collect(),
                kinds: self.fits.kinds.clone(),
            },
            published_at: self.published_at,
            published_by: self.published_by.clone(),
        }
    }
}

const fn word(payload: &Payload) -> &'static str {
    match payload {
        Payload::Agent(_) => "agent",
        Payload::Executable(_) => "executable",
        Payload::Image(_) => "image",
        Payload::Tree => "tree",
    }
}

/// All of them.
#[derive(Default)]
pub struct Catalogue {
    products: BTreeMap<String, BTreeMap<u64, Arc<Release>>>,
    manifests: HashMap<Sha256Digest, Arc<Release>>,
}

impl Catalogue {
    /// Reads it. Blocks.
    ///
    /// # Errors
    ///
    /// A document cannot be read, or is none of a release.
    pub fn read(documents: &dyn Documents) -> Result<Self, ReleasesError> {
        let mut catalogue = Self::default();
        let mut after: Option<String> = None;
        loop {
            let page = documents.list(KIND, after.as_deref(), PAGE)?;
            let Some(last) = page.last() else {
                return Ok(catalogue);
            };
            after = Some(last.key.clone());
            for document in page {
                let release: Release =
                    serde_json::from_slice(&document.body).map_err(|source| ReleasesError::Record {
                        key: document.key.clone(),
                        source,
                    })?;
                catalogue.add(Arc::new(release));
            }
        }
    }

    pub(super) fn add(&mut self, release: Arc<Release>) {
        self.manifests.insert(release.manifest, release.clone());
        let product = self.products.entry(release.product.clone()).or_default();
        product.insert(release.counter, release);
    }

    pub(super) fn len(&self) -> usize {
        self.manifests.len()
    }

    pub(super) fn get(&self, product: &str, version: &str) -> Option<Arc<Release>> {
        let releases = self.products.get(product)?;
        let found = releases.values().find(|release| release.version == version);
        found.cloned()
    }

    pub(super) fn of_manifest(&self, digest: Sha256Digest) -> Option<Arc<Release>> {
        self.manifests.get(&digest).cloned()
    }

    pub(super) fn list(&self) -> Vec<Arc<Release>> {
        let products = self.products.values();
        products
            .flat_map(|releases| releases.values().rev().cloned())
            .collect()
    }

    pub(super) fn of_product(&self, product: &str) -> Vec<Arc<Release>> {
        let releases = self.products.get(product);
        releases.map_or_else(Vec::new, |releases| releases.values().rev().cloned().collect())
    }
}

/// Keeps a new release. Blocks until it is on the disk.
pub(super) fn keep(documents: &dyn Documents, release: &Release) -> Result<(), DocumentError> {
    // Strings and numbers: they can always be written.
    let body = serde_json::to_vec(release).unwrap_or_default();
    let key = format!("{}/{}", release.product, release.version);
    let put = documents.put(KIND, &key, Precondition::Absent, release.published_at, &body);
    put.map(drop)
}
