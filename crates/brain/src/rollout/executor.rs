//! Has a rollout happen: decides, waits until the log has it, and only then has machines told.
//!
//! One batch of entries is under way at a time, and nothing is decided before the log has it or refused it. What is wanted of machines
//! is compared with what is desired of them, again and again: so nothing has to be remembered about what was sent.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use muster_model::release::{Act, Assignment, DesiredReleases};
use muster_model::rollout::{
    MachineStage, Offer, RolloutAct, RolloutEntry, RolloutId, RolloutRecord, RolloutState,
};
use muster_model::vocabulary::UpdatePhase;
use muster_model::{DesiredVersion, Filter, MachineId};

use super::decide::Decision;
use super::{ActError, MachineProgress, Observation, Planted, Rollout};
use crate::Now;
use crate::shard::{RequestId, Ticket};

/// What is not so yet is said again after this.
const AGAIN_MS: u64 = 5_000;
/// Decisions of people that wait for the log.
const ACTS_WAITING_MAX: usize = 64;

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// This is seen of a machine.
    Seen {
        /// Which.
        machine: MachineId,
        /// What.
        observation: Box<Observation>,
    },
    /// These machines are meant and were not planned, with the phase that means them where there is one still to come.
    Late(Vec<(MachineId, Option<u32>)>),
    /// Time went by, or all that was seen is said.
    Tick,
    /// Somebody decided something.
    Act {
        /// Names the answer.
        request: RequestId,
        /// What.
        act: RolloutAct,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// Somebody planned it anew.
    Replan {
        /// Names the answer.
        request: RequestId,
        /// What puts the plan into the log: of `plan::entries`.
        entries: Vec<RolloutEntry>,
    },
    /// The log has a batch.
    Persisted(Ticket),
    /// The log refused a batch.
    NotPersisted {
        /// Which.
        ticket: Ticket,
        /// Why.
        reason: String,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// These records belong into the log, all of them or none.
    Append {
        /// Names the answer.
        ticket: Ticket,
        /// Them.
        records: Vec<RolloutRecord>,
    },
    /// The section `release` of a machine is to be this.
    Assign {
        /// Which machine.
        machine: MachineId,
        /// It was made from this version of what is desired of it: another one means that it must be made anew.
        expected: DesiredVersion,
        /// The whole section.
        releases: DesiredReleases,
        /// Why, for a person.
        reason: String,
    },
    /// Somebody is answered.
    Answer {
        /// Whom.
        request: RequestId,
        /// What.
        result: Result<(), ActError>,
    },
}

#[derive(Clone)]
struct Waiting {
    request: RequestId,
    what: Asked,
}

#[derive(Clone)]
enum Asked {
    Act {
        act: RolloutAct,
        by: String,
        reason: String,
    },
    Replan(Vec<RolloutEntry>),
}

#[derive(Clone)]
struct InFlight {
    ticket: Ticket,
    records: Vec<RolloutRecord>,
    answers: Vec<RequestId>,
}

/// One rollout, and what is seen of its machines.
#[derive(Clone)]
pub struct Executor {
    id: RolloutId,
    /// As the log has it.
    rollout: Rollout,
    /// With what is on its way to the log.
    ahead: Rollout,
    seen: BTreeMap<MachineId, Observation>,
    /// Which number was said to which machine, against which version, and when.
    said: BTreeMap<MachineId, (DesiredVersion, u64)>,
    in_flight: Option<InFlight>,
    next_ticket: u64,
    waiting: VecDeque<Waiting>,
    late: Vec<(MachineId, Option<u32>)>,
    effects: Vec<Effect>,
    #[cfg(test)]
    planted: Option<Planted>,
}

impl Executor {
    /// One that goes on with a rollout as the log has it.
    pub fn new(id: RolloutId, rollout: Rollout) -> Self {
        Self {
            id,
            ahead: rollout.clone(),
            rollout,
            seen: BTreeMap::new(),
            said: BTreeMap::new(),
            in_flight: None,
            next_ticket: 1,
            waiting: VecDeque::new(),
            late: Vec::new(),
            effects: Vec::new(),
            #[cfg(test)]
            planted: None,
        }
    }

    #[cfg(test)]
    pub(crate) const fn with_planted(mut self, bug: Option<Planted>) -> Self {
        self.planted = bug;
        self
    }

    #[cfg(test)]
    const fn planted(&self) -> Option<Planted> {
        self.planted
    }

    #[cfg(not(test))]
    #[allow(clippy::unused_self, reason = "with tests it looks")]
    const fn planted(&self) -> Option<Planted> {
        None
    }

    /// Its name.
    pub const fn id(&self) -> &RolloutId {
        &self.id
    }

    /// The rollout as the log has it.
    pub const fn rollout(&self) -> &Rollout {
        &self.rollout
    }

    /// What machines must pass after the soak: observations are made with it.
    pub const fn healthy(&self) -> &Filter {
        &self.rollout.healthy
    }

    /// Whether this machine is looked at.
    pub fn has(&self, machine: MachineId) -> bool {
        self.rollout.machines.contains_key(&machine)
    }

    /// Whether nothing is under way, and nothing will be without a person.
    pub fn is_over(&self) -> bool {
        let is_end = self.rollout.state.is_end() && self.rollout.places() == 0;
        is_end && self.in_flight.is_none() && self.waiting.is_empty() && self.unsaid().next().is_none()
    }

    /// Takes in what happened. What is to be done is collected until [`take_effects`](Self::take_effects).
    pub fn step(&mut self, now: Now, input: Input) {
        match input {
            Input::Seen { machine, observation } => {
                self.seen.insert(machine, *observation);
                return;
            }
            Input::Late(late) => self.late = late,
            Input::Tick => {}
            Input::Act {
                request,
                act,
                by,
                reason,
            } => self.ask(request, Asked::Act { act, by, reason }),
            Input::Replan { request, entries } => self.ask(request, Asked::Replan(entries)),
            Input::Persisted(ticket) => self.persisted(ticket),
            Input::NotPersisted { ticket, reason } => {
                // It is tried again with what happens next, or with the next tick: not at once.
                self.not_persisted(ticket, &reason);
                return;
            }
        }
        self.turn(now);
    }

    /// What is to be done, in order.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    fn ask(&mut self, request: RequestId, what: Asked) {
        if self.waiting.len() >= ACTS_WAITING_MAX {
            let reason = "too many decisions wait already".to_owned();
            let result = Err(ActError::NotPersisted { reason });
            self.effects.push(Effect::Answer { request, result });
            return;
        }
        self.waiting.push_back(Waiting { request, what });
    }

    fn persisted(&mut self, ticket: Ticket) {
        let Some(batch) = self.in_flight.take_if(|batch| batch.ticket == ticket) else {
            return;
        };
        for record in &batch.records {
            self.rollout.apply(record);
        }
        for request in batch.answers {
            let result = Ok(());
            self.effects.push(Effect::Answer { request, result });
        }
    }

    fn not_persisted(&mut self, ticket: Ticket, reason: &str) {
        let Some(batch) = self.in_flight.take_if(|batch| batch.ticket == ticket) else {
            return;
        };
        self.ahead = self.rollout.clone();
        for request in batch.answers {
            let reason = reason.to_owned();
            let result = Err(ActError::NotPersisted { reason });
            self.effects.push(Effect::Answer { request, result });
        }
    }

    fn turn(&mut self, now: Now) {
        if self.in_flight.is_none() {
            self.decide(now);
        }
        self.say(now);
    }

    fn decide(&mut self, now: Now) {
        let planted = self.planted();
        let mut decision = Decision::new(&self.id, &mut self.ahead, &self.seen, now.wall, planted);
        let mut answers = Vec::new();
        while let Some(Waiting { request, what }) = self.waiting.pop_front() {
            match decision.asked(what) {
                Ok(()) => answers.push(request),
                Err(error) => {
                    let result = Err(error);
                    self.effects.push(Effect::Answer { request, result });
                }
            }
        }
        let late = std::mem::take(&mut self.late);
        decision.join(&late);
        decision.decide();
        let records = decision.into_records();
        if records.is_empty() {
            return;
        }
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.effects.push(Effect::Append {
            ticket,
            records: records.clone(),
        });
        self.in_flight = Some(InFlight {
            ticket,
            records,
            answers,
        });
    }

    /// Has machines told what is wanted of them and is not desired yet.
    fn say(&mut self, now: Now) {
        let mut effects = Vec::new();
        let unsaid: Vec<(MachineId, DesiredVersion, DesiredReleases, String)> = self.unsaid().collect();
        for (machine, expected, releases, reason) in unsaid {
            let said = self.said.get(&machine);
            if said.is_some_and(|(version, at)| *version == expected && now.mono_ms < at + AGAIN_MS) {
                continue;
            }
            self.said.insert(machine, (expected, now.mono_ms));
            effects.push(Effect::Assign {
                machine,
                expected,
                releases,
                reason,
            });
        }
        self.effects.append(&mut effects);
    }

    /// The rollout that is carried out: the one that the log has.
    #[cfg(test)]
    fn carried_out(&self) -> &Rollout {
        if self.planted == Some(Planted::EffectBeforeEntry) {
            return &self.ahead;
        }
        &self.rollout
    }

    #[cfg(not(test))]
    const fn carried_out(&self) -> &Rollout {
        &self.rollout
    }

    /// Machines of which something else is desired than is wanted.
    fn unsaid(&self) -> impl Iterator<Item = (MachineId, DesiredVersion, DesiredReleases, String)> {
        let rollout = self.carried_out();
        rollout.machines.iter().filter_map(move |(machine, progress)| {
            let (offer, seen) = (progress.offer?, self.seen.get(machine)?);
            let desired = seen.desired.as_ref().ok()?;
            let (releases, reason) = self.wanted(rollout, progress, &offer, seen, desired)?;
            Some((*machine, seen.desired_version, releases, reason))
        })
    }

    /// The section as it is to be; none where it is so.
    fn wanted(
        &self,
        rollout: &Rollout,
        progress: &MachineProgress,
        offer: &Offer,
        seen: &Observation,
        desired: &Arc<DesiredReleases>,
    ) -> Option<(DesiredReleases, String)> {
        let (product, release) = (&rollout.spec.product, &rollout.release);
        let stands = desired.products.get(product);
        let waits_for_it = offer.act == Act::GoBack && progress.stage == MachineStage::Unreachable;
        let name = rollout.spec.shown_name();
        if progress.has_place || waits_for_it {
            if stands.is_some_and(|stands| stands.number >= offer.number) {
                return None;
            }
            let mut releases = (**desired).clone();
            let assignment = Assignment {
                number: offer.number,
                act: offer.act,
                version: release.version.clone(),
                manifest: release.manifest.clone(),
                manifest_bytes: release.manifest_bytes,
                until: offer.until,
                rollout: Some(self.id.to_string()),
            };
            releases.products.insert(product.clone(), assignment);
            let what = match offer.act {
                Act::Install => "is to install",
                Act::GoBack => "is to go back from",
            };
            return Some((releases, format!("{name}: {what} {}", release.version)));
        }
        let is_ours = stands.is_some_and(|stands| stands.number == offer.number && self.is_mine(stands));
        if !is_ours || !is_taken_back(rollout, progress, offer) || has_begun(offer, seen) {
            return None;
        }
        let mut releases = (**desired).clone();
        releases.products.remove(product);
        Some((releases, format!("{name}: its place is over")))
    }

    fn is_mine(&self, assignment: &Assignment) -> bool {
        assignment.rollout.as_deref() == Some(self.id.as_str())
    }
}

