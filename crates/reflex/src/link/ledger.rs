//! Which commands were taken, so that each is taken once, and none too late.

use std::collections::{BTreeMap, VecDeque};

use muster_model::{RecordNumber, Timestamp};
use muster_protocol::link::Command;

/// A command that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Its id.
    pub id: String,
    /// From when on it is refused for its age anyway, and need not be remembered.
    pub expires: Timestamp,
}

/// What becomes of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Never seen, and in time.
    New,
    /// Taken before.
    Duplicate,
    /// Too late.
    Expired,
    /// No room to remember it, and what is not remembered is not done.
    Full,
}

#[derive(Debug)]
pub(super) struct Ledger {
    taken: BTreeMap<String, Timestamp>,
    /// Commands that wait for their record to be on disk.
    waiting: VecDeque<(RecordNumber, Command)>,
    max: usize,
}

impl Ledger {
    pub(super) fn new(kept: Vec<Remembered>, max: usize) -> Self {
        let taken = kept
            .into_iter()
            .map(|command| (command.id, command.expires))
            .collect();
        Self {
            taken,
            waiting: VecDeque::new(),
            max,
        }
    }

    pub(super) fn judge(&mut self, command: &Command, server_time: Timestamp) -> Verdict {
        if command.expires <= server_time {
            return Verdict::Expired;
        }
        if self.taken.contains_key(&command.id) {
            return Verdict::Duplicate;
        }
        self.taken.retain(|_, expires| *expires > server_time);
        if self.taken.len() >= self.max {
            Verdict::Full
        } else {
            Verdict::New
        }
    }

    /// Remembers a command that is carried out already.
    pub(super) fn remember(&mut self, command: &Command) {
        self.taken.insert(command.id.clone(), command.expires);
    }

    /// Remembers a command; it is carried out once this record is on disk.
    pub(super) fn accept(&mut self, command: Command, record: RecordNumber) {
        self.taken.insert(command.id.clone(), command.expires);
        self.waiting.push_back((record, command));
    }

    /// The commands whose record is on disk now.
    pub(super) fn due(&mut self, persisted: RecordNumber) -> Vec<Command> {
        let mut due = Vec::new();
        while self
            .waiting
            .front()
            .is_some_and(|(record, _)| *record <= persisted)
        {
            due.extend(self.waiting.pop_front().map(|(_, command)| command));
        }
        due
    }
}
