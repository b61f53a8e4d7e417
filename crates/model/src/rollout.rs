//! Rollouts as data: what people ask for ([`RolloutSpec`]), what must be known of the release ([`ReleaseFacts`]), and what the log keeps of
//! its course ([`RolloutEntry`]).
//!
//! Nothing is decided here but whether a specification can be meant ([`RolloutSpec::check`]). Why it is so:
//! `docs/decisions/0033-rollouts.md`.

mod check;
mod entry;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::release::{ManifestDigest, ProductName};
use crate::time::Timestamp;
use crate::vocabulary::words;

pub use check::RolloutError;
pub use entry::{Counts, FailureCause, MachineChange, Offer, RolloutAct, RolloutEntry, RolloutRecord};

/// Longest id of a rollout: an assignment names it.
pub const ID_MAX_CHARS: usize = 64;
/// Longest name of a rollout or a phase.
pub const NAME_MAX_CHARS: usize = 100;
/// Phases of one rollout.
pub const PHASES_MAX: usize = 1_000;
/// Phases that people write down one by one.
pub const STAGES_MAX: usize = 64;
/// Machines of one rollout.
pub const MACHINES_MAX: usize = 100_000;
/// Places that are held at once.
pub const PARALLEL_MAX: u32 = 10_000;
/// The longest soak and the longest lease.
pub const TIME_MAX_S: u32 = 7 * 24 * 3_600;
/// The shortest lease.
pub const LEASE_MIN_S: u32 = 30;
/// How often one machine is offered a place, at most.
pub const OFFERS_MAX: u32 = 100;
/// The greatest growth from batch to batch.
pub const GROWTH_MAX: u32 = 10;
const MINUTES_OF_DAY: u16 = 24 * 60;

/// Names a rollout: 1 to 64 lower-case letters, digits and dashes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
#[serde(try_from = "String", into = "String")]
pub struct RolloutId(String);

impl RolloutId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RolloutId {
    type Err = RolloutError;

    fn from_str(text: &str) -> Result<Self, RolloutError> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=ID_MAX_CHARS).contains(&text.len()) && text.bytes().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(RolloutError::Id(text.chars().take(2 * ID_MAX_CHARS).collect()))
        }
    }
}

impl TryFrom<String> for RolloutId {
    type Error = RolloutError;

    fn try_from(text: String) -> Result<Self, RolloutError> {
        text.parse()
    }
}

impl From<RolloutId> for String {
    fn from(id: RolloutId) -> Self {
        id.0
    }
}

impl fmt::Display for RolloutId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for RolloutId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// What people ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RolloutSpec {
    /// What people call it; empty: product and version.
    #[serde(default)]
    pub name: String,
    /// Of what.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub product: ProductName,
    /// Which version.
    pub version: String,
    /// Which machines, as a filter; empty: all.
    #[serde(default)]
    pub selection: String,
    /// In which order.
    pub strategy: Strategy,
    /// How fast.
    #[serde(default)]
    pub pace: Pace,
    /// What must hold before the next phase.
    #[serde(default)]
    pub gates: Gates,
    /// When machines may begin; absent: always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub window: Option<Window>,
    /// What may fail, and what then.
    #[serde(default)]
    pub failure: Failure,
    /// What becomes of machines that are meant later on.
    #[serde(default)]
    pub late_joiners: LateJoiners,
}

/// In which order machines get it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Batch after batch.
    Rolling(Rolling),
    /// Some, then the rest.
    Canary(Canary),
    /// A phase for each selection, in order.
    Staged(Staged),
}

/// Batch after batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Rolling {
    /// How large the first batch is.
    pub batch: Amount,
    /// How many times larger each batch is than the one before: 1 is all the same, 2 an exponential ramp.
    #[serde(default = "one")]
    pub growth: u32,
}

/// Some, then the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// How many come first.
    pub first: Amount,
}

/// A phase for each selection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Staged {
    /// In order. A machine belongs to the first that means it.
    pub phases: Vec<Stage>,
}

