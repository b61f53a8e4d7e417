//! What the fleet keeps: the event log, snapshots and documents, recent telemetry and log lines, and the bus.
//!
//! One machine needs nothing installed: SQLite files in one data directory, and a bus inside the process.
//!
//! Begin with [`EventLog`], the truth of the fleet; [`SqliteLog`] keeps it on disk, [`MemoryLog`] for simulations.
//! [`DataDirectory`] is what the files live in, [`Telemetry`] holds what may be lost, [`Documents`] small things that
//! are replaced as a whole, [`Contents`] what releases are made of, [`Bus`] carries what others should hear of at once.
//!
//! All that can wait for a disk has threads of its own, or says that it blocks. No particular async runtime is needed.
//!
//! This crate does not know what the bytes mean that it keeps; it never looks into a body.

#![forbid(unsafe_code)]

mod bus;
mod contents;
mod directory;
mod documents;
mod error;
mod log;
mod queue;
mod recordings;
mod sqlite;
mod telemetry;
mod varint;

pub use bus::{Bus, LocalBus, Subscription};
pub use contents::{ContentError, Contents, ContentsOptions, PutContent, Reading, pieces_of_file};
pub use directory::DataDirectory;
pub use documents::{Document, DocumentError, DocumentVersion, Documents, Precondition, SqliteDocuments};
pub use error::OpenError;
pub use log::{
    Append, CommitFailure, Event, EventLog, EventRef, Expected, FailPlan, FailureWatch, Finding, LogError,
    LogOptions, LogStats, MemoryLog, Placed, Progress, Receipt, Reply, Report, STREAM_NAME_MAX_BYTES,
    Snapshot, Snapshots, SqliteLog, StreamHead, StreamName, StreamNameError, Thinned, Usage, verify,
};
pub use recordings::{Part, PartState, Recordings, RecordingsError, RecordingsOptions, StoredRecording};
pub use telemetry::{
    LogCursor, LogLine, LogPage, LogQuery, MetricInfo, Now, Point, Series, Telemetry, TelemetryError,
    TelemetryOptions, TelemetryQuery, TelemetryStats,
};
