//! The live API: what happens, as it happens, to whoever subscribed.
//!
//! Begin with [`session`], which both ways share: [`socket`] (WebSocket at `/ws`) and [`stream`] (server-sent events at
//! `/api/v1/stream`). What is told and what is left out is decided in `muster_brain::live`; [`sequencer`] puts events of
//! all shards into the order of the log.

pub mod sequencer;
pub mod session;
pub mod socket;
pub mod stream;
pub mod summary;
