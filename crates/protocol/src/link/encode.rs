//! From a message to a frame.

use muster_model::{MachineId, RecordNumber, SequenceNumber, SessionNumber, Timestamp};
use serde::Serialize;

use super::message::{MachineMessage, ServerMessage};
use super::{Envelope, VERSION};

#[derive(Serialize)]
struct Wire<'a, P> {
    version: u16,
    #[serde(rename = "type")]
    kind: &'static str,
    machine_id: MachineId,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<SessionNumber>,
    sequence: SequenceNumber,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<RecordNumber>,
    timestamp: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    payload: P,
}

/// A message that can be put into a frame.
pub trait Encode {
    /// Writes the payload into an envelope.
    fn write(&self, envelope: &Envelope<()>) -> Result<String, serde_json::Error>;
}

/// Writes one frame. Fails only on values that JSON cannot hold.
pub fn encode<M: Encode>(envelope: &Envelope<M>) -> Result<String, serde_json::Error> {
    let outer = Envelope {
        machine_id: envelope.machine_id,
        session: envelope.session,
        sequence: envelope.sequence,
        record: envelope.record,
        timestamp: envelope.timestamp,
        traceparent: envelope.traceparent.clone(),
        message: (),
    };
    envelope.message.write(&outer)
}

fn wire<P: Serialize>(
    kind: &'static str,
    outer: &Envelope<()>,
    payload: P,
) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Wire {
        version: VERSION,
        kind,
        machine_id: outer.machine_id,
        session: outer.session,
        sequence: outer.sequence,
        record: outer.record,
        timestamp: outer.timestamp,
        traceparent: outer.traceparent.as_deref(),
        payload,
    })
}

impl Encode for MachineMessage {
    fn write(&self, outer: &Envelope<()>) -> Result<String, serde_json::Error> {
        let kind = self.type_name();
        match self {
            Self::Hello(payload) => wire(kind, outer, payload),
            Self::Heartbeat(payload) => wire(kind, outer, payload),
            Self::State(payload) => wire(kind, outer, payload),
            Self::Telemetry(payload) => wire(kind, outer, payload),
            Self::Event(payload) => wire(kind, outer, payload),
            Self::Log(payload) => wire(kind, outer, payload),
            Self::Response(payload) => wire(kind, outer, payload),
        }
    }
}

impl Encode for ServerMessage {
    fn write(&self, outer: &Envelope<()>) -> Result<String, serde_json::Error> {
        let kind = self.type_name();
        match self {
            Self::Welcome(payload) => wire(kind, outer, payload),
            Self::Ack(payload) => wire(kind, outer, payload),
            Self::Desired(payload) => wire(kind, outer, payload),
            Self::Command(payload) => wire(kind, outer, payload),
            Self::Resync(payload) => wire(kind, outer, payload),
            Self::Bye(payload) => wire(kind, outer, payload),
        }
    }
}
