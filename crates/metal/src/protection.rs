//! What the safety loop reads and sets. It is a part of the hardware of its own, because a thread of its own works with it.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use muster_model::vocabulary::Contact;

use crate::MetalError;
use crate::wiring::ACTUATORS_MAX;

/// What a machine has for its safety.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Equipment {
    /// A circuit that emergency stop buttons open.
    pub estop_circuit: bool,
    /// A contact that opens with the case.
    pub tamper_circuit: bool,
    /// How fast it may move, in metres per second; absent where its motion is not measured.
    pub speed_max_m_per_s: Option<f64>,
    /// How often it is worth looking.
    pub period: Duration,
    /// What it moves with, by place: in the order of their names.
    pub actuators: [Option<ActuatorLimits>; ACTUATORS_MAX],
}

/// What one actuator may do, in its unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ActuatorLimits {
    /// The greatest command, either way.
    pub max: f64,
    /// How much a command may change in a second.
    pub change_max_per_s: f64,
    /// Whether a sensor says how fast it really moves.
    pub measured: bool,
}

/// What can be read in one moment. What cannot be is unknown or absent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Signals {
    /// The emergency stop circuit.
    pub estop: Contact,
    /// The contact at the case.
    pub tamper: Contact,
    /// How fast the machine moves, either way.
    pub speed_m_per_s: Option<f64>,
}

/// The safety part of a machine's hardware.
pub trait Protection: Send {
    /// What there is.
    fn equipment(&self) -> Equipment;
    /// Reads everything. `now` is as in [`Metal::advance_to`](crate::Metal::advance_to).
    fn read(&mut self, now: Duration) -> Signals;
    /// Gives power to what moves, or takes it. Whoever is dropped takes it.
    fn set_enable(&mut self, on: bool) -> Result<(), MetalError>;
    /// Has an actuator do this, in its unit; nothing: be at rest. Said in every turn.
    fn set_drive(&mut self, place: usize, value: Option<f64>) -> Result<(), MetalError> {
        let _ = (place, value);
        Ok(())
    }
    /// The loop is well, and so is who looks after it: a hardware watchdog hears of it.
    fn feed_watchdog(&mut self) -> Result<(), MetalError> {
        Ok(())
    }
    /// The machine ends in order: a hardware watchdog need not reset the computer.
    fn end(&mut self) {}
    /// What becomes readable when something changes that should be looked at at once.
    fn wakers(&self) -> Vec<BorrowedFd<'_>> {
        Vec::new()
    }
}
