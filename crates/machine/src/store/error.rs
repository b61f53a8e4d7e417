//! What can go wrong with the local store.

use std::path::PathBuf;
use std::sync::Arc;

/// What can go wrong with the local store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The data directory cannot be made or used.
    #[error("the data directory {} cannot be {doing}", path.display())]
    Directory {
        /// Which one.
        path: PathBuf,
        /// What was tried: `created`, `locked` …
        doing: &'static str,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Another process works in it.
    #[error("the data directory {} is in use by {}", path.display(), match pid { Some(pid) => format!("process {pid}"), None => "another process".to_owned() })]
    InUse {
        /// Which one.
        path: PathBuf,
        /// The process, where it noted its id.
        pid: Option<u32>,
    },
    /// The file is no store, damaged, or of a newer version.
    #[error("the store {} cannot be opened: {what}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Something could not be written. Nothing is acknowledged from here on.
    #[error("the store could not be written")]
    Write(#[source] rusqlite::Error),
    /// A record has no form that can be written.
    #[error("a record cannot be written as JSON")]
    Encode(#[source] serde_json::Error),
    /// The store stopped before.
    #[error("the store stopped")]
    Stopped(#[source] Arc<StoreError>),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// The stable code; `docs/errors/` has a page for each.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Directory { .. } => "MST-M002",
            Self::InUse { .. } => "MST-M003",
            Self::Unusable { .. } => "MST-M004",
            Self::Write(_) | Self::Stopped(_) | Self::Closed => "MST-M005",
            Self::Encode(_) => "MST-M006",
        }
    }

    /// What the process ends with. Source: sysexits.h.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Directory { .. } | Self::InUse { .. } | Self::Unusable { .. } => 73,
            Self::Write(_) | Self::Stopped(_) | Self::Closed => 74,
            Self::Encode(_) => 70,
        }
    }
}
