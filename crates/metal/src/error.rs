//! What can go wrong with hardware.

use std::io;
use std::path::PathBuf;

/// A reading that could not be taken. A device that is absent is not an error: its reading is `None`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetalError {
    /// A file or directory of the kernel that has to be there cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of the kernel does not hold what it should.
    #[error("{} does not hold {expected}, but {found:?}", path.display())]
    Format {
        /// Which one.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What it holds, cut to [`MetalError::FOUND_CHARS`] characters.
        found: String,
    },
    /// The kernel refused or garbled an answer that comes from no file.
    #[error("cannot ask the kernel for {what}")]
    Kernel {
        /// What it was asked for.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// A sensor that is there gives no reading.
    #[error("the {sensor} sensor gives no reading")]
    Silent {
        /// Which one.
        sensor: &'static str,
    },
    /// A device that is described is not there, or not ours to use.
    #[error("{device} cannot be used: {why}")]
    Absent {
        /// Its name in the machine file.
        device: String,
        /// Why, for a person.
        why: String,
    },
    /// A device failed while it was used.
    #[error("{device} failed")]
    Device {
        /// Its name in the machine file.
        device: String,
        /// How.
        source: io::Error,
    },
    /// A contactor's own contact does not say what it was told.
    #[error("{device} does not follow: it is stuck, welded, or its contact is broken")]
    NotFollowed {
        /// Its name in the machine file.
        device: String,
    },
    /// A snapshot was written by another version of the simulation.
    #[error("the snapshot has version {found}, this simulation reads version {expected}")]
    SnapshotVersion {
        /// The version that this simulation reads.
        expected: u32,
        /// The version that the snapshot has.
        found: u32,
    },
    /// A snapshot holds a state that no simulated machine can be in.
    #[error("the snapshot is damaged: {what}")]
    SnapshotDamaged {
        /// What is impossible in it.
        what: &'static str,
    },
}

impl MetalError {
    /// So much of a strange file is quoted in the error.
    pub const FOUND_CHARS: usize = 64;

    /// The stable code; `docs/errors/` has a page for each.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "MST-H001",
            Self::Format { .. } => "MST-H002",
            Self::Kernel { .. } => "MST-H003",
            Self::Silent { .. } => "MST-H004",
            Self::SnapshotVersion { .. } => "MST-H005",
            Self::SnapshotDamaged { .. } => "MST-H006",
            Self::Absent { .. } => "MST-H007",
            Self::Device { .. } => "MST-H008",
            Self::NotFollowed { .. } => "MST-H009",
        }
    }
}
