//! Recent telemetry and log lines: much of it, for a while, and not worth a wait.
//!
//! Begin with [`Telemetry`]. Taking in is a short lock and never a disk; a thread of its own writes every five seconds.
//! A crash of the process loses what was not written yet (about five seconds), a power cut a few seconds more: that is
//! the price, and nothing that must not be lost belongs here. Queries see also what is not written yet.
//!
//! This module does not know what metrics mean, nor whether a machine may send them.

mod codec;
mod lines;
mod memory;
mod query;
mod writer;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use muster_model::{MachineId, Sample, Severity, Timestamp};
use parking_lot::{Condvar, Mutex};

use crate::directory::DataDirectory;
use crate::error::OpenError;
use crate::sqlite::{Readers, Synchronous, database, open_writer};
use memory::Memory;
use writer::Writer;

const FILE: &str = "telemetry.db";
const MIGRATIONS: &[&str] = &[include_str!("telemetry/schema_1.sql")];
/// Most points that a query gives for one metric.
const POINTS_MAX: usize = 10_000;
/// Most log lines that a query gives.
const LINES_MAX: usize = 10_000;

/// Tells what time it is; retention needs to know.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How telemetry is kept.
#[derive(Clone, Debug)]
pub struct TelemetryOptions {
    /// How often what came in is written.
    pub flush_interval: Duration,
    /// It is written earlier once there are so many samples.
    pub flush_samples: usize,
    /// Samples that may wait; more are dropped and counted.
    pub samples_max: usize,
    /// Bytes of log lines that may wait; more are dropped and counted.
    pub lines_max_bytes: usize,
    /// Different metrics (by name and unit) in the whole fleet; samples of more are dropped and counted.
    pub metrics_max: usize,
    /// Different metrics (by name and unit) of one machine; samples of more are dropped and counted, so that no machine
    /// takes the names of all others.
    pub metrics_per_machine_max: usize,
    /// How long samples are kept.
    pub samples_age: Duration,
    /// How long log lines are kept.
    pub lines_age: Duration,
    /// How large the file may grow, about: beyond that, ages shrink until it fits.
    pub size_max_bytes: u64,
    /// Connections for readers.
    pub readers: usize,
}

impl Default for TelemetryOptions {
    fn default() -> Self {
        Self {
            flush_interval: Duration::from_secs(5),
            flush_samples: 400_000,
            samples_max: 1_000_000,
            lines_max_bytes: 16 << 20,
            metrics_max: 10_000,
            metrics_per_machine_max: 512,
            samples_age: Duration::from_secs(24 * 3600),
            lines_age: Duration::from_secs(7 * 24 * 3600),
            size_max_bytes: 4 << 30,
            readers: 2,
        }
    }
}

/// One line of a machine's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When it was written, in server time.
    pub at: Timestamp,
    /// How much it matters.
    pub severity: Severity,
    /// Which part of the software wrote it.
    pub target: String,
    /// What it says.
    pub message: String,
    /// Details for programs, as JSON text.
    pub fields: Option<String>,
}

/// Which samples are wanted.
#[derive(Clone, Debug)]
pub struct TelemetryQuery {
    /// Of which metrics; empty for all that the machine has.
    pub metrics: Vec<String>,
    /// From when on (included).
    pub from: Timestamp,
    /// Until when (included).
    pub to: Timestamp,
    /// How many points for each metric, at most; more samples are gathered into as many buckets.
    pub points_max: usize,
}

/// One metric over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Which metric.
    pub metric: Arc<str>,
    /// Its unit, as given by the machine or as known for the metric.
    pub unit: Option<Arc<str>>,
    /// How long a bucket is, if samples were gathered; `None` where each point is a sample.
    pub bucket_ms: Option<u64>,
    /// In the order of time.
    pub points: Vec<Point>,
}

/// A sample, or a bucket of them. Samples of bad quality are in neither.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// When it was measured, or when the bucket begins.
    pub at: Timestamp,
    /// The smallest value.
    pub min: f64,
    /// The mean.
    pub avg: f64,
    /// The largest value.
    pub max: f64,
    /// How many samples.
    pub count: u32,
}

/// A metric that a machine has sent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MetricInfo {
    /// Its name.
    pub metric: Arc<str>,
    /// Its unit, as given by the machine or as known for the metric.
    pub unit: Option<Arc<str>>,
}

/// Which log lines are wanted. They come newest first.
#[derive(Clone, Debug)]
pub struct LogQuery {
    /// From when on (included).
    pub from: Timestamp,
    /// Until when (included).
    pub to: Timestamp,
    /// How much they must matter.
    pub severity_min: Severity,
    /// Of which part, named as in the line; all of them if none.
    pub target: Option<String>,
    /// Only lines before this one: where the page before ended.
    pub before: Option<LogCursor>,
    /// How many, at most.
    pub limit: usize,
}

/// Some log lines, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPage {
    /// The lines.
    pub lines: Vec<LogLine>,
    /// Where the next page goes on, if there is more.
    pub next: Option<LogCursor>,
}

/// A place among the log lines of a machine. As text it is meant for no one to look into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogCursor {
    at: i64,
    id: u64,
}

impl fmt::Display for LogCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.at, self.id)
    }
}

