//! The log on disk: opening it, and the handle that clients share.
//!
//! One thread writes ([`super::writer`]); readers use connections of their own and never hold it up.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use muster_model::{LogPosition, Timestamp};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use super::block::{BLOCK_MAX_ROWS, Cache};
use super::error::LogError;
use super::fail::FailPlan;
use super::reply::{FailureWatch, Receipt, Reply};
use super::streams::Streams;
use super::types::{
    Append, Event, EventRef, LogStats, Placed, Snapshots, StreamHead, StreamName, Thinned, Usage,
};
use super::writer::{Command, Writer};
use super::{BODY_MAX_BYTES, EventLog, FILE, MIGRATIONS, pack, read, restore, snapshots, thin};
use crate::directory::DataDirectory;
use crate::error::OpenError;
use crate::queue::{Queue, Refused, Weight};
use crate::sqlite::{Readers, Synchronous, database, open_writer};

/// How the log on disk works.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// A commit takes no further batch once it has this many events.
    pub batch_max_rows: usize,
    /// A commit waits no longer than this for more events.
    pub batch_max_wait: Duration,
    /// A commit waits no longer once nothing arrived for this time.
    pub batch_idle: Duration,
    /// Events that may wait to be written.
    pub queue_max_rows: usize,
    /// Bytes of bodies that may wait to be written.
    pub queue_max_bytes: usize,
    /// Events of a block of packed ones; at most 512.
    pub block_rows: u64,
    /// Connections for readers.
    pub readers: usize,
    /// Failures on demand; for tests only.
    #[doc(hidden)]
    pub fail: FailPlan,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            batch_max_rows: 4_000,
            batch_max_wait: Duration::from_millis(5),
            batch_idle: Duration::from_micros(200),
            queue_max_rows: 100_000,
            queue_max_bytes: 64 << 20,
            block_rows: BLOCK_MAX_ROWS,
            readers: 2,
            fail: FailPlan::default(),
        }
    }
}

/// The event log in `log.db` of a data directory. Cheap to clone.
///
/// The last clone closes it when it is dropped, which blocks until what is queued is written; servers call
/// [`close`](Self::close) in their shutdown instead, where blocking is allowed.
#[derive(Clone)]
pub struct SqliteLog(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    readers: Readers,
    block_rows: u64,
    /// One packs or thins at a time.
    tidying: Mutex<()>,
    failure: watch::Receiver<Option<LogError>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What handle and writer share.
pub(super) struct Shared {
    pub(super) path: PathBuf,
    pub(super) queue: Queue<Command>,
    /// As of the last commit. Only the writer changes it, for the shortest time.
    pub(super) streams: RwLock<Streams>,
    /// Blocks that readers used last.
    pub(super) cache: Mutex<Cache>,
    pub(super) counters: Counters,
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) unanswered: AtomicU64,
    pub(super) commits: AtomicU64,
    pub(super) rows: AtomicU64,
    pub(super) conflicts: AtomicU64,
    pub(super) queue_full: AtomicU64,
    pub(super) disk_full: AtomicU64,
}

impl Counters {
    fn answered(&self, command: &Command) {
        if let Command::Append { .. } = command {
            self.unanswered.fetch_sub(1, Ordering::Release);
        }
    }
}

impl SqliteLog {
    /// Opens the log, creating it if there is none, and checks the events since the last checkpoint. Blocks: about
    /// 1 s per million of these events.
    pub fn open(directory: &DataDirectory, options: LogOptions) -> Result<Self, OpenError> {
        let path = directory.file(FILE);
        let connection = open_writer(&path, MIGRATIONS, Synchronous::Full)?;
        let restored = restore::restore(&connection, &path)?;
        let readers = Readers::open(&path, options.readers)?;
        let (failed, failure) = watch::channel(None);
        let block_rows = options.block_rows.clamp(1, BLOCK_MAX_ROWS);
        let limit = Weight {
            rows: options.queue_max_rows,
            bytes: options.queue_max_bytes,
        };
        let shared = Arc::new(Shared {
            path: path.clone(),
            queue: Queue::new(limit),
            streams: RwLock::new(restored.streams),
            cache: Mutex::default(),
            counters: Counters::default(),
        });
        let newest = snapshots::newest_checkpoint(&connection).map_err(database(&path, "read"))?;
        let writer = Writer::new(
            connection,
            Arc::clone(&shared),
            options,
            restored.hash,
            newest,
            failed,
        );
        let held = directory.clone();
        let thread = std::thread::Builder::new()
            .name("muster-log".into())
            .spawn(move || {
                writer.run_to_the_end();
                // The directory stays ours until the last write is through.
                drop(held);
            })
            .map_err(|source| OpenError::Thread { path, source })?;
        Ok(Self(Arc::new(Inner {
            shared,
            readers,
            block_rows,
            tidying: Mutex::new(()),
            failure,
            thread: Mutex::new(Some(thread)),
        })))
    }

