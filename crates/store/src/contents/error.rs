//! What can be wrong with content, or with the store.

use std::error::Error;
use std::io;

use super::hex;

/// What is wrong with content, or with where it is kept.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// It is not there.
    #[error("the content {sha256} is not here")]
    Missing {
        /// Which, in hexadecimal.
        sha256: String,
    },
    /// What is there, or came, is something else.
    #[error("the content {sha256} is not what its name says: {what}")]
    Wrong {
        /// Which was meant, in hexadecimal.
        sha256: String,
        /// How it differs.
        what: String,
    },
    /// Not all of it came.
    #[error("it broke off after {taken} of {length} bytes: {why}")]
    CutOff {
        /// Bytes that came.
        taken: u64,
        /// Bytes that it has.
        length: u64,
        /// Why.
        why: String,
    },
    /// The disk has no room for it besides what stays free.
    #[error(
        "the disk has {free} bytes left, and this needs {needed} besides what stays free for everything else"
    )]
    NoRoom {
        /// What is left.
        free: u64,
        /// What this takes.
        needed: u64,
    },
    /// The store.
    #[error("the content {sha256} cannot be {doing}")]
    Store {
        /// What was being done to it, as a participle.
        doing: &'static str,
        /// Which, in hexadecimal.
        sha256: String,
        /// What the store said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The store, while all of it was listed.
    #[error("what is here cannot be listed")]
    Listing {
        /// What it said.
        #[source]
        source: object_store::Error,
    },
}

impl ContentError {
    pub(super) fn missing(sha256: [u8; 32]) -> Self {
        Self::Missing { sha256: hex(sha256) }
    }

    pub(super) fn wrong(sha256: [u8; 32], what: String) -> Self {
        Self::Wrong {
            sha256: hex(sha256),
            what,
        }
    }

    pub(super) fn store(
        doing: &'static str,
        sha256: [u8; 32],
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::Store {
            doing,
            sha256: hex(sha256),
            source: source.into(),
        }
    }
}

/// Whether the disk is full, which the store tells somewhere behind its own words.
pub(super) fn is_full(error: &object_store::Error) -> bool {
    let mut behind: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = behind {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(
            kind,
            Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        ) {
            return true;
        }
        behind = error.source();
    }
    false
}
