//! Remote stop: what is asked for, what is answered at once, and how far it got.
//!
//! There is nothing here that takes a stop back: only somebody at the machine lets it move again.

use muster_model::{MachineId, Timestamp};
use serde::{Deserialize, Serialize};

/// Most machines that a call names one by one. `filter` and `all` select among the machines of the fleet, and have no other
/// bound than those have.
pub const STOP_MACHINES_MAX: usize = 10_000;
/// Longest reason, in characters.
pub const STOP_REASON_MAX_CHARS: usize = 500;
/// How long a machine may carry out a stop where nothing else is said.
pub const STOP_LIFETIME_DEFAULT_S: u64 = 600;
/// The longest time that can be asked for.
pub const STOP_LIFETIME_MAX_S: u64 = 86_400;

document! {
    /// A remote stop of one machine.
    #[serde(deny_unknown_fields)]
    StopMachine {
        /// Why: 1 to 500 characters.
        #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 500))]
        reason: String,
        /// How long the machine may carry it out, in seconds: 1 to 86,400. Absent: what the server is set to, ten minutes by
        /// default. A machine that comes back later is not told any more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false, minimum = 1, maximum = 86_400))]
        expires_in_s: Option<u64>,
    }
}

document! {
    /// A remote stop of several machines: exactly one of `machines`, `filter` and `all` says which.
    #[serde(deny_unknown_fields)]
    StopRequest {
        /// These: at most 10,000.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false, min_items = 1, max_items = 10_000))]
        machines: Option<Vec<MachineId>>,
        /// Those that pass, as in the list of machines: `kind=car region=munich`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        filter: Option<String>,
        /// `true`: every machine of the fleet.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        all: Option<bool>,
        /// Why: 1 to 500 characters.
        #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 500))]
        reason: String,
        /// How long the machines may carry it out, in seconds: 1 to 86,400. Absent: what the server is set to, ten minutes by
        /// default. A machine that comes back later is not told any more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false, minimum = 1, maximum = 86_400))]
        expires_in_s: Option<u64>,
    }
}

/// Which machines a program wants to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopSelection {
    /// These.
    Machines(Vec<MachineId>),
    /// Those that pass.
    Filter(String),
    /// Every one.
    All,
}

impl StopRequest {
    /// The request for this selection.
    pub fn new(selection: StopSelection, reason: String, expires_in_s: Option<u64>) -> Self {
        let mut request = Self {
            machines: None,
            filter: None,
            all: None,
            reason,
            expires_in_s,
        };
        match selection {
            StopSelection::Machines(machines) => request.machines = Some(machines),
            StopSelection::Filter(filter) => request.filter = Some(filter),
            StopSelection::All => request.all = Some(true),
        }
        request
    }
}

document! {
    /// Stops that are in the log. How far each got shows in its machine's `last_stop`.
    StopsIssued {
        /// Who asked.
        issuer: String,
        /// Why.
        reason: String,
        /// One line a machine.
        stops: Vec<StopTold>,
        /// Machines for which it could not be issued; empty as a rule.
        refused: Vec<StopRefused>,
    }
}

document! {
    /// A stop that is in the log.
    StopTold {
        /// Which machine.
        machine_id: MachineId,
        /// Its name, as it is shown.
        machine_name: String,
        /// Names the command for ever.
        command_id: String,
        /// When it was asked for.
        issued_at: Timestamp,
        /// From when on the machine must not carry it out any more.
        expires_at: Timestamp,
        /// Whether the machine was in session, so that it was told at once. Otherwise it is told when it comes back, if that
        /// is in time.
        told: bool,
    }
}

document! {
    /// A machine for which a stop could not be issued.
    StopRefused {
        /// Which machine.
        machine_id: MachineId,
        /// Whether the machine was told all the same: it is in session, and the log has no record of the stop.
        #[serde(default)]
        told: bool,
        /// Why, for a person.
        detail: String,
    }
}

document! {
    /// The last remote stop that was asked of a machine, and how far it got by what the machine itself said.
    Stop {
        /// Names the command for ever.
        command_id: String,
        /// Who asked for it.
        issuer: String,
        /// Why.
        reason: String,
        /// When it was asked for.
        issued_at: Timestamp,
        /// From when on the machine must not carry it out any more.
        expires_at: Timestamp,
        /// What the machine answered: `accepted`, `duplicate` (it had it already), `expired` or `refused`; null until it does.
        #[cfg_attr(feature = "schema", schema(required = true))]
        answer: Option<String>,
        /// Why, where it did not accept.
        #[cfg_attr(feature = "schema", schema(required = true))]
        answer_reason: Option<String>,
        /// When it answered.
        #[cfg_attr(feature = "schema", schema(required = true))]
        answered_at: Option<Timestamp>,
        /// When its reported state first showed, after the stop was asked for, that its safety region holds it.
        #[cfg_attr(feature = "schema", schema(required = true))]
        standing_at: Option<Timestamp>,
        /// When it first reported, while it stood, that nothing moves any more, by what it measures; null for ever where it
        /// measures nothing.
        #[cfg_attr(feature = "schema", schema(required = true))]
        at_rest_at: Option<Timestamp>,
        /// When it first reported, after it stood, that nothing holds it any more: somebody at the machine let it go.
        #[cfg_attr(feature = "schema", schema(required = true))]
        released_at: Option<Timestamp>,
        /// Whether nothing moves just now, by what it measures; null where it measures nothing.
        #[cfg_attr(feature = "schema", schema(required = true))]
        at_rest: Option<bool>,
    }
}

impl Stop {
    /// Whether the machine has it.
    pub fn is_received(&self) -> bool {
        matches!(self.answer.as_deref(), Some("accepted" | "duplicate"))
    }
}
