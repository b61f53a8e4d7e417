//! What is to be put into the log next: from the rollout as the log has it, from what machines report, and from the time.
//!
//! [`decide`] goes through it in one order: where machines are, whether too many failed, whether a phase is over, who gets a place. Each
//! entry is folded in before the next is decided.

use std::collections::BTreeMap;

use muster_model::release::Act;
use muster_model::rollout::{
    FailureCause, LateJoiners, MachineChange, MachineStage, Offer, OnFailure, PhaseFacts, PhaseStage,
    RolloutEntry, RolloutId, RolloutRecord, RolloutState,
};
use muster_model::{MachineId, Timestamp};

use super::judge::Judge;
use super::{GO_BACK_LASTS_MS, Observation, Phase, Planted, Rollout};

/// Machines that one entry changes, or gives places to.
const MACHINES_PER_ENTRY: usize = 2_000;
/// The phase that late joiners make.
const LATE: &str = "late joiners";

/// What is decided from.
pub(super) struct Decision<'a> {
    id: &'a RolloutId,
    /// The rollout with all that was decided here folded in.
    ahead: &'a mut Rollout,
    seen: &'a BTreeMap<MachineId, Observation>,
    now: Timestamp,
    planted: Option<Planted>,
    records: Vec<RolloutRecord>,
}

impl<'a> Decision<'a> {
    pub(super) fn new(
        id: &'a RolloutId,
        ahead: &'a mut Rollout,
        seen: &'a BTreeMap<MachineId, Observation>,
        now: Timestamp,
        planted: Option<Planted>,
    ) -> Self {
        // Time as the log knows it does not go back.
        let now = now.max(ahead.changed_at);
        Self {
            id,
            ahead,
            seen,
            now,
            planted,
            records: Vec::new(),
        }
    }

    /// The rollout with all that was decided here.
    pub(super) fn ahead(&self) -> &Rollout {
        self.ahead
    }

    /// Puts one entry down.
    pub(super) fn push(&mut self, entry: RolloutEntry) {
        let record = RolloutRecord { at: self.now, entry };
        self.ahead.apply(&record);
        self.records.push(record);
    }

    /// The entries that were decided.
    pub(super) fn into_records(self) -> Vec<RolloutRecord> {
        self.records
    }

    #[cfg(test)]
    fn is_planted(&self, bug: Planted) -> bool {
        self.planted == Some(bug)
    }

    /// Decides all that is to be decided now.
    pub(super) fn decide(&mut self) {
        match self.ahead.state {
            RolloutState::Draft | RolloutState::Planned | RolloutState::Approved => {}
            RolloutState::Running => {
                self.observe();
                self.halt();
                self.advance();
                if self.ahead.state == RolloutState::Running || self.ahead.state == RolloutState::RollingBack
                {
                    self.offer();
                }
            }
            RolloutState::Paused => self.observe(),
            RolloutState::RollingBack => {
                self.observe();
                self.finish_going_back();
                self.offer();
            }
            RolloutState::Succeeded | RolloutState::RolledBack | RolloutState::Aborted => {
                if self.ahead.places() > 0 {
                    self.observe();
                }
            }
        }
    }

    /// Where machines are, in the phases that have begun.
    fn observe(&mut self) {
        let judge = Judge {
            id: self.id,
            rollout: self.ahead,
            now: self.now,
            planted: self.planted,
        };
        let is_open = self
            .ahead
            .phases
            .get(self.ahead.phase as usize)
            .is_some_and(Phase::is_open);
        let machines = self.ahead.machines.iter();
        let begun = machines.filter(|(_, progress)| {
            progress.phase < self.ahead.phase
                || (progress.phase == self.ahead.phase && is_open)
                || progress.offer.is_some()
        });
        let changes: Vec<MachineChange> = begun
            .filter_map(|(machine, progress)| judge.change(*machine, progress, self.seen.get(machine)))
            .collect();
        self.change(changes);
    }

