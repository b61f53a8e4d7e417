//! The nodes of a machine. Each has one responsibility and speaks only over the bus.
//!
//! - [`safety`]: what may move, and why not.
//! - [`uplink`]: speaks with the server, and keeps what must reach it.
//! - [`calibration`]: which calibration of each device is in force.
//! - [`desired`]: keeps what the server wants the machine to become.
//! - [`state`]: gathers sections into the machine's state, and decides what of it is told.
//! - [`health`]: gathers what is wrong, and says so.
//! - [`identity`]: keeps the certificate in force.
//! - [`resources`]: reads the hardware.
//! - [`devices`]: reads what is connected to the machine.
//! - [`telemetry`]: turns readings into measurements to be sent.
//! - [`faults`]: puts faults into a simulated machine.
//! - [`logs`]: forwards lines of the log.
//! - [`foxglove`]: shows the bus to whoever watches live.
//! - [`recorder`]: records what is said, and keeps what was said when something went wrong.
//! - [`uploads`]: brings recordings to the server that people asked for.
//! - [`watch`]: watches what others run.
//! - [`workloads`]: runs what people want to run.

pub mod calibration;
pub(crate) mod decides;
pub mod desired;
pub mod devices;
pub mod faults;
pub mod foxglove;
pub mod health;
pub mod identity;
pub mod logs;
pub mod recorder;
pub mod resources;
pub mod safety;
pub mod state;
pub mod telemetry;
pub mod updates;
pub mod uplink;
pub mod uploads;
pub mod watch;
pub mod workloads;

/// The name of the health node, whose silence means that health is unknown.
pub const HEALTH: &str = "health";
