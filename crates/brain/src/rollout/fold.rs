//! The fold: the only way in which a rollout changes.

use std::collections::VecDeque;
use std::sync::Arc;

use muster_model::rollout::{
    Counts, MachineStage, PhaseFacts, PhaseStage, RolloutAct, RolloutEntry, RolloutRecord, RolloutState,
};
use muster_model::{MachineId, Timestamp};

use super::{DECISIONS_KEPT_MAX, Decided, MachineProgress, Phase, Rollout};

/// Rates are by the minute.
const MINUTE_MS: i64 = 60_000;

impl Rollout {
    /// The rollout after these records, the first first; none where they do not begin with its beginning.
    pub fn fold<'a>(records: impl IntoIterator<Item = &'a RolloutRecord>) -> Option<Self> {
        let mut records = records.into_iter();
        let mut rollout = Self::begun(records.next()?)?;
        for record in records {
            rollout.apply(record);
        }
        Some(rollout)
    }

    /// The rollout after its first record.
    pub fn begun(record: &RolloutRecord) -> Option<Self> {
        let RolloutEntry::Created {
            spec,
            release,
            by,
            reason,
        } = &record.entry
        else {
            return None;
        };
        Some(Self {
            // What could not be read was refused before it came into the log.
            healthy: spec.gates.healthy.parse().unwrap_or_default(),
            spec: Arc::new((**spec).clone()),
            release: Arc::new((**release).clone()),
            by: by.clone(),
            reason: reason.clone(),
            created_at: record.at,
            state: RolloutState::Draft,
            why: String::new(),
            since: record.at,
            begins_at: record.at,
            phase: 0,
            phases: Vec::new(),
            machines: std::collections::BTreeMap::new(),
            left_out: std::collections::BTreeMap::new(),
            decisions: VecDeque::new(),
            changed_at: record.at,
            entries: 1,
            starts: VecDeque::new(),
        })
    }

    /// Folds one record in. It must be the next one of the rollout's stream.
    pub fn apply(&mut self, record: &RolloutRecord) {
        let at = record.at;
        self.changed_at = at;
        self.entries += 1;
        match &record.entry {
            // There is one, and it is the first.
            RolloutEntry::Created { .. } => {}
            RolloutEntry::Planned { phases, by: _ } => {
                self.machines.clear();
                self.left_out.clear();
                self.phases = phases.iter().map(|facts| Phase::new(facts.clone(), at)).collect();
                self.become_state(RolloutState::Planned, String::new(), at);
            }
            RolloutEntry::Placed { phase, machines } => {
                for machine in machines {
                    self.place(*machine, *phase, at);
                }
            }
            RolloutEntry::LeftOut { why, machines } => {
                let why: Arc<str> = why.as_str().into();
                let named = machines.iter().map(|machine| (*machine, why.clone()));
                self.left_out.extend(named);
            }
            RolloutEntry::PhaseAdded(facts) => self.phases.push(Phase::new(facts.clone(), at)),
            RolloutEntry::Acted { act, by, reason } => self.acted(act, by, reason, at),
            RolloutEntry::Offered(offers) => {
                for offer in offers {
                    self.starts.push_back(at);
                    let Some(mut progress) = self.machines.get(&offer.machine).cloned() else {
                        continue;
                    };
                    progress.stage = MachineStage::Offered;
                    progress.why.clear();
                    progress.cause = None;
                    progress.since = at;
                    progress.told_at = at;
                    progress.offers += 1;
                    progress.offer = Some(*offer);
                    // Who is silent when it is told to go back has no place from the beginning.
                    progress.has_place = offer.lease_until > at;
                    self.put(offer.machine, progress);
                }
                self.forget_starts(at);
            }
            RolloutEntry::Changed(changes) => {
                for change in changes {
                    let Some(mut progress) = self.machines.get(&change.machine).cloned() else {
                        continue;
                    };
                    if progress.stage != change.stage {
                        progress.since = at;
                    }
                    progress.told_at = at;
                    progress.has_place &= keeps_place(change.stage);
                    progress.stage = change.stage;
                    progress.why.clone_from(&change.why);
                    progress.cause = change.cause;
                    self.put(change.machine, progress);
                }
            }
            RolloutEntry::PhaseChanged {
                phase, stage, why, ..
            } => {
                self.phase = *phase;
                if let Some(phase) = self.phases.get_mut(*phase as usize) {
                    if phase.stage != *stage {
                        phase.since = at;
                    }
                    phase.stage = *stage;
                    phase.why.clone_from(why);
                }
            }
            RolloutEntry::StateChanged { state, why, phase } => {
                if *state == RolloutState::RollingBack {
                    self.turn_back(*phase, at);
                }
                self.become_state(*state, why.clone(), at);
            }
        }
    }

    fn acted(&mut self, act: &RolloutAct, by: &str, reason: &str, at: Timestamp) {
        let why = format!("{by}: {reason}");
        match act {
            RolloutAct::Approve => self.become_state(RolloutState::Approved, why, at),
            RolloutAct::Start { at: begins_at } => {
                self.begins_at = begins_at.unwrap_or(at).max(at);
                self.become_state(RolloutState::Running, why, at);
            }
            RolloutAct::ApprovePhase { phase } => {
                if let Some(phase) = self.phases.get_mut(*phase as usize) {
                    phase.is_approved = true;
                }
            }
            RolloutAct::Pause => self.become_state(RolloutState::Paused, why, at),
            RolloutAct::Resume => self.become_state(RolloutState::Running, why, at),
            RolloutAct::Retry { machines } => {
                for machine in self.meant(machines, may_be_retried) {
                    self.set_aside(machine, MachineStage::Pending, Vec::new(), at);
                    if let Some(progress) = self.machines.get_mut(&machine) {
                        progress.offers = 0;
                        progress.forgiven = progress.offer.map_or(0, |offer| offer.number);
                    }
                }
            }
            RolloutAct::Skip { machines } => {
                for machine in self.meant(machines, |_| true) {
                    self.set_aside(machine, MachineStage::Skipped, vec![why.clone()], at);
                }
            }
            RolloutAct::Abort => self.become_state(RolloutState::Aborted, why, at),
            RolloutAct::RollBack { phase } => {
                self.turn_back(*phase, at);
                self.become_state(RolloutState::RollingBack, why, at);
            }
        }
        self.decisions.push_back(Decided {
            at,
            by: by.to_owned(),
            reason: reason.to_owned(),
            act: act.clone(),
        });
        while self.decisions.len() > DECISIONS_KEPT_MAX {
            self.decisions.pop_front();
        }
    }

    /// These machines, or all, as far as the rollout has them and they are so.
    fn meant(&self, machines: &[MachineId], is_so: impl Fn(&MachineProgress) -> bool) -> Vec<MachineId> {
        let known = |machine: &MachineId| Some((*machine, self.machines.get(machine)?));
        let so = |(machine, progress): (MachineId, &MachineProgress)| is_so(progress).then_some(machine);
        if machines.is_empty() {
            self.machines.keys().filter_map(known).filter_map(so).collect()
        } else {
            machines.iter().filter_map(known).filter_map(so).collect()
        }
    }

    fn set_aside(&mut self, machine: MachineId, stage: MachineStage, why: Vec<String>, at: Timestamp) {
        if let Some(mut progress) = self.machines.get(&machine).cloned() {
            progress.stage = stage;
            progress.why = why;
            progress.cause = None;
            progress.since = at;
            progress.has_place = false;
            self.put(machine, progress);
        }
    }

    /// Every machine of the phase, or of all, that may have the release is to go back; nobody else gets it.
    fn turn_back(&mut self, phase: Option<u32>, at: Timestamp) {
        let machines: Vec<(MachineId, MachineProgress)> = self
            .machines
            .iter()
            .map(|(machine, progress)| (*machine, progress.clone()))
            .collect();
        for (machine, mut progress) in machines {
            let is_meant = phase.is_none_or(|phase| progress.phase == phase);
            let may_have_it = progress.offer.is_some() && progress.stage != MachineStage::RolledBack;
            if is_meant && may_have_it {
                progress.goes_back = true;
                progress.offers = 0;
                progress.stage = MachineStage::Pending;
                progress.why = vec!["goes back to the version before".to_owned()];
                progress.cause = None;
                progress.has_place = false;
                progress.since = at;
                self.put(machine, progress);
            } else if matches!(progress.stage, MachineStage::Pending | MachineStage::Blocked)
                && !progress.has_place
            {
                let why = vec!["the rollout went back before its turn".to_owned()];
                self.set_aside(machine, MachineStage::Skipped, why, at);
            }
        }
    }

    fn place(&mut self, machine: MachineId, phase: u32, at: Timestamp) {
        let progress = MachineProgress {
            phase,
            stage: MachineStage::Pending,
            why: Vec::new(),
            cause: None,
            since: at,
            told_at: at,
            offers: 0,
            offer: None,
            forgiven: 0,
            has_place: false,
            goes_back: false,
        };
        self.put(machine, progress);
    }

    /// Puts a machine where it is now, and keeps the counts of its phase.
    fn put(&mut self, machine: MachineId, progress: MachineProgress) {
        let (phase, stage) = (progress.phase, progress.stage);
        if let Some(before) = self.machines.insert(machine, progress)
            && let Some(phase) = self.phases.get_mut(before.phase as usize)
        {
            *phase.counts.of(before.stage) -= 1;
        }
        if let Some(phase) = self.phases.get_mut(phase as usize) {
            *phase.counts.of(stage) += 1;
        }
    }

    fn become_state(&mut self, state: RolloutState, why: String, at: Timestamp) {
        self.state = state;
        self.why = why;
        self.since = at;
    }

    /// Places that were given out longer ago than a minute bind nobody.
    fn forget_starts(&mut self, at: Timestamp) {
        while self
            .starts
            .front()
            .is_some_and(|start| at.millis_since(*start) >= MINUTE_MS)
        {
            self.starts.pop_front();
        }
    }

    /// How many places were given out within the minute before this moment, and when the oldest of them is a minute old.
    pub(super) fn recent_starts(&self, now: Timestamp) -> (usize, Option<Timestamp>) {
        let recent = || {
            self.starts
                .iter()
                .filter(|start| now.millis_since(**start) < MINUTE_MS)
        };
        (
            recent().count(),
            recent().next().map(|start| start.plus_millis(MINUTE_MS)),
        )
    }
}

impl Phase {
    fn new(facts: PhaseFacts, at: Timestamp) -> Self {
        Self {
            facts,
            stage: PhaseStage::Waiting,
            why: String::new(),
            since: at,
            is_approved: false,
            counts: Counts::default(),
        }
    }
}

/// Whether somebody can say "retry" of it.
pub(super) fn may_be_retried(progress: &MachineProgress) -> bool {
    matches!(
        progress.stage,
        MachineStage::Failed | MachineStage::RolledBack | MachineStage::Skipped
    )
}

/// Whether a machine that has a place keeps it there.
const fn keeps_place(stage: MachineStage) -> bool {
    match stage {
        MachineStage::Blocked
        | MachineStage::Offered
        | MachineStage::Fetching
        | MachineStage::Installing
        | MachineStage::Probation => true,
        MachineStage::Pending
        | MachineStage::Succeeded
        | MachineStage::Failed
        | MachineStage::RolledBack
        | MachineStage::Unreachable
        | MachineStage::Skipped => false,
    }
}
