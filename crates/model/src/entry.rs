//! What the fleet's log keeps: one [`MachineEntry`] per thing that happened to a machine, in the order the server
//! learned of it.
//!
//! Entries are facts: they are appended, never changed. Telemetry and heartbeats are not among them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::ids::{
    BootId, DesiredVersion, LogPosition, MachineId, RecordNumber, SessionNumber, StateVersion, StreamVersion,
};
use crate::state::{ReportedState, StatePatch};
use crate::stop::STOP_KIND;
use crate::time::Timestamp;
use crate::vocabulary::{Presence, Severity};

/// JSON that is passed on as it came, without being looked into.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JsonText(pub Box<RawValue>);

impl PartialEq for JsonText {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

/// Something a machine tells of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MachineEvent {
    /// Its kind, dotted: `thermal.high`, `node.restarted` …
    pub kind: String,
    /// How much it matters.
    pub severity: Severity,
    /// What happened, for a person.
    pub message: String,
    /// When it happened, in server time as the machine estimates it.
    pub at: Timestamp,
    /// Details for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<JsonText>,
    /// What it belongs to: all events of one undertaking share it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// What brought it about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<String>,
}

/// A full state, or what changed in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateChange {
    /// All of it.
    Full(Box<ReportedState>),
    /// What changed since the version before.
    Patch(Box<StatePatch>),
}

/// One fact about one machine.
///
/// Externally tagged on purpose: serde's other taggings would look into [`JsonText`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MachineEntry {
    /// The fleet met the machine for the first time.
    Registered,
    /// The machine connected; every older session is over.
    SessionOpened {
        /// The new session.
        session: SessionNumber,
        /// The machine's boot.
        boot_id: BootId,
        /// The version of its runtime.
        agent_version: String,
        /// The kinds of commands that it carries out, as it said. Sessions of before machines said so have none.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        commands: Vec<String>,
    },
    /// The server's judgement of the machine's presence changed.
    PresenceChanged {
        /// What it is now.
        presence: Presence,
        /// Why, for a person.
        reason: String,
    },
    /// The machine reported its state.
    StateReported {
        /// The machine's record number.
        record: RecordNumber,
        /// The version that the state has now.
        version: StateVersion,
        /// When the machine reported it.
        at: Timestamp,
        /// What it reported.
        change: StateChange,
    },
    /// The machine told of an event.
    EventReported {
        /// The machine's record number.
        record: RecordNumber,
        /// The event.
        event: MachineEvent,
    },
    /// The machine acknowledged or refused a command.
    ResponseReported {
        /// The machine's record number.
        record: RecordNumber,
        /// When the machine answered.
        at: Timestamp,
        /// Which command.
        command_id: String,
        /// `accepted`, `duplicate`, `expired` or `refused`.
        outcome: String,
        /// Why, where it was not accepted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The machine no longer holds these records: they will never come.
    RecordsLost {
        /// The first that is lost.
        first: RecordNumber,
        /// The last that is lost.
        last: RecordNumber,
    },
    /// The machine sent this record again and again, and it was refused each time for what it holds: it is passed over.
    RecordRefused {
        /// The machine's record number.
        record: RecordNumber,
        /// Its type: `state`, `event` or `response`.
        kind: String,
        /// Why it was refused, for a person.
        reason: String,
    },
    /// Somebody asked the machine for something. It is said to the machine after this is on disk; a stop at once.
    CommandIssued {
        /// Names the command for ever.
        command_id: String,
        /// What is asked for, in the link's word: `stop` …
        kind: String,
        /// How, as it is said to the machine.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        arguments: Option<JsonText>,
        /// Who asks.
        issuer: String,
        /// Why.
        reason: String,
        /// When.
        issued: Timestamp,
        /// From when on the machine must not carry it out any more.
        expires: Timestamp,
    },
    /// Somebody changed one section of what the machine should become; it is said to the machine after this is on disk.
    DesiredChanged {
        /// The version of the whole that this makes.
        version: DesiredVersion,
        /// Which section.
        section: String,
        /// What is desired; none: nothing any more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        content: Option<JsonText>,
        /// Who changed it.
        issuer: String,
        /// Why.
        reason: String,
    },
    /// What the machine proves who it is by changed, or the server noticed something about it.
    IdentityNoted {
        /// What.
        what: IdentityFact,
        /// More of it, for a person.
        detail: String,
    },
    /// A person gave the machine another name to be shown, or took it away.
    Renamed {
        /// The new one.
        display_name: Option<String>,
    },
    /// A person changed the machine's labels.
    Labelled {
        /// All labels it has now.
        labels: BTreeMap<String, String>,
    },
}

/// What happened to what a machine proves who it is by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityFact {
    /// It enrolled.
    Enrolled,
    /// A person let it in.
    Accepted,
    /// It has a new certificate.
    Renewed,
    /// A person shut it out.
    Revoked,
    /// Its certificate ended while it was connected.
    Expired,
    /// Somebody else has the same key.
    Cloned,
}

/// A fact with its place in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Where it stands in the fleet's log.
    pub position: LogPosition,
    /// Which machine it is about.
    pub machine: MachineId,
    /// Where it stands among the entries about that machine.
    pub version: StreamVersion,
    /// When the server recorded it; never earlier than the entry before.
    pub recorded_at: Timestamp,
    /// The fact.
    pub body: Arc<MachineEntry>,
}

