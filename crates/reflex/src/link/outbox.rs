//! What must reach the server: numbered, on disk before it is sent, and kept until the server holds it.
//!
//! A window of the oldest records is in memory; what lies beyond it is on disk only and is loaded as the window empties.

use std::collections::VecDeque;

use muster_model::{RecordNumber, Timestamp};
use muster_protocol::link::{MachineMessage, Priority};

/// A durable message with its number.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRecord {
    /// Its number.
    pub record: RecordNumber,
    /// When it came about, in server time as it was known then.
    pub at: Timestamp,
    /// What it says.
    pub message: MachineMessage,
}

#[derive(Debug)]
struct Held {
    stored: StoredRecord,
    /// When it came into memory, for how long it has waited.
    since_ms: u64,
}

#[derive(Debug)]
pub(super) struct Outbox {
    /// The highest record given out.
    highest: RecordNumber,
    /// The highest record on disk.
    persisted: RecordNumber,
    /// The highest record that is settled: acknowledged or dropped.
    settled: RecordNumber,
    /// The highest record sent in this session.
    sent: RecordNumber,
    /// Consecutive records from `settled + 1` on.
    window: VecDeque<Held>,
    window_max: usize,
    /// A load is under way: the highest record that was on disk when it was asked for.
    loading: Option<RecordNumber>,
    dropped: u64,
    /// Nothing is sent before this record is on disk.
    hold: RecordNumber,
}

impl Outbox {
    pub(super) fn new(highest: RecordNumber, settled: RecordNumber, window_max: usize) -> Self {
        // What is settled was made once, even where the disk never held it.
        let highest = highest.max(settled);
        Self {
            highest,
            persisted: highest,
            settled,
            sent: settled,
            window: VecDeque::new(),
            window_max,
            loading: None,
            dropped: 0,
            hold: RecordNumber::ZERO,
        }
    }

    /// Numbers a message and takes it in.
    pub(super) fn push(&mut self, now_ms: u64, at: Timestamp, message: MachineMessage) -> StoredRecord {
        let follows = self.window_end() == self.highest;
        self.highest = self.highest.next();
        let stored = StoredRecord {
            record: self.highest,
            at,
            message,
        };
        if follows && self.window.len() < self.window_max {
            self.window.push_back(Held {
                stored: stored.clone(),
                since_ms: now_ms,
            });
        }
        stored
    }

    pub(super) fn persisted_to(&mut self, record: RecordNumber) {
        self.persisted = self.persisted.max(record.min(self.highest));
    }

    /// The next record to be sent in this session, if it is on disk and in memory.
    pub(super) fn next_to_send(&mut self) -> Option<(RecordNumber, Timestamp, MachineMessage)> {
        let held = self.unsent()?;
        let next = (held.stored.record, held.stored.at, held.stored.message.clone());
        self.sent = next.0;
        Some(next)
    }

    /// When the next record is due, given how long each priority waits for company.
    pub(super) fn due_at(&self, wait_ms: impl Fn(Priority) -> u64) -> Option<u64> {
        let skip = (self.sent.0 - self.settled.0) as usize;
        // Records go in order, so an urgent one takes those before it along.
        let waiting = self
            .window
            .iter()
            .skip(skip)
            .take_while(|held| self.may_be_sent(held));
        waiting
            .map(|held| held.since_ms + wait_ms(held.stored.message.priority()))
            .min()
    }

    fn unsent(&self) -> Option<&Held> {
        let index = (self.sent.0 - self.settled.0) as usize;
        self.window.get(index).filter(|held| self.may_be_sent(held))
    }

    fn may_be_sent(&self, held: &Held) -> bool {
        held.stored.record <= self.persisted && self.hold <= self.persisted
    }

    /// Sends nothing before this record is on disk.
    pub(super) fn hold_until_persisted(&mut self, record: RecordNumber) {
        self.hold = record;
    }

    /// The server holds all up to this record. False if that is nothing new.
    pub(super) fn settle(&mut self, record: RecordNumber) -> bool {
        let record = record.min(self.persisted);
        if record <= self.settled {
            return false;
        }
        while self
            .window
            .front()
            .is_some_and(|held| held.stored.record <= record)
        {
            self.window.pop_front();
        }
        self.settled = record;
        self.sent = self.sent.max(record);
        true
    }

