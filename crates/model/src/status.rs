//! One word and one colour for a machine, from everything that is known of it.
//!
//! The word is derived here and nowhere else, so that the table, the tiles, the filter and the command line agree.

use serde::{Deserialize, Serialize};

use crate::state::ReportedState;
use crate::vocabulary::{Health, Mode, Presence, Safety, UpdatePhase, words};

words! {
    /// The status of a machine, worst to best in the order a person should look at them.
    StatusWord {
        /// Stopped for safety or broken. Red.
        Failed => "failed",
        /// Not heard of. Shown hollow: what stands beside it is old.
        Lost => "lost",
        /// Works, with something that needs a look. Orange.
        Attention => "attention",
        /// Being updated. Yellow.
        Updating => "updating",
        /// Standing, secured, not in use. Grey.
        Parked => "parked",
        /// As it should be. Green.
        Ok => "ok",
        /// It never reported its state.
        Unknown => "unknown",
    }
}

/// A status and why it is that one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The word.
    pub word: StatusWord,
    /// Why, for a person; empty where the word says it all.
    pub reason: String,
}

impl Status {
    fn new(word: StatusWord, reason: impl Into<String>) -> Self {
        Self {
            word,
            reason: reason.into(),
        }
    }

    /// The status of a machine that is present in this way and last reported this state.
    ///
    /// A lost machine that had failed stays failed: losing sight of a problem does not mend it.
    pub fn derive(presence: Presence, state: &ReportedState) -> Self {
        use StatusWord::{Attention, Failed, Lost, Ok, Parked, Unknown, Updating};

        let safety = state.operation.as_ref().map(|operation| operation.safety);
        match safety {
            Some(Safety::EstopLatched) => return Self::new(Failed, "emergency stop, latched"),
            Some(Safety::FaultLatched) => return Self::new(Failed, "fault, latched"),
            Some(Safety::ProtectiveStop) => return Self::new(Failed, "protective stop"),
            Some(Safety::Init | Safety::Operational | Safety::Limited) | None => {}
        }
        let health = state.health.as_ref();
        let problem = || {
            health
                .and_then(|report| report.problems.first())
                .map(|problem| problem.message.clone())
                .unwrap_or_default()
        };
        if health.is_some_and(|report| report.level == Health::Failed) {
            return Self::new(Failed, problem());
        }
        if presence == Presence::Lost {
            return Self::new(Lost, "not heard of");
        }
        if *state == ReportedState::default() {
            return Self::new(Unknown, "never reported its state");
        }
        match state.updates.as_ref().map(|updates| updates.phase()) {
            Some(UpdatePhase::RolledBack) => return Self::new(Attention, "update rolled back"),
            Some(
                phase @ (UpdatePhase::Fetching
                | UpdatePhase::Verified
                | UpdatePhase::Waiting
                | UpdatePhase::Installing
                | UpdatePhase::Probation),
            ) => return Self::new(Updating, phase.as_str()),
            Some(
                UpdatePhase::Idle | UpdatePhase::Offered | UpdatePhase::Confirmed | UpdatePhase::Refused,
            )
            | None => {}
        }
        if presence == Presence::Degraded {
            return Self::new(Attention, "heartbeat overdue");
        }
        if health.is_some_and(|report| report.level == Health::Degraded) {
            return Self::new(Attention, problem());
        }
        if safety == Some(Safety::Limited) {
            return Self::new(Attention, "limited by safety");
        }
        match state.operation.as_ref().map(|operation| operation.mode) {
            Some(Mode::Parked) => Self::new(Parked, ""),
            Some(
                Mode::Idle
                | Mode::Working
                | Mode::Driving
                | Mode::Charging
                | Mode::Teleoperated
                | Mode::Service,
            )
            | None => Self::new(Ok, ""),
        }
    }
}
