//! What a machine can be commanded, the commands that were last given to it, and what it answered.
//!
//! Folded by [`MachineView::apply`](crate::MachineView::apply) and by nothing else. Begin with [`RecentCommands`]. How far a
//! remote stop got stands in [`LastStop`](crate::LastStop) as well: that is more than an answer.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::entry::JsonText;
use crate::stop::STOP_KIND;
use crate::time::Timestamp;

/// Most commands that a view keeps: whoever wants older ones finds them among the events.
pub const RECENT_COMMANDS_MAX: usize = 16;

/// A command that was given to a machine. Times are the fleet's; that of the answer is the machine's own estimate of that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GivenCommand {
    /// Names the command for ever.
    pub command_id: String,
    /// What is asked for, in the link's word.
    pub kind: String,
    /// How.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<JsonText>,
    /// Who asked for it.
    pub issuer: String,
    /// Why.
    pub reason: String,
    /// When.
    pub issued: Timestamp,
    /// From when on the machine must not carry it out any more.
    pub expires: Timestamp,
    /// What the machine answered first. Accepted is not done: what became of it shows in the state and the events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<CommandAnswer>,
}

/// What a machine answered to a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandAnswer {
    /// `accepted`, `duplicate`, `expired` or `refused`.
    pub outcome: String,
    /// Why, where it was not accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
}

impl CommandAnswer {
    /// Whether the machine has the command. One that it knows already it had before.
    pub fn is_receipt(&self) -> bool {
        matches!(self.outcome.as_str(), "accepted" | "duplicate")
    }
}

impl GivenCommand {
    /// Whether it is not answered and may still be carried out.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.answer.is_none() && now < self.expires
    }
}

/// The kinds of commands that a machine carries out, in the link's words, as it said them. Shared by copies, and a pointer where
/// it said none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Accepts(Option<Arc<[Box<str>]>>);

impl Accepts {
    /// Whether it said none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether commands of this kind are among them.
    pub fn has(&self, kind: &str) -> bool {
        self.iter().any(|accepted| accepted == kind)
    }

    /// As it said them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|kinds| kinds.iter()).map(|kind| &**kind)
    }

    /// It said these.
    pub(crate) fn say(&mut self, kinds: &[String]) {
        if !self.iter().eq(kinds.iter().map(String::as_str)) {
            let kinds = kinds.iter().map(|kind| kind.as_str().into()).collect();
            self.0 = Some(kinds).filter(|kinds: &Arc<[Box<str>]>| !kinds.is_empty());
        }
    }
}

/// The last commands of a machine, the oldest first: at most [`RECENT_COMMANDS_MAX`]. Empty it takes a pointer, and a view
/// that is copied shares it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecentCommands(Option<Arc<VecDeque<GivenCommand>>>);

impl RecentCommands {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.iter().len() == 0
    }

    /// The oldest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &GivenCommand> + DoubleEndedIterator {
        static NONE: VecDeque<GivenCommand> = VecDeque::new();
        self.0.as_deref().unwrap_or(&NONE).iter()
    }

    /// How many are not answered and may still be carried out, stops apart: those are never held back.
    pub fn open(&self, now: Timestamp) -> usize {
        let open = self
            .iter()
            .filter(|command| command.kind != STOP_KIND && command.is_open(now));
        open.count()
    }

    /// Takes in another one. Where there is no room the oldest goes that is not awaited any more, else the oldest.
    pub(crate) fn given(&mut self, recorded_at: Timestamp, command: GivenCommand) {
        let commands = Arc::make_mut(self.0.get_or_insert_default());
        if commands.len() >= RECENT_COMMANDS_MAX {
            let done = commands.iter().position(|old| !old.is_open(recorded_at));
            commands.remove(done.unwrap_or(0));
        }
        commands.push_back(command);
    }

    /// The machine answered. Only the first answer counts.
    pub(crate) fn answered(&mut self, command_id: &str, answer: &CommandAnswer) {
        let waits = |command: &GivenCommand| command.command_id == command_id && command.answer.is_none();
        let Some(index) = self.iter().position(waits) else {
            return;
        };
        let commands = Arc::make_mut(self.0.get_or_insert_default());
        if let Some(command) = commands.get_mut(index) {
            let mut answer = answer.clone();
            answer.at = answer.at.max(command.issued);
            command.answer = Some(answer);
        }
    }
}

#[cfg(test)]
mod tests;