    /// Makes room by giving up the oldest records. What is not on disk yet is not given up.
    pub(super) fn drop_oldest(&mut self, count: u64) -> RecordNumber {
        let target = RecordNumber((self.settled.0 + count).min(self.persisted.0));
        self.dropped += target.0 - self.settled.0;
        self.settle(target);
        self.settled
    }

    /// A new session: everything that is not settled is to be sent again.
    pub(super) fn rewind(&mut self) {
        self.sent = self.settled;
    }

    /// The server lacks records from this one on.
    pub(super) fn rewind_to(&mut self, next: RecordNumber) {
        self.sent = RecordNumber(next.0.saturating_sub(1)).clamp(self.settled, self.sent);
    }

    /// What to load from disk, if the window has room for records that are only there.
    pub(super) fn wants(&mut self) -> Option<(RecordNumber, usize)> {
        let room = self.window_max - self.window.len();
        // Half a window at a time, or whatever fits once all that is in memory was sent.
        let worth_it = room >= self.window_max.div_ceil(2) || (room > 0 && self.sent >= self.window_end());
        if self.loading.is_some() || !worth_it || self.window_end() >= self.persisted {
            return None;
        }
        self.loading = Some(self.persisted);
        Some((self.window_end().next(), room))
    }

    /// Records that were on disk. False if none of them follows on the window: asking again now would not help.
    ///
    /// Where the disk lost the very next records they are given up, so that the rest is not held up for ever; the
    /// server sees the hole and keeps a note of it. Only what was on disk when it was asked for can be missing: what came
    /// there while the answer was on its way is not in the answer, and is not lost.
    pub(super) fn loaded(&mut self, records: Vec<StoredRecord>) -> bool {
        let Some(asked_to) = self.loading.take() else {
            // Numbers were given anew meanwhile.
            return false;
        };
        if self.window.is_empty() && asked_to > self.settled {
            let first = records
                .first()
                .map_or(asked_to.next(), |stored| stored.record.min(asked_to.next()));
            let missing = first.0.saturating_sub(self.settled.next().0);
            if missing > 0 {
                self.drop_oldest(missing);
            }
        }
        let before = self.window.len();
        for stored in records {
            if stored.record == self.window_end().next() && self.window.len() < self.window_max {
                self.window.push_back(Held { stored, since_ms: 0 });
            }
        }
        self.window.len() > before
    }

    /// The first and last record that the server lacks.
    pub(super) fn range(&self) -> Option<(RecordNumber, RecordNumber)> {
        (self.settled < self.persisted).then(|| (self.settled.next(), self.persisted))
    }

    /// Goes on behind a record that the server holds and this machine does not remember. Gives back what was in memory
    /// and not settled, in order, to be numbered anew; what was only on disk is given up.
    pub(super) fn adopt(&mut self, highest: RecordNumber) -> Vec<MachineMessage> {
        let unsent: Vec<_> = self.window.drain(..).map(|held| held.stored.message).collect();
        self.dropped += (self.highest.0 - self.settled.0).saturating_sub(unsent.len() as u64);
        (self.highest, self.persisted, self.settled, self.sent) = (highest, highest, highest, highest);
        unsent
    }

    pub(super) fn has_to_send(&self) -> bool {
        self.unsent().is_some()
    }

    pub(super) fn highest(&self) -> RecordNumber {
        self.highest
    }

    pub(super) fn sent(&self) -> RecordNumber {
        self.sent
    }

    pub(super) fn persisted(&self) -> RecordNumber {
        self.persisted
    }

    pub(super) fn settled(&self) -> RecordNumber {
        self.settled
    }

    /// How many records wait for an acknowledgement.
    pub(super) fn held(&self) -> u64 {
        self.highest.0 - self.settled.0
    }

    /// How many records were given up.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn window_end(&self) -> RecordNumber {
        self.window.back().map_or(self.settled, |held| held.stored.record)
    }
}