    /// Writes and answers what is queued, then ends the writer. Blocks until then; later requests are refused.
    pub fn close(&self) {
        self.0.close();
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.0.shared.path
    }

    /// Packs the oldest events that are not packed yet into one block, if enough of them lie before `before`; says how
    /// many. Nothing that a restart reads is packed. Blocks for some milliseconds.
    pub fn pack_next(&self, before: LogPosition) -> Result<Option<u64>, LogError> {
        let _alone = self.0.tidying.lock();
        let streams = self.texts();
        let ready = self
            .0
            .readers
            .with(|connection| pack::next(connection, &streams, before, self.0.block_rows))?;
        let Some(block) = ready else {
            return Ok(None);
        };
        let events = block.last.0 - block.first.0 + 1;
        let (reply, receipt) = Reply::channel();
        let weight = Weight {
            rows: 1,
            bytes: block.packed.len(),
        };
        self.push(Command::Pack { block, reply }, weight);
        receipt.wait()?;
        Ok(Some(events))
    }

    /// Every checkpoint with its time, the oldest first.
    pub fn checkpoints(&self) -> Result<Vec<(LogPosition, Timestamp)>, LogError> {
        self.0.readers.with(thin::checkpoints)
    }

    /// Removes these checkpoints, and the snapshots that only they needed. The newest, and those that a restart may need, stay. Blocks.
    pub fn thin(&self, remove: &[LogPosition]) -> Result<Thinned, LogError> {
        let _alone = self.0.tidying.lock();
        let plan = self.0.readers.with(|connection| thin::plan(connection, remove))?;
        let mut thinned = Thinned {
            checkpoints: plan.remove.len() as u64,
            snapshots: 0,
        };
        for part in plan.parts(self.0.shared.streams.read().count()) {
            let (reply, receipt) = Reply::channel();
            self.push(Command::Thin { part, reply }, Weight { rows: 1, bytes: 0 });
            thinned.snapshots += receipt.wait()?;
        }
        Ok(thinned)
    }

    /// How much lies how.
    pub fn usage(&self) -> Result<Usage, LogError> {
        self.0.readers.with(pack::usage)
    }

    /// The names of all streams as text, by number.
    fn texts(&self) -> Vec<Arc<str>> {
        let streams = self.0.shared.streams.read();
        let mut texts: Vec<_> = streams
            .iter()
            .map(|stream| (stream.id, stream.text.clone()))
            .collect();
        texts.sort_unstable_by_key(|(id, _)| *id);
        texts.into_iter().map(|(_, text)| text).collect()
    }

    fn push(&self, command: Command, weight: Weight) {
        match self.0.shared.queue.push(command, weight) {
            Ok(()) => {}
            Err(Refused::Closed(command)) => {
                self.0.shared.counters.answered(&command);
                // After a panic of the writer the queue is closed too.
                let error = self.0.failure.borrow().clone().unwrap_or(LogError::Closed);
                command.refuse(error);
            }
            Err(Refused::Full(command)) => {
                self.0.shared.counters.queue_full.fetch_add(1, Ordering::Relaxed);
                self.0.shared.counters.answered(&command);
                command.refuse(LogError::QueueFull);
            }
        }
    }
}