impl MachineEntry {
    /// The machine's record number, for facts that the machine reported.
    pub fn record(&self) -> Option<RecordNumber> {
        match self {
            Self::StateReported { record, .. }
            | Self::EventReported { record, .. }
            | Self::ResponseReported { record, .. }
            | Self::RecordRefused { record, .. } => Some(*record),
            Self::Registered
            | Self::SessionOpened { .. }
            | Self::PresenceChanged { .. }
            | Self::RecordsLost { .. }
            | Self::CommandIssued { .. }
            | Self::DesiredChanged { .. }
            | Self::IdentityNoted { .. }
            | Self::Renamed { .. }
            | Self::Labelled { .. } => None,
        }
    }

    /// The command that this gives.
    pub fn command_id(&self) -> Option<&str> {
        if let Self::CommandIssued { command_id, .. } = self {
            Some(command_id)
        } else {
            None
        }
    }

    /// The fact as an event for people, if it is one: what a machine told of, and what the server itself noticed.
    /// State reports are not events.
    pub fn as_event(&self, recorded_at: Timestamp) -> Option<MachineEvent> {
        let noticed = |kind: &str, severity, message: String| {
            let at = recorded_at;
            let kind = kind.to_owned();
            Some(MachineEvent {
                kind,
                severity,
                message,
                at,
                data: None,
                correlation_id: None,
                causation_id: None,
            })
        };
        match self {
            Self::EventReported { event, .. } => Some(event.clone()),
            Self::StateReported { .. } => None,
            Self::Registered => noticed("machine.registered", Severity::Info, "Joined the fleet".into()),
            Self::SessionOpened {
                session,
                agent_version,
                ..
            } => noticed(
                "machine.connected",
                Severity::Info,
                format!("Connected: session {session}, runtime {agent_version}"),
            ),
            Self::PresenceChanged { presence, reason } => {
                let (severity, word) = match presence {
                    Presence::Online => (Severity::Info, "Online"),
                    Presence::Degraded => (Severity::Info, "Heartbeat overdue"),
                    Presence::Lost => (Severity::Warning, "Lost"),
                };
                let kind = format!("presence.{presence}");
                noticed(&kind, severity, format!("{word}: {reason}"))
            }
            Self::ResponseReported {
                command_id,
                outcome,
                reason,
                ..
            } => {
                let why = reason
                    .as_deref()
                    .map(|reason| format!(": {reason}"))
                    .unwrap_or_default();
                let kind = format!("command.{outcome}");
                about_command(
                    command_id,
                    noticed(
                        &kind,
                        Severity::Info,
                        format!("Command {command_id} {outcome}{why}"),
                    ),
                )
            }
            Self::CommandIssued {
                command_id,
                kind,
                issuer,
                reason,
                ..
            } => {
                let event = if kind == STOP_KIND {
                    let message = format!("Remote stop asked for by {issuer}: {reason}");
                    noticed("machine.stop_requested", Severity::Warning, message)
                } else {
                    let message = format!("Command {kind} given by {issuer}: {reason}");
                    noticed("machine.command_issued", Severity::Info, message)
                };
                about_command(command_id, event)
            }
            Self::DesiredChanged {
                version,
                section,
                content,
                issuer,
                reason,
            } => {
                let what = if content.is_some() {
                    "Desired"
                } else {
                    "No longer desired"
                };
                let message = format!("{what}: {section}, by {issuer}: {reason} (version {version})");
                noticed("machine.desired_changed", Severity::Info, message)
            }
            Self::IdentityNoted { what, detail } => {
                let (word, severity, text) = match what {
                    IdentityFact::Enrolled => ("enrolled", Severity::Info, "Enrolled"),
                    IdentityFact::Accepted => ("accepted", Severity::Info, "Accepted"),
                    IdentityFact::Renewed => ("renewed", Severity::Info, "Has a new certificate"),
                    IdentityFact::Revoked => ("revoked", Severity::Warning, "Shut out"),
                    IdentityFact::Expired => ("expired", Severity::Warning, "Its certificate has ended"),
                    IdentityFact::Cloned => ("cloned", Severity::Critical, "Somebody else has its key"),
                };
                noticed(&format!("identity.{word}"), severity, format!("{text}: {detail}"))
            }
            Self::RecordsLost { first, last } => noticed(
                "records.lost",
                Severity::Error,
                format!("Records {first} to {last} were dropped by the machine and will never come"),
            ),
            Self::RecordRefused { record, kind, reason } => noticed(
                "records.refused",
                Severity::Error,
                format!(
                    "Record {record} of the machine, of type {kind}, cannot be taken and is passed over: {reason}"
                ),
            ),
            Self::Renamed {
                display_name: Some(name),
            } => noticed(
                "machine.renamed",
                Severity::Info,
                format!("Shown as “{name}” from now on"),
            ),
            Self::Renamed { display_name: None } => noticed(
                "machine.renamed",
                Severity::Info,
                "Shown under its own name again".into(),
            ),
            Self::Labelled { labels } => {
                let list: Vec<String> = labels
                    .iter()
                    .map(|(key, value)| format!("{key}={value}"))
                    .collect();
                let list = if list.is_empty() {
                    "none".to_owned()
                } else {
                    list.join(", ")
                };
                noticed(
                    "machine.labelled",
                    Severity::Info,
                    format!("Labels are now: {list}"),
                )
            }
        }
    }
}

/// All that happens because of one command belongs together.
fn about_command(command_id: &str, event: Option<MachineEvent>) -> Option<MachineEvent> {
    let correlation_id = Some(command_id.to_owned());
    event.map(|event| MachineEvent {
        correlation_id,
        ..event
    })
}
