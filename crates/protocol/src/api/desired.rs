//! What people want a machine to become, section by section, and how far the machine says it is.

use muster_model::desired::DesiredStatus;
use muster_model::entry::JsonText;
use muster_model::{DesiredVersion, MachineId, Timestamp};
use serde::{Deserialize, Serialize};

use super::ProblemField;

/// Longest reason of a change, in characters.
pub const DESIRED_REASON_MAX_CHARS: usize = 500;

document! {
    /// What people want a machine to become, beside what the machine says of it.
    Desired {
        /// Which machine.
        machine_id: MachineId,
        /// The version of the whole, also the `ETag`; 0 where nobody ever desired anything.
        version: DesiredVersion,
        /// The version that the machine says is on its disk; 0 where it never said.
        held_version: DesiredVersion,
        /// Whether the machine holds this version and has applied every section.
        converged: bool,
        /// Each section, by name.
        sections: Vec<DesiredSection>,
    }
}

document! {
    /// One section of what a machine should become.
    DesiredSection {
        /// Its name.
        name: String,
        /// The version in which it last changed.
        version: DesiredVersion,
        /// What is desired.
        #[cfg_attr(feature = "schema", schema(value_type = serde_json::Value))]
        content: JsonText,
        /// Who changed it last.
        issuer: String,
        /// Why.
        reason: String,
        /// When.
        changed_at: Timestamp,
        /// How it stands, by what the machine reports: `pending` until the machine has spoken about this version.
        status: DesiredStatus,
        /// Why, where it is refused or in conflict; what is worth knowing otherwise.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        status_reason: Option<String>,
    }
}

document! {
    /// A change of one section of what a machine should become.
    #[serde(deny_unknown_fields)]
    DesiredChange {
        /// What is desired: an object of at most 32 KiB, not nested deeper than 24; all sections together have at most 48 KiB.
        content: serde_json::Value,
        /// Why: 1 to 500 characters.
        #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 500))]
        reason: String,
    }
}

document! {
    /// How a section was desired before, newest first.
    DesiredHistory {
        /// At most 50 changes.
        items: Vec<DesiredPast>,
        /// Whether these are all that there ever were.
        complete: bool,
    }
}

document! {
    /// One change of a section.
    DesiredPast {
        /// The version of the whole that it made.
        version: DesiredVersion,
        /// What was desired from then on; null: nothing.
        #[cfg_attr(feature = "schema", schema(required = true, value_type = Option<serde_json::Value>))]
        content: Option<JsonText>,
        /// Who changed it.
        issuer: String,
        /// Why.
        reason: String,
        /// When.
        changed_at: Timestamp,
    }
}

document! {
    /// What is to be said of a calibration profile, without any machine.
    CalibrationCheck {
        /// Whether it is in order. The machine looks at it again, with the limits of its device.
        accepted: bool,
        /// What is wrong with it: where, and what is accepted there.
        refusals: Vec<ProblemField>,
        /// What comes out for values from one end of its input to the other, as pairs; null for several axes, or where it is refused.
        #[cfg_attr(feature = "schema", schema(required = true))]
        curve: Option<Vec<[f64; 2]>>,
    }
}
