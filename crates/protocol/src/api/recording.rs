//! Recordings of a machine: what it has, what was brought to the server, what is on its way.

use muster_model::{MachineId, Timestamp};
use serde::{Deserialize, Serialize};

document! {
    /// Recordings of one machine, on its disk and here.
    MachineRecordings {
        /// Which machine.
        machine_id: MachineId,
        /// Whether it said that it records.
        records: bool,
        /// Why nothing is recorded now; null while it is.
        #[cfg_attr(feature = "schema", schema(required = true))]
        paused: Option<String>,
        /// How far back what rolls on the machine goes, in seconds: as much of it can still be marked.
        rolling_s: u64,
        /// What rolls on the machine, in bytes.
        rolling_bytes: u64,
        /// Bytes of recordings of all machines here.
        used_bytes: u64,
        /// As many are accepted. Nothing is removed by itself.
        max_bytes: u64,
        /// The newest first.
        items: Vec<MachineRecording>,
    }
}

document! {
    /// One recording.
    MachineRecording {
        /// Its file, by which it is asked for.
        file: String,
        /// How long it is, in bytes.
        bytes: u64,
        /// When its first message was said.
        from: Timestamp,
        /// When its last was.
        to: Timestamp,
        /// Why it is kept: the kind of an event, a region of safety, `marked` …
        #[cfg_attr(feature = "schema", schema(required = true))]
        why: Option<String>,
        /// Whether a person had it kept.
        pinned: bool,
        /// Whether the machine says that it still has it.
        on_machine: bool,
        /// What is here; null where nothing is.
        #[cfg_attr(feature = "schema", schema(required = true))]
        stored: Option<StoredRecording>,
        /// How the last fetch fares; null where none is, and when it is here.
        #[cfg_attr(feature = "schema", schema(required = true))]
        transfer: Option<RecordingTransfer>,
    }
}

document! {
    /// A recording that is here, complete.
    StoredRecording {
        /// How long it is, in bytes.
        bytes: u64,
        /// SHA-256, in hexadecimal; as the machine and the server computed it.
        sha256: String,
        /// When all of it was here.
        received_at: Timestamp,
        /// The command that asked for it.
        command_id: String,
        /// Who asked for it.
        issuer: String,
        /// Why.
        reason: String,
    }
}

document! {
    /// A recording that is to be brought here.
    RecordingTransfer {
        /// The command that asked for it.
        command_id: String,
        /// How it stands.
        state: TransferState,
        /// Bytes that are here.
        offset: u64,
        /// Bytes that it has; null before the first of them came.
        #[cfg_attr(feature = "schema", schema(required = true))]
        length: Option<u64>,
        /// Who asked for it.
        issuer: String,
        /// When.
        asked_at: Timestamp,
        /// Why it is not brought, or what is in its way now; null where nothing is.
        #[cfg_attr(feature = "schema", schema(required = true))]
        detail: Option<String>,
    }
}

/// How a recording that was asked for stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum TransferState {
    /// The machine did not answer yet.
    Asked,
    /// The machine took it on; nothing of it is here.
    Accepted,
    /// Some of it is here.
    Coming,
    /// It does not come, as said.
    Failed,
}