    fn change(&mut self, changes: Vec<MachineChange>) {
        let mut changes = changes.into_iter().peekable();
        while changes.peek().is_some() {
            let some = changes.by_ref().take(MACHINES_PER_ENTRY).collect();
            self.push(RolloutEntry::Changed(some));
        }
    }

    /// Whether more of a phase failed than may.
    fn halt(&mut self) {
        let Some((phase, why)) = self.ahead.beyond_budget() else {
            return;
        };
        let stage = self.ahead.phases[phase as usize].stage;
        let current = self.ahead.phase;
        if phase == current {
            self.phase_is(phase, stage, why.clone());
        }
        let (state, phase) = match self.ahead.spec.failure.then {
            OnFailure::Pause => (RolloutState::Paused, None),
            OnFailure::RollBack => (RolloutState::RollingBack, Some(phase)),
        };
        self.push(RolloutEntry::StateChanged { state, why, phase });
    }

    fn pause(&mut self, why: String) {
        let (phase, stage) = (self.ahead.phase, self.current().map(|phase| phase.stage));
        if let Some(stage) = stage {
            self.phase_is(phase, stage, why.clone());
        }
        let (state, phase) = (RolloutState::Paused, None);
        self.push(RolloutEntry::StateChanged { state, why, phase });
    }

    fn current(&self) -> Option<&Phase> {
        self.ahead.phases.get(self.ahead.phase as usize)
    }

    fn phase_is(&mut self, phase: u32, stage: PhaseStage, why: String) {
        let Some(known) = self.ahead.phases.get(phase as usize) else {
            return;
        };
        if phase == self.ahead.phase && known.stage == stage && known.why == why {
            return;
        }
        let counts = known.counts;
        self.push(RolloutEntry::PhaseChanged {
            phase,
            stage,
            why,
            counts,
        });
    }

    /// Brings phases on, as far as their gates let them.
    fn advance(&mut self) {
        // Each turn ends a step of a phase, or the loop.
        while self.ahead.state == RolloutState::Running && self.now >= self.ahead.begins_at {
            let Some(phase) = self.current() else {
                let (state, phase) = (RolloutState::Succeeded, None);
                let why = "there is nobody who does not have it".to_owned();
                self.push(RolloutEntry::StateChanged { state, why, phase });
                return;
            };
            let went_on = match phase.stage {
                PhaseStage::Waiting => self.begin(),
                PhaseStage::Approval => phase.is_approved && self.open(),
                PhaseStage::Installing | PhaseStage::Soaking => self.gates(),
                PhaseStage::Over => self.next(),
            };
            if !went_on {
                return;
            }
        }
    }

    fn begin(&mut self) -> bool {
        let Some(phase) = self.current() else {
            return false;
        };
        if phase.facts.approval && !phase.is_approved {
            let why = format!("somebody must approve phase {}", phase.facts.name);
            self.phase_is(self.ahead.phase, PhaseStage::Approval, why);
            return true;
        }
        self.open()
    }

    fn open(&mut self) -> bool {
        self.phase_is(self.ahead.phase, PhaseStage::Installing, String::new());
        self.observe();
        true
    }

    fn next(&mut self) -> bool {
        let next = self.ahead.phase + 1;
        if self.ahead.phases.len() > next as usize {
            self.phase_is(next, PhaseStage::Waiting, String::new());
            return true;
        }
        let counts = self.ahead.counts();
        let mut why = format!("{} machines proved that they run it", counts.succeeded);
        for (count, what) in [
            (counts.did_not(), "do not"),
            (counts.unreachable, "were not heard of"),
            (counts.skipped, "were skipped"),
        ] {
            if count > 0 {
                why.push_str(&format!(", {count} {what}"));
            }
        }
        let (state, phase) = (RolloutState::Succeeded, None);
        self.push(RolloutEntry::StateChanged { state, why, phase });
        false
    }

