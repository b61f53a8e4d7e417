//! Measures what recording costs: `measure_recorder [MESSAGES_PER_S] [SECONDS]`.
//!
//! Says so many messages a second on a bus – a tenth readings of the hardware, the rest measured motion – to the node that
//! records, as on a real machine with threads of its own, and prints what its two threads took of a core, by
//! `/proc/self/task`, and what came to the disk. What the speaker itself takes is not in it.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_machine::bus::Bus;
use muster_machine::message::{MotionReading, Payload, Source};
use muster_machine::nodes::recorder::{self, Desk, Setup};
use muster_machine::recording::{About, Options, folder};
use muster_machine::supervisor::{self, Placement, RestartPolicy, Supervisor};
use muster_model::state::{Disk, Resources, StatePatch};
use muster_runtime::{Clock, Shutdown};

/// Clock ticks of a second in `/proc`.
const TICKS_PER_S: f64 = 100.0;
/// How often the speaker speaks.
const TURNS_PER_S: u64 = 100;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .map(|text| text.parse::<u64>().expect("a number"));
    let rate = arguments.next().unwrap_or(1_000);
    let seconds = arguments.next().unwrap_or(20);
    let directory = std::env::temp_dir().join(format!("measure-recorder-{}", std::process::id()));
    let clock = Clock::start();
    let bus = Bus::new(clock);
    let desk = Desk::default();
    let setup = Setup {
        options: Options {
            reserve_bytes: 0,
            ..Options::new(&directory)
        },
        about: About::default(),
        desk: desk.clone(),
    };
    let supervised = supervisor::Options {
        placement: Placement::Threads,
        policy: RestartPolicy::default(),
    };
    let nodes = vec![recorder::spec(Arc::new(setup))];
    let supervisor = Supervisor::new(supervised, bus.clone(), clock, nodes);
    let shutdown = Shutdown::new();
    let speaking = async {
        let began = Instant::now();
        let before = processor_s();
        let mut said = 0;
        for turn in 0..seconds * TURNS_PER_S {
            while said < (turn + 1) * rate / TURNS_PER_S {
                bus.publish(payload(said));
                said += 1;
            }
            let due = Duration::from_millis((turn + 1) * 1_000 / TURNS_PER_S);
            tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
        }
        let took = began.elapsed().as_secs_f64();
        let processor = processor_s() - before;
        let status = desk
            .recorder()
            .map(|recorder| recorder.status())
            .unwrap_or_default();
        shutdown.request("measured");
        (said, took, processor, status)
    };
    let (ended, (said, took, processor, status)) = tokio::join!(supervisor.run(shutdown.clone()), speaking);
    ended.expect("the nodes end in order");
    let bytes: u64 = folder::list(&directory)
        .expect("recordings")
        .iter()
        .map(|entry| entry.bytes)
        .sum();
    println!(
        "messages    {:.0}/s, {said} in all, {} not recorded",
        said as f64 / took,
        status.dropped
    );
    println!("processor   {:.2} % of a core", 100.0 * processor / took);
    println!(
        "disk        {:.1} kB/s, {:.0} bytes a message",
        bytes as f64 / took / 1e3,
        bytes as f64 / said as f64
    );
    let _ = fs::remove_dir_all(&directory);
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
        if !matches!(name.trim(), "recorder" | "node-recorder") {
            return None;
        }
        let stat = fs::read_to_string(task.path().join("stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        // Behind the name: state is the first, utime and stime the 12th and 13th.
        Some(fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?)
    });
    ticks.sum::<f64>() / TICKS_PER_S
}
