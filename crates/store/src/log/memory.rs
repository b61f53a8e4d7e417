//! The log in memory, for simulations and tests: the same decisions, no disk, no threads, nothing left to chance.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use muster_model::{LogPosition, Timestamp};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::error::LogError;
use super::fail::CommitFailure;
use super::reply::{FailureWatch, Receipt, Reply};
use super::streams::{Plan, Streams};
use super::types::{Append, Event, EventRef, LogStats, Placed, Snapshot, Snapshots, StreamHead, StreamName};
use super::{BODY_MAX_BYTES, EventLog, PAGE_MAX_ROWS};

/// An event log that forgets everything when its last clone is dropped.
///
/// Batches are committed and answered within `submit`, or held until [`commit_next`](Self::commit_next) if the
/// simulation asked for that.
#[derive(Clone)]
pub struct MemoryLog(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    failed: watch::Sender<Option<LogError>>,
}

#[derive(Default)]
struct State {
    streams: Streams,
    events: Vec<Event>,
    checkpoints: BTreeMap<LogPosition, Timestamp>,
    snapshots: BTreeMap<StreamName, BTreeMap<LogPosition, Bytes>>,
    held: VecDeque<(Vec<Append>, Reply<Vec<Placed>>)>,
    holding: bool,
    fail_next: Option<CommitFailure>,
    poison: Option<LogError>,
    stats: LogStats,
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryLog {
    /// An empty log.
    pub fn new() -> Self {
        let (failed, _) = watch::channel(None);
        Self(Arc::new(Inner {
            state: Mutex::default(),
            failed,
        }))
    }

    /// The next commit fails in this way.
    pub fn fail_next_commit(&self, failure: CommitFailure) {
        self.0.state.lock().fail_next = Some(failure);
    }

    /// Holds submitted batches back until [`commit_next`](Self::commit_next): a slow disk.
    pub fn hold(&self, holding: bool) {
        self.0.state.lock().holding = holding;
        if !holding {
            while self.commit_next() {}
        }
    }

    /// Commits and answers the oldest batch that is held; says whether there was one.
    pub fn commit_next(&self) -> bool {
        let Some((batch, reply)) = self.0.state.lock().held.pop_front() else {
            return false;
        };
        self.commit(batch, reply);
        true
    }

    /// Loses what is not committed, as a killed process does; the answers to it never come as success.
    pub fn crash(&self) {
        // Answers may call the log, so they are sent without the lock.
        let lost = std::mem::take(&mut self.0.state.lock().held);
        drop(lost);
    }

    fn commit(&self, batch: Vec<Append>, reply: Reply<Vec<Placed>>) {
        let (answer, failed) = {
            let mut state = self.0.state.lock();
            let answer = state.commit(batch);
            (answer, state.poison.clone())
        };
        if failed.is_some() && self.0.failed.borrow().is_none() {
            self.0.failed.send_replace(failed);
        }
        reply.send(answer);
    }
}

impl State {
    fn commit(&mut self, batch: Vec<Append>) -> Result<Vec<Placed>, LogError> {
        if let Some(error) = &self.poison {
            return Err(error.clone());
        }
        let mut plan = Plan::new(&self.streams);
        let places = match plan.place(&self.streams, &batch) {
            Ok(places) => places,
            Err(error) => {
                self.stats.conflicts += 1;
                return Err(error);
            }
        };
        if places.is_empty() {
            return Ok(Vec::new());
        }
        match self.fail_next.take() {
            None => {}
            Some(CommitFailure::DiskFull) => {
                self.stats.refused_disk_full += 1;
                return Err(LogError::DiskFull);
            }
            Some(failure @ CommitFailure::Io) => {
                let source = Arc::new(failure.as_error());
                let error = LogError::Poisoned { source };
                self.poison = Some(error.clone());
                return Err(error);
            }
        }
        self.streams.commit(plan);
        self.stats.commits += 1;
        self.stats.rows += places.len() as u64;
        let placed = places.iter().map(|planned| planned.placed).collect();
        self.events
            .extend(batch.into_iter().zip(places).map(|(append, planned)| Event {
                position: planned.placed.position,
                stream: append.stream,
                version: planned.placed.version,
                previous: planned.previous,
                recorded_at: planned.placed.recorded_at,
                body: append.body,
            }));
        Ok(placed)
    }

    fn event(&self, position: LogPosition) -> Option<&Event> {
        self.events.get((position.0 as usize).checked_sub(1)?)
    }

