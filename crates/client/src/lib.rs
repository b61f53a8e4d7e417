//! A typed client of the Muster server's API, for programs that work with a fleet.
//!
//! Begin with [`Client`]: every request of `/api/v1` is a method of it, and [`Client::stream`] tells what happens as it
//! happens and reconnects by itself. Every way in which a request can fail is one variant of [`ClientError`].
//!
//! The documents that travel stand in `muster-protocol`. This crate knows no terminal, no files and no configuration,
//! keeps no global state, and starts no task: what it does, it does while the caller waits on it.

mod access;
mod backoff;
mod client;
mod commands;
mod desired;
mod error;
mod fleet;
mod identity;
mod machines;
mod page;
mod profile;
mod proposals;
mod recordings;
mod releases;
mod rollouts;
mod sse;
mod stop;
mod stream;
#[cfg(feature = "test-server")]
pub mod test_server;
mod trust;

pub use access::{AuditQuery, Change, Credential};
pub use backoff::Backoff;
pub use client::{Client, ClientOptions};
pub use error::ClientError;
pub use fleet::{EventQuery, TimelineQuery};
pub use machines::{LogQuery, MachineQuery, TelemetryQuery};
pub use page::ITEMS_MAX;
pub use profile::{Etag, Precondition, Versioned};
pub use stream::{LiveEvent, LiveStream, Subscription};
