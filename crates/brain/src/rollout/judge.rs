//! Where one machine is, by what it reports, what stands in the log, and the time.
//!
//! A success is proved by what runs ([`is_proved`]); everything else a machine is believed by its word.

use muster_model::MachineId;
use muster_model::Timestamp;
use muster_model::release::{Act, UpdateReport};
use muster_model::rollout::{FailureCause, MachineChange, MachineStage, Offer, RolloutId, RolloutState};
use muster_model::vocabulary::UpdatePhase;

use super::plan::has_it;
use super::{MachineProgress, Observation, Planted, Rollout};

/// How much of a reason of a machine is kept.
const WHY_MAX: usize = 8;
const WHY_MAX_CHARS: usize = 300;
/// Where nothing but the words changed, they are noted so often.
const WORDS_EVERY_MS: i64 = 60_000;

/// What a machine is judged by.
pub(super) struct Judge<'a> {
    pub(super) id: &'a RolloutId,
    pub(super) rollout: &'a Rollout,
    pub(super) now: Timestamp,
    pub(super) planted: Option<Planted>,
}

/// Where a machine is found to be.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    stage: MachineStage,
    cause: Option<FailureCause>,
    why: Vec<String>,
}

impl Found {
    fn at(stage: MachineStage) -> Self {
        let (cause, why) = (None, Vec::new());
        Self { stage, cause, why }
    }

    fn why(stage: MachineStage, why: impl Into<String>) -> Self {
        let (cause, why) = (None, vec![why.into()]);
        Self { stage, cause, why }
    }

    fn failed(cause: FailureCause, why: Vec<String>) -> Self {
        let stage = match cause {
            FailureCause::RolledBack => MachineStage::RolledBack,
            FailureCause::Refused | FailureCause::TooLate | FailureCause::Unhealthy => MachineStage::Failed,
        };
        let cause = Some(cause);
        Self { stage, cause, why }
    }
}

