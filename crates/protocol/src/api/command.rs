//! Commands of people other than stop: what is asked for, and what the machine answered.

use muster_model::entry::JsonText;
use muster_model::{MachineId, Timestamp};
use serde::{Deserialize, Serialize};

document! {
    /// A command for one machine. Stop has a path of its own.
    #[serde(deny_unknown_fields)]
    GiveCommand {
        /// What is asked for, one of those that the machine accepts: `identify` …
        kind: String,
        /// How; what is accepted depends on the kind. At most 4,096 bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(value_type = Option<serde_json::Value>))]
        arguments: Option<JsonText>,
        /// Why: 1 to 500 characters.
        #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 500))]
        reason: String,
        /// How long the machine may carry it out, in seconds: at least 1, and no more than commands of its kind may last.
        /// Absent: what is usual for the kind.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false, minimum = 1, maximum = 86_400))]
        expires_in_s: Option<u64>,
    }
}

document! {
    /// A command that is in the log.
    CommandTold {
        /// Which machine.
        machine_id: MachineId,
        /// Its name, as it is shown.
        machine_name: String,
        /// Whether the machine was in session, so that it was told at once.
        told: bool,
        /// The command.
        command: GivenCommand,
    }
}

document! {
    /// A command that was given to a machine.
    GivenCommand {
        /// Names the command for ever.
        command_id: String,
        /// What is asked for.
        kind: String,
        /// How; absent where nothing more was said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(value_type = Option<serde_json::Value>))]
        arguments: Option<JsonText>,
        /// Who asked for it.
        issuer: String,
        /// Why.
        reason: String,
        /// When.
        issued_at: Timestamp,
        /// From when on the machine must not carry it out any more.
        expires_at: Timestamp,
        /// What the machine answered: `accepted`, `duplicate` (it had it already), `expired` or `refused`; null until it does.
        /// Accepted is not done: that shows in its state and its events.
        #[cfg_attr(feature = "schema", schema(required = true))]
        answer: Option<String>,
        /// Why, where it did not accept.
        #[cfg_attr(feature = "schema", schema(required = true))]
        answer_reason: Option<String>,
        /// When it answered.
        #[cfg_attr(feature = "schema", schema(required = true))]
        answered_at: Option<Timestamp>,
    }
}

document! {
    /// The commands that were last given to a machine, and what it can be commanded.
    MachineCommands {
        /// Which machine.
        machine_id: MachineId,
        /// The kinds of commands that it carries out, as it said when it last connected. `stop` can always be asked for.
        accepts: Vec<String>,
        /// The newest first: at most 16, stops among them. Older ones are among the events.
        items: Vec<GivenCommand>,
    }
}