impl FromStr for LogCursor {
    type Err = TelemetryError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (at, id) = text.split_once('-')?;
            let at = i64::from_str_radix(at, 16).ok()?;
            let id = u64::from_str_radix(id, 16).ok()?;
            Some(Self { at, id })
        };
        // Only the form that is given out counts: no sign, no capitals, no zeros in front.
        let given_out = |cursor: &Self| cursor.to_string() == text;
        parse().filter(given_out).ok_or(TelemetryError::Cursor)
    }
}

/// Why telemetry cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// SQLite could not read.
    #[error("telemetry cannot be read")]
    Read {
        /// What it said.
        source: Arc<rusqlite::Error>,
    },
    /// A text that is no cursor.
    #[error("this is not a place in a log that was given out before")]
    Cursor,
}

impl TelemetryError {
    /// The stable code that the help pages use.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "MST-S050",
            Self::Cursor => "MST-S051",
        }
    }
}

impl From<rusqlite::Error> for TelemetryError {
    fn from(source: rusqlite::Error) -> Self {
        let source = Arc::new(source);
        Self::Read { source }
    }
}

/// Figures since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TelemetryStats {
    /// Samples that were taken in.
    pub samples: u64,
    /// Samples that were dropped, because too many waited or there were too many metrics.
    pub samples_dropped: u64,
    /// Those among them that were dropped because their machine, or the fleet, has too many metrics.
    pub samples_without_name: u64,
    /// Log lines that were taken in.
    pub lines: u64,
    /// Log lines that were dropped, because too many waited or one was too long.
    pub lines_dropped: u64,
    /// Samples that wait to be written.
    pub samples_waiting: u64,
    /// Writes that failed; what they held was dropped and is counted above.
    pub writes_failed: u64,
    /// Bytes in use in the file, as of the last write.
    pub size_bytes: u64,
}

/// Recent telemetry and log lines in `telemetry.db` of a data directory. Cheap to clone; the last clone closes it.
#[derive(Clone)]
pub struct Telemetry(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    readers: Readers,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    path: PathBuf,
    memory: Mutex<Memory>,
    /// Wakes the writer before its time.
    wake: Condvar,
}

impl Telemetry {
    /// Opens the file, creating it if there is none. Blocks shortly.
    pub fn open(directory: &DataDirectory, options: TelemetryOptions, now: Now) -> Result<Self, OpenError> {
        let path = directory.file(FILE);
        let connection = open_writer(&path, MIGRATIONS, Synchronous::Normal)?;
        let memory = Memory::load(&connection, &options).map_err(database(&path, "read"))?;
        let readers = Readers::open(&path, options.readers)?;
        let shared = Arc::new(Shared {
            path: path.clone(),
            memory: Mutex::new(memory),
            wake: Condvar::new(),
        });
        let writer =
            Writer::new(connection, Arc::clone(&shared), options, now).map_err(database(&path, "read"))?;
        let held = directory.clone();
        let thread = std::thread::Builder::new()
            .name("muster-telemetry".into())
            .spawn(move || {
                muster_runtime::priority::step_back(BEHIND);
                writer.run();
                drop(held);
            })
            .map_err(|source| OpenError::Thread { path, source })?;
        Ok(Self(Arc::new(Inner {
            shared,
            readers,
            thread: Mutex::new(Some(thread)),
        })))
    }

    /// Takes in samples of one machine. Never waits: what cannot be held is dropped and counted.
    pub fn append(&self, machine: MachineId, samples: impl IntoIterator<Item = Sample>) {
        let flush = self.0.shared.memory.lock().take_samples(machine, samples);
        if flush {
            self.0.shared.wake.notify_one();
        }
    }

    /// Takes in log lines of one machine. Never waits: what cannot be held is dropped and counted.
    pub fn append_logs(&self, machine: MachineId, lines: Vec<LogLine>) {
        self.0.shared.memory.lock().take_lines(machine, lines);
    }

    /// Samples of one machine over time, a series for each metric (and unit), by name. Blocks.
    pub fn query(&self, machine: MachineId, query: &TelemetryQuery) -> Result<Vec<Series>, TelemetryError> {
        query::samples(&self.0, machine, query)
    }

    /// The metrics that a machine has sent, by name. Blocks.
    pub fn metrics(&self, machine: MachineId) -> Result<Vec<MetricInfo>, TelemetryError> {
        query::metrics(&self.0, machine)
    }

    /// Log lines of one machine, newest first. Blocks.
    pub fn query_logs(&self, machine: MachineId, query: &LogQuery) -> Result<LogPage, TelemetryError> {
        lines::query(&self.0, machine, query)
    }

    /// Figures for metrics.
    pub fn stats(&self) -> TelemetryStats {
        self.0.shared.memory.lock().stats()
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.0.shared.path
    }

    /// Writes what waits, and ends the writer. Blocks until then; what comes later is dropped.
    pub fn close(&self) {
        self.0.close();
    }
}

impl Inner {
    fn close(&self) {
        self.shared.memory.lock().close();
        self.shared.wake.notify_one();
        let thread = self.thread.lock().take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes telemetry ended by a panic");
        }
    }
}

/// How far the thread that packs and writes measurements stands behind all others (`nice`): nobody waits for it.
const BEHIND: i32 = 10;

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}
