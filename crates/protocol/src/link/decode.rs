//! From a frame to a message, strictly.
//!
//! The envelope is read borrowed, with the payload left raw; then the payload is read into its type. No `Value` is
//! built on the way. What is wrong is said with its place, so that whoever writes a machine in another language can mend
//! it from the close reason alone.

mod at_once;

use muster_model::{MachineId, RecordNumber, SequenceNumber, SessionNumber, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::limits::Limits;
use super::message::{
    Ack, Bye, Command, Desired, EventReport, Hello, LogReport, MachineMessage, Response, Resync,
    ServerMessage, StateReport, Telemetry, Welcome,
};
use super::scan::check_shape;
use super::{Envelope, MINOR, OLDEST_VERSION, VERSION};

/// Why a frame is no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The frame is too long.
    #[error("frame of {bytes} bytes: at most {limit} are accepted{}", if *only_state { " (more only for state)" } else { "" })]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// What is accepted.
        limit: usize,
        /// Whether a `state` could have been longer.
        only_state: bool,
    },
    /// Objects and arrays are nested too deeply.
    #[error("nested deeper than {limit}")]
    TooDeep {
        /// What is accepted.
        limit: usize,
    },
    /// A string is too long.
    #[error("string of {bytes} bytes: at most {limit} are accepted")]
    StringTooLong {
        /// Its length.
        bytes: usize,
        /// What is accepted.
        limit: usize,
    },
    /// Too many samples or lines.
    #[error("{count} {what} in one message: at most {limit} are accepted")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        count: usize,
        /// What is accepted.
        limit: usize,
    },
    /// A version that is not spoken here.
    #[error("version {version} is not spoken here: {OLDEST_VERSION} to {VERSION} are")]
    UnsupportedVersion {
        /// The one that was given.
        version: u64,
    },
    /// A type that does not exist in this direction.
    #[error("there is no type {given:?}: accepted are {}", accepted.join(", "))]
    UnknownType {
        /// The one that was given, cut to 64 characters.
        given: String,
        /// What is accepted.
        accepted: &'static [&'static str],
    },
    /// Not JSON, or not of the right shape.
    #[error("{place}: {message}")]
    Malformed {
        /// `envelope`, or `payload of event` …
        place: String,
        /// What is wrong.
        message: String,
    },
    /// A durable message without a record number, or another one with.
    #[error("{kind} {}", if *needed { "needs a record number" } else { "has no record number" })]
    Record {
        /// The message's type.
        kind: &'static str,
        /// Whether one is needed.
        needed: bool,
    },
    /// A value outside what is accepted.
    #[error("{place}: {message}")]
    OutOfRange {
        /// Where.
        place: &'static str,
        /// What is accepted.
        message: String,
    },
}

impl DecodeError {
    /// The WebSocket close code that says it. Source: RFC 6455, 7.4.1.
    pub const fn close_code(&self) -> u16 {
        match self {
            Self::TooLarge { .. }
            | Self::TooDeep { .. }
            | Self::StringTooLong { .. }
            | Self::TooMany { .. } => 1009,
            Self::Malformed { .. } => 1007,
            Self::UnsupportedVersion { .. }
            | Self::UnknownType { .. }
            | Self::Record { .. }
            | Self::OutOfRange { .. } => 1008,
        }
    }

    /// A word for the metric that counts it.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too_large",
            Self::TooDeep { .. } => "too_deep",
            Self::StringTooLong { .. } => "string_too_long",
            Self::TooMany { .. } => "too_many",
            Self::UnsupportedVersion { .. } => "unsupported_version",
            Self::UnknownType { .. } => "unknown_type",
            Self::Malformed { .. } => "malformed",
            Self::Record { .. } => "record",
            Self::OutOfRange { .. } => "out_of_range",
        }
    }
}

/// The minor version that the other end speaks: fields that only a newer one knows are ignored, others refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Minor(pub u16);

