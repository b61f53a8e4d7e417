//! What happened, as one number for comparing runs, and in words for the run that is to be explained.

use std::collections::VecDeque;
use std::fmt;

use super::schedule::{MILLISECOND, SECOND, Time};

/// Steps that are kept in words.
const STEPS_MAX: usize = 80;

#[derive(Debug)]
pub(super) struct Trace {
    hash: u64,
    steps: u64,
    words: Option<VecDeque<String>>,
}

impl Trace {
    /// Words cost time, so a run that broke something is run again for them.
    pub(super) fn new(explain: bool) -> Self {
        Self {
            hash: 0xcbf2_9ce4_8422_2325,
            steps: 0,
            words: explain.then(VecDeque::new),
        }
    }

    /// Notes one step: numbers that tell it apart from others, and words for people.
    pub(super) fn note(&mut self, now: Time, kind: &str, numbers: &[u64], words: impl FnOnce() -> String) {
        self.steps += 1;
        self.mix(now);
        for byte in kind.bytes() {
            self.mix(u64::from(byte));
        }
        for number in numbers {
            self.mix(*number);
        }
        if let Some(kept) = &mut self.words {
            if kept.len() >= STEPS_MAX {
                kept.pop_front();
            }
            kept.push_back(format!("{} {kind}: {}", Clock(now), words()));
        }
    }

    /// FNV-1a over whole words, with a shift so that high bits reach the low ones.
    fn mix(&mut self, number: u64) {
        self.hash = (self.hash ^ number).wrapping_mul(0x0000_0100_0000_01b3);
        self.hash ^= self.hash >> 29;
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn steps(&self) -> u64 {
        self.steps
    }

    pub(super) fn into_words(self) -> Vec<String> {
        self.words.unwrap_or_default().into()
    }
}

/// A moment as people read it: seconds with microseconds.
pub(super) struct Clock(pub Time);

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>4}.{:03}_{:03}s",
            self.0 / SECOND,
            self.0 / MILLISECOND % 1_000,
            self.0 % 1_000
        )
    }
}
