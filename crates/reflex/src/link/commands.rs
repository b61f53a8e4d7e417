//! What becomes of a command.

use muster_protocol::link::{Command, CommandKind, MachineMessage, Outcome, Response};

use super::ledger::Verdict;
use super::{Effect, Link, Remembered};
use crate::Now;

impl Link {
    /// Takes a command once and in time: remembered on disk first, carried out after. A stop waits for nothing: done twice it
    /// is done once.
    pub(super) fn commanded(&mut self, now: Now, command: Command) {
        let server_time = self.clock.server_time(now);
        let stop = command.kind == CommandKind::Stop && self.options.commands.contains(&command.kind);
        let (outcome, reason) = match self.ledger.judge(&command, server_time) {
            Verdict::Full if stop => (Outcome::Accepted, None),
            Verdict::Duplicate => (Outcome::Duplicate, None),
            Verdict::Expired => (
                Outcome::Expired,
                Some(format!("expired at {}, it is {server_time}", command.expires)),
            ),
            Verdict::Full => (Outcome::Refused, Some("too many commands at once".to_owned())),
            Verdict::New if !self.options.commands.contains(&command.kind) => (
                Outcome::Refused,
                Some("this runtime does not carry out commands of this kind".to_owned()),
            ),
            Verdict::New => (Outcome::Accepted, None),
        };
        let response = Response {
            command_id: command.id.clone(),
            outcome,
            reason,
        };
        let remember = Remembered {
            id: command.id.clone(),
            expires: command.expires,
        };
        let remember = (outcome == Outcome::Accepted).then_some(remember);
        let stored = self.store(now, MachineMessage::Response(response), remember);
        if outcome != Outcome::Accepted {
            return;
        }
        if stop {
            self.ledger.remember(&command);
            self.effects.push(Effect::Command(Box::new(command)));
        } else {
            self.ledger.accept(command, stored);
        }
    }
}
