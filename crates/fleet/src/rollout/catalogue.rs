//! Which releases there are to be rolled out.

use muster_model::MachineView;
use muster_model::release::ProductName;
use muster_model::rollout::ReleaseFacts;

use crate::releases::Releases;

/// What a rollout must know of releases: the server's store of releases says so.
pub trait Catalogue: Send + Sync {
    /// A release. May block.
    ///
    /// # Errors
    ///
    /// There is none, or it cannot be said.
    fn release(&self, product: &ProductName, version: &str) -> Result<ReleaseFacts, CatalogueError>;

    /// How many bytes a machine would have to fetch for it, by what it reports to have; none where that is not known. Does not block, and
    /// is asked of every machine of a plan.
    fn bytes(&self, release: &ReleaseFacts, view: &MachineView) -> Option<u64>;
}

/// Why a release cannot be rolled out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueError {
    /// It is not there.
    #[error("there is no release {product} {version} on this server: publish it first")]
    Unknown {
        /// Of what.
        product: ProductName,
        /// Which version.
        version: String,
    },
    /// The store of releases cannot say.
    #[error("the store of releases cannot be read: {0}")]
    Unreadable(String),
}

impl Catalogue for Releases {
    fn release(&self, product: &ProductName, version: &str) -> Result<ReleaseFacts, CatalogueError> {
        let Some(release) = self.get(product.as_str(), version) else {
            return Err(CatalogueError::Unknown {
                product: product.clone(),
                version: version.to_owned(),
            });
        };
        release
            .facts()
            .map_err(|error| CatalogueError::Unreadable(error.to_string()))
    }

    fn bytes(&self, release: &ReleaseFacts, view: &MachineView) -> Option<u64> {
        let updates = view.reported.updates.as_ref();
        let report = updates.and_then(|updates| updates.product(release.product.as_str()));
        let other = report.and_then(|report| report.other.as_ref());
        if other.is_some_and(|other| other.manifest == release.manifest) {
            return Some(0);
        }
        // At most: what it has of it, and what is shorter as a patch, is known when it fetches.
        Some(self.get(release.product.as_str(), &release.version)?.bytes)
    }
}
