//! The payloads of the link, both ways.
//!
//! A receiver refuses fields it does not know, unless the other end speaks a newer minor version.

use std::borrow::Cow;

use muster_model::entry::{JsonText, StateChange};
use muster_model::state::{ReportedState, StatePatch};
use muster_model::vocabulary::{Authority, Quality, Safety};
use muster_model::{BootId, RecordNumber, SequenceNumber, SessionNumber, Severity, StateVersion, Timestamp};
use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize};

use super::command::CommandKind;
use super::limits::Limits;
use super::priority::Priority;

macro_rules! payload {
    ($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub struct $name {
            $($(#[$fdoc])* pub $field: $type),*
        }
    };
}

/// What a machine says.
#[derive(Clone, Debug, PartialEq)]
pub enum MachineMessage {
    /// First message of a connection.
    Hello(Box<Hello>),
    /// Still here.
    Heartbeat(Heartbeat),
    /// What the machine says of itself, or what changed in it.
    State(StateReport),
    /// Measurements.
    Telemetry(Telemetry),
    /// Something happened.
    Event(Box<EventReport>),
    /// Lines of its log.
    Log(LogReport),
    /// Receipt for a command.
    Response(Response),
}

/// What the server says.
#[derive(Clone, Debug, PartialEq)]
pub enum ServerMessage {
    /// Answer to `hello`: the session begins.
    Welcome(Box<Welcome>),
    /// What is on disk.
    Ack(Ack),
    /// What the machine should become.
    Desired(Desired),
    /// What the machine should do.
    Command(Box<Command>),
    /// Something was missed: send the full state, and the records from here.
    Resync(Resync),
    /// The connection ends.
    Bye(Bye),
}

impl MachineMessage {
    /// The word in the envelope's `type`.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "hello",
            Self::Heartbeat(_) => "heartbeat",
            Self::State(_) => "state",
            Self::Telemetry(_) => "telemetry",
            Self::Event(_) => "event",
            Self::Log(_) => "log",
            Self::Response(_) => "response",
        }
    }

    /// Every word that can stand in the envelope's `type` on the way to the server.
    pub const TYPE_NAMES: &'static [&'static str] = &[
        "hello",
        "heartbeat",
        "state",
        "telemetry",
        "event",
        "log",
        "response",
    ];

    /// How much it presses.
    pub const fn priority(&self) -> Priority {
        match self {
            Self::Hello(_) | Self::Heartbeat(_) | Self::Response(_) => Priority::High,
            Self::State(_) | Self::Telemetry(_) => Priority::Normal,
            Self::Event(event) => match event.severity {
                Severity::Critical => Priority::Critical,
                Severity::Error => Priority::High,
                Severity::Warning | Severity::Info => Priority::Normal,
                Severity::Debug => Priority::Low,
            },
            Self::Log(_) => Priority::Low,
        }
    }

    /// Whether it has a record number and is kept until the server holds it.
    pub const fn is_durable(&self) -> bool {
        match self {
            Self::State(_) | Self::Event(_) | Self::Response(_) => true,
            Self::Hello(_) | Self::Heartbeat(_) | Self::Telemetry(_) | Self::Log(_) => false,
        }
    }
}

impl ServerMessage {
    /// The word in the envelope's `type`.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Welcome(_) => "welcome",
            Self::Ack(_) => "ack",
            Self::Desired(_) => "desired",
            Self::Command(_) => "command",
            Self::Resync(_) => "resync",
            Self::Bye(_) => "bye",
        }
    }

    /// Every word that can stand in the envelope's `type` on the way to a machine.
    pub const TYPE_NAMES: &'static [&'static str] =
        &["welcome", "ack", "desired", "command", "resync", "bye"];

    /// How much it presses.
    pub fn priority(&self) -> Priority {
        match self {
            Self::Welcome(_) | Self::Ack(_) | Self::Resync(_) | Self::Bye(_) => Priority::High,
            Self::Desired(_) => Priority::Normal,
            Self::Command(command) => command.kind.priority(),
        }
    }
}

payload! {
    /// First message of a connection: who is there and what it holds.
    Hello {
        /// Versions of the protocol that the machine speaks.
        #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 64)))]
        versions: Vec<u16>,
        /// The minor version of the newest of them.
        #[serde(default)]
        minor: u16,
        /// The version of its runtime: at most 64 characters.
        #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 64)))]
        agent_version: String,
        /// This boot.
        boot_id: BootId,
        /// What it can do: `events`, `telemetry`, `logs` …
        #[serde(default)]
        #[cfg_attr(feature = "schema", schemars(length(max = 64)))]
        capabilities: Vec<String>,
        /// Compression dictionaries it has.
        #[serde(default)]
        #[cfg_attr(feature = "schema", schemars(length(max = 64)))]
        dictionaries: Vec<u32>,
        /// Kinds of commands that it carries out: `identify`, `stop` … Others the server does not say to it. Since minor
        /// version 1.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[cfg_attr(feature = "schema", schemars(length(max = 64), inner(length(min = 1, max = 64))))]
        commands: Vec<String>,
        /// Its last session, where it had one.
        #[serde(default)]
        last_session: SessionNumber,
        /// The last desired version it applied.
        #[serde(default)]
        desired_version: u64,
        /// The records it holds and has no acknowledgement for; absent where it holds none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        records: Option<RecordRange>,
        /// The highest record it ever made.
        #[serde(default)]
        highest_record: RecordNumber,
    }
}

