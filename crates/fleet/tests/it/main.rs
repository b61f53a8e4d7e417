//! The server from outside: real sockets, a real data directory, and a machine that speaks the link by hand.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test that meets the unexpected fails; nothing here is a library"
)]

mod access;
mod api;
mod commands;
mod compression;
mod crash;
mod desired;
mod durability;
mod fuzz;
mod harness;
mod hostile;
mod identity;
mod link;
mod live;
mod past;
mod recordings;
mod releases;
mod rollout;
mod server;
mod stop;