/// One phase as people write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// What people call it: `munich`.
    pub name: String,
    /// Which machines, as a filter.
    pub selection: String,
    /// How long it soaks, in seconds; absent: as `gates` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub soak_s: Option<u32>,
    /// Whether somebody must approve it before it begins; absent: as `gates` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub approval: Option<bool>,
}

/// How many machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Amount {
    /// So many.
    Machines(u32),
    /// So many of a hundred, at least one.
    Percent(u8),
}

impl Amount {
    /// How many that are, of so many.
    pub fn of(self, all: usize) -> usize {
        match self {
            Self::Machines(machines) => machines as usize,
            Self::Percent(percent) => (all * usize::from(percent)).div_ceil(100),
        }
        .max(1)
    }
}

/// How fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Pace {
    /// Machines that have a place at the same time.
    pub parallel_max: u32,
    /// Places that are given out in a minute; absent: no bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub starts_per_min: Option<u32>,
    /// How long a machine holds its place, in seconds. What has begun and takes longer has failed.
    pub lease_s: u32,
    /// How often a machine is offered a place that does not begin.
    pub offers_max: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            parallel_max: 50,
            starts_per_min: None,
            lease_s: 3_600,
            offers_max: 3,
        }
    }
}

/// What must hold before the next phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Gates {
    /// Of those that answered, so many of a hundred must have succeeded.
    pub success_percent: u8,
    /// Of the machines of the phase, so many of a hundred must have answered: a cut network is no success.
    pub answered_percent: u8,
    /// How long the phase is watched after its last success, in seconds.
    pub soak_s: u32,
    /// Whether somebody must approve each phase after the first.
    pub approval: bool,
    /// What each machine must pass after the soak, as a filter: `status!=failed cpu<90`; empty: nothing.
    pub healthy: String,
}

impl Default for Gates {
    fn default() -> Self {
        Self {
            success_percent: 80,
            answered_percent: 50,
            soak_s: 300,
            approval: false,
            healthy: String::new(),
        }
    }
}

/// Some hours of each day, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// From this minute of the day on.
    pub from_min: u16,
    /// Until before this one; where it is the smaller, on the next day.
    pub to_min: u16,
}

impl Window {
    /// When the window ends that is open at this moment; none: it is closed.
    pub fn open_until(self, at: Timestamp) -> Option<Timestamp> {
        let minute_ms = 60_000;
        let day_ms = i64::from(MINUTES_OF_DAY) * minute_ms;
        let (from, to) = (
            i64::from(self.from_min) * minute_ms,
            i64::from(self.to_min) * minute_ms,
        );
        let length = (to - from).rem_euclid(day_ms);
        let into = (at.as_millis() - from).rem_euclid(day_ms);
        (into < length).then(|| at.plus_millis(length - into))
    }

    /// When it opens next; now, where it is open.
    pub fn opens_at(self, at: Timestamp) -> Timestamp {
        if self.open_until(at).is_some() {
            return at;
        }
        let day_ms = i64::from(MINUTES_OF_DAY) * 60_000;
        at.plus_millis((i64::from(self.from_min) * 60_000 - at.as_millis()).rem_euclid(day_ms))
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clock = |minutes: u16| (minutes / 60, minutes % 60);
        let ((from_h, from_min), (to_h, to_min)) = (clock(self.from_min), clock(self.to_min));
        write!(f, "{from_h:02}:{from_min:02} to {to_h:02}:{to_min:02} UTC")
    }
}

/// What may fail, and what then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Failure {
    /// Of the machines of a phase that can be reached, so many of a hundred may fail.
    pub percent: u8,
    /// What happens beyond that.
    pub then: OnFailure,
}

impl Default for Failure {
    fn default() -> Self {
        Self {
            percent: 20,
            then: OnFailure::RollBack,
        }
    }
}

