//! How a record stands in the store: its kind, and its payload as JSON; and what of the safety region outlives the power.

use muster_model::{RecordNumber, Timestamp};
use muster_protocol::link::MachineMessage;
use muster_reflex::link::StoredRecord;
use muster_reflex::safety::{Cause, Causes, Kept};

use super::StoreError;

/// A record as it stands in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) record: i64,
    pub(super) at_ms: i64,
    pub(super) kind: &'static str,
    pub(super) body: String,
}

impl Row {
    pub(super) fn of(stored: &StoredRecord) -> Result<Self, StoreError> {
        let body = match &stored.message {
            MachineMessage::State(report) => serde_json::to_string(report),
            MachineMessage::Event(event) => serde_json::to_string(event),
            MachineMessage::Response(response) => serde_json::to_string(response),
            // Never given a record number; written all the same rather than lost without a word.
            MachineMessage::Hello(hello) => serde_json::to_string(hello),
            MachineMessage::Heartbeat(heartbeat) => serde_json::to_string(heartbeat),
            MachineMessage::Telemetry(telemetry) => serde_json::to_string(telemetry),
            MachineMessage::Log(log) => serde_json::to_string(log),
        };
        Ok(Self {
            record: stored.record.0 as i64,
            at_ms: stored.at.as_millis(),
            kind: stored.message.type_name(),
            body: body.map_err(StoreError::Encode)?,
        })
    }
}

/// A record from the table; none if this version cannot read it.
pub(super) fn read(record: i64, at_ms: i64, kind: &str, body: &str) -> Option<StoredRecord> {
    let message = match kind {
        "state" => serde_json::from_str(body).map(MachineMessage::State),
        "event" => serde_json::from_str(body).map(MachineMessage::Event),
        "response" => serde_json::from_str(body).map(MachineMessage::Response),
        _ => {
            tracing::error!(
                record,
                kind,
                "a stored record is of a kind that this version does not know"
            );
            return None;
        }
    };
    match message {
        Ok(message) => Some(StoredRecord {
            record: RecordNumber(u64::try_from(record).ok()?),
            at: Timestamp::from_millis(at_ms),
            message,
        }),
        Err(error) => {
            tracing::error!(record, %error, "a stored record cannot be read and is given up");
            None
        }
    }
}

/// Causes, and whether the machine was in service.
pub(super) fn safety_bytes(kept: Kept) -> [u8; 5] {
    let [a, b, c, d] = kept.causes.bits().to_le_bytes();
    [a, b, c, d, u8::from(kept.in_service)]
}

/// What cannot be read is no reason to move.
pub(super) fn safety_of(bytes: &[u8]) -> Kept {
    match *bytes {
        [a, b, c, d, in_service @ (0 | 1)] => Kept {
            causes: Causes::from_bits(u32::from_le_bytes([a, b, c, d])),
            in_service: in_service == 1,
        },
        _ => {
            tracing::error!(
                "what was kept of the safety region cannot be read: it counts as a failed output"
            );
            Kept {
                causes: Causes::default().with(Cause::OutputFailed),
                in_service: true,
            }
        }
    }
}