impl Minor {
    /// The one spoken here.
    pub const OURS: Self = Self(MINOR);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEnvelope<'a> {
    version: u64,
    #[serde(rename = "type")]
    kind: &'a str,
    machine_id: MachineId,
    #[serde(default)]
    session: Option<SessionNumber>,
    sequence: SequenceNumber,
    #[serde(default)]
    record: Option<RecordNumber>,
    timestamp: Timestamp,
    #[serde(default)]
    traceparent: Option<&'a str>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

/// A durable message that was refused for what it holds, as far as its envelope tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRecord {
    /// Who sent it.
    pub machine_id: MachineId,
    /// In which session.
    pub session: SessionNumber,
    /// Its number.
    pub record: RecordNumber,
    /// Its type.
    pub kind: &'static str,
}

impl RefusedRecord {
    /// Reads the envelope of a text that was refused; none where it is not that of a durable message in a session.
    pub fn of(text: &str) -> Option<Self> {
        /// The rest is passed over.
        #[derive(Deserialize)]
        struct Head<'a> {
            #[serde(rename = "type")]
            kind: &'a str,
            machine_id: MachineId,
            session: SessionNumber,
            record: RecordNumber,
        }
        let head: Head<'_> = serde_json::from_str(text).ok()?;
        let durable = ["state", "event", "response"];
        Some(Self {
            machine_id: head.machine_id,
            session: head.session,
            record: head.record,
            kind: durable.into_iter().find(|kind| *kind == head.kind)?,
        })
    }
}

/// All that is read of a message whose version is not spoken here.
#[derive(Deserialize)]
struct VersionOnly {
    version: u64,
}

/// Takes frames apart.
#[derive(Clone, Copy, Debug)]
pub struct Decoder {
    /// How large anything may be.
    pub limits: Limits,
    /// What the other end speaks.
    pub minor: Minor,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            minor: Minor::OURS,
        }
    }
}

impl Decoder {
    /// What a machine said.
    pub fn machine(&self, text: &str) -> Result<Envelope<MachineMessage>, DecodeError> {
        match at_once::decode(text, &self.limits) {
            Some(envelope) => Ok(envelope),
            None => self.any_of_machine(text),
        }
    }

    fn any_of_machine(&self, text: &str) -> Result<Envelope<MachineMessage>, DecodeError> {
        let raw = self.envelope(text, "state")?;
        let message = match raw.kind {
            "heartbeat" => MachineMessage::Heartbeat(self.payload(&raw)?),
            "telemetry" => MachineMessage::Telemetry(self.telemetry(self.payload(&raw)?)?),
            "state" => MachineMessage::State(self.payload::<StateReport>(&raw)?),
            "event" => MachineMessage::Event(Box::new(check_event(self.payload(&raw)?)?)),
            "log" => MachineMessage::Log(self.log(self.payload(&raw)?)?),
            "response" => MachineMessage::Response(check_response(self.payload(&raw)?)?),
            "hello" => {
                let hello = self.greeting(&raw, |hello: &Hello| hello.minor)?;
                MachineMessage::Hello(Box::new(check_hello(hello)?))
            }
            _ => return Err(unknown_type(raw.kind, MachineMessage::TYPE_NAMES)),
        };
        if message.is_durable() != raw.record.is_some() || raw.record == Some(RecordNumber::ZERO) {
            return Err(DecodeError::Record {
                kind: message.type_name(),
                needed: message.is_durable(),
            });
        }
        Ok(surround(&raw, message))
    }

