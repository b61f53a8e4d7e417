//! When a connection that ended is made again: by the rule of the machine's link, full jitter below a bound that doubles.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::{Duration, Instant};

/// The bound of the first wait.
const FIRST: Duration = Duration::from_millis(500);
/// The bound that does not grow any more.
const MOST: Duration = Duration::from_secs(30);

/// Who comes back when.
#[derive(Debug, Default)]
pub(super) struct Comebacks {
    waiting: BinaryHeap<Reverse<(Instant, usize)>>,
    /// How often in a row each of them did not get through.
    failures: BTreeMap<usize, u32>,
    chance: u64,
}

impl Comebacks {
    /// A connection ended.
    pub(super) fn plan(&mut self, index: usize) {
        let failures = self.failures.entry(index).or_default();
        let bound = FIRST.saturating_mul(2u32.saturating_pow(*failures)).min(MOST);
        *failures += 1;
        // Any even spread will do. Source: Knuth's linear congruential generator (MMIX).
        self.chance = self
            .chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let share = (self.chance >> 32) as f64 / f64::from(u32::MAX);
        self.waiting
            .push(Reverse((Instant::now() + bound.mul_f64(share), index)));
    }

    /// A connection is in session again.
    pub(super) fn came(&mut self, index: usize) {
        self.failures.remove(&index);
    }

    /// Whose wait is over.
    pub(super) fn due(&mut self, now: Instant) -> Vec<usize> {
        let mut due = Vec::new();
        while self.waiting.peek().is_some_and(|Reverse((at, _))| *at <= now)
            && let Some(Reverse((_, index))) = self.waiting.pop()
        {
            due.push(index);
        }
        due
    }
}