payload! {
    /// A span of records, both ends included.
    RecordRange {
        /// The first.
        first: RecordNumber,
        /// The last.
        last: RecordNumber,
    }
}

payload! {
    /// Still here, and how it is going.
    Heartbeat {
        /// Since the runtime started, in seconds.
        uptime_s: u64,
        /// How the link does.
        link: LinkQuality,
        /// What safety says.
        safety: Safety,
        /// Who may move the machine.
        authority: Authority,
        /// How well the machine knows the server's time; absent until it does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clock: Option<ClockEstimate>,
    }
}

payload! {
    /// How the link does, as the machine sees it.
    LinkQuality {
        /// Time from a heartbeat to its answer, in milliseconds; absent until measured.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        round_trip_ms: Option<u32>,
        /// Connections made since the runtime started.
        connects: u32,
        /// Records that wait for an acknowledgement.
        outbox: u64,
        /// Messages that were dropped because their time was over or their queue full.
        dropped: u64,
    }
}

payload! {
    /// How well a machine knows the server's time.
    ClockEstimate {
        /// To be added to the machine's wall clock to get server time, in milliseconds.
        offset_ms: i64,
        /// How far off that can be, in milliseconds.
        uncertainty_ms: u32,
    }
}

/// The full state, or what changed since a known version of it. The version of a state is the record number of the
/// message that reported it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum StateReport {
    /// All of it.
    Full(Box<ReportedState>),
    /// What changed.
    Patch {
        /// The version it applies to.
        base: StateVersion,
        /// Sections that are present replace, `null` removes.
        sections: Box<StatePatch>,
    },
}

impl StateReport {
    /// As the log keeps it.
    pub fn into_change(self) -> StateChange {
        match self {
            Self::Full(state) => StateChange::Full(state),
            Self::Patch { base: _, sections } => StateChange::Patch(sections),
        }
    }
}

payload! {
    /// Measurements.
    Telemetry {
        /// At most [`Limits::samples_max`].
        #[cfg_attr(feature = "schema", schemars(length(max = 512)))]
        samples: Vec<WireSample>,
    }
}

payload! {
    /// One measurement.
    WireSample {
        /// The metric: lower-case words with dots, the unit last. At most 64 bytes.
        #[serde(deserialize_with = "metric_name")]
        #[cfg_attr(feature = "schema", schemars(with = "String", length(min = 1, max = 64), regex(pattern = r"^[a-z0-9._-]+$")))]
        metric: Cow<'static, str>,
        /// The value in the metric's unit.
        value: f64,
        /// The unit, where the metric is not one that the server knows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unit: Option<Box<str>>,
        /// How far it can be trusted.
        #[serde(default = "good", skip_serializing_if = "is_good")]
        quality: Quality,
        /// When it was measured, in milliseconds after the envelope's `timestamp` (negative: before it).
        #[serde(default, skip_serializing_if = "is_zero")]
        offset_ms: i32,
    }
}

pub(super) fn good() -> Quality {
    Quality::Good
}

fn is_good(quality: &Quality) -> bool {
    *quality == Quality::Good
}

fn is_zero(number: &i32) -> bool {
    *number == 0
}

/// Reads a metric's name without allocating for those that everyone sends.
pub(super) fn metric_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'static, str>, D::Error> {
    struct Name;
    impl Visitor<'_> for Name {
        type Value = Cow<'static, str>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a metric's name of 1 to 64 bytes")
        }
        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
            if let Some(known) = muster_model::telemetry::KNOWN
                .iter()
                .find(|known| known.name == text)
            {
                return Ok(Cow::Borrowed(known.name));
            }
            let fits = |byte: u8| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-')
            };
            if (1..=64).contains(&text.len()) && text.bytes().all(fits) {
                Ok(Cow::Owned(text.to_owned()))
            } else {
                Err(E::custom(
                    "a metric's name has 1 to 64 lower-case letters, digits, '.', '_' or '-'",
                ))
            }
        }
    }
    deserializer.deserialize_str(Name)
}

