//! What recording costs on this machine: its processor, its disk.
//!
//! So many messages a second are said on a bus, a tenth readings of the hardware, the rest measured motion, to the node that records, as
//! on a real machine with threads of its own. What its two threads took of a core is read from `/proc/self/task`; what the speaker
//! itself takes is not in it.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_model::state::{Disk, Resources, StatePatch};
use muster_runtime::{Clock, Shutdown};
use serde::Serialize;

use super::stop::MeasureError;
use crate::bus::Bus;
use crate::message::{MotionReading, Payload, Source};
use crate::nodes::recorder::{self, Desk, Setup};
use crate::recording::{About, folder};
use crate::supervisor::{self, Placement, RestartPolicy, Supervisor};

/// How often the speaker speaks.
const TURNS_PER_S: u64 = 100;
/// The threads that record, by their names.
const THREADS: [&str; 2] = ["recorder", "node-recorder"];

/// What is measured.
#[derive(Clone, Debug)]
pub struct Options {
    /// Messages a second.
    pub rate: u64,
    /// For how long.
    pub seconds: u64,
    /// Where a directory for the recordings is made, and removed afterwards.
    pub beside: PathBuf,
}

/// What recording took.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Messages a second that were said.
    pub messages_per_s: f64,
    /// All of them.
    pub messages: u64,
    /// Of them not recorded.
    pub dropped: u64,
    /// Processor time of the two threads, as a share of a core.
    pub cpu_percent: f64,
    /// Bytes a second that came to the disk.
    pub bytes_per_s: f64,
    /// Bytes of a message there.
    pub bytes_per_message: f64,
}

/// Measures. There must be a runtime with a timer.
pub async fn run(options: &Options) -> Result<Report, MeasureError> {
    let directory = options
        .beside
        .join(format!("measure-recorder-{}", std::process::id()));
    let clock = Clock::start();
    let (bus, desk, shutdown) = (Bus::new(clock), Desk::default(), Shutdown::new());
    let setup = Setup {
        options: crate::recording::Options::new(&directory),
        about: About::default(),
        desk: desk.clone(),
    };
    let supervised = supervisor::Options {
        placement: Placement::Threads,
        policy: RestartPolicy::default(),
    };
    let nodes = vec![recorder::spec(Arc::new(setup))];
    let supervisor = Supervisor::new(supervised, bus.clone(), clock, nodes);
    let speaking = async {
        let said = speak(&bus, options).await;
        let recorder = desk.recorder();
        let status = recorder.map(|recorder| recorder.status()).unwrap_or_default();
        shutdown.request("measured");
        (said, status)
    };
    let (ended, (said, status)) = tokio::join!(supervisor.run(shutdown.clone()), speaking);
    let written = folder::list(&directory).map(|all| all.iter().map(|entry| entry.bytes).sum::<u64>());
    // What cannot be removed lies in a directory for such things.
    let _ = fs::remove_dir_all(&directory);
    if let Some(why) = status.paused {
        return Err(MeasureError::Unsuitable(format!("nothing was recorded: {why}")));
    }
    ended.map_err(|error| MeasureError::Unsuitable(error.to_string()))?;
    let bytes = written.map_err(|error| MeasureError::Unsuitable(error.to_string()))? as f64;
    Ok(Report {
        messages_per_s: said.messages as f64 / said.took_s,
        messages: said.messages,
        dropped: status.dropped,
        cpu_percent: 100.0 * said.processor_s / said.took_s,
        bytes_per_s: bytes / said.took_s,
        bytes_per_message: bytes / said.messages.max(1) as f64,
    })
}

struct Said {
    messages: u64,
    took_s: f64,
    processor_s: f64,
}

async fn speak(bus: &Bus, options: &Options) -> Said {
    let (began, before) = (Instant::now(), processor_s());
    let mut messages = 0;
    for turn in 1..=options.seconds * TURNS_PER_S {
        while messages < turn * options.rate / TURNS_PER_S {
            bus.publish(payload(messages));
            messages += 1;
        }
        let due = Duration::from_millis(turn * 1_000 / TURNS_PER_S);
        tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
    }
    Said {
        messages,
        took_s: began.elapsed().as_secs_f64(),
        processor_s: processor_s() - before,
    }
}

/// Like what a machine says: every tenth message is a reading of its hardware.
fn payload(number: u64) -> Payload {
    if number.is_multiple_of(10) {
        let resources = Resources {
            cpu_percent: (number % 97) as f64,
            load_1m: 0.7,
            memory_used_bytes: 1_000_000_000 + number * 4_096,
            memory_percent: 27.3,
            disks: vec![Disk {
                mount: "/".to_owned(),
                size_bytes: 32_000_000_000,
                used_bytes: 12_000_000_000 + number,
                used_percent: 37.5,
            }],
        };
        let patch = StatePatch {
            resources: Some(Some(Arc::new(resources))),
            ..StatePatch::default()
        };
        return Payload::Sections(Source::Measured, Box::new(patch));
    }
    Payload::Motion(MotionReading {
        place: (number % 4) as usize,
        value: (number as f64 / 100.0).sin(),
        at_us: number * 1_000,
    })
}

/// Processor time of the threads that record, in seconds.
fn processor_s() -> f64 {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let ticks = tasks.filter_map(|task| {
        let name = fs::read_to_string(task.path().join("comm")).ok()?;
        let stat = THREADS
            .contains(&name.trim())
            .then(|| fs::read_to_string(task.path().join("stat")).ok())??;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        // Behind the name: state is the first, utime and stime the 12th and 13th. Source: proc_pid_stat(5).
        Some(fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?)
    });
    ticks.sum::<f64>() / rustix::param::clock_ticks_per_second() as f64
}
