//! One product: which assignment is dealt with, and how far that is.

mod told;

use muster_model::release::{Act, Assignment, ManifestDigest, ProductName};
use muster_model::vocabulary::UpdatePhase;
use muster_model::{Severity, Timestamp};

#[cfg(test)]
use super::Planted;
use super::probation::{Probation, Verdict};
use super::{
    AGAIN_MAX_MS, AGAIN_MS, CHECK_EVERY_MS, DISK_AGAIN_MS, Effect, Ended, Facts, HOLD_MS, HealthWanted,
    READING_MAX_AGE_MS, Readings, Slots, Stage, Step, Taken, Trouble, WITHIN_MS,
};
use crate::Now;

/// What a product is judged in.
pub(super) struct Surroundings<'a> {
    pub(super) now: Now,
    /// All updates are stopped, for this reason.
    pub(super) stopped: Option<&'a str>,
    pub(super) readings: &'a Readings,
    #[cfg(test)]
    pub(super) planted: Option<Planted>,
}

impl Surroundings<'_> {
    #[cfg(test)]
    fn has(&self, bug: Planted) -> bool {
        self.planted == Some(bug)
    }
}

/// Whether a bug is planted; never where there are no tests.
macro_rules! planted {
    ($around:expr, $bug:ident) => {{
        #[cfg(test)]
        {
            $around.has(Planted::$bug)
        }
        #[cfg(not(test))]
        {
            let _ = $around;
            false
        }
    }};
}

/// Where an assignment is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// Nothing is done.
    #[default]
    Resting,
    /// That it was taken up is being written.
    TakingUp,
    /// It is being fetched, or is to be at this time.
    Fetching { again_ms: Option<u64>, tries: u32 },
    /// All of it is here; it waits until it may go on.
    Waiting,
    /// It is being put into its slot.
    Installing,
    /// Its commands are being run.
    Running(Stage),
    /// `current` is being changed.
    Activating,
    /// It is being started.
    Starting,
    /// It has to prove itself.
    Probation {
        probation: Probation,
        /// It is being looked at.
        is_checked: bool,
        check_ms: u64,
    },
    /// The disk is being told that it did.
    Confirming { again_ms: Option<u64> },
    /// The version before is being brought back.
    GoingBack { why: Vec<String>, again_ms: Option<u64> },
    /// How it ended is being written.
    Ending { ended: Ended, again_ms: Option<u64> },
}

/// One product.
#[derive(Clone, Debug, Default)]
pub(super) struct Product {
    name: Option<ProductName>,
    taken: Option<Taken>,
    /// What was taken up before, as long as nothing came of the last.
    before: Option<Taken>,
    /// Nothing is done before it is known.
    slots: Option<Slots>,
    phase: Phase,
    /// What is being dealt with; none after a restart on probation, when nobody needs to assign anything any more.
    assignment: Option<Assignment>,
    facts: Facts,
    /// It lies whole in the slot that is not in use.
    is_installed: bool,
    /// The commands before the change ended well.
    before_ran: bool,
    /// Assigned, and not taken up, for these reasons.
    offered: Option<(Assignment, Vec<String>)>,
    /// It is not taken up again before this time, for this reason.
    blocked: Option<(u64, String)>,
    /// It failed, and there is no way back.
    stuck: Option<String>,
    why: Vec<String>,
    fetched_bytes: u64,
    to_fetch_bytes: u64,
    is_break_ignored: bool,
    shown: UpdatePhase,
    since: Option<Timestamp>,
}

impl Product {
    pub(super) fn new(name: ProductName, taken: Option<Taken>) -> Self {
        Self {
            name: Some(name),
            taken,
            ..Self::default()
        }
    }