    /// Whether the phase is over, and passes.
    fn gates(&mut self) -> bool {
        let begun = self.ahead.phases.iter().take(self.ahead.phase as usize + 1);
        if begun.map(|phase| phase.counts.open()).sum::<u32>() > 0 {
            return false;
        }
        let Some(phase) = self.current() else {
            return false;
        };
        let (index, gates) = (self.ahead.phase, self.ahead.spec.gates.clone());
        let (counts, name) = (phase.counts, phase.facts.name.clone());
        let soak_ms = i64::from(phase.facts.soak_s) * 1_000;
        let answered = counts.answered();
        #[cfg(test)]
        let (counts, answered) = self.as_planted(counts, answered);
        let meant = counts.all() - counts.skipped;
        let wanted = u64::from(meant) * u64::from(gates.answered_percent);
        if meant > 0 && (answered == 0 || u64::from(answered) * 100 < wanted) {
            let percent = gates.answered_percent;
            let why = format!(
                "{answered} of {meant} machines of phase {name} answered, {percent} % must: it waits for the others"
            );
            self.phase_is(index, PhaseStage::Installing, why);
            return false;
        }
        if u64::from(counts.succeeded) * 100 < u64::from(answered) * u64::from(gates.success_percent) {
            let (succeeded, percent) = (counts.succeeded, gates.success_percent);
            self.pause(format!(
                "phase {name}: {succeeded} of {answered} machines that answered succeeded, {percent} % must"
            ));
            return false;
        }
        let watched_until = self.last_success(index).map(|at| at.plus_millis(soak_ms));
        if let Some(until) = watched_until
            && self.now < until
        {
            self.phase_is(index, PhaseStage::Soaking, format!("is watched until {until}"));
            return false;
        }
        let unwell = self.unwell(index);
        if unwell.is_empty() {
            self.phase_is(index, PhaseStage::Over, String::new());
            return true;
        }
        self.change(unwell);
        self.halt();
        // The gates are asked again with what was found.
        self.ahead.state == RolloutState::Running
    }

    #[cfg(test)]
    fn as_planted(&self, mut counts: super::Counts, answered: u32) -> (super::Counts, u32) {
        if self.is_planted(Planted::SilenceIsSuccess) {
            counts.succeeded += counts.unreachable;
            return (counts, answered + counts.unreachable);
        }
        (counts, answered)
    }

    /// When the last machine of the phase proved itself.
    fn last_success(&self, phase: u32) -> Option<Timestamp> {
        let of_phase = self
            .ahead
            .machines
            .values()
            .filter(|progress| progress.phase == phase);
        let succeeded = of_phase.filter(|progress| progress.stage == MachineStage::Succeeded);
        succeeded.map(|progress| progress.since).max()
    }

    /// Machines of the phase that proved it and do not pass after the soak.
    fn unwell(&self, phase: u32) -> Vec<MachineChange> {
        let succeeded = self
            .ahead
            .machines
            .iter()
            .filter(|(_, progress)| progress.phase == phase && progress.stage == MachineStage::Succeeded);
        let look = |(machine, _): (&MachineId, _)| {
            let (stage, cause, why) = match self.seen.get(machine) {
                Some(seen) if seen.is_reachable() && seen.unhealthy.is_empty() => return None,
                Some(seen) if seen.is_reachable() => {
                    let unmet = seen
                        .unhealthy
                        .iter()
                        .map(|term| format!("after the soak: not {term}"));
                    (
                        MachineStage::Failed,
                        Some(FailureCause::Unhealthy),
                        unmet.collect(),
                    )
                }
                Some(seen) => {
                    let why = format!("it proved it, and was not heard of since {}", seen.presence_since);
                    (MachineStage::Unreachable, None, vec![why])
                }
                None => (
                    MachineStage::Unreachable,
                    None,
                    vec!["it is not known any more".to_owned()],
                ),
            };
            Some(MachineChange {
                machine: *machine,
                stage,
                cause,
                why,
            })
        };
        succeeded.filter_map(look).collect()
    }

