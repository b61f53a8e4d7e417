//! Which releases there are to be rolled out.

use std::collections::BTreeMap;

use muster_model::MachineView;
use muster_model::release::ProductName;
use muster_model::rollout::ReleaseFacts;
use parking_lot::RwLock;

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

/// Releases in memory: for whoever keeps them elsewhere, and tells what there is.
#[derive(Default)]
pub struct Shelf {
    releases: RwLock<BTreeMap<(ProductName, String), (ReleaseFacts, u64)>>,
}

impl Shelf {
    /// Puts a release there, with the bytes that a machine fetches that has nothing of it.
    pub fn put(&self, release: ReleaseFacts, bytes: u64) {
        let key = (release.product.clone(), release.version.clone());
        self.releases.write().insert(key, (release, bytes));
    }
}

impl Catalogue for Shelf {
    fn release(&self, product: &ProductName, version: &str) -> Result<ReleaseFacts, CatalogueError> {
        let key = (product.clone(), version.to_owned());
        let found = self.releases.read().get(&key).map(|(release, _)| release.clone());
        let (product, version) = key;
        found.ok_or(CatalogueError::Unknown { product, version })
    }

    fn bytes(&self, release: &ReleaseFacts, view: &MachineView) -> Option<u64> {
        let updates = view.reported.updates.as_ref();
        let report = updates.and_then(|updates| updates.product(release.product.as_str()));
        let other = report.and_then(|report| report.other.as_ref());
        if other.is_some_and(|other| other.manifest == release.manifest) {
            return Some(0);
        }
        let key = (release.product.clone(), release.version.clone());
        self.releases.read().get(&key).map(|(_, bytes)| *bytes)
    }
}
