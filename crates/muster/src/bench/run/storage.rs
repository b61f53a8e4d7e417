//! What a machine leaves on the server's disk.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use muster_model::{LogPosition, Timestamp};
use muster_store::{DataDirectory, EventLog, LogOptions, SqliteLog};

use super::super::context::Context;
use super::super::error::{BenchError, Result};
use super::super::process::Program;
use super::super::report::Figure;
use super::super::servers::{Setup, Subject, Target};

/// Simulated machines, how long they settle, and how long they are watched.
const RUN: (usize, Duration, Duration) = (200, Duration::from_secs(30), Duration::from_secs(60));
/// The same with `--quick`.
const RUN_QUICK: (usize, Duration, Duration) = (10, Duration::from_secs(1), Duration::from_secs(1));
/// A month, in seconds.
const MONTH_S: f64 = 30.0 * 86_400.0;

pub(in crate::bench) const METHOD: &str = "200 simulated machines (`muster sim connect`: the whole runtime on simulated hardware that \
    drives, drains and charges) run for 30 s to settle and 60 s more; then the server ends in order. Entries of a machine in those \
    60 s, times what an entry takes on disk (log.db, snapshots and all, divided by the entries in it), times the seconds of 30 \
    days. Snapshots come with every checkpoint, here \
    and in a month: one a minute. It is an extrapolation from a minute: it holds for machines that always move as these do and stay connected. \
    Measurements (telemetry.db) are not in it: they are kept for 24 h and at most 4 GiB for the whole fleet.";

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
    let kept = Kept::read(&data, first, last)?;
    if kept.watched == 0 {
        return Err(BenchError::Load("the machines made no entry at all".to_owned()));
    }
    let entry_bytes = kept.bytes as f64 / kept.entries as f64;
    let per_machine_s =
        kept.watched as f64 / machines as f64 / (last.as_millis() - first.as_millis()) as f64 * 1e3;
    let month_mb = per_machine_s * entry_bytes * MONTH_S / 1e6;
    let figure =
        |key: &str, what: &str, value, unit| Figure::new(key, Subject::Muster, what, value, unit, METHOD);
    context.report.add(figure(
        "storage.entry",
        "an entry of the log on disk",
        entry_bytes,
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
            month_mb,
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
    /// Size of the log.
    bytes: u64,
    /// Entries in it.
    entries: u64,
    /// Those of the time that was watched.
    watched: u64,
}

impl Kept {
    /// Reads the log of a server that has ended.
    fn read(data: &Path, first: Timestamp, last: Timestamp) -> Result<Self> {
        let failed = |error: &dyn std::error::Error| {
            BenchError::Load(format!(
                "the log cannot be read: {}",
                muster_runtime::errors::chain(error)
            ))
        };
        let directory = DataDirectory::open(data).map_err(|error| failed(&error))?;
        let log = SqliteLog::open(&directory, LogOptions::default()).map_err(|error| failed(&error))?;
        let bytes = std::fs::metadata(log.path()).map_err(|source| BenchError::File {
            path: log.path().to_owned(),
            done: "read",
            source,
        })?;
        let (head, mut watched) = (log.head(), 0);
        log.scan(LogPosition(1), head, &mut |event| {
            if event.recorded_at >= first && event.recorded_at < last {
                watched += 1;
            }
            ControlFlow::Continue(())
        })
        .map_err(|error| failed(&error))?;
        log.close();
        Ok(Self {
            bytes: bytes.len(),
            entries: head.0,
            watched,
        })
    }
}