    /// What the server said.
    pub fn server(&self, text: &str) -> Result<Envelope<ServerMessage>, DecodeError> {
        let raw = self.envelope(text, "desired")?;
        let message = match raw.kind {
            "ack" => ServerMessage::Ack(self.payload::<Ack>(&raw)?),
            "welcome" => {
                let welcome = self.greeting(&raw, |welcome: &Welcome| welcome.minor)?;
                ServerMessage::Welcome(Box::new(welcome))
            }
            "desired" => ServerMessage::Desired(self.payload::<Desired>(&raw)?),
            "command" => ServerMessage::Command(Box::new(self.payload::<Command>(&raw)?)),
            "resync" => ServerMessage::Resync(self.payload::<Resync>(&raw)?),
            "bye" => ServerMessage::Bye(self.payload::<Bye>(&raw)?),
            _ => return Err(unknown_type(raw.kind, ServerMessage::TYPE_NAMES)),
        };
        if raw.record.is_some() {
            return Err(DecodeError::Record {
                kind: message.type_name(),
                needed: false,
            });
        }
        Ok(surround(&raw, message))
    }

    fn envelope<'a>(&self, text: &'a str, long_type: &str) -> Result<RawEnvelope<'a>, DecodeError> {
        let bytes = text.len();
        if bytes > self.limits.state_frame_max_bytes {
            let limit = self.limits.state_frame_max_bytes;
            return Err(DecodeError::TooLarge {
                bytes,
                limit,
                only_state: false,
            });
        }
        check_shape(text, &self.limits)?;
        let raw: RawEnvelope<'a> = serde_json::from_str(text).map_err(|error| {
            // Another version may have another envelope: say that it is the version, where the version can be read.
            match serde_json::from_str::<VersionOnly>(text) {
                Ok(VersionOnly { version }) if !spoken(version) => {
                    DecodeError::UnsupportedVersion { version }
                }
                _ => malformed("envelope".to_owned(), &error),
            }
        })?;
        if !spoken(raw.version) {
            return Err(DecodeError::UnsupportedVersion { version: raw.version });
        }
        if bytes > self.limits.frame_max_bytes && raw.kind != long_type {
            return Err(DecodeError::TooLarge {
                bytes,
                limit: self.limits.frame_max_bytes,
                only_state: true,
            });
        }
        if raw.sequence == SequenceNumber::ZERO {
            return Err(out_of_range(
                "sequence",
                "the first message of a session is number 1",
            ));
        }
        if raw.traceparent.is_some_and(|parent| parent.len() > 128) {
            return Err(out_of_range("traceparent", "at most 128 bytes are accepted"));
        }
        Ok(raw)
    }

    fn payload<T: DeserializeOwned>(&self, raw: &RawEnvelope<'_>) -> Result<T, DecodeError> {
        self.greeting(raw, |_| self.minor.0)
    }

    /// A payload that says itself which minor version its sender speaks, and so whether it may hold more.
    fn greeting<T: DeserializeOwned>(
        &self,
        raw: &RawEnvelope<'_>,
        minor: impl Fn(&T) -> u16,
    ) -> Result<T, DecodeError> {
        let place = || format!("payload of {}", raw.kind);
        // serde would take an array of the fields' values, too.
        if !raw.payload.get().starts_with('{') {
            return Err(DecodeError::Malformed {
                place: place(),
                message: "an object is expected".to_owned(),
            });
        }
        let mut reader = serde_json::Deserializer::from_str(raw.payload.get());
        // Looked for even where it is accepted: to read every payload in two ways would double a large part of the agent.
        let mut unknown: Option<String> = None;
        let value = serde_ignored::deserialize(&mut reader, |path| {
            unknown.get_or_insert_with(|| path.to_string());
        })
        .map_err(|error| malformed(place(), &error))?;
        match unknown {
            None => Ok(value),
            Some(_) if self.minor > Minor::OURS || Minor(minor(&value)) > Minor::OURS => Ok(value),
            Some(path) => Err(DecodeError::Malformed {
                place: place(),
                message: format!(
                    "there is no field {:?}",
                    path.chars().take(128).collect::<String>()
                ),
            }),
        }
    }

    fn telemetry(&self, telemetry: Telemetry) -> Result<Telemetry, DecodeError> {
        let (count, limit) = (telemetry.samples.len(), self.limits.samples_max);
        if count > limit {
            return Err(DecodeError::TooMany {
                what: "samples",
                count,
                limit,
            });
        }
        Ok(telemetry)
    }

    fn log(&self, log: LogReport) -> Result<LogReport, DecodeError> {
        let (count, limit) = (log.lines.len(), self.limits.log_lines_max);
        if count > limit {
            return Err(DecodeError::TooMany {
                what: "lines",
                count,
                limit,
            });
        }
        Ok(log)
    }
}

