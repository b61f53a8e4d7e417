//! What the safety loop reads and sets. It is a part of the hardware of its own, because a thread of its own works with it.

use std::time::Duration;

use muster_model::vocabulary::Contact;

use crate::MetalError;

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
}
