//! What becomes of the hardware and of presses when one node ends and the next begins.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use muster_metal::{Equipment, MetalError, Protection, Signals};
use muster_model::MachineId;
use muster_model::vocabulary::{Contact, Safety as Region};
use muster_reflex::safety::config::Start;
use muster_runtime::Clock;

use super::bench::Bench as LoopBench;
use super::turns::{Told, Turns};
use super::{LoopClock, Parts, Press, Setup};
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
            actuators: [None; 8],
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
    setup: Arc<Setup>,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let drive = Drive::default();
        let options = SafetyOptions {
            start: Start::Automatic,
            after_power_cut: Start::Automatic,
            ..SafetyOptions::default()
        };
        let setup = Setup {
            machine_id: MachineId::from_uuid(uuid::Uuid::from_u128(1)),
            store: Store::open(directory.path(), StoreOptions::default()).unwrap(),
            parts: Arc::new(Parts::new(options, Some(Box::new(drive.clone())))),
            threaded: false,
            time: LoopClock::Process(Clock::start()),
            actuators: Vec::new(),
            calibrations: tokio::sync::watch::channel(Arc::default()).1,
            read_every: Duration::from_secs(1),
        };
        Self {
            _directory: directory,
            drive,
            setup: Arc::new(setup),
        }
    }

    fn powered(&self) -> bool {
        self.drive.powered.load(Ordering::Relaxed)
    }
}

/// Turns until the machine moves, with a disk that is quick.
fn run(turns: &mut Turns, from_ms: u64) -> Region {
    let mut told = Told::default();
    // A disk that has everything already.
    told.sample.kept = u64::MAX;
    let turned = (from_ms..from_ms + 5).map(|ms| turns.turn(1_000 * ms, &told).verdict.region);
    turned.last().unwrap()
}

#[tokio::test]
async fn a_node_that_ends_leaves_no_power_behind_and_the_next_one_goes_on() {
    let bench = Bench::new();
    let mut turns = Turns::new(&bench.setup.parts, None).unwrap();
    assert_eq!(run(&mut turns, 10), Region::Operational);
    assert!(bench.powered());
    drop(turns);
    assert!(!bench.powered(), "also if it ended by a panic");
    let mut next = Turns::new(&bench.setup.parts, None).unwrap();
    assert_eq!(run(&mut next, 20), Region::Operational);
    assert!(bench.powered());
}

/// Hardware that can be made to hang, and that counts how often it was read.
#[derive(Clone, Default)]
struct Stubborn {
    drive: Drive,
    hangs: Arc<AtomicBool>,
    read: Arc<AtomicU32>,
}

impl Protection for Stubborn {
    fn equipment(&self) -> Equipment {
        self.drive.equipment()
    }

    fn read(&mut self, now: Duration) -> Signals {
        self.read.fetch_add(1, Ordering::Relaxed);
        while self.hangs.load(Ordering::Relaxed) {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        self.drive.read(now)
    }

    fn set_enable(&mut self, on: bool) -> Result<(), MetalError> {
        self.drive.set_enable(on)
    }
}

#[test]
fn a_loop_on_a_thread_turns_by_itself_and_takes_the_power_when_it_ends() {
    let hardware = Stubborn::default();
    let mut bench = LoopBench::start(Box::new(hardware.clone())).unwrap();
    assert!(bench.bring_to_move(Duration::from_secs(10)).unwrap());
    assert!(hardware.drive.powered.load(Ordering::Relaxed));
    let turns = hardware.read.load(Ordering::Relaxed);
    let began = std::time::Instant::now();
    while hardware.read.load(Ordering::Relaxed) < turns + 20 {
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "nobody tells it to, and it turns"
        );
        std::thread::park_timeout(Duration::from_millis(1));
    }
    drop(bench);
    assert!(!hardware.drive.powered.load(Ordering::Relaxed));
}

/// Hardware whose waker is gone: a chip that was pulled out.
struct PulledOut {
    hardware: Stubborn,
    waker: std::os::unix::net::UnixStream,
}

impl Protection for PulledOut {
    fn equipment(&self) -> Equipment {
        self.hardware.equipment()
    }

    fn read(&mut self, now: Duration) -> Signals {
        self.hardware.read(now)
    }

    fn set_enable(&mut self, on: bool) -> Result<(), MetalError> {
        self.hardware.set_enable(on)
    }

    fn wakers(&self) -> Vec<std::os::fd::BorrowedFd<'_>> {
        vec![std::os::fd::AsFd::as_fd(&self.waker)]
    }
}

