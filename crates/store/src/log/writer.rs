//! The one thread that writes the log: gathers batches, commits them together, then answers.
//!
//! After any failed write but a full disk it writes nothing more, ever: SQLite would go on as if nothing had happened
//! after a failed fsync, while what was to be durable may be gone from the system's cache.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use muster_model::{LogPosition, Timestamp};
use rusqlite::{Connection, params};
use tokio::sync::watch;

use super::block::Block;
use super::chain::{Hash, Link};
use super::error::LogError;
use super::reply::Reply;
use super::snapshots::{self, EncodedSnapshot, Job};
use super::sqlite::{LogOptions, Shared};
use super::streams::{Plan, Planned};
use super::types::{Append, Placed};
use super::{pack, thin};
use crate::queue::Waited;
use crate::sqlite::{Backfill, backfill, is_disk_full, leave_untouched};

/// After so many written bytes the write-ahead log is copied into the file. Its index then stays within one page.
const BACKFILL_EVERY_BYTES: usize = 8 << 20;
/// What a row costs beside its body, about.
const ROW_OVERHEAD_BYTES: usize = 60;
/// What removing rows writes, about.
const TIDIED_BYTES: usize = 64 << 10;
/// After so long without work the write-ahead log is copied into the file.
const IDLE: Duration = Duration::from_secs(1);

/// What the writer is asked for.
pub(super) enum Command {
    Append {
        batch: Vec<Append>,
        reply: Reply<Vec<Placed>>,
    },
    Checkpoint {
        position: LogPosition,
        recorded_at: Timestamp,
        rows: Vec<EncodedSnapshot>,
        reply: Reply<()>,
    },
    Pack {
        block: Block,
        reply: Reply<()>,
    },
    Thin {
        part: thin::Part,
        reply: Reply<u64>,
    },
}

impl Command {
    pub(super) fn refuse(self, error: LogError) {
        match self {
            Self::Append { reply, .. } => reply.send(Err(error)),
            Self::Checkpoint { reply, .. } | Self::Pack { reply, .. } => reply.send(Err(error)),
            Self::Thin { reply, .. } => reply.send(Err(error)),
        }
    }
}

pub(super) struct Writer {
    connection: Connection,
    shared: Arc<Shared>,
    options: LogOptions,
    /// The hash of the last event.
    hash: Hash,
    newest_checkpoint: LogPosition,
    jobs: VecDeque<Job>,
    unfilled_bytes: usize,
    poison: Option<Arc<rusqlite::Error>>,
    failed: watch::Sender<Option<LogError>>,
}

type Batch = (Vec<Append>, Reply<Vec<Placed>>);

impl Writer {
    pub(super) fn new(
        connection: Connection,
        shared: Arc<Shared>,
        options: LogOptions,
        hash: Hash,
        newest_checkpoint: LogPosition,
        failed: watch::Sender<Option<LogError>>,
    ) -> Self {
        Self {
            connection,
            shared,
            options,
            hash,
            newest_checkpoint,
            jobs: VecDeque::new(),
            unfilled_bytes: 1,
            poison: None,
            failed,
        }
    }

    /// Works until the queue is closed and empty. A panic (of an answer, say) is told like a failed write.
    pub(super) fn run_to_the_end(mut self) {
        if catch_unwind(AssertUnwindSafe(|| self.run())).is_err() {
            leave_untouched(&self.connection);
            let error = self.failed.borrow().clone().unwrap_or(LogError::WriterGone);
            self.failed.send_replace(Some(error));
            self.shared.queue.close();
            let mut rest = Vec::new();
            self.shared.queue.drain(&mut rest, usize::MAX);
            for command in rest {
                command.refuse(LogError::WriterGone);
            }
        }
    }

    fn run(&mut self) {
        let mut commands = Vec::new();
        loop {
            let patience = if self.jobs.is_empty() {
                IDLE
            } else {
                Duration::ZERO
            };
            match self.shared.queue.wait(patience) {
                Waited::Ready => {
                    self.gather(&mut commands);
                    self.carry_out(&mut commands);
                }
                Waited::Idle if self.jobs.is_empty() => self.backfill(Backfill::Passive),
                Waited::Closed if self.jobs.is_empty() => break,
                Waited::Idle | Waited::Closed => {}
            }
            self.checkpoint_slice();
            if self.unfilled_bytes >= BACKFILL_EVERY_BYTES {
                self.backfill(Backfill::Passive);
            }
        }
        self.backfill(Backfill::Truncate);
    }

