//! The thread that writes telemetry, and removes what is too old or too much, a little at a time.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_model::Timestamp;
use rusqlite::{Connection, params};

use super::lines::severity_number;
use super::memory::{Batch, Memory, Stored};
use super::{Now, Shared, TelemetryOptions, codec};
use crate::sqlite::{Backfill, backfill};

/// Longest time between the first and the last sample of one block, so that a query need not look far back.
pub(super) const BLOCK_SPAN_MAX_MS: i64 = 60_000;
/// The write-ahead log is copied back after so many changed rows (each may change a page).
const BACKFILL_EVERY_ROWS: usize = 4_000;
/// How many machines one step of the removal looks at, and how many rows it removes of each.
const STEP_MACHINES: u32 = 256;
const STEP_ROWS: i64 = 500;
/// How much shorter ages get in each round while the file is too large, and how short at most.
const SQUEEZE: f64 = 0.7;
const SQUEEZE_MIN: f64 = 0.000_01;
/// Ages grow again once the file is below this part of its limit.
const RELAXED: f64 = 0.8;

pub(super) struct Writer {
    connection: Connection,
    shared: Arc<Shared>,
    options: TelemetryOptions,
    now: Now,
    /// Which metrics each machine has in the file.
    pairs: HashSet<(u32, u32)>,
    machines_written: usize,
    metrics_written: usize,
    unfilled_rows: usize,
    /// The last machine that the removal looked at.
    looked_at: u32,
    /// By how much ages are shortened because the file is too large.
    squeeze: f64,
    packer: codec::Packer,
}

impl Writer {
    pub(super) fn new(
        connection: Connection,
        shared: Arc<Shared>,
        options: TelemetryOptions,
        now: Now,
    ) -> rusqlite::Result<Self> {
        let pairs = connection
            .prepare("SELECT machine, metric FROM machine_metrics")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        let (machines_written, metrics_written) = {
            let memory = shared.memory.lock();
            (memory.machines.len(), memory.metrics.len())
        };
        Ok(Self {
            connection,
            shared,
            options,
            now,
            pairs,
            machines_written,
            metrics_written,
            unfilled_rows: 1,
            looked_at: 0,
            squeeze: 1.0,
            packer: codec::Packer::new(),
        })
    }

