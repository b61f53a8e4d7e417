//! The machine link, version 1: what a machine and the server say to each other over one WebSocket.
//!
//! Begin with [`MachineMessage`] and [`ServerMessage`], the payloads; then [`Envelope`], what surrounds each of them, and
//! [`decode`](decode::Decoder), which takes a frame apart strictly and says precisely what is wrong with it.
//!
//! Who may say what when is not decided here, but in `muster-reflex` (machine) and `muster-brain` (server).

pub mod bucket;
pub mod command;
pub mod compression;
pub mod decode;
pub mod encode;
pub mod limits;
pub mod message;
pub mod priority;
pub mod release;
mod scan;
#[cfg(feature = "schema")]
pub mod schema;
pub mod upload;

#[cfg(test)]
mod tests;

use muster_model::{MachineId, RecordNumber, SequenceNumber, SessionNumber, Timestamp};

pub use bucket::TokenBucket;
pub use command::{
    ARGUMENTS_MAX_BYTES, ArgumentsError, CommandKind, FAULT_MAX_S, FaultArguments, UploadArguments,
};
pub use decode::{DecodeError, Decoder, EVENT_MESSAGE_MAX_CHARS, Minor, RefusedRecord};
pub use encode::encode;
pub use limits::Limits;
pub use message::*;
pub use priority::Priority;

/// The WebSocket subprotocol that both ends must agree on.
pub const SUBPROTOCOL: &str = "muster.v1";
/// The version that this code speaks.
pub const VERSION: u16 = 1;
/// The oldest version that the server still speaks. Once there is a version 2, this stays one behind.
pub const OLDEST_VERSION: u16 = 1;
/// The minor version that this code speaks: grows when payloads gain optional fields.
pub const MINOR: u16 = 1;
/// The path a machine connects to.
pub const PATH: &str = "/machine";

/// A message with all that surrounds it on the wire.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope<M> {
    /// Which machine says it, or is told.
    pub machine_id: MachineId,
    /// The session it belongs to; absent only in `hello` and in what is said before `welcome`.
    pub session: Option<SessionNumber>,
    /// +1 per message per direction within a session; the first is 1.
    pub sequence: SequenceNumber,
    /// The machine's persistent record number; only on durable messages.
    pub record: Option<RecordNumber>,
    /// When it came about, in server time as the sender knows it.
    pub timestamp: Timestamp,
    /// The trace it belongs to. Source: W3C Trace Context.
    pub traceparent: Option<Box<str>>,
    /// What is said.
    pub message: M,
}
