//! What happened, as one number for comparing runs, and in words for the run that is to be explained.

use std::collections::VecDeque;
use std::fmt;

use super::schedule::{MILLISECOND, SECOND, Time};

/// What of a run is to be told in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Telling {
    /// Only what concerns this machine, and what concerns all.
    pub machine: Option<usize>,
    /// Until this moment, in seconds of virtual time.
    pub until_s: Option<u64>,
    /// Steps that are kept: the last so many.
    pub steps_max: usize,
}

/// What was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The last steps, in words.
    pub steps: Vec<String>,
    /// Steps before them that were not kept.
    pub left_out: u64,
    /// How things stood in the end: what machine, disk, network and server held.
    pub stands: Vec<String>,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.left_out > 0 {
            writeln!(f, "  … {} steps before these", self.left_out)?;
        }
        for step in &self.steps {
            writeln!(f, "  {step}")?;
        }
        writeln!(f, "How things stand then:")?;
        for line in &self.stands {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}

impl Default for Telling {
    fn default() -> Self {
        Self {
            machine: None,
            until_s: None,
            steps_max: 80,
        }
    }
}

#[derive(Debug)]
pub(super) struct Trace {
    hash: u64,
    steps: u64,
    words: Option<Words>,
}

#[derive(Debug)]
struct Words {
    telling: Telling,
    kept: VecDeque<String>,
    left_out: u64,
}

impl Trace {
    /// Words cost time, so a run that broke something is run again for them.
    pub(super) fn new(telling: Option<Telling>) -> Self {
        let words = telling.map(|telling| Words {
            telling,
            kept: VecDeque::new(),
            left_out: 0,
        });
        Self {
            hash: 0xcbf2_9ce4_8422_2325,
            steps: 0,
            words,
        }
    }

    /// Notes one step: whom it concerns, numbers that tell it apart from others, and words for people.
    pub(super) fn note(
        &mut self,
        now: Time,
        machine: Option<usize>,
        kind: &str,
        numbers: &[u64],
        words: impl FnOnce() -> String,
    ) {
        self.steps += 1;
        self.mix(now);
        for byte in kind.bytes() {
            self.mix(u64::from(byte));
        }
        for number in numbers {
            self.mix(*number);
        }
        let Some(told) = &mut self.words else { return };
        if told.telling.machine.is_some() && machine.is_some() && told.telling.machine != machine {
            return;
        }
        if told.kept.len() >= told.telling.steps_max {
            told.kept.pop_front();
            told.left_out += 1;
        }
        told.kept.push_back(format!("{} {kind}: {}", Clock(now), words()));
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

    pub(super) fn telling(&self) -> Option<Telling> {
        self.words.as_ref().map(|words| words.telling)
    }

    pub(super) fn into_told(self, stands: Vec<String>) -> Option<Told> {
        self.words.map(|words| Told {
            steps: words.kept.into(),
            left_out: words.left_out,
            stands,
        })
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