    fn finish_going_back(&mut self) {
        let counts = self.ahead.counts();
        if counts.open() > 0 {
            return;
        }
        let goes_back = |stage: MachineStage| {
            let all = self.ahead.machines.values();
            all.filter(|progress| progress.goes_back && progress.stage == stage)
                .count()
        };
        let mut why = format!("{} machines went back", goes_back(MachineStage::RolledBack));
        for (stage, what) in [
            (MachineStage::Failed, "did not"),
            (
                MachineStage::Unreachable,
                "were not heard of and go back when they come",
            ),
        ] {
            let count = goes_back(stage);
            if count > 0 {
                why.push_str(&format!(", {count} {what}"));
            }
        }
        let (state, phase) = (RolloutState::RolledBack, None);
        self.push(RolloutEntry::StateChanged { state, why, phase });
    }

    /// Gives out places, as many as there may be.
    fn offer(&mut self) {
        let goes_back = self.ahead.state == RolloutState::RollingBack;
        let (lease_until, until) = {
            let lease_until = self
                .now
                .plus_millis(i64::from(self.ahead.spec.pace.lease_s) * 1_000);
            if goes_back {
                (lease_until, self.now.plus_millis(GO_BACK_LASTS_MS))
            } else {
                match self.may_begin_until() {
                    Some(until) => (lease_until, until.min(lease_until)),
                    None => return,
                }
            }
        };
        let mut free = self.free(goes_back);
        let mut by_phase: BTreeMap<u32, usize> = BTreeMap::new();
        for progress in self.ahead.machines.values().filter(|progress| progress.has_place) {
            *by_phase.entry(progress.phase).or_default() += 1;
        }
        let mut offers = Vec::new();
        for machine in self.candidates(goes_back) {
            if free == 0 {
                break;
            }
            let (Some(progress), Some(seen)) = (self.ahead.machines.get(&machine), self.seen.get(&machine))
            else {
                continue;
            };
            let held = by_phase.entry(progress.phase).or_default();
            let is_reachable = seen.is_reachable();
            if !goes_back {
                // Its place may have ended in this very turn, and what hinders it come up before that.
                if !is_reachable || !self.may_begin(seen) {
                    continue;
                }
                let phase = self.ahead.phases.get(progress.phase as usize);
                let did_not = phase.map_or(0, |phase| phase.counts.did_not()) as usize;
                let is_beyond = did_not + *held > self.ahead.budget(progress.phase) as usize;
                if is_beyond && !self.forgets_budget() {
                    continue;
                }
            }
            let product = &self.ahead.spec.product;
            let last = progress.offer.map_or(0, |offer| offer.number);
            offers.push(Offer {
                machine,
                number: self.number_after(seen.number(product).max(last)),
                act: if goes_back { Act::GoBack } else { Act::Install },
                until,
                // Who is silent is told when it comes, and takes nobody's place.
                lease_until: if is_reachable { lease_until } else { self.now },
                start_before: seen.start(),
            });
            if is_reachable {
                *held += 1;
                free -= 1;
            }
        }
        let mut offers = offers.into_iter().peekable();
        while offers.peek().is_some() {
            let some = offers.by_ref().take(MACHINES_PER_ENTRY).collect();
            self.push(RolloutEntry::Offered(some));
        }
    }

    /// Until when machines may begin that get a place now; none: they get none.
    fn may_begin_until(&self) -> Option<Timestamp> {
        let phase = self.current()?;
        if !phase.is_open() || self.now < self.ahead.begins_at {
            return None;
        }
        #[cfg(test)]
        if self.is_planted(Planted::WindowIsForgotten) {
            return Some(self.now.plus_millis(GO_BACK_LASTS_MS));
        }
        match self.ahead.spec.window {
            Some(window) => window.open_until(self.now),
            None => Some(self.now.plus_millis(GO_BACK_LASTS_MS)),
        }
    }

