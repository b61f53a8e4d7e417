//! What becomes of the hardware and of presses when one node ends and the next begins.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use muster_metal::{Equipment, MetalError, Protection, Signals};
use muster_model::MachineId;
use muster_model::vocabulary::{Contact, Safety as Region};
use muster_reflex::safety::config::Start;
use parking_lot::Mutex;

use super::turns::Turns;
use super::{Home, Panel, Press, Setup};
use crate::options::SafetyOptions;
use crate::store::{Store, StoreOptions};

/// A drive that says whether it has power, and whose relay can stick.
#[derive(Clone, Default)]
struct Drive {
    powered: Arc<AtomicBool>,
    sticks: Arc<AtomicBool>,
}

impl Protection for Drive {
    fn equipment(&self) -> Equipment {
        Equipment {
            estop_circuit: true,
            tamper_circuit: false,
            speed_max_m_per_s: None,
            period: Duration::from_millis(1),
            actuators: Default::default(),
        }
    }

    fn read(&mut self, _: Duration) -> Signals {
        Signals {
            estop: Contact::Closed,
            tamper: Contact::Unknown,
            speed_m_per_s: None,
        }
    }

    fn set_enable(&mut self, on: bool) -> Result<(), MetalError> {
        if self.sticks.load(Ordering::Relaxed) {
            return Err(MetalError::Silent { sensor: "relay" });
        }
        self.powered.store(on, Ordering::Relaxed);
        Ok(())
    }
}

struct Bench {
    _directory: tempfile::TempDir,
    drive: Drive,
    setup: Setup,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let drive = Drive::default();
        let setup = Setup {
            machine_id: MachineId::from_uuid(uuid::Uuid::from_u128(1)),
            store: Store::open(directory.path(), StoreOptions::default()).unwrap(),
            options: SafetyOptions {
                start: Start::Automatic,
                after_power_cut: Start::Automatic,
                ..SafetyOptions::default()
            },
            panel: Panel::default(),
            protection: Home::new(Some(Box::new(drive.clone()))),
            heard: Mutex::default(),
        };
        Self {
            _directory: directory,
            drive,
            setup,
        }
    }

    fn powered(&self) -> bool {
        self.drive.powered.load(Ordering::Relaxed)
    }
}

/// Turns until the machine moves, with a disk that is quick.
fn run(turns: &mut Turns<'_>, setup: &Setup, from_ms: u64) -> Region {
    let mut region = Region::Init;
    for ms in from_ms..from_ms + 5 {
        turns.sample.asks = setup.panel.presses.counted();
        let verdict = turns.turn(Duration::from_millis(ms));
        turns.sample.kept = verdict.keep.number;
        *setup.heard.lock() = turns.sample.asks;
        region = verdict.region;
    }
    region
}

#[tokio::test]
async fn a_node_that_ends_leaves_no_power_behind_and_the_next_one_goes_on() {
    let bench = Bench::new();
    let mut turns = Turns::new(&bench.setup, None).unwrap();
    assert_eq!(run(&mut turns, &bench.setup, 10), Region::Operational);
    assert!(bench.powered());
    drop(turns);
    assert!(!bench.powered(), "also if it ended by a panic");
    let mut next = Turns::new(&bench.setup, None).unwrap();
    assert_eq!(run(&mut next, &bench.setup, 20), Region::Operational);
    assert!(bench.powered());
}

#[tokio::test]
async fn no_node_takes_over_while_the_one_before_has_the_hardware() {
    let bench = Bench::new();
    let hangs = Turns::new(&bench.setup, None).unwrap();
    let refused = Turns::new(&bench.setup, None).err().unwrap().to_string();
    assert!(refused.contains("still held"), "{refused}");
    drop(hangs);
    assert!(Turns::new(&bench.setup, None).is_ok());
}

#[tokio::test]
async fn a_stop_that_nobody_was_there_to_hear_is_heard_by_the_next_and_a_resume_is_not() {
    let bench = Bench::new();
    let mut turns = Turns::new(&bench.setup, None).unwrap();
    run(&mut turns, &bench.setup, 10);
    drop(turns);
    bench.setup.panel.presses().press(Press::Estop);
    bench.setup.panel.presses().press(Press::Reset);
    bench.setup.panel.presses().press(Press::Resume);
    let mut next = Turns::new(&bench.setup, None).unwrap();
    assert_eq!(run(&mut next, &bench.setup, 20), Region::EstopLatched);
    assert!(!bench.powered());
}

#[tokio::test]
async fn a_relay_that_does_not_switch_is_a_fault() {
    let bench = Bench::new();
    let mut turns = Turns::new(&bench.setup, None).unwrap();
    run(&mut turns, &bench.setup, 10);
    bench.drive.sticks.store(true, Ordering::Relaxed);
    assert_eq!(run(&mut turns, &bench.setup, 15), Region::FaultLatched);
}
