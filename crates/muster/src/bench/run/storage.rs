//! What a machine leaves on the server's disk.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use muster_model::{LogPosition, Timestamp};
use muster_store::{DataDirectory, EventLog, LogError, LogOptions, SqliteLog};

use super::super::context::Context;
use super::super::error::{BenchError, Result};
use super::super::process::Program;
use super::super::report::Figure;
use super::super::servers::{Setup, Subject, Target};

/// Simulated machines, how long they settle, and how long they are watched.
const RUN: (usize, Duration, Duration) = (600, Duration::from_secs(60), Duration::from_secs(120));
/// The same with `--quick`.
const RUN_QUICK: (usize, Duration, Duration) = (50, Duration::from_secs(1), Duration::from_secs(2));
/// A month, in seconds.
const MONTH_S: f64 = 30.0 * 86_400.0;
/// Checkpoints that stay of a month: one an hour.
const SNAPSHOTS_A_MONTH: f64 = 30.0 * 24.0;

pub(in crate::bench) const METHOD: &str = "600 simulated machines (`muster sim connect`: the whole runtime on simulated hardware that \
    drives, drains and charges) run for 60 s to settle and 120 s more; then the server ends in order, and its log is packed as \
    a server packs what is 20,000 entries old. A month is: the entries of a machine in those 120 s, times what a packed entry of theirs takes (in whole pages \
    of the file), for 30 days; and one snapshot an hour, which is what stays of a month. It holds for machines that always move as these \
    do and stay connected. Not in it, because it does not grow: the newest 20,000 entries of the fleet, which are not packed, the snapshots of the last day \
    (one in ten minutes), and measurements (telemetry.db: 24 h, at most 4 GiB for the whole fleet).";

pub(in crate::bench) fn run(context: &mut Context) -> Result<()> {
    let (machines, settle, time) = if context.plan.quick { RUN_QUICK } else { RUN };
    let target = Target::start(context, Subject::Muster, &Setup::default())?;
    let directory = context.fresh_directory("sim")?;
    let own = std::env::current_exe().map_err(BenchError::system("this executable cannot be found"))?;
    let server = format!("ws://{}", target.address);
    let count = machines.to_string();
    let arguments = [
        "sim",
        "connect",
        "--log-level",
        "error",
        "--machines",
        &count,
        "--server",
        &server,
        "--data",
    ];
    let mut arguments: Vec<_> = arguments.map(Into::into).to_vec();
    arguments.push(directory.join("data").into());
    context.progress.step(&format!(
        "{machines} simulated machines settle for {} s",
        settle.as_secs()
    ));
    let core = context
        .cores
        .load
        .first()
        .copied()
        .unwrap_or(context.cores.server);
    let mut simulated = Program::start("sim", core, &directory, &own, &arguments)?;
    context.pause(settle)?;
    context
        .progress
        .step(&format!("{machines} simulated machines for {} s", time.as_secs()));
    let first = now();
    context.pause(time)?;
    let last = now();
    simulated.check()?;
    simulated.kill();
    let data = target.directory.join("data");
    target.program.end()?;
    let mut options = LogOptions::default();
    if context.plan.quick {
        // So few entries fill no whole block.
        options.block_rows = 16;
    }
    let kept = Kept::read(&data, options, first, last)?;
    if kept.watched == 0 {
        return Err(BenchError::Load("the machines made no entry at all".to_owned()));
    }
    let per_machine_s =
        kept.watched as f64 / machines as f64 / (last.as_millis() - first.as_millis()) as f64 * 1e3;
    let month = per_machine_s * kept.packed_bytes * MONTH_S + SNAPSHOTS_A_MONTH * kept.snapshot_bytes;
    let figure =
        |key: &str, what: &str, value, unit| Figure::new(key, Subject::Muster, what, value, unit, METHOD);
    context.report.add(figure(
        "storage.plain",
        "an entry of the log on disk when it is new",
        kept.plain_bytes,
        "B",
    ));
    context.report.add(figure(
        "storage.entry",
        "an entry of the log on disk when it is packed",
        kept.packed_bytes,
        "B",
    ));
    context.report.add(figure(
        "storage.snapshot",
        "a snapshot of a machine",
        kept.snapshot_bytes,
        "B",
    ));
    context.report.add(figure(
        "storage.entries",
        "entries of a machine in a day",
        per_machine_s * 86_400.0,
        "",
    ));
    context.report.add(
        figure(
            "storage.month",
            "a machine in a month (extrapolated)",
            month / 1e6,
            "MB",
        )
        .at_most(5.0),
    );
    context.remove(&directory);
    context.remove(&data);
    Ok(())
}

fn now() -> Timestamp {
    Timestamp::from_millis(UNIX_EPOCH.elapsed().unwrap_or_default().as_millis() as i64)
}

/// What the server kept.
struct Kept {
    /// Bytes on disk of an entry that is new.
    plain_bytes: f64,
    /// Those of one that is packed.
    packed_bytes: f64,
    /// Those of a snapshot.
    snapshot_bytes: f64,
    /// Entries of the time that was watched.
    watched: u64,
}

impl Kept {
    /// Reads the log of a server that has ended, and packs it.
    fn read(data: &Path, options: LogOptions, first: Timestamp, last: Timestamp) -> Result<Self> {
        let failed = |error: &dyn std::error::Error| {
            BenchError::Load(format!(
                "the log cannot be read: {}",
                muster_runtime::errors::chain(error)
            ))
        };
        let directory = DataDirectory::open(data).map_err(|error| failed(&error))?;
        let log = SqliteLog::open(&directory, options).map_err(|error| failed(&error))?;
        let file = std::fs::metadata(log.path()).map_err(|source| BenchError::File {
            path: log.path().to_owned(),
            done: "read",
            source,
        })?;
        let measure = || -> std::result::Result<Self, LogError> {
            let (before, end) = (log.position_at(first)?, log.position_at(last)?);
            let snapshots = log.usage()?;
            // What machines tell when they come is much and comes once: it is packed apart.
            while log.pack_next(before.next())?.is_some() {}
            let settled = log.usage()?;
            while log.pack_next(LogPosition(u64::MAX))?.is_some() {}
            let all = log.usage()?;
            let packed = (all.packed_events - settled.packed_events).max(1);
            Ok(Self {
                plain_bytes: file.len().saturating_sub(snapshots.snapshot_bytes) as f64
                    / log.head().0.max(1) as f64,
                packed_bytes: (all.packed_bytes - settled.packed_bytes) as f64 / packed as f64,
                snapshot_bytes: snapshots.snapshot_bytes as f64 / snapshots.snapshots.max(1) as f64,
                watched: end.0 - before.0,
            })
        };
        let kept = measure().map_err(|error| failed(&error));
        log.close();
        kept
    }
}
