//! Why the log does not do what it was asked for.

use std::sync::Arc;

use muster_model::{LogPosition, StreamVersion};

use super::types::StreamName;

/// Why an append, a checkpoint or a read failed. Cheap to clone: one failed commit answers many batches.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The stream is not where the client believed it to be. Nothing of the batch was appended.
    #[error("the stream {stream} is at version {actual}, not at {expected}")]
    Conflict {
        /// Which stream.
        stream: StreamName,
        /// Where the client believed it to be.
        expected: StreamVersion,
        /// Where it is.
        actual: StreamVersion,
    },
    /// More waits to be written than the limit allows. Try again later.
    #[error("too much waits to be written to the event log")]
    QueueFull,
    /// A body is larger than the log takes.
    #[error("an event of {bytes} bytes is larger than the event log takes ({limit})")]
    BodyTooLarge {
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        limit: usize,
    },
    /// The disk is full. Nothing was appended; reading works, and appending will once there is space.
    #[error("the disk is full: the event log takes nothing until there is space")]
    DiskFull,
    /// A write failed in a way that leaves in doubt what is on disk. The log takes no writes any more.
    #[error("the event log takes no more writes, because one failed: see to the disk, then restart")]
    Poisoned {
        /// What failed first.
        source: Arc<rusqlite::Error>,
    },
    /// The thread that writes ended by a defect of ours. The log takes no writes any more.
    #[error("the thread that writes the event log has ended unexpectedly: restart")]
    WriterGone,
    /// The log was closed.
    #[error("the event log is closed")]
    Closed,
    /// SQLite could not read.
    #[error("the event log cannot be read")]
    Read {
        /// What it said.
        source: Arc<rusqlite::Error>,
    },
    /// What was read makes no sense.
    #[error("the event log is damaged at position {position}: {what}")]
    Damaged {
        /// Where.
        position: LogPosition,
        /// What is wrong.
        what: &'static str,
    },
    /// A position that is not one of this stream.
    #[error("position {position} is not one of the stream {stream}")]
    NotInStream {
        /// Which position.
        position: LogPosition,
        /// Which stream.
        stream: StreamName,
    },
    /// A checkpoint ahead of the log, or behind an earlier checkpoint.
    #[error(
        "a checkpoint at {position} is not between the newest one ({newest}) and the head of the log ({head})"
    )]
    CheckpointOutOfRange {
        /// Which position.
        position: LogPosition,
        /// The newest checkpoint.
        newest: LogPosition,
        /// The head of the log.
        head: LogPosition,
    },
    /// A checkpoint with the state of a stream that has no events.
    #[error("the stream {stream} has no events at the position of the checkpoint")]
    UnknownStream {
        /// Which stream.
        stream: StreamName,
    },
}

impl LogError {
    /// The stable code that the help pages use.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "MST-S020",
            Self::QueueFull => "MST-S021",
            Self::BodyTooLarge { .. } => "MST-S022",
            Self::DiskFull => "MST-S023",
            Self::Poisoned { .. } => "MST-S024",
            Self::Closed => "MST-S025",
            Self::Read { .. } => "MST-S026",
            Self::Damaged { .. } => "MST-S027",
            Self::NotInStream { .. } => "MST-S028",
            Self::CheckpointOutOfRange { .. } => "MST-S029",
            Self::UnknownStream { .. } => "MST-S030",
            Self::WriterGone => "MST-S031",
        }
    }
}

impl From<rusqlite::Error> for LogError {
    fn from(source: rusqlite::Error) -> Self {
        let source = Arc::new(source);
        Self::Read { source }
    }
}
