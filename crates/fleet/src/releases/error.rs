//! Why a release is not taken, or cannot be looked at.

use std::path::PathBuf;

use muster_model::release::ReleaseError;
use muster_release::manifest::COUNTER_MAX;
use muster_release::{ManifestError, Sha256Digest};
use muster_store::{ContentError, DocumentError};

use super::RELEASES_MAX;

/// Why releases cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ReleasesError {
    /// Content.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// A document.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A document that says nothing of a release.
    #[error("what is kept of the release {key} cannot be understood")]
    Record {
        /// Of which.
        key: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A manifest that was accepted and is none any more.
    #[error("the manifest of {release} is not accepted")]
    Manifest {
        /// Of which.
        release: String,
        /// Why.
        #[source]
        source: ManifestError,
    },
    /// The disk.
    #[error("{} cannot be {doing}", path.display())]
    Disk {
        /// Where.
        path: PathBuf,
        /// What was being done to it, as a participle.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Too many bring something at once.
    #[error(
        "{} contents are being brought at once already: try again in a moment",
        super::UPLOADS_MAX
    )]
    Busy,
    /// The server ends.
    #[error("the server is being stopped")]
    Stopping,
}

/// Why a release is not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The manifest.
    #[error("the manifest is not accepted")]
    Manifest(#[source] ManifestError),
    /// No machine could be told of it.
    #[error("machines are assigned no such product")]
    Product(#[source] ReleaseError),
    /// It is the manifest of another release.
    #[error("this is the manifest of {release}, and not of {asked}")]
    Named {
        /// What the path says.
        asked: String,
        /// What the manifest says.
        release: String,
    },
    /// This version is there with something else in it.
    #[error(
        "{release} is here with the manifest {there}: a version is given once; publish this one as another version"
    )]
    VersionTaken {
        /// Which.
        release: String,
        /// The manifest that is there.
        there: Sha256Digest,
    },
    /// Its counter is not higher than that of the others.
    #[error(
        "{release} has the counter {counter}, and {version} has {highest}: {} to {COUNTER_MAX} are accepted", highest + 1
    )]
    Counter {
        /// Which.
        release: String,
        /// Its counter.
        counter: u64,
        /// The highest of the product.
        highest: u64,
        /// Whose that is.
        version: String,
    },
    /// Not all it names is here.
    #[error("{missing} contents of it are not here ({bytes} bytes): {some}; bring them first")]
    Missing {
        /// How many.
        missing: usize,
        /// Their bytes.
        bytes: u64,
        /// The first of them.
        some: String,
    },
    /// There are too many.
    #[error("{RELEASES_MAX} releases are here, and no more are accepted")]
    Full,
    /// Content.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// A document.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The server ends.
    #[error("the server is being stopped")]
    Stopping,
}
