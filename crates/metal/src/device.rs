//! What the hardware of a machine can be asked: one small trait for each family of devices, and [`Metal`] for all.
//!
//! A family that a machine does not have reads as `None`. A reading that fails is an error that says what failed;
//! no value is ever made up for it.

use std::sync::Arc;
use std::time::Duration;

use muster_model::simulation::{SimulatedFault, StandingFault};
use muster_model::state::{Hardware, Location, Network, Platform, Power, Problem, Resources, Thermal};
use muster_model::vocabulary::{Health, Mode, Severity};
use uuid::Uuid;

use crate::{MetalError, Protection};

/// What stays the same until the machine is started again.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// What the machine is made of.
    pub hardware: Hardware,
    /// Operating system and boot.
    pub platform: Platform,
    /// What the operating system calls this installation (`/etc/machine-id`). To be hashed with a key of one's own
    /// before it leaves the machine; absent where the image was never given one.
    pub machine_id_hint: Option<Uuid>,
}

/// Network traffic over all interfaces but loopback, averaged since the reading before.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Received bytes per second.
    pub receive_bytes_per_s: f64,
    /// Sent bytes per second.
    pub transmit_bytes_per_s: f64,
}

/// The board itself: what it is, how it is connected, how long it has been up.
pub trait Board {
    /// What stays the same until the next boot.
    fn facts(&mut self) -> Result<Facts, MetalError>;
    /// How the machine can be reached.
    fn network(&mut self) -> Result<Network, MetalError>;
    /// How long the machine has been up.
    fn uptime(&mut self) -> Result<Duration, MetalError>;
}

/// The computer on the board.
pub trait Computer {
    /// Processor, memory and disks. Processor use is averaged since the reading before.
    fn resources(&mut self) -> Result<Resources, MetalError>;
    /// Network traffic; `None` until there is an earlier reading to compare with.
    fn traffic(&mut self) -> Result<Option<Traffic>, MetalError>;
}

/// Battery and supply.
pub trait Supply {
    /// Battery and supply; `None` where the hardware says nothing of either.
    fn power(&mut self) -> Result<Option<Power>, MetalError>;
}

/// Temperature sensors.
pub trait Thermometers {
    /// Temperatures; `None` where nothing measures any.
    fn thermal(&mut self) -> Result<Option<Thermal>, MetalError>;
}

/// Whatever tells the machine where it is.
pub trait Positioning {
    /// Where the machine is; `None` where nothing measures it, or before the first fix.
    fn location(&mut self) -> Result<Option<Location>, MetalError>;
}

/// What the machine does, and what is wrong with it, as its hardware shows.
pub trait Activity {
    /// What the machine is doing.
    fn mode(&mut self) -> Result<Mode, MetalError>;
    /// What the hardware finds wrong with itself at this moment, worst first. The words of a problem stay the same
    /// while it stands, so that it is news only when it comes, worsens and goes.
    fn conditions(&mut self) -> Result<Vec<Problem>, MetalError>;
}

/// The hardware of one machine.
pub trait Metal: Board + Computer + Supply + Thermometers + Positioning + Activity + Send {
    /// Says how long ago the caller began to count, by a clock that never goes back. Readings that follow are of
    /// this moment. The first call only sets the start; a value before the last one counts as no time passed.
    fn advance_to(&mut self, now: Duration);

    /// The safety part, for a thread of its own; `None` where the machine has nothing of the kind.
    fn protection(&mut self) -> Option<Box<dyn Protection>> {
        None
    }

    /// The way to put faults into it; `None` for everything that is real.
    fn faults(&self) -> Option<Arc<dyn Faults>> {
        None
    }
}

/// Faults that somebody puts into simulated hardware. They change what it does and measures, and nothing else: no latch is
/// cleared by it, and nothing is let go.
pub trait Faults: Send + Sync {
    /// What can be put into it.
    fn possible(&self) -> &'static [SimulatedFault];
    /// Puts a fault in, for so many seconds or until it is cleared; false where it is not possible.
    fn inject(&self, fault: SimulatedFault, for_s: Option<u32>) -> bool;
    /// Takes a fault out, or all of them.
    fn clear(&self, fault: Option<SimulatedFault>);
    /// Those that stand.
    fn standing(&self) -> Vec<StandingFault>;
}

/// How healthy a machine with these problems is: an error or worse means that it does not do its job.
pub fn health_level(problems: &[Problem]) -> Health {
    match problems.iter().map(|problem| problem.severity).max() {
        Some(Severity::Critical | Severity::Error) => Health::Failed,
        Some(Severity::Warning) => Health::Degraded,
        Some(Severity::Info | Severity::Debug) | None => Health::Ok,
    }
}

/// A value as it is reported: no more digits than the measurement is good for.
pub(crate) fn rounded(value: f64, steps_per_unit: f64) -> f64 {
    // Adding zero turns -0.0 into 0.0.
    (value * steps_per_unit).round() / steps_per_unit + 0.0
}

/// Worst first, and otherwise in the order they were found.
pub(crate) fn worst_first(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(|problem| std::cmp::Reverse(problem.severity));
    problems
}

pub(crate) fn problem(kind: &str, severity: Severity, message: String) -> Problem {
    Problem {
        kind: kind.into(),
        severity,
        message,
    }
}

/// As `df`: what is used of what unprivileged programs may use, rounded up to a whole percent.
#[expect(clippy::cast_precision_loss, reason = "a percentage has at most three digits")]
pub(crate) fn df_percent(used: u64, available: u64) -> Option<f64> {
    let usable = u128::from(used) + u128::from(available);
    (usable > 0).then(|| (u128::from(used) * 100).div_ceil(usable) as f64)
}