    /// Something of it is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.phase != Phase::Resting
    }

    pub(super) fn due_ms(&self, now: Now) -> Option<u64> {
        match &self.phase {
            Phase::Fetching { again_ms, .. }
            | Phase::Confirming { again_ms }
            | Phase::GoingBack { again_ms, .. }
            | Phase::Ending { again_ms, .. } => *again_ms,
            Phase::Waiting => Some(now.mono_ms + CHECK_EVERY_MS),
            Phase::Probation { check_ms, .. } => Some(*check_ms),
            Phase::Resting => self.blocked.as_ref().map(|(until_ms, _)| *until_ms),
            Phase::TakingUp | Phase::Installing | Phase::Running(_) | Phase::Activating | Phase::Starting => {
                None
            }
        }
    }

    /// Something happened to it. What does not fit to where it is came too late, and says nothing any more.
    pub(super) fn came(&mut self, now: Now, name: &ProductName, step: Step, effects: &mut Vec<Effect>) {
        if let Some(next) = self.next(now, step, name, effects) {
            self.enter(name, next, effects);
        }
        self.show(now);
    }

    /// What follows from what happened, if another phase does.
    fn next(&mut self, now: Now, step: Step, name: &ProductName, effects: &mut Vec<Effect>) -> Option<Phase> {
        let goes_back = self.goes_back();
        Some(match (step, &mut self.phase) {
            (Step::Slots(slots), _) => return self.found(now, slots),
            (Step::Noted, Phase::TakingUp) if goes_back => Phase::Waiting,
            // Whether it may begin is asked as for any other try.
            (Step::Noted, Phase::TakingUp) => Phase::Fetching {
                again_ms: Some(now.mono_ms),
                tries: 0,
            },
            (Step::Noted, Phase::Ending { ended, .. }) => {
                let ended = ended.clone();
                self.over(name, ended, effects);
                Phase::Resting
            }
            (Step::NotNoted(why), Phase::TakingUp) => {
                // Nothing was begun, and nothing is lost: the assignment is still there.
                self.taken = self.before.take();
                self.blocked = Some((
                    now.mono_ms + DISK_AGAIN_MS,
                    format!("the disk takes no note of it: {why}"),
                ));
                Phase::Resting
            }
            (Step::NotNoted(_), Phase::Ending { ended, .. }) => Phase::Ending {
                ended: ended.clone(),
                again_ms: Some(now.mono_ms + DISK_AGAIN_MS),
            },
            (
                Step::Progress {
                    fetched_bytes,
                    to_fetch_bytes,
                },
                Phase::Fetching { .. },
            ) => {
                (self.fetched_bytes, self.to_fetch_bytes) = (fetched_bytes, to_fetch_bytes);
                return None;
            }
            (Step::Fetched(facts), Phase::Fetching { .. }) => {
                self.facts = *facts;
                self.why.clear();
                Phase::Waiting
            }
            (Step::NotFetched(Trouble::Later(why)), Phase::Fetching { tries, .. }) => {
                self.why = vec![why];
                Phase::Fetching {
                    again_ms: Some(now.mono_ms + (AGAIN_MS << (*tries).min(16)).min(AGAIN_MAX_MS)),
                    tries: *tries + 1,
                }
            }
            (Step::NotFetched(Trouble::Never(why)), Phase::Fetching { .. })
            | (Step::NotInstalled(Trouble::Never(why)), Phase::Installing)
            | (Step::HookFailed(Stage::Before, why), Phase::Running(Stage::Before)) => {
                ending(now, UpdatePhase::Refused, vec![why])
            }
            (Step::Installed, Phase::Installing) => {
                self.is_installed = true;
                Phase::Waiting
            }
            (Step::NotInstalled(Trouble::Later(why)), Phase::Installing)
            | (Step::NotActivated(why), Phase::Activating) => {
                // What lies where is looked into from the beginning.
                self.is_installed = false;
                self.why = vec![why];
                Phase::Fetching {
                    again_ms: Some(now.mono_ms + DISK_AGAIN_MS),
                    tries: 0,
                }
            }
            (Step::HooksRan(Stage::Before), Phase::Running(Stage::Before)) => {
                self.before_ran = true;
                Phase::Waiting
            }
            (Step::Activated, Phase::Activating) if self.facts.has_after => Phase::Running(Stage::After),
            (Step::Activated, Phase::Activating)
            | (Step::HooksRan(Stage::After), Phase::Running(Stage::After)) => Phase::Starting,
            (Step::HookFailed(Stage::After, why), Phase::Running(Stage::After))
            | (Step::NotStarted(why), Phase::Starting) => going_back(vec![why]),
            (Step::Started, Phase::Starting) => self.proving(now),
            (
                Step::Checked(problems),
                Phase::Probation {
                    probation,
                    is_checked,
                    check_ms,
                },
            ) => {
                probation.checked(now.mono_ms, problems.clone(), self.is_break_ignored);
                (*is_checked, *check_ms) = (false, now.mono_ms + CHECK_EVERY_MS);
                self.why = problems;
                return None;
            }
            (Step::Confirmed, Phase::Confirming { .. }) => ending(now, UpdatePhase::Confirmed, Vec::new()),
            (Step::NotConfirmed(why), Phase::Confirming { .. }) => {
                self.why = vec![why];
                Phase::Confirming {
                    again_ms: Some(now.mono_ms + DISK_AGAIN_MS),
                }
            }
            (Step::WentBack, Phase::GoingBack { why, .. }) => {
                ending(now, UpdatePhase::RolledBack, std::mem::take(why))
            }
            (Step::NotWentBack { why, for_good: false }, Phase::GoingBack { why: reasons, .. }) => {
                self.why = vec![format!("it cannot be taken back yet: {why}")];
                Phase::GoingBack {
                    why: std::mem::take(reasons),
                    again_ms: Some(now.mono_ms + DISK_AGAIN_MS),
                }
            }
            (Step::NotWentBack { why, for_good: true }, Phase::GoingBack { .. }) => {
                // What was before is damaged, or there is nothing: what is there goes on trying, or stays what it was.
                if goes_back {
                    ending(now, UpdatePhase::Refused, vec![why])
                } else {
                    self.stuck = Some(format!("it cannot be taken back: {why}"));
                    self.proving(now)
                }
            }
            _ => return None,
        })
    }

    /// What lies in the slots is known anew.
    fn found(&mut self, now: Now, slots: Slots) -> Option<Phase> {
        let is_first = self.slots.is_none();
        let ours = self.taken.as_ref().map(|taken| &taken.manifest);
        let back = slots
            .taken_back
            .as_ref()
            .filter(|(manifest, _)| Some(manifest) == ours);
        let back = back.map(|(_, why)| why.clone());
        let on_probation = slots.on_probation;
        if is_first && on_probation {
            self.facts = Facts::clone(&slots.facts);
        }
        self.slots = Some(slots);
        match (&self.phase, back) {
            _ if is_first && on_probation => Some(self.proving(now)),
            // Started too often: whoever counts the starts went back.
            (Phase::Probation { .. } | Phase::Starting, Some(why)) if !on_probation => {
                Some(ending(now, UpdatePhase::RolledBack, vec![why]))
            }
            _ => None,
        }
    }

    /// Nothing is under way: is there something to begin?
    pub(super) fn look(
        &mut self,
        around: &Surroundings<'_>,
        name: &ProductName,
        wanted: Option<&Assignment>,
        others_are_busy: bool,
        effects: &mut Vec<Effect>,
    ) {
        self.offered = None;
        let Some(slots) = &self.slots else { return };
        let Some(wanted) = wanted else {
            return self.put_away(around.now, name, effects);
        };
        if self.is_dealt_with(around, wanted) {
            return;
        }
        let end = self.end_at_once(around.now, wanted, slots);
        if end.is_none() {
            let mut why = Vec::new();
            why.extend(around.stopped.map(stopped));
            if others_are_busy {
                why.push("another product is being changed".to_owned());
            }
            let blocked = self
                .blocked
                .as_ref()
                .filter(|(until_ms, _)| *until_ms > around.now.mono_ms);
            why.extend(blocked.map(|(_, why)| why.clone()));
            if !why.is_empty() {
                self.offered = Some((wanted.clone(), why));
                self.show(around.now);
                return;
            }
        }
        self.take_up(around.now, name, wanted, end, effects);
    }

    /// What was begun before a restart, and is wanted no more, has an end as well.
    fn put_away(&mut self, now: Now, name: &ProductName, effects: &mut Vec<Effect>) {
        let Some(taken) = self.taken.as_ref().filter(|taken| taken.ended.is_none()) else {
            return;
        };
        let running = self.slots.as_ref().and_then(|slots| slots.running.as_ref());
        let runs = running.is_some_and(|running| running.manifest == taken.manifest);
        let next = match (taken.act, self.taken_back()) {
            (Act::Install, _) if runs => ending(now, UpdatePhase::Confirmed, Vec::new()),
            (_, Some(why)) => ending(now, UpdatePhase::RolledBack, vec![why]),
            _ => ending(now, UpdatePhase::Refused, vec!["it was withdrawn".to_owned()]),
        };
        self.enter(name, next, effects);
        self.show(now);
    }

    /// Why what was taken up is in use no more.
    fn taken_back(&self) -> Option<String> {
        let (manifest, why) = self.slots.as_ref()?.taken_back.as_ref()?;
        (*manifest == self.taken.as_ref()?.manifest).then(|| why.clone())
    }

    fn is_dealt_with(&self, around: &Surroundings<'_>, wanted: &Assignment) -> bool {
        self.taken.as_ref().is_some_and(|taken| {
            let is_over = taken.ended.is_some() && !planted!(around, EndIsForgotten);
            taken.number > wanted.number || (taken.number == wanted.number && is_over)
        })
    }

    /// Whether it is over before it begins: how things stand is what counts, however they came to be so.
    fn end_at_once(
        &self,
        now: Now,
        wanted: &Assignment,
        slots: &Slots,
    ) -> Option<(UpdatePhase, Vec<String>)> {
        let refused = |why: &str| Some((UpdatePhase::Refused, vec![why.to_owned()]));
        let is_wanted = |manifest: &ManifestDigest| *manifest == wanted.manifest;
        let runs = slots
            .running
            .as_ref()
            .is_some_and(|running| is_wanted(&running.manifest));
        // It was begun, and the power went.
        let was_begun = self
            .taken
            .as_ref()
            .is_some_and(|taken| taken.number == wanted.number);
        let back = slots
            .taken_back
            .as_ref()
            .filter(|(manifest, _)| is_wanted(manifest));
        match (wanted.act, back) {
            (Act::Install, _) if runs => Some((UpdatePhase::Confirmed, Vec::new())),
            (_, Some((_, why))) if was_begun => Some((UpdatePhase::RolledBack, vec![why.clone()])),
            (Act::GoBack, _) if !runs => refused("it does not run"),
            (Act::GoBack, _) if slots.other.is_none() => refused("there is no version before it"),
            _ if now.wall > wanted.until => refused("its time was over before it began"),
            _ => None,
        }
    }

    fn take_up(
        &mut self,
        now: Now,
        name: &ProductName,
        wanted: &Assignment,
        end: Option<(UpdatePhase, Vec<String>)>,
        effects: &mut Vec<Effect>,
    ) {
        self.before = self.taken.replace(Taken {
            number: wanted.number,
            act: wanted.act,
            version: wanted.version.clone(),
            manifest: wanted.manifest.clone(),
            ended: None,
        });
        // What is left says itself what must hold while it is.
        let left = self.slots.as_ref().filter(|_| wanted.act == Act::GoBack);
        self.facts = left.map(|slots| Facts::clone(&slots.facts)).unwrap_or_default();
        self.assignment = Some(wanted.clone());
        (self.is_installed, self.before_ran) = (false, false);
        (self.fetched_bytes, self.to_fetch_bytes) = (0, 0);
        (self.blocked, self.stuck) = (None, None);
        self.why.clear();
        let next = match end {
            Some((phase, why)) => ending(now, phase, why),
            None => Phase::TakingUp,
        };
        self.enter(name, next, effects);
        self.show(now);
    }

    /// Something is under way: what comes next?
    pub(super) fn go_on(
        &mut self,
        around: &Surroundings<'_>,
        name: &ProductName,
        wanted: Option<&Assignment>,
        effects: &mut Vec<Effect>,
    ) {
        self.is_break_ignored = planted!(around, BreakIsIgnored);
        let now = around.now;
        let next = match &self.phase {
            Phase::Fetching { .. } | Phase::Waiting if self.is_withdrawn(wanted) => {
                effects.push(Effect::LeaveOff(name.clone()));
                Some(ending(
                    now,
                    UpdatePhase::Refused,
                    vec!["it was withdrawn".to_owned()],
                ))
            }
            Phase::Fetching { again_ms, .. } => self.fetch(around, name, *again_ms, effects),
            Phase::Waiting => self.wait(around),
            Phase::Probation { .. } => self.watch(around, name, effects),
            Phase::Confirming { again_ms } if is_due(*again_ms, now) => {
                Some(Phase::Confirming { again_ms: None })
            }
            Phase::GoingBack { again_ms, why } if is_due(*again_ms, now) => Some(going_back(why.clone())),
            Phase::Ending { again_ms, ended } if is_due(*again_ms, now) => Some(Phase::Ending {
                ended: ended.clone(),
                again_ms: None,
            }),
            _ => None,
        };
        if let Some(next) = next {
            self.enter(name, next, effects);
        }
        self.show(now);
    }

    /// Somebody assigns something else, or nothing any more.
    fn is_withdrawn(&self, wanted: Option<&Assignment>) -> bool {
        let ours = self.assignment.as_ref().map(|assignment| assignment.number);
        wanted.map(|wanted| wanted.number) != ours
    }

    fn fetch(
        &mut self,
        around: &Surroundings<'_>,
        name: &ProductName,
        again_ms: Option<u64>,
        effects: &mut Vec<Effect>,
    ) -> Option<Phase> {
        if let Some(reason) = around.stopped.filter(|_| !planted!(around, StopIsLate)) {
            if again_ms.is_none() {
                effects.push(Effect::LeaveOff(name.clone()));
            }
            self.why = vec![stopped(reason)];
            // It begins at once when the stop is lifted.
            self.phase = Phase::Fetching {
                again_ms: Some(around.now.mono_ms),
                tries: 0,
            };
            return None;
        }
        if self.is_late(around.now) {
            effects.push(Effect::LeaveOff(name.clone()));
            let mut why = vec!["its time was over before all of it was here".to_owned()];
            why.append(&mut self.why);
            return Some(ending(around.now, UpdatePhase::Refused, why));
        }
        is_due(again_ms, around.now).then(|| {
            self.why.clear();
            let tries = match self.phase {
                Phase::Fetching { tries, .. } => tries,
                _ => 0,
            };
            Phase::Fetching {
                again_ms: None,
                tries,
            }
        })
    }

    /// All of it is here. Each thing that is done next is done only if everything holds just now.
    fn wait(&mut self, around: &Surroundings<'_>) -> Option<Phase> {
        let oldest_ms = if planted!(around, StaleCounts) {
            u64::MAX
        } else {
            READING_MAX_AGE_MS
        };
        let mut against = around
            .readings
            .against(around.now, &self.facts.conditions, oldest_ms);
        if planted!(around, UnknownHolds) {
            against.retain(|why| !why.contains("unknown"));
        }
        if planted!(around, ConditionsAreAskedOnce) && self.is_installed {
            against.clear();
        }
        if let Some(reason) = around.stopped.filter(|_| !planted!(around, StopIsLate)) {
            against.insert(0, stopped(reason));
        }
        if self.facts.is_started && !self.is_run(around) {
            against.push("no workload of this machine runs it".to_owned());
        }
        self.why = against;
        if self.why.is_empty() {
            return Some(match (self.is_installed, self.before_ran) {
                _ if self.goes_back() => going_back(self.asked_to_go_back()),
                (false, _) => Phase::Installing,
                (true, false) if self.facts.has_before => Phase::Running(Stage::Before),
                (true, _) => Phase::Activating,
            });
        }
        self.is_late(around.now).then(|| {
            let mut why = vec!["its time was over while it waited".to_owned()];
            why.append(&mut self.why);
            ending(around.now, UpdatePhase::Refused, why)
        })
    }

    fn goes_back(&self) -> bool {
        self.taken.as_ref().is_some_and(|taken| taken.act == Act::GoBack)
    }

    fn is_run(&self, around: &Surroundings<'_>) -> bool {
        let name = self.name.as_ref();
        name.is_some_and(|name| around.readings.run.contains(name))
    }

    fn asked_to_go_back(&self) -> Vec<String> {
        let rollout = self
            .assignment
            .as_ref()
            .and_then(|assignment| assignment.rollout.as_deref());
        vec![match rollout {
            Some(rollout) => format!("rollout {rollout} went back"),
            None => "it was asked for".to_owned(),
        }]
    }

    fn is_late(&self, now: Now) -> bool {
        let until = self.assignment.as_ref().map(|assignment| assignment.until);
        until.is_some_and(|until| now.wall > until)
    }

    fn watch(
        &mut self,
        around: &Surroundings<'_>,
        name: &ProductName,
        effects: &mut Vec<Effect>,
    ) -> Option<Phase> {
        let now_ms = around.now.mono_ms;
        let Phase::Probation {
            probation,
            is_checked,
            check_ms,
        } = &mut self.phase
        else {
            return None;
        };
        match probation.verdict(now_ms, planted!(around, HoldIsIgnored)) {
            Verdict::Proved => Some(Phase::Confirming { again_ms: None }),
            Verdict::Failed(why) => Some(going_back(vec![why])),
            Verdict::Open => {
                if !*is_checked && now_ms >= *check_ms {
                    *is_checked = true;
                    effects.push(Effect::Check(name.clone()));
                }
                None
            }
        }
    }

    /// From now on it has to prove itself.
    fn proving(&mut self, now: Now) -> Phase {
        let usual = HealthWanted {
            hold_ms: HOLD_MS,
            within_ms: WITHIN_MS,
        };
        let nothing = HealthWanted {
            hold_ms: 0,
            within_ms: WITHIN_MS,
        };
        let unsaid = if self.facts.is_started { usual } else { nothing };
        Phase::Probation {
            probation: Probation::new(self.facts.health.unwrap_or(unsaid), now.mono_ms),
            is_checked: false,
            check_ms: now.mono_ms,
        }
    }

    fn enter(&mut self, name: &ProductName, phase: Phase, effects: &mut Vec<Effect>) {
        self.phase = phase;
        effects.extend(self.effect(name));
    }

    /// What the phase that was entered just now asks for. Where it says when to try again, that is not now.
    fn effect(&self, name: &ProductName) -> Option<Effect> {
        let name = name.clone();
        match &self.phase {
            Phase::TakingUp => Some(Effect::Note(name, self.taken.clone()?)),
            Phase::Fetching { again_ms: None, .. } => Some(Effect::Fetch(name, self.assignment.clone()?)),
            Phase::Installing => Some(Effect::Install(name)),
            Phase::Running(stage) => Some(Effect::RunHooks(name, *stage)),
            Phase::Activating => Some(Effect::Activate(name)),
            Phase::Starting => Some(Effect::Start(name)),
            Phase::Confirming { again_ms: None } => Some(Effect::Confirm(name)),
            Phase::GoingBack { why, again_ms: None } => Some(Effect::GoBack(name, why.join("; "))),
            Phase::Ending {
                ended,
                again_ms: None,
            } => {
                let mut taken = self.taken.clone()?;
                taken.ended = Some(ended.clone());
                Some(Effect::Note(name, taken))
            }
            Phase::Resting
            | Phase::Waiting
            | Phase::Probation { .. }
            | Phase::Fetching { .. }
            | Phase::Confirming { .. }
            | Phase::GoingBack { .. }
            | Phase::Ending { .. } => None,
        }
    }

    /// Its end is on the disk: now it may be told.
    fn over(&mut self, name: &ProductName, ended: Ended, effects: &mut Vec<Effect>) {
        let version = self.taken.as_ref().map_or("", |taken| &taken.version).to_owned();
        let why = ended.why.join("; ");
        let (kind, severity, message) = match ended.phase {
            UpdatePhase::Confirmed => (
                "update.confirmed",
                Severity::Info,
                format!("{name} {version} runs and proved itself"),
            ),
            UpdatePhase::RolledBack => (
                "update.rolled_back",
                Severity::Warning,
                format!("{name} {version} was taken back: {why}"),
            ),
            _ => (
                "update.refused",
                Severity::Warning,
                format!("{name} {version} is not installed: {why}"),
            ),
        };
        effects.push(Effect::Tell {
            product: name.clone(),
            kind,
            severity,
            message,
        });
        self.why.clone_from(&ended.why);
        if let Some(taken) = &mut self.taken {
            taken.ended = Some(ended);
        }
        (self.assignment, self.before) = (None, None);
    }

    /// Notes when what is reported changes its phase.
    fn show(&mut self, now: Now) {
        let shown = self.phase_shown();
        if self.since.is_none() || self.shown != shown {
            (self.shown, self.since) = (shown, Some(now.wall));
        }
    }
}

fn stopped(reason: &str) -> String {
    format!("all updates are stopped: {reason}")
}

fn ending(now: Now, phase: UpdatePhase, why: Vec<String>) -> Phase {
    Phase::Ending {
        ended: Ended {
            phase,
            why,
            at: now.wall,
        },
        again_ms: None,
    }
}

fn going_back(why: Vec<String>) -> Phase {
    Phase::GoingBack { why, again_ms: None }
}

fn is_due(again_ms: Option<u64>, now: Now) -> bool {
    again_ms.is_some_and(|at| at <= now.mono_ms)
}
