//! Failures on demand, for tests and simulations.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// How a commit fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitFailure {
    /// No space: nothing is written, the log lives on.
    DiskFull,
    /// An error of the device: the log takes no more writes.
    Io,
}

/// Makes commits of a log fail. Clones share one plan.
#[doc(hidden)]
#[derive(Clone, Debug, Default)]
pub struct FailPlan(Arc<AtomicU8>);

impl FailPlan {
    /// The next commit fails in this way; those after it do not.
    pub fn fail_next_commit(&self, failure: CommitFailure) {
        let planned = match failure {
            CommitFailure::DiskFull => 1,
            CommitFailure::Io => 2,
        };
        self.0.store(planned, Ordering::SeqCst);
    }

    pub(super) fn take(&self) -> Option<CommitFailure> {
        match self.0.swap(0, Ordering::SeqCst) {
            1 => Some(CommitFailure::DiskFull),
            2 => Some(CommitFailure::Io),
            _ => None,
        }
    }
}

impl CommitFailure {
    /// The error that SQLite would give.
    pub(super) fn as_error(self) -> rusqlite::Error {
        let code = match self {
            Self::DiskFull => rusqlite::ffi::SQLITE_FULL,
            Self::Io => rusqlite::ffi::SQLITE_IOERR_FSYNC,
        };
        rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None)
    }
}
