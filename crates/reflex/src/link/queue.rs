//! Where messages wait that need not survive: one bounded queue per priority, the most pressing first.

use std::collections::VecDeque;

use muster_model::Timestamp;
use muster_protocol::link::{MachineMessage, Priority, StateReport, Telemetry};

use crate::Now;

#[derive(Debug)]
struct Waiting {
    since_ms: u64,
    at: Timestamp,
    message: MachineMessage,
}

#[derive(Debug)]
pub(super) struct Queues {
    queues: [VecDeque<Waiting>; 4],
    max: usize,
    dropped: u64,
}

impl Queues {
    pub(super) fn new(max: usize) -> Self {
        Self {
            queues: Default::default(),
            max,
            dropped: 0,
        }
    }

    /// Takes a message in; where the queue is full, the oldest makes room.
    pub(super) fn push(&mut self, now: Now, message: MachineMessage, at: Timestamp) {
        let queue = &mut self.queues[message.priority().rank()];
        if queue.len() >= self.max {
            queue.pop_front();
            self.dropped += 1;
        }
        queue.push_back(Waiting {
            since_ms: now.mono_ms,
            at,
            message,
        });
    }

    /// The next message, the most pressing first. Telemetry that waits together goes together.
    pub(super) fn pop(&mut self, samples_max: usize) -> Option<(Timestamp, MachineMessage)> {
        let queue = self.queues.iter_mut().find(|queue| !queue.is_empty())?;
        let first = queue.pop_front()?;
        let MachineMessage::Telemetry(mut telemetry) = first.message else {
            return Some((first.at, first.message));
        };
        while let Some(Waiting {
            message: MachineMessage::Telemetry(next),
            ..
        }) = queue.front()
            && telemetry.samples.len() + next.samples.len() <= samples_max
        {
            let Some(Waiting {
                at,
                message: MachineMessage::Telemetry(next),
                ..
            }) = queue.pop_front()
            else {
                break;
            };
            join(&mut telemetry, first.at, next, at);
        }
        Some((first.at, MachineMessage::Telemetry(telemetry)))
    }

    /// Drops what has waited longer than its priority allows.
    pub(super) fn expire(&mut self, now: Now) {
        for (queue, priority) in self.queues.iter_mut().zip(Priority::ALL) {
            while queue
                .front()
                .is_some_and(|first| first.since_ms + priority.patience_ms() < now.mono_ms)
            {
                queue.pop_front();
                self.dropped += 1;
            }
        }
    }

    /// When the next message is due, given how long each priority waits for company.
    pub(super) fn due_at(&self, wait_ms: impl Fn(Priority) -> u64) -> Option<u64> {
        let queues = self.queues.iter().zip(Priority::ALL);
        queues
            .filter_map(|(queue, priority)| queue.front().map(|first| first.since_ms + wait_ms(priority)))
            .min()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queues.iter().all(VecDeque::is_empty)
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// Adds samples that were taken at another time, with their offsets changed accordingly.
fn join(telemetry: &mut Telemetry, base: Timestamp, next: Telemetry, at: Timestamp) {
    let shift = i32::try_from(at.millis_since(base)).unwrap_or(0);
    telemetry
        .samples
        .extend(next.samples.into_iter().map(|mut sample| {
            sample.offset_ms = sample.offset_ms.saturating_add(shift);
            sample
        }));
}

/// About how many bytes a message takes on the wire: good enough to keep a write short.
pub(super) fn size_of(message: &MachineMessage) -> usize {
    const ENVELOPE: usize = 200;
    ENVELOPE
        + match message {
            MachineMessage::Hello(_) => 400,
            MachineMessage::Heartbeat(_) | MachineMessage::Response(_) => 150,
            MachineMessage::State(StateReport::Full(_)) => 2_000,
            MachineMessage::State(StateReport::Patch { sections, .. }) => 200 * sections.touched().len(),
            MachineMessage::Telemetry(telemetry) => 60 * telemetry.samples.len(),
            MachineMessage::Event(event) => {
                100 + event.message.len() + event.data.as_ref().map_or(0, |data| data.0.get().len())
            }
            MachineMessage::Log(log) => log.lines.iter().map(|line| 100 + line.message.len()).sum(),
        }
}
