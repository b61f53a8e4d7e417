//! Why something is not believed.

use std::io;
use std::path::Path;

use muster_model::Timestamp;
use tough::error::Error as Tough;

use super::FetchError;
use crate::files::DiskError;
use crate::tuf::TufError;

/// Why metadata or a manifest is not believed, or cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The root that came with the machine.
    #[error("the root that this machine was given cannot be used")]
    Root(#[source] TufError),
    /// It is not signed by those who may.
    #[error("not signed by who may: {what}")]
    Signature {
        /// What, and how many signatures are good.
        what: String,
    },
    /// Something newer is known.
    #[error("older than what is known: {what}")]
    Older {
        /// Which, and both versions.
        what: String,
    },
    /// Its time is over.
    #[error("{name} was good until {until}, and it is {now}{}", if *.by_clock_alone { " by the clock of this machine alone" } else { "" })]
    Expired {
        /// Which.
        name: String,
        /// Until when it was good.
        until: Timestamp,
        /// The time that counts.
        now: Timestamp,
        /// Nothing but the clock says so.
        by_clock_alone: bool,
    },
    /// Parts of different versions.
    #[error("parts that do not belong together: {what}")]
    Mixed {
        /// Which.
        what: String,
    },
    /// It goes on and on.
    #[error("{name} goes on after {most} bytes, and no more are accepted")]
    TooLong {
        /// Which.
        name: String,
        /// So many bytes it may have.
        most: u64,
    },
    /// It is no metadata.
    #[error("no metadata: {what}")]
    Malformed {
        /// Which, and where.
        what: String,
    },
    /// It does not come.
    #[error("{name} cannot be fetched")]
    Fetch {
        /// Which.
        name: String,
        /// Why.
        #[source]
        source: FetchError,
    },
    /// It comes too slowly.
    #[error("{name} comes too slowly: {bytes} bytes in {seconds} s")]
    Slow {
        /// Which.
        name: String,
        /// What came.
        bytes: u64,
        /// In which time.
        seconds: u64,
    },
    /// Nobody vouches for it.
    #[error("nobody vouches for {name}: it is not in version {targets} of the list of releases")]
    Unknown {
        /// Which.
        name: String,
        /// The version of the list.
        targets: u64,
    },
    /// It is not what is vouched for.
    #[error("{name} is not what is vouched for: {what}")]
    Wrong {
        /// Which.
        name: String,
        /// How it differs.
        what: String,
    },
    /// The disk.
    #[error("what this machine believes cannot be kept")]
    Disk(#[from] DiskError),
    /// Whatever else is refused.
    #[error("refused: {what}")]
    Other {
        /// In the words of the library.
        what: String,
    },
}

impl TrustError {
    /// The stable code, with a page under `docs/errors/`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Root(_) => "MST-U018",
            Self::Signature { .. } => "MST-U019",
            Self::Older { .. } => "MST-U020",
            Self::Expired { .. } => "MST-U021",
            Self::Mixed { .. } => "MST-U022",
            Self::TooLong { .. } => "MST-U023",
            Self::Malformed { .. } | Self::Other { .. } => "MST-U024",
            Self::Fetch { .. } | Self::Slow { .. } => "MST-U025",
            Self::Unknown { .. } => "MST-U026",
            Self::Wrong { .. } => "MST-U027",
            Self::Disk(_) => "MST-U028",
        }
    }

    pub(super) fn disk(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Disk(DiskError {
            doing,
            path: path.to_owned(),
            source,
        })
    }
}

/// What tough refuses by itself. Its words name what and how.
impl From<Tough> for TrustError {
    fn from(error: Tough) -> Self {
        let what = error.to_string();
        match &error {
            Tough::VerifyMetadata { .. } | Tough::VerifyTrustedMetadata { .. } => Self::Signature { what },
            Tough::OlderMetadata { .. }
            | Tough::OlderSnapshotInTimestamp { .. }
            | Tough::SnapshotRoleMissing { .. }
            | Tough::SnapshotRoleRollback { .. } => Self::Older { what },
            // Whatever else happens on the way is the gate's, and it has said so itself.
            Tough::VersionMismatch { .. } | Tough::Transport { .. } => Self::Mixed { what },
            Tough::ParseMetadata { .. }
            | Tough::ParseTrustedMetadata { .. }
            | Tough::TimestampMetaLength { .. }
            | Tough::MissingSnapshotMeta { .. }
            | Tough::SnapshotTargetsMetaMissing { .. }
            | Tough::MetaMissing { .. } => Self::Malformed { what },
            _ => Self::Other { what },
        }
    }
}
