//! L2: real shells on a simulated network. A real server and real machines in one process, in virtual time.
//!
//! Begin with [`world::World`], which holds them and moves time; [`judge`] reads what they keep and says what does not
//! hold; [`scenarios`] break things; [`planted`] shows that the judge can tell. What follows from the seed and what
//! does not is said in docs/decisions/0013-real-shells-on-a-simulated-network.md.

mod chance;
mod counted;
mod judge;
mod ledger;
mod liar;
mod live;
mod machines;
mod observer;
mod planted;
mod relay;
mod scenarios;
mod server;
mod world;
