//! What the log keeps of a rollout: facts, in order, that are never changed. A rollout is the fold of them.

use serde::{Deserialize, Serialize};

use super::{MachineStage, PhaseFacts, PhaseStage, ReleaseFacts, RolloutSpec, RolloutState};
use crate::ids::MachineId;
use crate::release::Act;
use crate::time::Timestamp;
use crate::vocabulary::words;

/// An entry, and when it was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutRecord {
    /// When, in server time. Never before the entry before it.
    pub at: Timestamp,
    /// What.
    pub entry: RolloutEntry,
}

/// One fact about a rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutEntry {
    /// Somebody wrote it down.
    Created {
        /// What is asked for.
        spec: Box<RolloutSpec>,
        /// Of which release.
        release: Box<ReleaseFacts>,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// It was planned: whoever was placed before is not any more.
    Planned {
        /// The phases, in order.
        phases: Vec<PhaseFacts>,
        /// By whom.
        by: String,
    },
    /// These machines belong to a phase.
    Placed {
        /// Which, from zero.
        phase: u32,
        /// Who.
        machines: Vec<MachineId>,
    },
    /// These machines are meant and do not get it.
    LeftOut {
        /// Why, for a person.
        why: String,
        /// Who.
        machines: Vec<MachineId>,
    },
    /// A phase was added at the end.
    PhaseAdded(PhaseFacts),
    /// Somebody decided something.
    Acted {
        /// What.
        act: RolloutAct,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// These machines have a place.
    Offered(Vec<Offer>),
    /// These machines are elsewhere now.
    Changed(Vec<MachineChange>),
    /// A phase is elsewhere now.
    PhaseChanged {
        /// Which, from zero.
        phase: u32,
        /// How far it is.
        stage: PhaseStage,
        /// Why, or what it waits for, for a person.
        why: String,
        /// How its machines stood.
        counts: Counts,
    },
    /// The rollout is elsewhere now, without a person.
    StateChanged {
        /// How far it is.
        state: RolloutState,
        /// Why, for a person.
        why: String,
        /// The phase that goes back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        phase: Option<u32>,
    },
}

/// What a person can decide about a rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutAct {
    /// The plan is good.
    Approve,
    /// It may begin.
    Start {
        /// Not before this moment.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Timestamp>,
    },
    /// A phase may begin.
    ApprovePhase {
        /// Which.
        phase: u32,
    },
    /// Nobody gets a place any more.
    Pause,
    /// Go on.
    Resume,
    /// Those that did not make it get another chance.
    Retry {
        /// Who; empty: all that failed, went back or were skipped.
        machines: Vec<MachineId>,
    },
    /// These are left out.
    Skip {
        /// Who.
        machines: Vec<MachineId>,
    },
    /// It ends.
    Abort,
    /// Machines go back to the version before.
    RollBack {
        /// Of which phase; none: of all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        phase: Option<u32>,
    },
}

impl RolloutAct {
    /// In a word.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Start { .. } => "start",
            Self::ApprovePhase { .. } => "approve_phase",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Retry { .. } => "retry",
            Self::Skip { .. } => "skip",
            Self::Abort => "abort",
            Self::RollBack { .. } => "roll_back",
        }
    }
}

/// A place for one machine, and the assignment that goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Who.
    pub machine: MachineId,
    /// The number of the assignment: greater than all before it for this product and machine.
    pub number: u64,
    /// What is asked for.
    pub act: Act,
    /// The machine does not begin after this.
    pub until: Timestamp,
    /// It has the place until then.
    pub lease_until: Timestamp,
    /// The start that it reported last: a success has a greater one.
    pub start_before: u64,
}

/// A machine that is elsewhere now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineChange {
    /// Who.
    pub machine: MachineId,
    /// How far it is.
    pub stage: MachineStage,
    /// What made it fail, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<FailureCause>,
    /// Why, for a person, each thing by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<String>,
}

words! {
    /// What made a machine fail.
    FailureCause {
        /// It refused.
        Refused => "refused",
        /// It went back by itself.
        RolledBack => "rolled_back",
        /// It was not done within its lease. A proof that comes later still counts.
        TooLate => "too_late",
        /// It did not pass after the soak.
        Unhealthy => "unhealthy",
    }
}

/// How many machines are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = RolloutCounts), schemars(rename = "RolloutCounts"))]
pub struct Counts {
    /// Without a place yet.
    pub pending: u32,
    /// Cannot begin.
    pub blocked: u32,
    /// Have a place and have not taken it up.
    pub offered: u32,
    /// Download.
    pub fetching: u32,
    /// Write.
    pub installing: u32,
    /// Run it and have not proved it.
    pub probation: u32,
    /// Proved that they run it.
    pub succeeded: u32,
    /// Do not.
    pub failed: u32,
    /// Run the version before again.
    pub rolled_back: u32,
    /// Are not heard of.
    pub unreachable: u32,
    /// Are left out.
    pub skipped: u32,
}

impl Counts {
    /// The count of one stage.
    pub fn of(&mut self, stage: MachineStage) -> &mut u32 {
        match stage {
            MachineStage::Pending => &mut self.pending,
            MachineStage::Blocked => &mut self.blocked,
            MachineStage::Offered => &mut self.offered,
            MachineStage::Fetching => &mut self.fetching,
            MachineStage::Installing => &mut self.installing,
            MachineStage::Probation => &mut self.probation,
            MachineStage::Succeeded => &mut self.succeeded,
            MachineStage::Failed => &mut self.failed,
            MachineStage::RolledBack => &mut self.rolled_back,
            MachineStage::Unreachable => &mut self.unreachable,
            MachineStage::Skipped => &mut self.skipped,
        }
    }

    /// All of them.
    pub const fn all(&self) -> u32 {
        self.open() + self.answered() + self.unreachable + self.skipped
    }

    /// Those of which more is expected.
    pub const fn open(&self) -> u32 {
        self.pending + self.blocked + self.offered + self.fetching + self.installing + self.probation
    }

    /// Those that came to an end by their own word.
    pub const fn answered(&self) -> u32 {
        self.succeeded + self.did_not()
    }

    /// Those that came to an end that was not wanted.
    pub const fn did_not(&self) -> u32 {
        self.failed + self.rolled_back
    }

    /// Those that can be reached: what thresholds are about.
    pub const fn reachable(&self) -> u32 {
        self.open() + self.answered()
    }
}