impl Inner {
    fn close(&self) {
        self.shared.queue.close();
        let thread = self.thread.lock().take();
        if let Some(thread) = thread
            // The last handle may be dropped by an answer, on the writer's own thread.
            && thread.thread().id() != std::thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes the event log ended by a panic");
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

impl EventLog for SqliteLog {
    fn submit(&self, batch: Vec<Append>, reply: Reply<Vec<Placed>>) {
        if let Some(append) = batch.iter().find(|append| append.body.len() > BODY_MAX_BYTES) {
            let bytes = append.body.len();
            return reply.send(Err(LogError::BodyTooLarge {
                bytes,
                limit: BODY_MAX_BYTES,
            }));
        }
        let weight = Weight {
            rows: batch.len().max(1),
            bytes: batch.iter().map(|append| append.body.len()).sum(),
        };
        // Before it is handed in: the writer may be quicker than this thread.
        self.0.shared.counters.unanswered.fetch_add(1, Ordering::Relaxed);
        self.push(Command::Append { batch, reply }, weight);
    }

    fn head(&self) -> LogPosition {
        self.0.shared.streams.read().position
    }

    fn stream_head(&self, stream: &StreamName) -> Option<StreamHead> {
        self.0.shared.streams.read().get(stream).map(|stream| stream.head)
    }

    fn scan(
        &self,
        first: LogPosition,
        last: LogPosition,
        visitor: &mut dyn FnMut(EventRef<'_>) -> ControlFlow<()>,
    ) -> Result<(), LogError> {
        let shared = &self.0.shared;
        let last = last.min(self.head());
        self.0
            .readers
            .with(|connection| read::scan(connection, shared, first, last, visitor))
    }

    fn read_stream_backward(
        &self,
        stream: &StreamName,
        from: Option<LogPosition>,
        limit: usize,
    ) -> Result<Vec<Event>, LogError> {
        let Some((id, head)) = self
            .0
            .shared
            .streams
            .read()
            .get(stream)
            .map(|known| (known.id, known.head))
        else {
            return Ok(Vec::new());
        };
        let from = from.unwrap_or(head.position);
        self.0.readers.with(|connection| {
            read::stream_backward(connection, &self.0.shared.cache, stream, id, from, limit)
        })
    }

    fn position_at(&self, time: Timestamp) -> Result<LogPosition, LogError> {
        let head = self.head();
        self.0
            .readers
            .with(|connection| read::position_at(connection, &self.0.shared.cache, time, head))
    }

    fn oldest_time(&self) -> Result<Option<Timestamp>, LogError> {
        self.0
            .readers
            .with(|connection| read::oldest_time(connection, &self.0.shared.cache))
    }

    fn save_checkpoint(
        &self,
        position: LogPosition,
        recorded_at: Timestamp,
        changed: Vec<(StreamName, Vec<u8>)>,
    ) -> Receipt<()> {
        let (reply, receipt) = Reply::channel();
        let rows = snapshots::encode(position, changed);
        let weight = Weight {
            rows: 1,
            bytes: rows.iter().map(|row| row.stored.len()).sum(),
        };
        let command = Command::Checkpoint {
            position,
            recorded_at,
            rows,
            reply,
        };
        self.push(command, weight);
        receipt
    }

    fn load_snapshots(&self, at: LogPosition) -> Result<Snapshots, LogError> {
        let (at, names) = {
            let streams = self.0.shared.streams.read();
            let names: Vec<_> = (1..=streams.count())
                .filter_map(|id| Some((id, streams.name(id)?.clone())))
                .collect();
            (at.min(streams.position), names)
        };
        self.0
            .readers
            .with(|connection| snapshots::load(connection, &names, at))
    }

    fn failure(&self) -> FailureWatch {
        FailureWatch::new(self.0.failure.clone())
    }

    fn stats(&self) -> LogStats {
        let counters = &self.0.shared.counters;
        LogStats {
            queued_rows: self.0.shared.queue.rows() as u64,
            unanswered: counters.unanswered.load(Ordering::Acquire),
            commits: counters.commits.load(Ordering::Relaxed),
            rows: counters.rows.load(Ordering::Relaxed),
            conflicts: counters.conflicts.load(Ordering::Relaxed),
            refused_queue_full: counters.queue_full.load(Ordering::Relaxed),
            refused_disk_full: counters.disk_full.load(Ordering::Relaxed),
        }
    }
}
