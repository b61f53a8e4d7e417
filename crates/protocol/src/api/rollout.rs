//! Rollouts: who gets a release, in which order, and how far they are.

use muster_model::rollout::{
    Counts, FailureCause, MachineStage, PhaseStage, ReleaseFacts, RolloutSpec, RolloutState,
};
use muster_model::{MachineId, Timestamp};
use serde::{Deserialize, Serialize};

use super::StopRefused;

document! {
    /// A rollout that is asked for.
    #[serde(deny_unknown_fields)]
    NewRollout {
        /// What is asked for.
        spec: RolloutSpec,
        /// Why: people who look into it later read it.
        reason: String,
    }
}

document! {
    /// A rollout in short.
    RolloutSummary {
        /// Its name in paths.
        id: String,
        /// What people call it.
        name: String,
        /// Of what.
        product: String,
        /// Which version.
        version: String,
        /// Who wrote it down.
        by: String,
        /// When.
        created_at: Timestamp,
        /// How far it is.
        state: RolloutState,
        /// Why, for a person; empty where the state says it all.
        why: String,
        /// When it changed last.
        changed_at: Timestamp,
        /// The phase that is under way, from zero.
        phase: u32,
        /// How many there are.
        phases: u32,
        /// How its machines stand.
        counts: Counts,
    }
}

document! {
    /// Rollouts, the newest first.
    RolloutPage {
        /// Them.
        items: Vec<RolloutSummary>,
        /// For the next page; absent on the last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        next_cursor: Option<String>,
    }
}

document! {
    /// A rollout.
    Rollout {
        /// In short.
        summary: RolloutSummary,
        /// Why it was written down.
        reason: String,
        /// What is asked for.
        spec: RolloutSpec,
        /// Of which release.
        release: ReleaseFacts,
        /// The phases, in order.
        phases: Vec<RolloutPhase>,
        /// Machines that are meant and do not get it, by the reason.
        left_out: Vec<RolloutLeftOut>,
        /// What people decided, the newest last; the history has all of it.
        decisions: Vec<RolloutDecided>,
    }
}

document! {
    /// A phase of a rollout.
    RolloutPhase {
        /// What people call it.
        name: String,
        /// How far it is.
        stage: PhaseStage,
        /// Why, or what it waits for, for a person.
        why: String,
        /// Since when.
        since: Timestamp,
        /// How long it is watched after its last success, in seconds.
        soak_s: u32,
        /// Whether somebody must approve it before it begins.
        approval: bool,
        /// Whether somebody did.
        is_approved: bool,
        /// How many of its machines may fail before it is halted.
        failures_max: u32,
        /// How its machines stand.
        counts: Counts,
    }
}

document! {
    /// Machines that are meant and do not get it.
    RolloutLeftOut {
        /// Why, for a person.
        why: String,
        /// How many.
        machines: u64,
    }
}

document! {
    /// What somebody decided about a rollout.
    RolloutDecided {
        /// When.
        at: Timestamp,
        /// Who.
        by: String,
        /// What: `approve`, `pause` …
        act: String,
        /// Why.
        reason: String,
    }
}

document! {
    /// How far a machine is in a rollout.
    RolloutMachine {
        /// Who.
        machine_id: MachineId,
        /// Its name.
        name: String,
        /// Its phase, from zero.
        phase: u32,
        /// How far it is.
        stage: MachineStage,
        /// Why, for a person, each thing by itself.
        why: Vec<String>,
        /// What made it fail, where it did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        cause: Option<FailureCause>,
        /// Since when.
        since: Timestamp,
        /// How often it was offered a place.
        offers: u32,
    }
}

document! {
    /// Machines of a rollout, by id.
    RolloutMachinePage {
        /// Them.
        items: Vec<RolloutMachine>,
        /// For the next page; absent on the last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        next_cursor: Option<String>,
    }
}

document! {
    /// What the log says of a rollout, or of one machine of it, in words.
    RolloutHistory {
        /// The oldest first; where there is more than was asked for, the newest of it.
        items: Vec<RolloutLine>,
    }
}

document! {
    /// One thing that happened.
    RolloutLine {
        /// When.
        at: Timestamp,
        /// What, for a person.
        text: String,
    }
}

document! {
    /// What a rollout would do.
    RolloutPlan {
        /// Of which release.
        release: ReleaseFacts,
        /// The phases, in order.
        phases: Vec<RolloutPlannedPhase>,
        /// Who is meant and does not get it.
        left_out: Vec<RolloutNotMeant>,
        /// Machines that would get it.
        machines: u64,
        /// Bytes that they fetch together; absent where that is not known of each.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        bytes: Option<u64>,
        /// When it would end, if nobody fails and nobody is waited for; absent where no update of the product was seen yet.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        ends_at: Option<Timestamp>,
    }
}

document! {
    /// A phase as it would be.
    RolloutPlannedPhase {
        /// What people call it.
        name: String,
        /// How long it is watched after its last success, in seconds.
        soak_s: u32,
        /// Whether somebody must approve it before it begins.
        approval: bool,
        /// How many have a place at the same time, at most: the parallel limit, or the failures that may be and one more.
        at_once: u64,
        /// Who, the first first.
        machines: Vec<RolloutPlannedMachine>,
    }
}

document! {
    /// A machine as it would be.
    RolloutPlannedMachine {
        /// Who.
        machine_id: MachineId,
        /// Its name.
        name: String,
        /// Bytes that it fetches; absent where that is not known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        bytes: Option<u64>,
        /// Why it could not begin now, each thing by itself; empty: it could.
        blocked: Vec<String>,
        /// For how long it was not heard of, in milliseconds; absent: it is there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        unreachable_ms: Option<i64>,
    }
}

document! {
    /// A machine that is meant and does not get it.
    RolloutNotMeant {
        /// Who.
        machine_id: MachineId,
        /// Its name.
        name: String,
        /// Why, for a person.
        why: String,
    }
}

document! {
    /// What somebody decides about a rollout.
    #[serde(deny_unknown_fields)]
    RolloutDecision {
        /// Why: people who look into it later read it.
        reason: String,
        /// To approve, or to roll back: only this phase, from zero.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        phase: Option<u32>,
        /// To retry or to skip: these machines. Absent: to retry, all that did not make it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        machines: Option<Vec<MachineId>>,
        /// To start: not before this moment.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        at: Option<Timestamp>,
    }
}

document! {
    /// All updates of these machines are to stop, or may go on.
    #[serde(deny_unknown_fields)]
    UpdatesStop {
        /// These machines.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        machines: Option<Vec<MachineId>>,
        /// Those that pass this filter.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        filter: Option<String>,
        /// All of them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(nullable = false))]
        all: Option<bool>,
        /// Why: machines show it, and people who look into it later.
        reason: String,
    }
}

document! {
    /// Who was told to stop all updates, or to go on.
    UpdatesStopped {
        /// Machines for which the log has it. Each confirms it by what it reports.
        told: u64,
        /// Those for which it could not be done.
        refused: Vec<StopRefused>,
    }
}

document! {
    /// Whether updates are stopped, machine by machine.
    UpdatesStanding {
        /// Machines of which it is asked, or that report it.
        items: Vec<UpdatesStandingMachine>,
        /// Of how many it is asked.
        asked: u64,
        /// How many of those report that they stopped.
        confirmed: u64,
    }
}

document! {
    /// Whether updates of one machine are stopped.
    UpdatesStandingMachine {
        /// Which.
        machine_id: MachineId,
        /// Its name.
        name: String,
        /// It is asked of it.
        is_asked: bool,
        /// It reports it.
        is_confirmed: bool,
    }
}