    fn save(
        &mut self,
        position: LogPosition,
        recorded_at: Timestamp,
        changed: Vec<(StreamName, Vec<u8>)>,
    ) -> Result<(), LogError> {
        if let Some(error) = &self.poison {
            return Err(error.clone());
        }
        let newest = self.checkpoints.keys().next_back().copied().unwrap_or_default();
        let head = self.streams.position;
        if position < newest || position > head || position == LogPosition::ZERO {
            return Err(LogError::CheckpointOutOfRange {
                position,
                newest,
                head,
            });
        }
        let exists = |name: &StreamName| {
            let mut events = self.events.iter().take(position.0 as usize);
            events.any(|event| event.stream == *name)
        };
        if let Some((stream, _)) = changed.iter().find(|(name, _)| !exists(name)) {
            let stream = stream.clone();
            return Err(LogError::UnknownStream { stream });
        }
        for (stream, body) in changed {
            self.snapshots
                .entry(stream)
                .or_default()
                .insert(position, body.into());
        }
        self.checkpoints.insert(position, recorded_at);
        Ok(())
    }
}

impl EventLog for MemoryLog {
    fn submit(&self, batch: Vec<Append>, reply: Reply<Vec<Placed>>) {
        if let Some(append) = batch.iter().find(|append| append.body.len() > BODY_MAX_BYTES) {
            let bytes = append.body.len();
            return reply.send(Err(LogError::BodyTooLarge {
                bytes,
                limit: BODY_MAX_BYTES,
            }));
        }
        {
            let mut state = self.0.state.lock();
            if state.holding {
                state.held.push_back((batch, reply));
                return;
            }
        }
        self.commit(batch, reply);
    }

    fn head(&self) -> LogPosition {
        self.0.state.lock().streams.position
    }

    fn stream_head(&self, stream: &StreamName) -> Option<StreamHead> {
        self.0.state.lock().streams.get(stream).map(|stream| stream.head)
    }

    fn scan(
        &self,
        first: LogPosition,
        last: LogPosition,
        visitor: &mut dyn FnMut(EventRef<'_>) -> ControlFlow<()>,
    ) -> Result<(), LogError> {
        let state = self.0.state.lock();
        let skipped = first.0.saturating_sub(1) as usize;
        let events = state.events.iter().skip(skipped);
        for event in events.take_while(|event| event.position <= last) {
            let event = EventRef {
                position: event.position,
                stream: &event.stream,
                version: event.version,
                previous: event.previous,
                recorded_at: event.recorded_at,
                body: &event.body,
            };
            if visitor(event).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn read_stream_backward(
        &self,
        stream: &StreamName,
        from: Option<LogPosition>,
        limit: usize,
    ) -> Result<Vec<Event>, LogError> {
        let state = self.0.state.lock();
        let Some(known) = state.streams.get(stream) else {
            return Ok(Vec::new());
        };
        let mut position = from.unwrap_or(known.head.position);
        let mut events = Vec::new();
        while position != LogPosition::ZERO && events.len() < limit.min(PAGE_MAX_ROWS) {
            match state.event(position) {
                Some(event) if event.stream == *stream => {
                    position = event.previous;
                    events.push(event.clone());
                }
                _ => {
                    let stream = stream.clone();
                    return Err(LogError::NotInStream { position, stream });
                }
            }
        }
        Ok(events)
    }

    fn position_at(&self, time: Timestamp) -> Result<LogPosition, LogError> {
        let state = self.0.state.lock();
        let count = state.events.partition_point(|event| event.recorded_at <= time);
        Ok(LogPosition(count as u64))
    }

    fn oldest_time(&self) -> Result<Option<Timestamp>, LogError> {
        Ok(self.0.state.lock().events.first().map(|event| event.recorded_at))
    }

    fn save_checkpoint(
        &self,
        position: LogPosition,
        recorded_at: Timestamp,
        changed: Vec<(StreamName, Vec<u8>)>,
    ) -> Receipt<()> {
        let (reply, receipt) = Reply::channel();
        let answer = self.0.state.lock().save(position, recorded_at, changed);
        reply.send(answer);
        receipt
    }

    fn load_snapshots(&self, at: LogPosition) -> Result<Snapshots, LogError> {
        let state = self.0.state.lock();
        let Some((&checkpoint, &recorded_at)) = state.checkpoints.range(..=at).next_back() else {
            return Ok(Snapshots::default());
        };
        let snapshots = (1..=state.streams.count()).filter_map(|id| {
            let stream = state.streams.name(id)?;
            let (&position, body) = state.snapshots.get(stream)?.range(..=checkpoint).next_back()?;
            Some(Snapshot {
                stream: stream.clone(),
                position,
                body: body.clone(),
            })
        });
        Ok(Snapshots {
            checkpoint,
            recorded_at: Some(recorded_at),
            snapshots: snapshots.collect(),
            damaged: Vec::new(),
        })
    }

    fn failure(&self) -> FailureWatch {
        FailureWatch::new(self.0.failed.subscribe())
    }

    fn stats(&self) -> LogStats {
        let state = self.0.state.lock();
        LogStats {
            queued_rows: state.held.iter().map(|(batch, _)| batch.len() as u64).sum(),
            unanswered: state.held.len() as u64,
            ..state.stats
        }
    }
}