#[test]
fn a_chip_that_was_pulled_out_does_not_keep_the_loop_busy() {
    let hardware = Stubborn::default();
    let (waker, other_end) = std::os::unix::net::UnixStream::pair().unwrap();
    drop(other_end);
    let pulled_out = PulledOut {
        hardware: hardware.clone(),
        waker,
    };
    let _bench = LoopBench::start(Box::new(pulled_out)).unwrap();
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_millis(300) {
        std::thread::park_timeout(Duration::from_millis(50));
    }
    // Its period is a millisecond; one that spins turns many thousand times.
    let turns = hardware.read.load(Ordering::Relaxed);
    let most = u32::try_from(began.elapsed().as_millis()).unwrap() + 10;
    assert!(turns <= most, "{turns} turns, {most} at most");
}

#[test]
fn a_loop_that_hangs_is_noticed_and_nobody_takes_over() {
    let hardware = Stubborn::default();
    let mut bench = LoopBench::start(Box::new(hardware.clone())).unwrap();
    assert!(bench.bring_to_move(Duration::from_secs(10)).unwrap());
    hardware.hangs.store(true, Ordering::Relaxed);
    let began = std::time::Instant::now();
    let noticed = loop {
        match bench.look() {
            Ok(_) => assert!(began.elapsed() < Duration::from_secs(10), "it was not noticed"),
            Err(error) => break error.to_string(),
        }
        std::thread::park_timeout(Duration::from_millis(10));
    };
    assert!(noticed.contains("did not turn"), "{noticed}");
    let refused = bench.take_over().unwrap_err().to_string();
    assert!(refused.contains("still held"), "{refused}");
    hardware.hangs.store(false, Ordering::Relaxed);
}

#[test]
fn a_turn_allocates_nothing() {
    let hardware = Drive::default();
    let options = SafetyOptions {
        start: Start::Automatic,
        after_power_cut: Start::Automatic,
        ..SafetyOptions::default()
    };
    let parts = Arc::new(Parts::new(options, Some(Box::new(hardware.clone()))));
    let mut turns = Turns::new(&parts, None).unwrap();
    let mut told = Told::default();
    told.sample.kept = u64::MAX;
    let mut regions = [Region::Init; 40];
    let allocated = allocation_counter::measure(|| {
        for (ms, region) in regions.iter_mut().enumerate() {
            if ms == 20 {
                parts.panel.presses().press(Press::Estop);
            }
            *region = turns.turn(1_000 * ms as u64, &told).verdict.region;
        }
    });
    assert_eq!(
        (regions[19], regions[20]),
        (Region::Operational, Region::EstopLatched)
    );
    assert_eq!(allocated.count_total, 0, "{allocated:?}");
    let seen = allocation_counter::measure(|| drop(std::hint::black_box(vec![1_u8])));
    assert_eq!(seen.count_total, 1, "what allocates is seen");
}

#[tokio::test]
async fn no_node_takes_over_while_the_one_before_has_the_hardware() {
    let bench = Bench::new();
    let hangs = Turns::new(&bench.setup.parts, None).unwrap();
    let refused = Turns::new(&bench.setup.parts, None).err().unwrap().to_string();
    assert!(refused.contains("still held"), "{refused}");
    drop(hangs);
    assert!(Turns::new(&bench.setup.parts, None).is_ok());
}

#[tokio::test]
async fn a_stop_that_nobody_was_there_to_hear_is_heard_by_the_next_and_a_resume_is_not() {
    let bench = Bench::new();
    let mut turns = Turns::new(&bench.setup.parts, None).unwrap();
    run(&mut turns, 10);
    drop(turns);
    bench.setup.parts.panel.presses().press(Press::Estop);
    bench.setup.parts.panel.presses().press(Press::Reset);
    bench.setup.parts.panel.presses().press(Press::Resume);
    let mut next = Turns::new(&bench.setup.parts, None).unwrap();
    assert_eq!(run(&mut next, 20), Region::EstopLatched);
    assert!(!bench.powered());
}

#[tokio::test]
async fn a_relay_that_does_not_switch_is_a_fault() {
    let bench = Bench::new();
    let mut turns = Turns::new(&bench.setup.parts, None).unwrap();
    run(&mut turns, 10);
    bench.drive.sticks.store(true, Ordering::Relaxed);
    assert_eq!(run(&mut turns, 15), Region::FaultLatched);
}
