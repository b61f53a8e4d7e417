//! Whole fleets in one process.
//!
//! - [`world`]: a seeded simulation of machines, links, disks and server in virtual time, with a judge that watches
//!   what must always hold. The same seed gives the same run, step by step.
//! - [`prove`]: many such worlds, and the proof that the judge would notice.
//! - [`fleet`]: the simulated fleet that the demo and `muster sim connect` run, in real time over real sockets.
//!
//! In the world only what decides is real here (`muster-reflex`, `muster-brain`, and the encoding of the link between them);
//! everything that acts is simulated, so that it can be slow, fail, or stop at any moment.

pub mod fleet;
pub mod prove;
pub mod world;
