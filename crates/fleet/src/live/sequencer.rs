//! Puts the events of all shards into the order of the log, so that a subscriber can resume after any of them.
//!
//! Shards learn separately that their entries are on disk. Positions have no holes, so whoever comes early waits here
//! for those before.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_brain::live::Published;
use muster_model::LogPosition;
use muster_store::{Bus, LocalBus};
use parking_lot::Mutex;

use crate::state::Publications;

/// Entries of one batch: which positions, and what of it is published.
struct Run {
    last: LogPosition,
    published: Vec<Published>,
}

/// Puts events into order.
#[derive(Clone)]
pub struct Sequencer {
    bus: LocalBus<Publications>,
    waiting: Arc<Mutex<Waiting>>,
}

struct Waiting {
    next: LogPosition,
    runs: BTreeMap<LogPosition, Run>,
}

impl Sequencer {
    /// The log ends at `head`.
    pub fn new(bus: LocalBus<Publications>, head: LogPosition) -> Self {
        Self {
            bus,
            waiting: Arc::new(Mutex::new(Waiting {
                next: head.next(),
                runs: BTreeMap::new(),
            })),
        }
    }

    /// Entries `first` to `last` are on disk, and these are the events among them. Every entry must be told of.
    pub fn recorded(&self, first: LogPosition, last: LogPosition, published: Vec<Published>) {
        let mut waiting = self.waiting.lock();
        waiting.runs.insert(first, Run { last, published });
        // Publishing under the lock keeps the order on the bus; the bus never blocks.
        loop {
            let next = waiting.next;
            let Some(run) = waiting.runs.remove(&next) else {
                return;
            };
            waiting.next = run.last.next();
            if !run.published.is_empty() {
                self.bus.publish(Arc::new(run.published));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use muster_brain::live::Content;
    use muster_model::Severity;
    use serde_json::value::RawValue;

    use super::*;

    fn event(position: u64) -> Published {
        let content = Content::Event {
            position: LogPosition(position),
            kind: "k".into(),
            severity: Severity::Info,
            data: RawValue::NULL.to_owned().into(),
        };
        Published {
            topic: "t".into(),
            about: None,
            content,
        }
    }

    #[test]
    fn who_comes_early_waits_for_those_before() {
        let bus = LocalBus::new(16);
        let mut heard = bus.subscribe();
        let sequencer = Sequencer::new(bus, LogPosition(4));
        let mut positions = || {
            let mut positions = Vec::new();
            while let Some(published) = heard.try_next() {
                positions.extend(published.iter().map(|published| match published.content {
                    Content::Event { position, .. } => position.0,
                    _ => 0,
                }));
            }
            positions
        };
        sequencer.recorded(LogPosition(7), LogPosition(8), vec![event(7), event(8)]);
        assert_eq!(positions(), [0u64; 0]);
        sequencer.recorded(LogPosition(5), LogPosition(6), vec![event(6)]);
        assert_eq!(positions(), [6, 7, 8]);
        sequencer.recorded(LogPosition(9), LogPosition(9), vec![]);
        sequencer.recorded(LogPosition(10), LogPosition(10), vec![event(10)]);
        assert_eq!(positions(), [10]);
    }
}