fn spoken(version: u64) -> bool {
    (u64::from(OLDEST_VERSION)..=u64::from(VERSION)).contains(&version)
}

fn surround<M>(raw: &RawEnvelope<'_>, message: M) -> Envelope<M> {
    Envelope {
        machine_id: raw.machine_id,
        session: raw.session,
        sequence: raw.sequence,
        record: raw.record,
        timestamp: raw.timestamp,
        traceparent: raw.traceparent.map(Into::into),
        message,
    }
}

fn malformed(place: String, error: &serde_json::Error) -> DecodeError {
    DecodeError::Malformed {
        place,
        message: error.to_string().chars().take(256).collect(),
    }
}

fn unknown_type(given: &str, accepted: &'static [&'static str]) -> DecodeError {
    DecodeError::UnknownType {
        given: given.chars().take(64).collect(),
        accepted,
    }
}

fn out_of_range(place: &'static str, message: impl Into<String>) -> DecodeError {
    DecodeError::OutOfRange {
        place,
        message: message.into(),
    }
}

/// Longest kind of an event, in bytes.
const EVENT_KIND_MAX_BYTES: usize = 128;
/// Longest message of an event, in characters.
pub const EVENT_MESSAGE_MAX_CHARS: usize = 1_024;
/// Longest id that a machine gives something, in bytes.
const ID_MAX_BYTES: usize = 64;

fn check_event(event: EventReport) -> Result<EventReport, DecodeError> {
    if event.kind.len() > EVENT_KIND_MAX_BYTES || event.kind.parse::<muster_model::Topic>().is_err() {
        return Err(out_of_range(
            "payload.kind",
            format!(
                "dotted tokens of letters, digits, '_' and '-', at most {EVENT_KIND_MAX_BYTES} bytes, are accepted"
            ),
        ));
    }
    if event.message.chars().count() > EVENT_MESSAGE_MAX_CHARS {
        let message = format!("at most {EVENT_MESSAGE_MAX_CHARS} characters are accepted");
        return Err(out_of_range("payload.message", message));
    }
    for id in [&event.correlation_id, &event.causation_id].into_iter().flatten() {
        check_id("payload.correlation_id or causation_id", id)?;
    }
    Ok(event)
}

fn check_response(response: Response) -> Result<Response, DecodeError> {
    check_id("payload.command_id", &response.command_id)?;
    Ok(response)
}

fn check_hello(hello: Hello) -> Result<Hello, DecodeError> {
    check_id("payload.agent_version", &hello.agent_version)?;
    for (place, count) in [
        ("payload.versions", hello.versions.len()),
        ("payload.capabilities", hello.capabilities.len()),
        ("payload.dictionaries", hello.dictionaries.len()),
        ("payload.commands", hello.commands.len()),
    ] {
        if count > 64 {
            return Err(out_of_range(place, "at most 64 are accepted"));
        }
    }
    for kind in &hello.commands {
        check_id("payload.commands", kind)?;
    }
    if let Some(range) = &hello.records
        && (range.first > range.last
            || range.first == RecordNumber::ZERO
            || range.last > hello.highest_record)
    {
        let message = "1 <= first <= last <= highest_record must hold";
        return Err(out_of_range("payload.records", message));
    }
    Ok(hello)
}

fn check_id(place: &'static str, id: &str) -> Result<(), DecodeError> {
    if (1..=ID_MAX_BYTES).contains(&id.len()) {
        Ok(())
    } else {
        Err(out_of_range(
            place,
            format!("1 to {ID_MAX_BYTES} bytes are accepted"),
        ))
    }
}