payload! {
    /// Something happened.
    EventReport {
        /// Its kind: dotted tokens of letters, digits, '_' and '-'; at most 128 bytes.
        #[cfg_attr(feature = "schema", schemars(length(max = 128), regex(pattern = r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){0,15}$")))]
        kind: String,
        /// How much it matters.
        severity: Severity,
        /// What happened, for a person: at most 1,024 characters.
        #[cfg_attr(feature = "schema", schemars(length(max = 1024)))]
        message: String,
        /// Details for programs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schemars(with = "Option<serde_json::Value>"))]
        data: Option<JsonText>,
        /// What it belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 64)))]
        correlation_id: Option<String>,
        /// What brought it about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 64)))]
        causation_id: Option<String>,
    }
}

payload! {
    /// Lines of a machine's log.
    LogReport {
        /// At most [`Limits::log_lines_max`].
        #[cfg_attr(feature = "schema", schemars(length(max = 256)))]
        lines: Vec<WireLogLine>,
    }
}

payload! {
    /// One line of a machine's log.
    WireLogLine {
        /// How much it matters.
        severity: Severity,
        /// Which part of the machine wrote it.
        target: String,
        /// What it says.
        message: String,
        /// Its fields.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schemars(with = "Option<serde_json::Value>"))]
        fields: Option<JsonText>,
        /// When it was written, in milliseconds after the envelope's `timestamp`.
        #[serde(default, skip_serializing_if = "is_zero")]
        offset_ms: i32,
    }
}

payload! {
    /// Receipt for a command. It is not success: success is the reported state converging.
    Response {
        /// Which command.
        #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 64)))]
        command_id: String,
        /// What the machine did with it.
        outcome: Outcome,
        /// Why, where it was not accepted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    }
}

/// What a machine did with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Taken on.
    Accepted,
    /// Already known: nothing was done again.
    Duplicate,
    /// Too late by server time: nothing was done.
    Expired,
    /// Not done, for the reason given.
    Refused,
}

impl Outcome {
    /// The word on the wire and in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Expired => "expired",
            Self::Refused => "refused",
        }
    }
}

payload! {
    /// The session begins.
    Welcome {
        /// The session's number, larger than every earlier one of this machine.
        session: SessionNumber,
        /// The version that is spoken from here on.
        version: u16,
        /// The minor version that the server speaks.
        minor: u16,
        /// The server's clock.
        server_time: Timestamp,
        /// How often the server wants to hear a heartbeat, in milliseconds.
        heartbeat_interval_ms: u32,
        /// What the machine may send.
        limits: Limits,
        /// The compression dictionary to be used; absent: send text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dictionary: Option<u32>,
        /// The highest record on the server's disk, without holes.
        highest_record: RecordNumber,
        /// The version of the state that the server knows: zero for none.
        state_version: StateVersion,
        /// The desired version that the machine should have.
        desired_version: u64,
    }
}

payload! {
    /// What is on the server's disk.
    Ack {
        /// The highest record on disk, without holes.
        record: RecordNumber,
        /// The heartbeat that this answers, by its sequence: the envelope's `timestamp` is the server's clock.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        heartbeat: Option<SequenceNumber>,
    }
}

payload! {
    /// What the machine should become.
    Desired {
        /// The version of this document.
        version: u64,
        /// The version that `document` is a merge patch to; absent where it is the whole.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base: Option<u64>,
        /// Release, configuration, calibration, workloads, mode, log level.
        #[cfg_attr(feature = "schema", schemars(with = "serde_json::Value"))]
        document: JsonText,
    }
}

payload! {
    /// What the machine should do. It answers with a `response`; the state tells whether it was done.
    Command {
        /// Names this command for ever: at most 64 bytes. The same id twice is the same command.
        id: String,
        /// What to do.
        kind: CommandKind,
        /// How.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schemars(with = "Option<serde_json::Value>"))]
        arguments: Option<JsonText>,
        /// Who asks for it.
        issuer: String,
        /// Why.
        reason: String,
        /// In which capacity.
        authority: Authority,
        /// When it was issued, in server time.
        issued: Timestamp,
        /// From when on it must not be carried out, in server time.
        expires: Timestamp,
    }
}

payload! {
    /// Something was missed: the machine sends its full state and its records from here on.
    Resync {
        /// What was missed, for a person.
        reason: String,
        /// The first record that the server lacks.
        next_record: RecordNumber,
    }
}

payload! {
    /// The connection ends, and why.
    Bye {
        /// Why.
        reason: ByeReason,
        /// The same for a person.
        message: String,
        /// How long to wait before connecting again, in milliseconds. Absent: after `drain`, `overloaded` and `violation` as long
        /// as the machine's longest wait; after the others not at all, until a person has looked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u32>,
        /// The versions that the server speaks, where the machine's are not among them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        supported_versions: Vec<u16>,
    }
}

/// Why the server ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ByeReason {
    /// The server is being stopped.
    Drain,
    /// A newer connection of the same machine took over.
    Fenced,
    /// The machine is no longer welcome.
    Revoked,
    /// Too much to do just now.
    Overloaded,
    /// The machine speaks no version that the server speaks.
    UnsupportedVersion,
    /// The machine did what the protocol does not allow.
    Violation,
}
