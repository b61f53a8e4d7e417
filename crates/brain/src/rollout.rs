//! Rollouts: who gets a release, in which order, and what happens when it goes wrong.
//!
//! Begin with [`plan()`], which says beforehand what would happen, then [`Executor::step`], which has it happen. [`Rollout`] is the fold
//! of the rollout's stream in the log: [`Rollout::apply`] is the only function that changes one, and `decide` makes new entries from it
//! and from what machines report ([`Observation`]). The executor leaves effects only for what the log holds already.
//!
//! It knows no manifests, stores or people: [`ReleaseFacts`] and names come from outside. Why it is so: `docs/decisions/0033-rollouts.md`.

mod act;
mod decide;
mod executor;
mod fold;
mod judge;
mod observation;
pub mod plan;
mod why;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use muster_model::rollout::{
    Counts, FailureCause, MachineStage, Offer, PhaseFacts, PhaseStage, ReleaseFacts, RolloutAct, RolloutSpec,
    RolloutState,
};
use muster_model::{Filter, MachineId, Timestamp};

pub use act::ActError;
pub use executor::{Effect, Executor, Input};
pub use observation::{Observation, unmet};
pub use plan::{Plan, PlannedMachine, PlannedPhase, Question, plan};
pub use why::line;

/// Decisions of people that a rollout remembers; the log has all.
pub const DECISIONS_KEPT_MAX: usize = 200;
/// For so long a machine that was silent may still go back, in milliseconds.
pub const GO_BACK_LASTS_MS: i64 = 30 * 24 * 3_600_000;

/// A rollout: the fold of its entries.
#[derive(Clone, Debug, PartialEq)]
pub struct Rollout {
    /// What is asked for.
    pub spec: Arc<RolloutSpec>,
    /// Of which release.
    pub release: Arc<ReleaseFacts>,
    /// Who wrote it down.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub created_at: Timestamp,
    /// How far it is.
    pub state: RolloutState,
    /// Why, for a person.
    pub why: String,
    /// Since when.
    pub since: Timestamp,
    /// It gives out no place before this.
    pub begins_at: Timestamp,
    /// The phase that is under way, from zero.
    pub phase: u32,
    /// The phases, in order.
    pub phases: Vec<Phase>,
    /// Every machine that has a phase.
    pub machines: BTreeMap<MachineId, MachineProgress>,
    /// Machines that are meant and do not get it, and why.
    pub left_out: BTreeMap<MachineId, Arc<str>>,
    /// What people decided, the newest last.
    pub decisions: VecDeque<Decided>,
    /// When the last entry was decided.
    pub changed_at: Timestamp,
    /// How many entries were folded in.
    pub entries: u64,
    /// When places were given out in the last minute before the last of them.
    starts: VecDeque<Timestamp>,
    /// What machines must pass after the soak.
    healthy: Filter,
}

/// A phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    /// As it was planned.
    pub facts: PhaseFacts,
    /// How far it is.
    pub stage: PhaseStage,
    /// Why, or what it waits for, for a person.
    pub why: String,
    /// Since when.
    pub since: Timestamp,
    /// Whether somebody approved it.
    pub is_approved: bool,
    /// How its machines stand.
    pub counts: Counts,
}

/// How far a machine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineProgress {
    /// Its phase, from zero.
    pub phase: u32,
    /// How far.
    pub stage: MachineStage,
    /// Why, for a person, each thing by itself.
    pub why: Vec<String>,
    /// What made it fail, where it did.
    pub cause: Option<FailureCause>,
    /// Since when.
    pub since: Timestamp,
    /// When anything about it was noted last.
    pub told_at: Timestamp,
    /// How often it was offered a place since somebody last said "retry".
    pub offers: u32,
    /// The last offer, and whether it still has the place.
    pub offer: Option<Offer>,
    /// What it says of its failure with this number, or one before, was forgiven: somebody said "retry".
    pub forgiven: u64,
    /// Whether it has a place.
    pub has_place: bool,
    /// Whether it is to go back.
    pub goes_back: bool,
}

/// What somebody decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// What.
    pub act: RolloutAct,
}

impl Rollout {
    /// How all machines stand.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for progress in self.machines.values() {
            *counts.of(progress.stage) += 1;
        }
        counts
    }

    /// How many places are held.
    pub fn places(&self) -> usize {
        self.machines
            .values()
            .filter(|progress| progress.has_place)
            .count()
    }

    /// Machines of a phase that may fail before it is halted: of those that can be reached.
    pub fn budget(&self, phase: u32) -> u32 {
        let reachable = self.phases.get(phase as usize);
        let reachable = reachable.map_or(0, |phase| phase.counts.reachable());
        let share = u64::from(reachable) * u64::from(self.spec.failure.percent) / 100;
        u32::try_from(share).unwrap_or(u32::MAX)
    }

    /// The first phase of which more failed than may, in words.
    fn beyond_budget(&self) -> Option<(u32, String)> {
        let open = (0..).zip(&self.phases).take(self.phase as usize + 1);
        for (index, phase) in open {
            let (did_not, budget) = (phase.counts.did_not(), self.budget(index));
            if did_not > budget {
                let (name, all) = (&phase.facts.name, phase.counts.reachable());
                let percent = self.spec.failure.percent;
                let why = format!(
                    "phase {name}: {did_not} of {all} machines did not make it, {percent} % may ({budget})"
                );
                return Some((index, why));
            }
        }
        None
    }
}

/// A bug that is put in on purpose, to see that the tests find it.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Planted {
    /// The word `confirmed` of a phase is taken for a proof.
    WordIsProof,
    /// The start number is not looked at.
    StartIsNotAsked,
    /// What runs is not compared with what is wanted.
    AnyReleaseIsProof,
    /// A place has no end.
    LeaseNeverEnds,
    /// Places are not counted.
    NoParallelLimit,
    /// Failures are not counted against places.
    NoBudget,
    /// Offers are made whatever the hour.
    WindowIsForgotten,
    /// Assignments go out before the log has the offer.
    EffectBeforeEntry,
    /// A number is not greater than the one before.
    NumberIsReused,
    /// Who is not heard of counts as a success at the end of a phase.
    SilenceIsSuccess,
    /// A machine that waits for its preconditions, or is stopped, is offered a place.
    BlockedIsOffered,
}

#[cfg(not(test))]
#[derive(Clone, Copy, Debug)]
pub(crate) enum Planted {}