/// Whether an assignment is taken back whose place is gone.
fn is_taken_back(rollout: &Rollout, progress: &MachineProgress, offer: &Offer) -> bool {
    if offer.act == Act::GoBack {
        return false;
    }
    match progress.stage {
        // Who is to go back is told so with its next place; until then nothing changes on it.
        MachineStage::Pending if progress.goes_back => rollout.state != RolloutState::RollingBack,
        MachineStage::Pending | MachineStage::Blocked | MachineStage::Unreachable | MachineStage::Skipped => {
            true
        }
        MachineStage::Offered
        | MachineStage::Fetching
        | MachineStage::Installing
        | MachineStage::Probation
        | MachineStage::Succeeded
        | MachineStage::Failed
        | MachineStage::RolledBack => false,
    }
}

/// Whether a machine, by its last word, is past the point where it can be told to leave it.
fn has_begun(offer: &Offer, seen: &Observation) -> bool {
    let update = seen.report.as_ref().and_then(|report| report.update.as_ref());
    update.is_some_and(|update| {
        let is_begun = matches!(
            update.phase,
            UpdatePhase::Installing | UpdatePhase::Probation | UpdatePhase::Confirmed
        );
        update.number == offer.number && is_begun
    })
}

impl Decision<'_> {
    fn asked(&mut self, what: Asked) -> Result<(), ActError> {
        match what {
            Asked::Act { act, by, reason } => {
                self.ahead().may(&act)?;
                self.push(RolloutEntry::Acted { act, by, reason });
            }
            Asked::Replan(entries) => {
                let state = self.ahead().state;
                if !matches!(state, RolloutState::Draft | RolloutState::Planned) {
                    return Err(ActError::NotNow {
                        act: "plan",
                        state,
                        accepted: "draft or planned",
                    });
                }
                for entry in entries {
                    self.push(entry);
                }
            }
        }
        Ok(())
    }
}
