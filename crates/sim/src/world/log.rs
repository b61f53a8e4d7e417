//! The log of the simulated server: batches become durable one after another, take their time, and may fail.
//!
//! As in the real one, a batch is appended whole or not at all, refused where a stream is not as long as expected, and
//! answered in the order in which batches came.

use std::collections::{BTreeMap, VecDeque};

use muster_brain::shard::{Append, Placed, Ticket};
use muster_model::{LogPosition, MachineId, StreamVersion, Timestamp};

use super::random::Random;
use super::stream::{Logged, Stream};

/// A batch on its way.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub shard: usize,
    pub ticket: Ticket,
    pub recorded_at: Timestamp,
    pub entries: Vec<Append>,
}

/// What became of a batch.
#[derive(Debug)]
pub(super) struct Outcome {
    pub shard: usize,
    pub ticket: Ticket,
    pub result: Result<Vec<Placed>, String>,
    /// What became durable with it, and the index of its machine.
    pub appended: Vec<(usize, Logged)>,
    /// The batch, where it was refused.
    pub refused: Option<Batch>,
}

#[derive(Debug, Default)]
pub(super) struct Log {
    streams: Vec<Stream>,
    position: u64,
    last_recorded: Timestamp,
    waiting: VecDeque<Batch>,
    writing: usize,
    /// So many batches fail from now on.
    pub failing: u64,
}

impl Log {
    pub(super) fn new(machines: usize) -> Self {
        Self {
            streams: vec![Stream::default(); machines],
            ..Self::default()
        }
    }

    /// Takes a batch in. True if the log was idle, and begins now.
    pub(super) fn submit(&mut self, batch: Batch) -> bool {
        self.waiting.push_back(batch);
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

    /// What was being written is durable, or has failed.
    pub(super) fn finish(&mut self, index_of: impl Fn(MachineId) -> usize) -> Vec<Outcome> {
        let writing = std::mem::take(&mut self.writing);
        let batches: Vec<_> = self.waiting.drain(..writing).collect();
        batches
            .into_iter()
            .map(|batch| self.append(batch, &index_of))
            .collect()
    }

    /// The server is gone: of what was being written some batches are durable, though nobody
    /// was told. The others are lost, and given back.
    pub(super) fn crash(
        &mut self,
        random: &mut Random,
        index_of: impl Fn(MachineId) -> usize,
    ) -> (Vec<Outcome>, Vec<Batch>) {
        self.writing = random.between(0, self.writing as u64) as usize;
        let outcomes = self.finish(index_of);
        let lost = self.waiting.drain(..).collect();
        self.failing = 0;
        (outcomes, lost)
    }

    fn append(&mut self, batch: Batch, index_of: &impl Fn(MachineId) -> usize) -> Outcome {
        let (shard, ticket) = (batch.shard, batch.ticket);
        let refused = |batch: Batch, reason: String| Outcome {
            shard,
            ticket,
            result: Err(reason),
            appended: Vec::new(),
            refused: Some(batch),
        };
        if self.failing > 0 {
            self.failing -= 1;
            return refused(batch, "the disk did not take it".to_owned());
        }
        let mut lengths: BTreeMap<usize, u64> = BTreeMap::new();
        for append in &batch.entries {
            let machine = index_of(append.machine);
            let length = lengths
                .entry(machine)
                .or_insert_with(|| self.streams[machine].len());
            if append.expected != StreamVersion(*length) {
                let reason = format!("the stream is at version {length}, not {}", append.expected);
                return refused(batch, reason);
            }
            *length += 1;
        }
        self.force(batch, index_of)
    }

    /// Appends a batch without a look at what was expected.
    pub(super) fn force(&mut self, batch: Batch, index_of: impl Fn(MachineId) -> usize) -> Outcome {
        let (shard, ticket) = (batch.shard, batch.ticket);
        self.last_recorded = self.last_recorded.max(batch.recorded_at);
        let mut placed = Vec::with_capacity(batch.entries.len());
        let mut appended = Vec::with_capacity(batch.entries.len());
        for append in batch.entries {
            self.position += 1;
            let machine = index_of(append.machine);
            let stream = &mut self.streams[machine];
            let place = Placed {
                position: LogPosition(self.position),
                version: StreamVersion(stream.len() + 1),
                recorded_at: self.last_recorded,
            };
            let logged = Logged {
                placed: place,
                entry: append.entry,
            };
            stream.push(append.machine, logged.clone());
            appended.push((machine, logged));
            placed.push(place);
        }
        Outcome {
            shard,
            ticket,
            result: Ok(placed),
            appended,
            refused: None,
        }
    }

    /// Everything durable about one machine.
    pub(super) fn stream(&self, machine: usize) -> &Stream {
        &self.streams[machine]
    }

    /// The first batch that is being written, once more.
    pub(super) fn first_again(&self) -> Option<Batch> {
        self.waiting.front().cloned()
    }

    /// Whether everything handed in was answered.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }
}
