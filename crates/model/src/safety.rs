//! What a machine's safety is made of, as it says itself: what changes rarely. How it stands is in `operation`.

use serde::{Deserialize, Serialize};

/// How the safety of a machine is set up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
pub struct SafetyReport {
    /// Whether emergency stop buttons are wired to it.
    pub estop_circuit: bool,
    /// Whether a contact at its case is.
    pub tamper_circuit: bool,
    /// Whether it is measured how fast it moves.
    pub measures_motion: bool,
    /// What it may not exceed; absent where nothing limits it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub speed_max: Option<f64>,
    /// How long a controlled stop may take, in milliseconds.
    pub stop_within_ms: u64,
    /// What of its limits is left while it is limited: 0 to 1.
    pub limited_to: f64,
    /// What an emergency stop does: `power_off` or `controlled_stop`.
    pub on_estop: String,
    /// How it starts: `explicit` (somebody at the machine resumes it) or `automatic`.
    pub start: String,
    /// How it starts when nobody knows how it ended: the same words.
    pub after_power_cut: String,
    /// The failsafe table.
    pub failsafe: Vec<FailsafeRow>,
}

/// A row of the failsafe table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
pub struct FailsafeRow {
    /// When this holds: `link_lost`, `too_hot` …
    pub when: String,
    /// For so long, in milliseconds.
    pub after_ms: u64,
    /// This is done: `warn`, `limit`, `hold`, `controlled_stop` or `power_off`.
    pub action: String,
    /// Until this: `with_condition`, `acknowledged` or `reset`.
    pub clears: String,
}
