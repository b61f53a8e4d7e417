//! What the fleet decides together.
//!
//! - [`shard`]: sessions, presence, what each machine reported, what is acknowledged. A shard owns its machines alone.
//! - [`rollout`]: who gets a release, in which order, and what happens when it goes wrong.
//! - [`live`]: what a subscriber is told, how often, and what is left out when it reads too slowly.
//!
//! Everything here is pure: time and results come in as inputs, what is to be done comes out as effects. There is no
//! clock, no randomness, no file and no socket. The same code runs in the server and in the seeded simulation.

pub mod live;
pub mod rollout;
pub mod shard;

use muster_model::Timestamp;

/// What time it is, as the caller knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic time in milliseconds; its zero means nothing. All timers go by it.
    pub mono_ms: u64,
    /// The server's wall clock, which is the fleet's time.
    pub wall: Timestamp,
}
