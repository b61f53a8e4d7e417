//! Up to which entry of the log the tables are true.
//!
//! The log may end behind what readers see: an entry is on disk before it is folded in, and folded in before the row is shown.
//! Each shard says what it has shown; an entry counts once all before it, of whichever shard, are shown too.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use muster_model::LogPosition;
use parking_lot::Mutex;

/// Up to which entry of the log the tables are true. Clones are the same.
#[derive(Clone, Debug)]
pub struct Shown(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// What is shown behind a gap: last entries by first ones.
    ahead: Mutex<BTreeMap<LogPosition, LogPosition>>,
    position: AtomicU64,
}

impl Shown {
    /// All tables show the log up to its end.
    pub fn new(head: LogPosition) -> Self {
        Self(Arc::new(Inner {
            ahead: Mutex::default(),
            position: AtomicU64::new(head.0),
        }))
    }

    /// Every entry up to this one is in the tables. Read it before the tables.
    pub fn position(&self) -> LogPosition {
        LogPosition(self.0.position.load(Ordering::Acquire))
    }

    /// Entries of these runs, first to last, are in the tables now.
    pub fn add(&self, runs: impl Iterator<Item = (LogPosition, LogPosition)>) {
        let mut ahead = self.0.ahead.lock();
        ahead.extend(runs);
        let mut position = self.position();
        while let Some(last) = ahead.remove(&position.next()) {
            position = last;
        }
        self.0.position.store(position.0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_counts_once_all_before_it_are_shown() {
        let shown = Shown::new(LogPosition(4));
        let add = |first, last| {
            shown.add([(LogPosition(first), LogPosition(last))].into_iter());
            shown.position().0
        };
        assert_eq!(add(7, 8), 4);
        assert_eq!(add(10, 12), 4);
        assert_eq!(add(5, 6), 8);
        assert_eq!(add(9, 9), 12);
    }
}