words! {
    /// What happens when more of a phase failed than may.
    OnFailure {
        /// Nobody gets a place any more, until somebody decides.
        Pause => "pause",
        /// The machines of the phase go back to the version before.
        RollBack => "roll_back",
    }
}

words! {
    /// What becomes of machines that the selection means only after the plan.
    #[derive(Default)]
    LateJoiners {
        /// They are left out.
        #[default]
        Skip => "skip",
        /// They belong to the next phase.
        NextPhase => "next_phase",
        /// They belong to a phase of their own, after all others.
        OwnPhaseAtEnd => "own_phase_at_end",
    }
}

/// What must be known of a release to roll it out: the server's store of releases says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
pub struct ReleaseFacts {
    /// Of what.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub product: ProductName,
    /// Which version.
    pub version: String,
    /// A number that only grows: machines take no lower one.
    pub counter: u64,
    /// The SHA-256 of the manifest.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub manifest: ManifestDigest,
    /// How long the manifest is, in bytes.
    pub manifest_bytes: u64,
    /// Processors that it is for; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub architectures: Vec<String>,
    /// Kinds of machines that it is for; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// Whether something of it is started: then a success needs a start.
    pub is_started: bool,
    /// What must hold of a machine's own readings. The machine decides; here it is for telling people beforehand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub preconditions: Vec<Requirement>,
}

/// What must hold of one reading of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
pub struct Requirement {
    /// Which: `battery_percent`, `mode`.
    pub reading: String,
    /// How it must be.
    pub test: RequirementTest,
}

/// How a reading must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RequirementTest {
    /// It or more.
    AtLeast(i32),
    /// It or less.
    AtMost(i32),
    /// One of these words.
    In(Vec<String>),
}

words! {
    /// How far a rollout is.
    #[derive(Default)]
    RolloutState {
        /// Written down; nobody is placed yet.
        #[default]
        Draft => "draft",
        /// Every machine has its phase.
        Planned => "planned",
        /// Somebody approved the plan.
        Approved => "approved",
        /// Machines get places.
        Running => "running",
        /// Nobody gets a place.
        Paused => "paused",
        /// All phases are over.
        Succeeded => "succeeded",
        /// Machines go back to the version before.
        RollingBack => "rolling_back",
        /// They went back, as far as they could be reached.
        RolledBack => "rolled_back",
        /// Somebody ended it.
        Aborted => "aborted",
    }
}

impl RolloutState {
    /// Nothing more happens without a person.
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Succeeded | Self::RolledBack | Self::Aborted)
    }
}

words! {
    /// How far a phase is.
    PhaseStage {
        /// Not begun.
        Waiting => "waiting",
        /// Somebody must approve it.
        Approval => "approval",
        /// Its machines get places.
        Installing => "installing",
        /// It is watched.
        Soaking => "soaking",
        /// It is over.
        Over => "over",
    }
}

words! {
    /// How far a machine is in a rollout.
    #[derive(Default)]
    MachineStage {
        /// It has no place yet.
        #[default]
        Pending => "pending",
        /// It cannot begin, for the reasons given.
        Blocked => "blocked",
        /// It has a place and has not taken it up.
        Offered => "offered",
        /// It downloads, or has downloaded.
        Fetching => "fetching",
        /// It writes.
        Installing => "installing",
        /// It runs the release and has not proved it.
        Probation => "probation",
        /// It proved that it runs the release.
        Succeeded => "succeeded",
        /// It does not.
        Failed => "failed",
        /// It runs the version before again.
        RolledBack => "rolled_back",
        /// It is not heard of.
        Unreachable => "unreachable",
        /// It is left out.
        Skipped => "skipped",
    }
}

/// A phase, as it was planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
pub struct PhaseFacts {
    /// What people call it.
    pub name: String,
    /// How long it soaks, in seconds.
    pub soak_s: u32,
    /// Whether somebody must approve it before it begins.
    pub approval: bool,
}

const fn one() -> u32 {
    1
}
