//! How long a local stop takes: from the edge of an input to the output that is off.
//!
//! The safety loop is the real one, on its thread, with its priority. Its input is an event of the kernel that a thread of the
//! measurement raises, or the emergency stop input of a machine file, which an output is wired to by hand. The clock is
//! `CLOCK_BOOTTIME` on both sides.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use muster_metal::wired::{Places, Wired};
use muster_metal::wiring::Wiring;
use muster_metal::{Equipment, MetalError, Protection, Signals};
use muster_model::vocabulary::Contact;
use muster_runtime::realtime::{Grants, boot_time};
use rustix::event::{EventfdFlags, eventfd};
use serde::Serialize;

use crate::nodes::safety::bench::Bench;

/// How long one stop may take before the measurement gives up.
const STOPS_WITHIN: Duration = Duration::from_secs(5);
/// Nothing the loop waits for takes longer than this.
const STARTS_WITHIN: Duration = Duration::from_secs(20);

/// What is measured.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many stops.
    pub rounds: u32,
    /// How many processes keep the processors busy meanwhile.
    pub load: u32,
    /// How often the loop looks; edges wake it in between.
    pub period: Duration,
    /// Whether the input wakes the loop. Without, it is found at the next period: as with an input that has no edges.
    pub edges: bool,
    /// A machine's own hardware, and the output of it that is wired to its emergency stop input.
    pub wired: Option<(Wiring, String)>,
}

/// What came of it. Times are in microseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// How many stops were measured.
    pub rounds: u32,
    /// Busy processes meanwhile.
    pub load: u32,
    /// How often the loop looked.
    pub period_us: u64,
    /// Whether edges woke it.
    pub edges: bool,
    /// What the system granted the loop.
    pub grants: String,
    /// The shortest.
    pub least_us: f64,
    /// Half took no longer.
    pub p50_us: f64,
    /// 99 of 100 took no longer.
    pub p99_us: f64,
    /// 999 of 1,000 took no longer.
    pub p999_us: f64,
    /// The longest.
    pub most_us: f64,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// The system refused something.
    #[error("{what} was refused")]
    System {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The machine file does not fit.
    #[error("{0}")]
    Unsuitable(String),
    /// The loop did not do what was waited for.
    #[error("after {measured} stops: {what}")]
    Stuck {
        /// How many were measured before.
        measured: u32,
        /// What was waited for.
        what: &'static str,
    },
}

/// Measures. `progress` hears how many stops were taken.
pub fn run(options: &Options, progress: impl FnMut(u32)) -> Result<Report, MeasureError> {
    let system = |what| move |source| MeasureError::System { what, source };
    let timing = Arc::new(Timing::default());
    let (protection, trigger) = hardware(options, &timing)?;
    let mut bench = Bench::start(protection).map_err(system("the safety loop"))?;
    let busy = Busy::start(options.load).map_err(system("a busy process"))?;
    // Who presses must not be held up between looking at the clock and pressing.
    let grants = Grants::ask();
    let measured = measure(options, &mut bench, &timing, trigger, progress);
    drop(busy);
    let mut times = measured?;
    times.sort_by(f64::total_cmp);
    let at = |share: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a place in a list"
        )]
        let place = ((times.len() as f64 * share).ceil() as usize).clamp(1, times.len());
        times[place - 1]
    };
    Ok(Report {
        rounds: options.rounds,
        load: options.load,
        period_us: u64::try_from(bench.period().as_micros()).unwrap_or(u64::MAX),
        edges: options.edges,
        grants: grants.to_string(),
        least_us: at(0.0),
        p50_us: at(0.5),
        p99_us: at(0.99),
        p999_us: at(0.999),
        most_us: at(1.0),
    })
}

fn measure(
    options: &Options,
    bench: &mut Bench,
    timing: &Timing,
    mut trigger: Trigger,
    mut progress: impl FnMut(u32),
) -> Result<Vec<f64>, MeasureError> {
    let mut times = Vec::new();
    let stuck = |measured: usize, what| MeasureError::Stuck {
        measured: u32::try_from(measured).unwrap_or(u32::MAX),
        what,
    };
    for round in 0..options.rounds {
        trigger.set(true)?;
        let moves = bench.bring_to_move(STARTS_WITHIN);
        if !moves.map_err(|source| MeasureError::System {
            what: "the safety loop",
            source,
        })? {
            return Err(stuck(
                times.len(),
                "the machine was not let go on after a reset and a resume",
            ));
        }
        // Not in step with the loop: a little later each time.
        let pause = Duration::from_micros(1_000 + u64::from(round).wrapping_mul(617) % 9_000);
        let until = boot_time() + pause;
        while boot_time() < until {
            std::thread::park_timeout(until.saturating_sub(boot_time()));
        }
        let stops = timing.stops.load(Ordering::Acquire);
        let pressed = boot_time();
        trigger.set(false)?;
        let give_up = pressed + STOPS_WITHIN;
        while timing.stops.load(Ordering::Acquire) == stops {
            if boot_time() > give_up {
                return Err(stuck(times.len(), "the output was not switched off"));
            }
            std::thread::park_timeout(Duration::from_micros(200));
        }
        let off = Duration::from_nanos(timing.off_ns.load(Ordering::Acquire));
        times.push(off.saturating_sub(pressed).as_secs_f64() * 1e6);
        progress(round + 1);
    }
    Ok(times)
}

