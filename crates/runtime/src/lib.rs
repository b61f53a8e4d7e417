//! What every long-running part of Muster needs, and nothing about machines or fleets.
//!
//! - [`shutdown`]: one request to end, seen by all, in order and within a time.
//! - [`tasks`]: named tasks whose end is never unnoticed.
//! - [`clock`]: time and randomness as values that are passed.
//! - [`config`]: what people set, in layers, refused with its place.
//! - [`errors`]: an error with all its causes on one line.
//! - [`logging`]: structured logs on standard error.
//! - [`priority`]: which threads go first.

pub mod clock;
pub mod config;
pub mod errors;
pub mod logging;
pub mod priority;
pub mod realtime;
pub mod shutdown;
pub mod tasks;

#[cfg(test)]
mod tests;

pub use clock::Clock;
pub use shutdown::Shutdown;
pub use tasks::{OnEnd, Tasks};
