//! The disk of one simulated machine: it takes its time, and a crash loses what was not written yet.
//!
//! What waits while something is written is written together afterwards, in order. A crash leaves any first part of it.

use std::collections::{BTreeMap, VecDeque};

use muster_model::desired::HeldDesired;
use muster_model::{RecordNumber, SessionNumber};
use muster_reflex::link::{Kept, Remembered, StoredRecord};
use muster_reflex::safety::Kept as KeptSafety;

use super::random::Random;

/// What a machine asks of its disk.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    /// Keep a record.
    Persist(StoredRecord, Option<Remembered>),
    /// Forget records up to this one.
    Trim(RecordNumber),
    /// Keep the session's number.
    KeepSession(SessionNumber),
    /// Keep what the machine should become.
    KeepDesired(HeldDesired),
    /// Keep what of the safety region must outlive the power, with the number of that wish.
    KeepSafety(u64, KeptSafety),
    /// Read records.
    Load { from: RecordNumber, limit: usize },
}

/// What is written for good.
#[derive(Clone, Debug, Default)]
pub(super) struct Durable {
    pub records: BTreeMap<RecordNumber, StoredRecord>,
    pub highest: RecordNumber,
    pub settled: RecordNumber,
    session: SessionNumber,
    pub desired: HeldDesired,
    /// Nothing before it was ever written.
    pub safety: Option<KeptSafety>,
    commands: Vec<Remembered>,
}

/// What one transaction did.
#[derive(Debug, Default)]
pub(super) struct Applied {
    pub persisted: Vec<StoredRecord>,
    pub removed: Vec<StoredRecord>,
    pub desired: Vec<HeldDesired>,
    pub safety: Vec<(u64, KeptSafety)>,
    pub loaded: Vec<Vec<StoredRecord>>,
}

#[derive(Debug, Default)]
pub(super) struct Disk {
    pub durable: Durable,
    waiting: VecDeque<Vec<Operation>>,
    writing: usize,
}

impl Disk {
    /// Takes a transaction in. True if the disk was idle, and begins now.
    pub(super) fn submit(&mut self, transaction: Vec<Operation>) -> bool {
        self.waiting.push_back(transaction);
        self.begin()
    }

    /// Begins to write what waits. False if it writes already, or nothing waits.
    pub(super) fn begin(&mut self) -> bool {
        if self.writing > 0 || self.waiting.is_empty() {
            return false;
        }
        self.writing = self.waiting.len();
        true
    }

    /// What was being written is there.
    pub(super) fn finish(&mut self) -> Vec<Applied> {
        let writing = std::mem::take(&mut self.writing);
        let done: Vec<_> = self.waiting.drain(..writing).collect();
        done.into_iter()
            .map(|transaction| self.durable.apply(transaction))
            .collect()
    }

    /// The power is gone: of what was being written some may be there, of what waited nothing.
    pub(super) fn crash(&mut self, random: &mut Random) -> Vec<Applied> {
        self.waiting.truncate(self.writing);
        let mut left = random.between(0, self.waiting.iter().map(Vec::len).sum::<usize>() as u64) as usize;
        for transaction in &mut self.waiting {
            transaction.truncate(left);
            left -= transaction.len();
        }
        let applied = self.finish();
        self.waiting.clear();
        applied
    }

    /// Every record up to this one, written or about to be.
    pub(super) fn records_up_to(&self, up_to: RecordNumber) -> impl Iterator<Item = &StoredRecord> {
        let waiting = self
            .waiting
            .iter()
            .flatten()
            .filter_map(|operation| match operation {
                Operation::Persist(stored, _) => Some(stored),
                Operation::Trim(_)
                | Operation::KeepSession(_)
                | Operation::KeepDesired(_)
                | Operation::KeepSafety(..)
                | Operation::Load { .. } => None,
            });
        let written = self.durable.records.values();
        written
            .chain(waiting)
            .filter(move |stored| stored.record <= up_to)
    }

    /// Records that are not written yet.
    pub(super) fn unwritten(&self) -> usize {
        let operations = self.waiting.iter().flatten();
        operations
            .filter(|operation| matches!(operation, Operation::Persist(..)))
            .count()
    }
}

impl Durable {
    fn apply(&mut self, transaction: Vec<Operation>) -> Applied {
        let mut applied = Applied::default();
        for operation in transaction {
            match operation {
                Operation::Persist(stored, remember) => {
                    self.highest = self.highest.max(stored.record);
                    self.commands.extend(remember);
                    applied.persisted.push(stored.clone());
                    self.records.insert(stored.record, stored);
                }
                Operation::Trim(up_to) => {
                    self.settled = self.settled.max(up_to);
                    let kept = self.records.split_off(&up_to.next());
                    let removed = std::mem::replace(&mut self.records, kept);
                    applied.removed.extend(removed.into_values());
                }
                Operation::KeepSession(session) => self.session = session,
                Operation::KeepDesired(held) => {
                    applied.desired.push(held.clone());
                    self.desired = held;
                }
                Operation::KeepSafety(number, kept) => {
                    applied.safety.push((number, kept));
                    self.safety = Some(kept);
                }
                Operation::Load { from, limit } => {
                    let records = self.records.range(from..).take(limit);
                    applied
                        .loaded
                        .push(records.map(|(_, stored)| stored.clone()).collect());
                }
            }
        }
        applied
    }

    /// What a machine finds when it starts.
    pub(super) fn kept(&self) -> Kept {
        Kept {
            highest_record: self.highest,
            settled: self.settled,
            last_session: self.session,
            commands: self.commands.clone(),
            desired_version: self.desired.version,
        }
    }
}
