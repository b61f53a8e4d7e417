//! Releases: what is in one, where its content lies, and how it gets into the place from which it is started.
//!
//! Begin with [`Manifest`]: a list of files with their hashes, and what must be known before they are used. [`tree`] makes one from a
//! directory, [`Blobs`] keeps the content by its hash, [`Folder`] keeps many releases for people, and [`Slots`] puts one into the slot that
//! is not in use and changes over to it such that the power may be cut at any instant. Everything that is done to a disk on a machine goes
//! through [`Files`], so that tests can ask what would be there after a power cut.
//!
//! Nothing here knows a network, a signature or a machine's state: who vouches for a manifest, and whether now is the time, is decided
//! elsewhere.

pub mod blobs;
pub mod digest;
pub mod files;
pub mod folder;
pub mod manifest;
pub mod slots;
pub mod tree;
pub mod trust;
pub mod tuf;

#[cfg(test)]
mod crash;
// The laws in fuzz/src name this crate as others do.
#[cfg(test)]
extern crate self as muster_release;

pub use blobs::{BlobError, Blobs};
pub use digest::Sha256Digest;
pub use files::{Disk, DiskError, Files};
pub use folder::{Folder, FolderError};
pub use manifest::{Entry, Manifest, ManifestError};
pub use slots::{SlotError, Slots};
pub use tree::TreeError;