    pub(super) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        loop {
            let (batch, closed) = {
                let mut memory = shared.memory.lock();
                self.wait(&mut memory);
                (memory.begin_flush(), memory.closed)
            };
            if let Some(batch) = batch {
                let written = self.write(&batch);
                if let Err(error) = &written {
                    tracing::warn!(%error, samples = batch.sample_count, "telemetry was lost: it cannot be written");
                    self.roll_back();
                }
                shared.memory.lock().flushed(written.is_ok());
            }
            if let Err(error) = self.remove_some() {
                tracing::warn!(%error, "old telemetry cannot be removed");
                self.roll_back();
            }
            if closed {
                break;
            }
            self.backfill_if_due();
        }
        self.unfilled_rows = BACKFILL_EVERY_ROWS;
        self.backfill_if_due();
    }

    fn wait(&self, memory: &mut parking_lot::MutexGuard<'_, Memory>) {
        let deadline = Instant::now() + self.options.flush_interval;
        while !memory.closed && memory.pending.sample_count < self.options.flush_samples {
            if self.shared.wake.wait_until(memory, deadline).timed_out() {
                return;
            }
        }
    }

    /// Writes one batch in one transaction.
    fn write(&mut self, batch: &Batch) -> rusqlite::Result<()> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let (machines, metrics) = self.write_names()?;
        let new_pairs = self.write_samples(batch)?;
        self.write_lines(batch)?;
        let mut counter = self
            .connection
            .prepare_cached("INSERT OR REPLACE INTO counters VALUES (?1, ?2)")?;
        counter.execute(params!["generation", batch.generation as i64])?;
        let next_line = batch.first_line + batch.line_count();
        counter.execute(params!["next_line", next_line as i64])?;
        drop(counter);
        self.connection.execute_batch("COMMIT")?;
        self.pairs.extend(new_pairs);
        (self.machines_written, self.metrics_written) = (machines, metrics);
        Ok(())
    }

    /// Writes the machines and metrics that are new; returns how many there are now.
    fn write_names(&self) -> rusqlite::Result<(usize, usize)> {
        // Copied, so that nobody waits for the disk.
        let (machines, metrics) = {
            let memory = self.shared.memory.lock();
            let machines: Vec<_> = memory
                .machines
                .iter()
                .skip(self.machines_written)
                .copied()
                .collect();
            let metrics: Vec<_> = memory
                .metrics
                .iter()
                .skip(self.metrics_written)
                .cloned()
                .collect();
            (machines, metrics)
        };
        let mut insert = self
            .connection
            .prepare_cached("INSERT INTO machines VALUES (?1, ?2)")?;
        for (id, machine) in (self.machines_written + 1..).zip(&machines) {
            insert.execute(params![id as i64, machine.as_bytes()])?;
        }
        let mut insert = self
            .connection
            .prepare_cached("INSERT INTO metrics VALUES (?1, ?2, ?3)")?;
        for (id, metric) in (self.metrics_written + 1..).zip(&metrics) {
            insert.execute(params![id as i64, metric.name, metric.unit])?;
        }
        Ok((
            self.machines_written + machines.len(),
            self.metrics_written + metrics.len(),
        ))
    }

    fn write_samples(&mut self, batch: &Batch) -> rusqlite::Result<HashSet<(u32, u32)>> {
        let mut insert = self
            .connection
            .prepare_cached("INSERT INTO blocks VALUES (?1, ?2, ?3, ?4, ?5)")?;
        let mut new_pairs = HashSet::new();
        for (&machine, samples) in &batch.samples {
            let mut samples = samples.clone();
            samples.sort_by_key(|sample| sample.at);
            for block in spans(&mut samples) {
                let (Some(first), Some(last)) = (block.first().copied(), block.last().copied()) else {
                    continue;
                };
                block.sort_by_key(|sample| (sample.metric, sample.at));
                let body = codec::encode(&mut self.packer, first.at, block);
                insert.execute(params![machine, first.at, batch.generation as i64, last.at, body])?;
                self.unfilled_rows += 1;
                let pairs = block.iter().map(|sample| (machine, sample.metric));
                new_pairs.extend(pairs.filter(|pair| !self.pairs.contains(pair)));
            }
        }
        let mut insert = self
            .connection
            .prepare_cached("INSERT OR IGNORE INTO machine_metrics VALUES (?1, ?2)")?;
        for (machine, metric) in &new_pairs {
            insert.execute([machine, metric])?;
        }
        Ok(new_pairs)
    }

    fn write_lines(&mut self, batch: &Batch) -> rusqlite::Result<()> {
        let mut insert = self
            .connection
            .prepare_cached("INSERT INTO log_lines VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
        for (machine, lines) in &batch.lines {
            for numbered in lines {
                let line = &numbered.line;
                insert.execute(params![
                    machine,
                    line.at.as_millis(),
                    numbered.id as i64,
                    severity_number(line.severity),
                    line.target,
                    line.message,
                    line.fields,
                ])?;
            }
            self.unfilled_rows += 1;
        }
        Ok(())
    }

    /// Removes what is too old of the next few machines.
    fn remove_some(&mut self) -> rusqlite::Result<()> {
        let count = self.machines_written as u32;
        let last = count.min(self.looked_at.saturating_add(STEP_MACHINES));
        let now = (self.now)();
        let samples_before = self
            .cutoff(now, self.options.samples_age)
            .saturating_sub(BLOCK_SPAN_MAX_MS);
        let lines_before = self.cutoff(now, self.options.lines_age);
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        for machine in self.looked_at + 1..=last {
            self.unfilled_rows += self
                .connection
                .prepare_cached(
                    "DELETE FROM blocks WHERE machine = ?1 AND (start_ms, generation) IN (SELECT start_ms, generation \
                     FROM blocks WHERE machine = ?1 AND start_ms < ?2 ORDER BY start_ms LIMIT ?3)",
                )?
                .execute(params![machine, samples_before, STEP_ROWS])?;
            self.unfilled_rows += self
                .connection
                .prepare_cached(
                    "DELETE FROM log_lines WHERE machine = ?1 AND (at_ms, id) IN (SELECT at_ms, id \
                     FROM log_lines WHERE machine = ?1 AND at_ms < ?2 ORDER BY at_ms LIMIT ?3)",
                )?
                .execute(params![machine, lines_before, STEP_ROWS])?;
        }
        self.connection.execute_batch("COMMIT")?;
        self.looked_at = last;
        let size = self.size()?;
        self.shared.memory.lock().counts.size_bytes = size;
        if last == count {
            self.looked_at = 0;
            self.adjust(size);
        }
        Ok(())
    }

    /// Once a round: shortens ages while the file is too large, lengthens them again when there is room.
    fn adjust(&mut self, size: u64) {
        if size > self.options.size_max_bytes {
            if self.squeeze >= 1.0 {
                tracing::warn!(
                    size,
                    "telemetry is larger than it may be: older samples and lines go early"
                );
            }
            self.squeeze = (self.squeeze * SQUEEZE).max(SQUEEZE_MIN);
        } else if (size as f64) < self.options.size_max_bytes as f64 * RELAXED {
            self.squeeze = (self.squeeze / SQUEEZE).min(1.0);
        }
    }

    fn cutoff(&self, now: Timestamp, age: Duration) -> i64 {
        let age_ms = age.as_millis() as f64 * self.squeeze;
        now.as_millis().saturating_sub(age_ms as i64)
    }

    fn size(&self) -> rusqlite::Result<u64> {
        let pragma = |name: &str| {
            let sql = format!("PRAGMA {name}");
            self.connection.query_row(&sql, [], |row| row.get::<_, i64>(0))
        };
        let pages = pragma("page_count")? - pragma("freelist_count")?;
        Ok((pages * pragma("page_size")?).max(0) as u64)
    }

    fn backfill_if_due(&mut self) {
        if self.unfilled_rows < BACKFILL_EVERY_ROWS {
            return;
        }
        match backfill(&self.connection, Backfill::Passive) {
            Ok(()) => self.unfilled_rows = 0,
            Err(error) => {
                tracing::warn!(%error, "the write-ahead log of the telemetry cannot be copied back");
            }
        }
    }

    fn roll_back(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::warn!(%error, "a failed write of telemetry cannot be undone");
        }
    }
}

/// Cuts samples that are sorted by time into pieces of at most one minute.
fn spans(mut rest: &mut [Stored]) -> impl Iterator<Item = &mut [Stored]> {
    std::iter::from_fn(move || {
        let start = rest.first()?.at;
        let length = rest.partition_point(|sample| sample.at - start <= BLOCK_SPAN_MAX_MS);
        let (block, after) = std::mem::take(&mut rest).split_at_mut(length);
        rest = after;
        Some(block)
    })
}