impl Judge<'_> {
    #[cfg(test)]
    pub(super) fn is_planted(&self, bug: Planted) -> bool {
        self.planted == Some(bug)
    }

    /// What changed with a machine; none if nothing did.
    pub(super) fn change(
        &self,
        machine: MachineId,
        progress: &MachineProgress,
        seen: Option<&Observation>,
    ) -> Option<MachineChange> {
        // Of whom nothing was seen since the server began, nothing is said.
        let found = self.found(progress, seen?)?;
        // Reasons carry figures that move all the time: they are told now and then.
        let other_words =
            found.why != progress.why && self.now.millis_since(progress.told_at) >= WORDS_EVERY_MS;
        let is_news = found.stage != progress.stage || found.cause != progress.cause || other_words;
        is_news.then_some(MachineChange {
            machine,
            stage: found.stage,
            cause: found.cause,
            why: found.why,
        })
    }

    fn found(&self, progress: &MachineProgress, seen: &Observation) -> Option<Found> {
        use MachineStage as Stage;
        match progress.stage {
            Stage::Pending | Stage::Blocked | Stage::Unreachable if !progress.has_place => {
                if let Some(ended) = self.ended_after_all(progress, seen) {
                    return Some(ended);
                }
                Some(self.without_place(progress, seen))
            }
            Stage::Pending
            | Stage::Blocked
            | Stage::Unreachable
            | Stage::Offered
            | Stage::Fetching
            | Stage::Installing
            | Stage::Probation => Some(self.with_place(progress, seen)),
            Stage::Succeeded => self.still_there(seen),
            Stage::Failed if progress.cause == Some(FailureCause::TooLate) => self
                .ended_after_all(progress, seen)
                .filter(|found| found.stage != Stage::Failed),
            Stage::Failed | Stage::RolledBack | Stage::Skipped => None,
        }
    }

    /// A machine that proved it once: whether something else runs there now.
    fn still_there(&self, seen: &Observation) -> Option<Found> {
        let running = seen.report.as_ref()?.running.as_ref()?;
        (running.release.manifest != self.rollout.release.manifest).then(|| {
            Found::failed(
                FailureCause::RolledBack,
                vec![format!("it had proved it, and {} again", seen.running_words())],
            )
        })
    }

    /// The end of an assignment whose place is gone already.
    fn ended_after_all(&self, progress: &MachineProgress, seen: &Observation) -> Option<Found> {
        let offer = progress.offer?;
        // Who is to go back has an older offer to install until it has the new one.
        if progress.goes_back != (offer.act == Act::GoBack) {
            return None;
        }
        self.end(progress, &offer, seen)
    }

    /// The end of an assignment, by proof of success or by word of failure.
    fn end(&self, progress: &MachineProgress, offer: &Offer, seen: &Observation) -> Option<Found> {
        let update = taken_up(offer, seen);
        match offer.act {
            Act::Install => {
                if self.is_proved(offer, seen) {
                    return Some(Found::at(MachineStage::Succeeded));
                }
                let update = update.filter(|update| update.number > progress.forgiven)?;
                match update.phase {
                    UpdatePhase::RolledBack => Some(Found::failed(FailureCause::RolledBack, reasons(update))),
                    // Who refuses because its time is over did not fail: it gets another place.
                    UpdatePhase::Refused if update.since < offer.until => {
                        Some(Found::failed(FailureCause::Refused, reasons(update)))
                    }
                    UpdatePhase::Refused
                    | UpdatePhase::Idle
                    | UpdatePhase::Offered
                    | UpdatePhase::Fetching
                    | UpdatePhase::Verified
                    | UpdatePhase::Waiting
                    | UpdatePhase::Installing
                    | UpdatePhase::Probation
                    | UpdatePhase::Confirmed => None,
                }
            }
            Act::GoBack => {
                let update = update?;
                let running = seen.report.as_ref().and_then(|report| report.running.as_ref());
                let is_gone = running.is_none_or(|running| {
                    running.confirmed && running.release.manifest != self.rollout.release.manifest
                });
                if is_gone {
                    return Some(Found::why(MachineStage::RolledBack, seen.running_words()));
                }
                (update.phase == UpdatePhase::Refused)
                    .then(|| Found::failed(FailureCause::Refused, reasons(update)))
            }
        }
    }

    /// Whether the machine's report proves that it runs the release since this offer.
    fn is_proved(&self, offer: &Offer, seen: &Observation) -> bool {
        #[cfg(test)]
        if self.is_planted(Planted::WordIsProof)
            && taken_up(offer, seen).is_some_and(|update| update.phase == UpdatePhase::Confirmed)
        {
            return true;
        }
        let Some(running) = seen.report.as_ref().and_then(|report| report.running.as_ref()) else {
            return false;
        };
        let is_wanted = running.release.manifest == self.rollout.release.manifest;
        #[cfg(test)]
        let is_wanted = is_wanted || self.is_planted(Planted::AnyReleaseIsProof);
        let was_started = !self.rollout.release.is_started || running.start > offer.start_before;
        #[cfg(test)]
        let was_started = was_started || self.is_planted(Planted::StartIsNotAsked);
        is_wanted && running.confirmed && was_started
    }

    fn with_place(&self, progress: &MachineProgress, seen: &Observation) -> Found {
        let Some(offer) = progress.offer else {
            return Found::at(MachineStage::Pending);
        };
        if let Some(end) = self.end(progress, &offer, seen) {
            return end;
        }
        if let Some(other) = self.taken_away(&offer, seen) {
            return Found::why(MachineStage::Skipped, other);
        }
        let found = under_way(&offer, seen);
        if !self.is_over(progress, &offer, &found, seen) {
            return found;
        }
        if !seen.is_reachable() {
            return Found::why(MachineStage::Unreachable, not_heard(seen));
        }
        if is_begun(&found, taken_up(&offer, seen)) {
            let how_far = found.why.join("; ");
            let how_far = if how_far.is_empty() {
                String::new()
            } else {
                format!(": {how_far}")
            };
            let why = format!(
                "it was not done when its place ended, but {}{how_far}",
                found.stage
            );
            return Found::failed(FailureCause::TooLate, vec![why]);
        }
        self.again(progress, &found)
    }

    /// Whether a place is over: for who has not begun at the latest when it may not begin any more.
    fn is_over(&self, progress: &MachineProgress, offer: &Offer, found: &Found, seen: &Observation) -> bool {
        #[cfg(test)]
        if self.is_planted(Planted::LeaseNeverEnds) {
            return false;
        }
        let may_not_begin = self.now >= offer.until && !is_begun(found, taken_up(offer, seen));
        let is_ended = self.is_closed(progress) && !is_begun(found, taken_up(offer, seen));
        self.now >= offer.lease_until || may_not_begin || is_ended
    }

    /// A place ended and the machine had not begun.
    fn again(&self, progress: &MachineProgress, found: &Found) -> Found {
        if self.is_closed(progress) {
            return Found::why(MachineStage::Skipped, self.closed_words());
        }
        let last = if found.why.is_empty() {
            "it did not take it up".to_owned()
        } else {
            found.why.join("; ")
        };
        if progress.offers < self.rollout.spec.pace.offers_max {
            return Found::why(
                MachineStage::Pending,
                format!("waited for a place's time: {last}"),
            );
        }
        let why = format!("offered {} times, and never begun: {last}", progress.offers);
        if progress.goes_back {
            return Found::failed(FailureCause::TooLate, vec![why]);
        }
        Found::why(MachineStage::Skipped, why)
    }

    /// Whether it gets no place any more.
    const fn is_closed(&self, progress: &MachineProgress) -> bool {
        match self.rollout.state {
            RolloutState::RollingBack => !progress.goes_back,
            RolloutState::Aborted | RolloutState::RolledBack | RolloutState::Succeeded => true,
            RolloutState::Draft
            | RolloutState::Planned
            | RolloutState::Approved
            | RolloutState::Running
            | RolloutState::Paused => false,
        }
    }

    fn closed_words(&self) -> String {
        format!("the rollout is {} ({})", self.rollout.state, self.rollout.why)
    }

    fn without_place(&self, progress: &MachineProgress, seen: &Observation) -> Found {
        if self.is_closed(progress) && progress.stage != MachineStage::Unreachable {
            return Found::why(MachineStage::Skipped, self.closed_words());
        }
        if progress.goes_back {
            // It is told also while it is silent: what is desired waits for it.
            return if progress.stage == MachineStage::Unreachable && !seen.is_reachable() {
                Found::why(MachineStage::Unreachable, not_heard(seen))
            } else {
                Found {
                    stage: MachineStage::Pending,
                    cause: None,
                    why: progress.why.clone(),
                }
            };
        }
        if !seen.is_reachable() {
            return Found::why(MachineStage::Unreachable, not_heard(seen));
        }
        if self.is_closed(progress) {
            return Found::why(MachineStage::Skipped, self.closed_words());
        }
        if let Some(why) = seen
            .report
            .as_ref()
            .and_then(|report| has_it(&self.rollout.release, report))
        {
            return Found::why(MachineStage::Skipped, why);
        }
        let (product, offers) = (&self.rollout.spec.product, progress.offers);
        if offers >= self.rollout.spec.pace.offers_max {
            let why = format!("offered {offers} times, and silent or not ready each time");
            return Found::why(MachineStage::Skipped, why);
        }
        let hindrances = seen.hindrances(product, self.id, self.now);
        if !hindrances.is_empty() && !self.forgets_hindrances() {
            return Found {
                stage: MachineStage::Blocked,
                cause: None,
                why: hindrances,
            };
        }
        match progress.stage {
            MachineStage::Pending => Found {
                stage: MachineStage::Pending,
                cause: None,
                why: progress.why.clone(),
            },
            _ => Found::at(MachineStage::Pending),
        }
    }

    #[cfg(test)]
    fn forgets_hindrances(&self) -> bool {
        self.is_planted(Planted::BlockedIsOffered)
    }

    #[cfg(not(test))]
    #[allow(clippy::unused_self, reason = "with tests it looks")]
    const fn forgets_hindrances(&self) -> bool {
        let _ = self.planted;
        false
    }

    /// Who else has the machine now, if its assignment is not the one that was offered.
    fn taken_away(&self, offer: &Offer, seen: &Observation) -> Option<String> {
        let desired = seen.desired.as_ref().ok()?;
        let assignment = desired.products.get(&self.rollout.spec.product)?;
        let is_ours = assignment.rollout.as_deref() == Some(self.id.as_str());
        (assignment.number >= offer.number && !is_ours).then(|| {
            let whose = assignment.rollout.as_deref().unwrap_or("somebody by hand");
            let version = &assignment.version;
            format!(
                "{whose} took it: it is to run {version} (assignment {})",
                assignment.number
            )
        })
    }
}

