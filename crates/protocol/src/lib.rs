//! Everything that crosses a socket.
//!
//! - [`link`]: between a machine and the server, one WebSocket per machine.
//! - [`live`]: between the server and people's programs, as it happens.
//! - [`api`]: the REST documents.
//! - [`enrol`]: how a machine gets its certificate.
//!
//! The types here are the truth; JSON Schema, AsyncAPI and OpenAPI documents are generated from them. This crate opens
//! no socket and reads no clock. What the words mean stands in `muster-model`.

pub mod api;
pub mod enrol;
pub mod link;
pub mod live;
