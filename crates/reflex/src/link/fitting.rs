//! Whether the server will take a record: judged where it is made, by the rules of the server itself.
//!
//! A record that it refuses for what it holds would be the first of the outbox in every session, and end each of them.

use muster_model::{MachineId, RecordNumber, SequenceNumber, SessionNumber, Severity, Timestamp};
use muster_protocol::link::{Decoder, Envelope, EventReport, Limits, MachineMessage, Minor, encode};

use super::{EVENT_MESSAGE_MAX_CHARS, shorten};

/// The kind of the event that is told in the place of what cannot be told.
const REFUSED: &str = "record.refused";

/// Gives a message back if the server will take it, and else why it will not. Numbers and times of its envelope are taken
/// to be as long as they can get.
pub(super) fn fitting(
    machine_id: MachineId,
    limits: Limits,
    message: MachineMessage,
) -> Result<MachineMessage, String> {
    let envelope = Envelope {
        machine_id,
        session: Some(SessionNumber(u64::MAX)),
        sequence: SequenceNumber(u64::MAX),
        record: Some(RecordNumber(u64::MAX)),
        timestamp: Timestamp::from_millis(0),
        traceparent: None,
        message,
    };
    let text = encode(&envelope).map_err(|error| error.to_string())?;
    let decoder = Decoder {
        limits,
        minor: Minor::OURS,
    };
    match decoder.machine(&text) {
        Ok(_) => Ok(envelope.message),
        Err(error) => Err(error.to_string()),
    }
}

/// What is told in the place of a message that cannot be told.
pub(super) fn stand_in(kind: &str, what: Option<&str>, why: &str) -> MachineMessage {
    let mut message = match what {
        Some(what) => format!("An {kind} of the kind {what:?} could not be told: {why}"),
        None => format!("A {kind} could not be told: {why}"),
    };
    shorten(&mut message, EVENT_MESSAGE_MAX_CHARS);
    MachineMessage::Event(Box::new(EventReport {
        kind: REFUSED.to_owned(),
        severity: Severity::Error,
        message,
        data: None,
        correlation_id: None,
        causation_id: None,
    }))
}