/// What the machine says of this offer, or of a later one.
fn taken_up<'a>(offer: &Offer, seen: &'a Observation) -> Option<&'a UpdateReport> {
    let update = seen.report.as_ref()?.update.as_ref()?;
    (update.number == offer.number).then_some(update)
}

/// How far a machine is that has a place.
fn under_way(offer: &Offer, seen: &Observation) -> Found {
    let Some(update) = taken_up(offer, seen) else {
        if seen.is_reachable() {
            return Found::at(MachineStage::Offered);
        }
        return Found::why(MachineStage::Offered, not_heard(seen));
    };
    let why = reasons(update);
    let mut found = match update.phase {
        UpdatePhase::Idle | UpdatePhase::Offered if why.is_empty() => Found::at(MachineStage::Offered),
        UpdatePhase::Fetching | UpdatePhase::Verified if why.is_empty() => Found::at(MachineStage::Fetching),
        UpdatePhase::Idle
        | UpdatePhase::Offered
        | UpdatePhase::Fetching
        | UpdatePhase::Verified
        | UpdatePhase::Waiting
        | UpdatePhase::Refused => Found {
            stage: MachineStage::Blocked,
            cause: None,
            why,
        },
        UpdatePhase::Installing => Found::at(MachineStage::Installing),
        UpdatePhase::Probation | UpdatePhase::RolledBack => Found::at(MachineStage::Probation),
        UpdatePhase::Confirmed => Found::why(
            MachineStage::Probation,
            format!("it says that it is confirmed, and {}", seen.running_words()),
        ),
    };
    if !seen.is_reachable() {
        found.why.push(not_heard(seen));
    }
    found
}

/// Whether a machine is past the point where it can be told to leave it.
fn is_begun(found: &Found, update: Option<&UpdateReport>) -> bool {
    match found.stage {
        MachineStage::Fetching | MachineStage::Installing | MachineStage::Probation => update.is_some(),
        MachineStage::Pending
        | MachineStage::Blocked
        | MachineStage::Offered
        | MachineStage::Succeeded
        | MachineStage::Failed
        | MachineStage::RolledBack
        | MachineStage::Unreachable
        | MachineStage::Skipped => false,
    }
}

fn not_heard(seen: &Observation) -> String {
    format!("not heard of since {}", seen.presence_since)
}

/// The reasons of a machine, as many as are kept.
fn reasons(update: &UpdateReport) -> Vec<String> {
    let short = |why: &String| why.chars().take(WHY_MAX_CHARS).collect();
    update.why.iter().take(WHY_MAX).map(short).collect()
}