    /// How many places are free.
    fn free(&self, goes_back: bool) -> usize {
        let pace = &self.ahead.spec.pace;
        #[cfg(test)]
        if self.is_planted(Planted::NoParallelLimit) {
            return usize::MAX;
        }
        let free = (pace.parallel_max as usize).saturating_sub(self.ahead.places());
        match pace.starts_per_min {
            Some(starts) if !goes_back => {
                free.min((starts as usize).saturating_sub(self.ahead.recent_starts(self.now).0))
            }
            _ => free,
        }
    }

    /// Who waits for a place: those of earlier phases first, who was offered one less often first.
    fn candidates(&self, goes_back: bool) -> Vec<MachineId> {
        let waits = self.ahead.machines.iter().filter(|(_, progress)| {
            progress.stage == MachineStage::Pending
                && progress.goes_back == goes_back
                && (goes_back || progress.phase <= self.ahead.phase)
        });
        let mut waits: Vec<_> = waits
            .map(|(machine, progress)| (progress.phase, progress.offers, *machine))
            .collect();
        waits.sort_unstable();
        waits.into_iter().map(|(_, _, machine)| machine).collect()
    }

    fn may_begin(&self, seen: &Observation) -> bool {
        #[cfg(test)]
        if self.is_planted(Planted::BlockedIsOffered) {
            return true;
        }
        seen.hindrances(&self.ahead.spec.product, self.id, self.now)
            .is_empty()
    }

    #[cfg(test)]
    fn forgets_budget(&self) -> bool {
        self.is_planted(Planted::NoBudget)
    }

    #[cfg(not(test))]
    #[allow(clippy::unused_self, reason = "with tests it looks")]
    const fn forgets_budget(&self) -> bool {
        false
    }

    #[cfg(test)]
    fn number_after(&self, last: u64) -> u64 {
        if self.is_planted(Planted::NumberIsReused) {
            return last.max(1);
        }
        last + 1
    }

    #[cfg(not(test))]
    #[allow(clippy::unused_self, reason = "with tests it looks")]
    const fn number_after(&self, last: u64) -> u64 {
        last + 1
    }

    /// Places machines that are meant only now.
    pub(super) fn join(&mut self, late: &[(MachineId, Option<u32>)]) {
        if !matches!(self.ahead.state, RolloutState::Running | RolloutState::Paused) {
            return;
        }
        let mut placed: BTreeMap<u32, Vec<MachineId>> = BTreeMap::new();
        for (machine, phase) in late {
            if self.ahead.machines.contains_key(machine) {
                continue;
            }
            let after = self.ahead.phase + 1;
            let has_next = self.ahead.phases.len() > after as usize;
            let phase = match (phase, self.ahead.spec.late_joiners) {
                (_, LateJoiners::Skip) => continue,
                (Some(phase), _) if *phase >= after && (*phase as usize) < self.ahead.phases.len() => *phase,
                (_, LateJoiners::NextPhase) if has_next => after,
                (_, LateJoiners::NextPhase | LateJoiners::OwnPhaseAtEnd) => self.own_phase(),
            };
            placed.entry(phase).or_default().push(*machine);
        }
        for (phase, machines) in placed {
            self.push(RolloutEntry::Placed { phase, machines });
        }
    }

    /// The phase of late joiners that has not begun; a new one where there is none.
    fn own_phase(&mut self) -> u32 {
        let next = self.ahead.phases.len() as u32;
        let is_late = self
            .ahead
            .phases
            .last()
            .is_some_and(|phase| phase.facts.name.starts_with(LATE));
        if is_late && next > self.ahead.phase + 1 {
            return next - 1;
        }
        let gates = &self.ahead.spec.gates;
        let facts = PhaseFacts {
            name: format!("{LATE} {}", self.ahead.phases.len() + 1),
            soak_s: gates.soak_s,
            approval: gates.approval,
        };
        self.push(RolloutEntry::PhaseAdded(facts));
        next
    }
}

impl Phase {
    /// Whether its machines may get places.
    const fn is_open(&self) -> bool {
        matches!(self.stage, PhaseStage::Installing | PhaseStage::Soaking)
    }
}
