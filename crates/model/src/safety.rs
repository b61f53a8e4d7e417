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
    /// Below this its battery is low, in percent; absent where no row asks for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub battery_low_percent: Option<f64>,
    /// Above this it is too hot, in degrees Celsius; absent where no row asks for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub too_hot_celsius: Option<f64>,
    /// Where it may be, in short; absent where it may be anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub fence: Option<FenceReport>,
    /// What the computer granted to the thread of its safety loop; absent where the loop has none of its own, because nothing
    /// real moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub thread: Option<ThreadGrants>,
}

/// Where a machine may be, in short: the machine's own file has the corners.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
pub struct FenceReport {
    /// How many areas it stays inside of.
    pub areas: u32,
    /// How many it stays out of.
    pub keep_out: u32,
    /// How fast it surely slows down, in m/s²: it stops early enough to stay inside.
    pub decelerates_m_per_s2: f64,
    /// How far off its position may be, in metres.
    pub margin_m: f64,
}

/// What a computer granted to the thread of the safety loop. What was refused is no reason not to run, and is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
pub struct ThreadGrants {
    /// Its priority among real-time threads (`SCHED_FIFO`), before all ordinary ones; absent where that was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub priority: Option<u8>,
    /// Why it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub priority_refused: Option<String>,
    /// Whether the memory of the runtime stays where it is.
    pub memory_locked: bool,
    /// Why it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub memory_refused: Option<String>,
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
