//! What a machine decides by itself.
//!
//! - [`calibration`]: which calibration of each device is in force.
//! - [`desired`]: which desired state to hold, and how far the machine is with it.
//! - [`link`]: when to connect, what to say, what to keep until the server holds it, which commands to take.
//! - [`safety`]: what may move, and why not.
//! - [`state`]: what of the readings is news, and when it is told.
//! - [`update`]: when another release is fetched, put into use, confirmed or taken back.
//! - [`workload`]: which workloads run: started, checked, started again, ended.
//!
//! Everything here is pure: `step(now, input)` returns effects, and the caller carries them out. There is no clock, no
//! randomness, no file and no socket; time and entropy come in with the inputs. The same code runs on a robot, in the
//! simulated fleet and in the seeded simulation.

pub mod calibration;
pub mod desired;
mod exact;
pub mod fence;
pub mod link;
pub mod safety;
pub mod state;
pub mod update;
pub mod workload;

use muster_model::Timestamp;

/// What time it is, as the caller knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic time in milliseconds; its zero means nothing. All timers go by it.
    pub mono_ms: u64,
    /// The machine's wall clock, which may be wrong and may jump.
    pub wall: Timestamp,
}