    /// Takes what is queued, and waits a little for more while more keeps coming.
    fn gather(&self, commands: &mut Vec<Command>) {
        let queue = &self.shared.queue;
        let deadline = Instant::now() + self.options.batch_max_wait;
        let mut rows = 0;
        loop {
            rows += queue.drain(commands, self.options.batch_max_rows.saturating_sub(rows).max(1));
            if rows >= self.options.batch_max_rows || Instant::now() >= deadline {
                return;
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "the thread is ours; a condition would wake it per batch"
            )]
            std::thread::sleep(self.options.batch_idle);
            if queue.is_empty() {
                return;
            }
        }
    }

    fn carry_out(&mut self, commands: &mut Vec<Command>) {
        let mut batches = Vec::with_capacity(commands.len());
        let mut others = Vec::new();
        for command in commands.drain(..) {
            match command {
                Command::Append { batch, reply } => batches.push((batch, reply)),
                other => others.push(other),
            }
        }
        let answered = batches.len() as u64;
        self.commit(batches);
        // After the answers, so that whoever sees none waiting finds them all given.
        let unanswered = &self.shared.counters.unanswered;
        unanswered.fetch_sub(answered, Ordering::Release);
        for command in others {
            match command {
                Command::Append { .. } => {}
                Command::Checkpoint {
                    position,
                    recorded_at,
                    rows,
                    reply,
                } => self.begin_checkpoint(position, recorded_at, rows, reply),
                Command::Pack { block, reply } => {
                    let done = self.tidy(block.packed.len(), |connection| pack::put(connection, &block));
                    reply.send(done);
                }
                Command::Thin { part, reply } => {
                    let done = self.tidy(0, |connection| thin::carry_out(connection, &part));
                    reply.send(done);
                }
            }
        }
    }

    /// Puts what is kept in another order, in a transaction of its own.
    fn tidy<T>(
        &mut self,
        bytes: usize,
        tidy: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, LogError> {
        if let Some(error) = self.refusal() {
            return Err(error);
        }
        self.unfilled_bytes += bytes + TIDIED_BYTES;
        let connection = &self.connection;
        let run = || {
            connection.execute_batch("BEGIN IMMEDIATE")?;
            let done = tidy(connection)?;
            if let Some(failure) = self.options.fail.take() {
                return Err(failure.as_error());
            }
            connection.execute_batch("COMMIT")?;
            Ok(done)
        };
        run().map_err(|error| self.failed_write(error))
    }

    /// Commits batches together and answers them in order.
    fn commit(&mut self, batches: Vec<Batch>) {
        if batches.is_empty() {
            return;
        }
        if let Some(error) = self.refusal() {
            for (_, reply) in batches {
                reply.send(Err(error.clone()));
            }
            return;
        }
        let shared = Arc::clone(&self.shared);
        let (plan, places) = {
            let streams = shared.streams.read();
            let mut plan = Plan::new(&streams);
            let places: Vec<_> = batches
                .iter()
                .map(|(batch, _)| plan.place(&streams, batch))
                .collect();
            (plan, places)
        };
        let rows: usize = places.iter().flatten().map(Vec::len).sum();
        if rows > 0 {
            match self.write(&plan, &batches, &places) {
                Ok(hash) => self.hash = hash,
                Err(error) => {
                    let error = self.failed_write(error);
                    for (_, reply) in batches {
                        reply.send(Err(error.clone()));
                    }
                    return;
                }
            }
            shared.streams.write().commit(plan);
            shared.counters.commits.fetch_add(1, Ordering::Relaxed);
            shared.counters.rows.fetch_add(rows as u64, Ordering::Relaxed);
        }
        for ((_, reply), places) in batches.into_iter().zip(places) {
            if places.is_err() {
                shared.counters.conflicts.fetch_add(1, Ordering::Relaxed);
            }
            reply.send(places.map(|places| places.iter().map(|planned| planned.placed).collect()));
        }
    }

    fn write(
        &mut self,
        plan: &Plan,
        batches: &[Batch],
        places: &[Result<Vec<Planned>, LogError>],
    ) -> rusqlite::Result<Hash> {
        let connection = &self.connection;
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let known = self.shared.streams.read().count();
        if !plan.created.is_empty() {
            let mut insert = connection.prepare_cached("INSERT INTO streams (id, name) VALUES (?1, ?2)")?;
            for (id, name) in (known + 1..).zip(&plan.created) {
                insert.execute(params![id, name.to_string()])?;
            }
        }
        let mut insert =
            connection.prepare_cached("INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
        let mut hash = self.hash;
        for ((batch, _), places) in batches.iter().zip(places) {
            let Ok(places) = places else {
                continue;
            };
            for (append, planned) in batch.iter().zip(places) {
                let Placed {
                    position,
                    version,
                    recorded_at,
                } = planned.placed;
                let link = Link {
                    position,
                    stream: &planned.text,
                    version,
                    previous: planned.previous,
                    recorded_at,
                    body: &append.body,
                };
                hash = link.hash(&hash);
                insert.execute(params![
                    position.0 as i64,
                    planned.stream,
                    version.0 as i64,
                    planned.previous.0 as i64,
                    recorded_at.as_millis(),
                    append.body.as_ref(),
                    hash.as_slice(),
                ])?;
                self.unfilled_bytes += append.body.len() + ROW_OVERHEAD_BYTES;
            }
        }
        if let Some(failure) = self.options.fail.take() {
            return Err(failure.as_error());
        }
        connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(hash)
    }

    fn begin_checkpoint(
        &mut self,
        position: LogPosition,
        recorded_at: Timestamp,
        rows: Vec<EncodedSnapshot>,
        reply: Reply<()>,
    ) {
        let newest = self.jobs.back().map_or(self.newest_checkpoint, Job::position);
        let prepared = match self.refusal() {
            Some(error) => Err(error),
            None => {
                let streams = self.shared.streams.read();
                snapshots::prepare(&self.connection, &streams, newest, position, recorded_at, rows)
            }
        };
        match prepared {
            Ok(prepared) => self.jobs.push_back(prepared.into_job(reply)),
            Err(error) => reply.send(Err(error)),
        }
    }

    /// Writes a part of the oldest checkpoint under way.
    fn checkpoint_slice(&mut self) {
        let Some(mut job) = self.jobs.pop_front() else {
            return;
        };
        if let Some(error) = self.refusal() {
            return job.reply.send(Err(error));
        }
        match job.write_slice(&self.connection) {
            Ok(written) => {
                self.unfilled_bytes += written;
                if job.is_done() {
                    self.newest_checkpoint = job.position();
                    job.reply.send(Ok(()));
                } else {
                    self.jobs.push_front(job);
                }
            }
            Err(error) => {
                let error = self.failed_write(error);
                job.reply.send(Err(error));
            }
        }
    }

    fn backfill(&mut self, how: Backfill) {
        if self.unfilled_bytes == 0 || self.poison.is_some() {
            return;
        }
        match backfill(&self.connection, how) {
            Ok(()) => self.unfilled_bytes = 0,
            Err(error) if is_disk_full(&error) => {
                tracing::warn!(%error, "no space to copy the write-ahead log into the event log");
                self.unfilled_bytes = 1;
            }
            Err(error) => {
                self.poison(error);
            }
        }
    }

    fn refusal(&self) -> Option<LogError> {
        let source = self.poison.clone()?;
        Some(LogError::Poisoned { source })
    }

    /// Undoes what was begun and decides whether the log can go on.
    fn failed_write(&mut self, error: rusqlite::Error) -> LogError {
        if !is_disk_full(&error) {
            // Even a rollback would be a risk without a use.
            return self.poison(error);
        }
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            return self.poison(error);
        }
        self.shared.counters.disk_full.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(%error, "the disk is full: the event log refuses to append");
        LogError::DiskFull
    }

    fn poison(&mut self, error: rusqlite::Error) -> LogError {
        let source = Arc::clone(self.poison.get_or_insert(Arc::new(error)));
        leave_untouched(&self.connection);
        tracing::error!(error = %source, "the event log takes no more writes, because one failed");
        let error = LogError::Poisoned { source };
        self.failed.send_replace(Some(error.clone()));
        error
    }
}
