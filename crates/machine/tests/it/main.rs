//! The machine from outside: its bus, its store under kills, its uplink against a small server, its executable.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bus;
mod calibration;
mod desired;
mod executable;
mod foxglove;
mod lives;
mod machines;
mod recorder;
mod safety;
#[allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "shared with the examples, which use less of it"
)]
mod server;
mod services;
mod store;
mod updates;
mod uplink;
mod wired;
mod workloads;
