//! The last remote stop that was asked of a machine: how far it got, by what the machine itself said.
//!
//! Folded by [`MachineView::apply`](crate::MachineView::apply) and by nothing else. Begin with [`LastStop`].

use serde::{Deserialize, Serialize};

use crate::command::CommandAnswer;
use crate::state::Operation;
use crate::time::Timestamp;
use crate::vocabulary::Safety;

/// The kind of the command that asks a machine to stop, as the log keeps it.
pub const STOP_KIND: &str = "stop";

/// The last remote stop that was asked of a machine. Times are the fleet's; those of the machine are its own estimate of
/// that, and never shown as earlier than what brought them about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastStop {
    /// Names the command for ever.
    pub command_id: String,
    /// Who asked for it.
    pub issuer: String,
    /// Why.
    pub reason: String,
    /// When it was asked for.
    pub issued: Timestamp,
    /// From when on the machine must not carry it out any more.
    pub expires: Timestamp,
    /// What the machine answered first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<CommandAnswer>,
    /// When the machine's reported state first showed, after the stop was asked for, that its safety region holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing_at: Option<Timestamp>,
    /// When it first reported, while it stood, that nothing moves any more, by what it measures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_rest_at: Option<Timestamp>,
    /// When it first reported, after it stood, that nothing holds it any more: somebody at the machine let it go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released_at: Option<Timestamp>,
}

impl LastStop {
    /// Whether the machine has yet to be told: it did not answer, and may still carry it out.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.answer.is_none() && now < self.expires
    }

    /// Whether what the machine reports may still say how far this stop got.
    fn is_followed(&self) -> bool {
        self.answer.as_ref().is_none_or(CommandAnswer::is_receipt)
    }

    /// The machine answered. Only the first answer counts; what it had reported before it answered is part of it: a
    /// machine that stood already has nothing new to report.
    pub(crate) fn answered(&mut self, mut answer: CommandAnswer, reported: Option<&Operation>) {
        if self.answer.is_some() {
            return;
        }
        let at = answer.at.max(self.issued);
        answer.at = at;
        self.answer = Some(answer);
        if self.released_at.take().is_some() {
            // It stood and was let go before it had this stop: that was about something else.
            (self.standing_at, self.at_rest_at) = (None, None);
        }
        if let Some(operation) = reported.filter(|operation| stands(operation.safety)) {
            self.reported(at, operation);
        }
    }

    /// The machine reported its regions, at this moment.
    pub(crate) fn reported(&mut self, at: Timestamp, operation: &Operation) {
        if !self.is_followed() {
            return;
        }
        // Records come in the order in which they were made: after the answer each report is newer than the stop. Before, the
        // report may have waited on the machine since long ago, and only its time can tell.
        if self.answer.is_none() && at < self.issued {
            return;
        }
        let at = at.max(self.latest());
        match (self.standing_at, stands(operation.safety)) {
            (None, true) => self.standing_at = Some(at),
            (Some(_), false) if self.released_at.is_none() => self.released_at = Some(at),
            (None, false) | (Some(_), _) => {}
        }
        let rests = measured_rest(operation) && self.standing_at.is_some() && self.released_at.is_none();
        if rests && self.at_rest_at.is_none() {
            self.at_rest_at = Some(at);
        }
    }

    /// The latest moment that is known of it. What follows is never shown as earlier: the machine's estimate of the fleet's
    /// time may have been put right in between.
    fn latest(&self) -> Timestamp {
        let answered = self.answer.as_ref().map(|answer| answer.at);
        let times = [answered, self.standing_at, self.at_rest_at];
        times.into_iter().flatten().fold(self.issued, Timestamp::max)
    }

    /// Whether a report can say something new of it.
    pub(crate) fn is_under_way(&self) -> bool {
        self.released_at.is_none() && self.is_followed()
    }
}

/// Whether a machine in this region is held until its cause is gone or somebody at the machine lets it go.
pub const fn stands(safety: Safety) -> bool {
    match safety {
        Safety::ProtectiveStop | Safety::EstopLatched | Safety::FaultLatched => true,
        Safety::Init | Safety::Operational | Safety::Limited => false,
    }
}

/// Whether the machine measures that nothing moves.
fn measured_rest(operation: &Operation) -> bool {
    operation.at_rest == Some(true)
}

#[cfg(test)]
mod tests;
