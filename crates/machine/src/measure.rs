//! Measurements that somebody takes on a machine of their own, of the same code that runs there.

pub mod recorder;
pub mod stop;