/// When the output was switched off.
#[derive(Default)]
struct Timing {
    stops: AtomicU32,
    off_ns: AtomicU64,
}

/// What opens and closes the emergency stop circuit.
enum Trigger {
    Event {
        closed: Arc<AtomicBool>,
        edge: Arc<OwnedFd>,
    },
    Output(Box<dyn FnMut(bool) -> Result<(), MetalError>>),
}

impl Trigger {
    fn set(&mut self, closed: bool) -> Result<(), MeasureError> {
        match self {
            Self::Event {
                closed: contact,
                edge,
            } => {
                contact.store(closed, Ordering::Release);
                let raised = rustix::io::write(&**edge, &1u64.to_ne_bytes());
                raised.map(drop).map_err(|error| MeasureError::System {
                    what: "an edge",
                    source: error.into(),
                })
            }
            Self::Output(set) => set(closed).map_err(|error| MeasureError::System {
                what: "the output that is wired to the emergency stop",
                source: std::io::Error::other(error.to_string()),
            }),
        }
    }
}

fn hardware(options: &Options, timing: &Arc<Timing>) -> Result<(Box<dyn Protection>, Trigger), MeasureError> {
    let Some((wiring, output)) = &options.wired else {
        let edge = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC);
        let edge = Arc::new(edge.map_err(|error| MeasureError::System {
            what: "an event counter",
            source: error.into(),
        })?);
        let closed = Arc::new(AtomicBool::new(true));
        let button = Button {
            closed: closed.clone(),
            edge: edge.clone(),
            wakes: options.edges,
            period: options.period,
        };
        let timed = Timed::new(Box::new(button), timing.clone());
        return Ok((Box::new(timed), Trigger::Event { closed, edge }));
    };
    let places = Places::default();
    let set = Wired::output(wiring, &places, output).map_err(MeasureError::Unsuitable)?;
    let protection = Wired::open(wiring, &places)
        .protection
        .filter(|protection| protection.equipment().estop_circuit);
    let protection = protection.ok_or_else(|| {
        MeasureError::Unsuitable("the machine file names no emergency stop input (`safety.estop`)".to_owned())
    })?;
    let timed = Timed::new(protection, timing.clone());
    Ok((Box::new(timed), Trigger::Output(set)))
}

/// A button that exists in this process, with an edge that the kernel passes on.
struct Button {
    closed: Arc<AtomicBool>,
    edge: Arc<OwnedFd>,
    wakes: bool,
    period: Duration,
}

impl Protection for Button {
    fn equipment(&self) -> Equipment {
        Equipment {
            estop_circuit: true,
            tamper_circuit: false,
            speed_max_m_per_s: None,
            period: self.period,
            actuators: Default::default(),
        }
    }

    fn read(&mut self, _: Duration) -> Signals {
        let mut count = [0; 8];
        // Level first would lose an edge between the two.
        let _ = rustix::io::read(&*self.edge, &mut count);
        let closed = self.closed.load(Ordering::Acquire);
        Signals {
            estop: if closed { Contact::Closed } else { Contact::Open },
            tamper: Contact::Unknown,
            speed_m_per_s: None,
        }
    }

    fn set_enable(&mut self, _: bool) -> Result<(), MetalError> {
        Ok(())
    }

    fn wakers(&self) -> Vec<BorrowedFd<'_>> {
        if self.wakes {
            vec![self.edge.as_fd()]
        } else {
            Vec::new()
        }
    }
}

/// Notes when the power is taken.
struct Timed {
    inner: Box<dyn Protection>,
    timing: Arc<Timing>,
    on: bool,
}

impl Timed {
    fn new(inner: Box<dyn Protection>, timing: Arc<Timing>) -> Self {
        Self {
            inner,
            timing,
            on: false,
        }
    }
}

impl Protection for Timed {
    fn equipment(&self) -> Equipment {
        self.inner.equipment()
    }

    fn read(&mut self, now: Duration) -> Signals {
        self.inner.read(now)
    }

    fn set_enable(&mut self, on: bool) -> Result<(), MetalError> {
        let set = self.inner.set_enable(on);
        if self.on && !on {
            let now = u64::try_from(boot_time().as_nanos()).unwrap_or(u64::MAX);
            self.timing.off_ns.store(now, Ordering::Release);
            self.timing.stops.fetch_add(1, Ordering::Release);
        }
        self.on = on;
        set
    }

    fn wakers(&self) -> Vec<BorrowedFd<'_>> {
        self.inner.wakers()
    }
}

/// Processes that do nothing but take time.
struct Busy(Vec<Child>);

impl Busy {
    fn start(count: u32) -> std::io::Result<Self> {
        let program = std::env::current_exe()?;
        let mut busy = Self(Vec::new());
        for _ in 0..count {
            let child = Command::new(&program)
                .args(["measure", "busy"])
                .stdin(Stdio::piped())
                .spawn()?;
            busy.0.push(child);
        }
        Ok(busy)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What a busy process does: it takes time until whoever started it is gone.
pub fn stay_busy() {
    let parent = rustix::process::getppid();
    let mut number = 1u64;
    while rustix::process::getppid() == parent {
        for _ in 0..10_000_000 {
            number = std::hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
    }
}
