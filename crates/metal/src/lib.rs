//! The hardware of one machine, behind small traits.
//!
//! Begin with [`Metal`]: what a machine's hardware can be asked, and [`Protection`]: what its safety loop works with. [`LinuxMachine`] answers from the kernel,
//! [`SimulatedMachine`] from physics and a seed; code above this crate cannot tell which one it has.
//!
//! [`wiring`] describes devices that somebody connected, and [`wired`] opens them.
//!
//! Everything here is synchronous and may block on a slow device: run it on a thread of its own. No clock is read:
//! the caller says how much time has passed. This crate knows nothing of nodes, links, servers or
//! what is safe; it measures, and sets what it is told.

mod device;
mod error;
pub mod limits;
pub mod linux;
pub mod probe;
mod protection;
pub mod simulated;
pub mod wired;
pub mod wiring;

pub use device::{
    Activity, Board, Computer, Facts, Faults, Metal, Positioning, Supply, Thermometers, Traffic, health_level,
};
pub use error::MetalError;
pub use linux::{LinuxMachine, LinuxRoots};
pub use protection::{ActuatorLimits, Equipment, Protection, Signals};
pub use simulated::{Profile, SimulatedMachine, SimulatedOptions, SimulatedSnapshot, Site};
