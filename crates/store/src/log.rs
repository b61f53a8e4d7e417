//! The event log: the one truth of the fleet. Everything else can be rebuilt from it.
//!
//! Begin with the trait [`EventLog`]. Clients submit batches of [`Append`]s without waiting and are answered, in order,
//! once their batch is durable; readers page through [`Event`]s by position, or walk one stream backwards by the links
//! between its events. Checkpoints keep snapshots of streams so that a restart reads only the tail.
//!
//! Old events are packed ([`SqliteLog::pack_next`]) and old checkpoints thinned out ([`SqliteLog::thin`]) when the owner
//! says so; readers see no difference.
//!
//! [`SqliteLog`] keeps it on disk; [`MemoryLog`] is for simulations and tests. [`verify`] checks a log on disk, also
//! while a server works on it.
//!
//! The log does not know what bodies mean, who may append, or what time it is.

mod block;
mod chain;
mod error;
mod fail;
mod memory;
mod pack;
mod read;
mod reply;
mod restore;
mod rows;
mod snapshots;
mod sqlite;
mod streams;
mod thin;
mod types;
mod verify;
mod writer;

use std::ops::ControlFlow;

use muster_model::{LogPosition, Timestamp};

pub use error::LogError;
pub use fail::{CommitFailure, FailPlan};
pub use memory::MemoryLog;
pub use reply::{FailureWatch, Receipt, Reply};
pub use sqlite::{LogOptions, SqliteLog};
pub use types::{
    Append, Event, EventRef, Expected, LogStats, Placed, STREAM_NAME_MAX_BYTES, Snapshot, Snapshots,
    StreamHead, StreamName, StreamNameError, Thinned, Usage,
};
pub use verify::{Finding, Progress, Report, verify};

/// The schema of `log.db`, one text per version, forward only.
const MIGRATIONS: &[&str] = &[include_str!("log/schema_1.sql"), include_str!("log/schema_2.sql")];
/// The name of the file.
const FILE: &str = "log.db";
/// Most events that one call returns.
const PAGE_MAX_ROWS: usize = 10_000;
/// Largest body of one event.
const BODY_MAX_BYTES: usize = 1 << 20;

/// An append-only log of events in streams, with a global order.
///
/// Submitting never blocks. Reading does: call it where blocking is allowed (`spawn_blocking`, a thread of your own).
pub trait EventLog: Send + Sync {
    /// Hands in a batch. All of it is appended, or nothing.
    ///
    /// Batches are carried out and answered in the order in which they were submitted, so a client can have many in
    /// flight. The answer comes only after the batch is durable, on a thread of the log: it must not block there.
    /// Only [`LogError::QueueFull`], [`LogError::BodyTooLarge`] and [`LogError::Closed`] are answered at once, on the
    /// calling thread, and overtake what is in flight.
    fn submit(&self, batch: Vec<Append>, reply: Reply<Vec<Placed>>);

    /// As [`submit`](Self::submit), with the answer as a future.
    fn append(&self, batch: Vec<Append>) -> Receipt<Vec<Placed>> {
        let (reply, receipt) = Reply::channel();
        self.submit(batch, reply);
        receipt
    }

    /// The last durable position; zero if the log is empty. Does not block.
    fn head(&self) -> LogPosition;

    /// Where a stream ends, if it has events. Does not block.
    fn stream_head(&self, stream: &StreamName) -> Option<StreamHead>;

    /// Visits the events of these positions (both included) in order, until the visitor breaks. Bodies are borrowed,
    /// which makes this the fast way to replay. The visitor must not call the log.
    fn scan(
        &self,
        first: LogPosition,
        last: LogPosition,
        visitor: &mut dyn FnMut(EventRef<'_>) -> ControlFlow<()>,
    ) -> Result<(), LogError>;

    /// The events from a position on, at most `limit` (and 10,000).
    fn read_forward(&self, from: LogPosition, limit: usize) -> Result<Vec<Event>, LogError> {
        let limit = limit.min(PAGE_MAX_ROWS);
        let Some(more) = limit.checked_sub(1) else {
            return Ok(Vec::new());
        };
        let from = from.max(LogPosition(1));
        let last = LogPosition(from.0.saturating_add(more as u64)).min(self.head());
        let mut events =
            Vec::with_capacity(last.0.saturating_sub(from.0).saturating_add(1).min(limit as u64) as usize);
        self.scan(from, last, &mut |event| {
            events.push(event.to_event());
            ControlFlow::Continue(())
        })?;
        Ok(events)
    }

    /// The events from a position (included) or the head back, newest first, at most `limit` (and 10,000).
    fn read_backward(&self, from: Option<LogPosition>, limit: usize) -> Result<Vec<Event>, LogError> {
        let last = from.unwrap_or(self.head()).min(self.head());
        let limit = limit.min(PAGE_MAX_ROWS) as u64;
        let first = LogPosition(last.0.saturating_sub(limit) + 1);
        let mut events = self.read_forward(first, last.0.saturating_sub(first.0 - 1) as usize)?;
        events.reverse();
        Ok(events)
    }

    /// The events of one stream, newest first, at most `limit` (and 10,000): from `from`, which must be the position
    /// of an event of this stream (the `previous` of the last one of the page before), or from its head.
    fn read_stream_backward(
        &self,
        stream: &StreamName,
        from: Option<LogPosition>,
        limit: usize,
    ) -> Result<Vec<Event>, LogError>;

    /// The last position that was recorded at this time or before; zero if none was.
    fn position_at(&self, time: Timestamp) -> Result<LogPosition, LogError>;

    /// When the first event was recorded.
    fn oldest_time(&self) -> Result<Option<Timestamp>, LogError>;

    /// Keeps the states of streams as they are after `position`: `changed` holds those that changed since the
    /// checkpoint before; the others keep the snapshot they have. Positions of checkpoints never decrease.
    ///
    /// Compresses on the calling thread (about 10 µs a snapshot), writes in slices between appends. The writer reads
    /// the events after `position` to find where streams ended, so it should not lie far behind the head.
    fn save_checkpoint(
        &self,
        position: LogPosition,
        recorded_at: Timestamp,
        changed: Vec<(StreamName, Vec<u8>)>,
    ) -> Receipt<()>;

    /// The newest sound checkpoint at or before a position. Events after [`Snapshots::checkpoint`] lead from there to
    /// any later moment. Without a checkpoint that is position zero and no snapshots.
    fn load_snapshots(&self, at: LogPosition) -> Result<Snapshots, LogError>;

    /// Tells when the log has stopped taking writes for good, so that the process can stop with a clear error.
    fn failure(&self) -> FailureWatch;

    /// Figures for metrics.
    fn stats(&self) -> LogStats;
}
