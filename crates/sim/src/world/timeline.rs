//! What struck when, and how many machines were online: a run in a few dozen rows.

use std::collections::BTreeMap;

use super::profile::Fault;
use super::schedule::{SECOND, Time};

/// Rows of a timeline, at most.
const ROWS_MAX: u64 = 48;

/// A stretch of virtual time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stretch {
    /// When it begins, in seconds of virtual time.
    pub from_s: u64,
    /// What struck, and how often.
    pub faults: BTreeMap<Fault, u64>,
    /// Fewest machines with a session at any look; none if nobody looked.
    pub online_least: Option<usize>,
    /// Entries in the log at its end.
    pub entries: u64,
}

#[derive(Debug)]
pub(super) struct Timeline {
    every: Time,
    stretches: Vec<Stretch>,
}

impl Timeline {
    /// For a run that takes so long.
    pub(super) fn new(duration_s: u64) -> Self {
        // A width that people can count in.
        const WIDTHS_S: [u64; 12] = [1, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 14_400, 86_400];
        let needed = duration_s.div_ceil(ROWS_MAX);
        let width = WIDTHS_S
            .into_iter()
            .find(|width| *width >= needed)
            .unwrap_or(needed);
        Self {
            every: width * SECOND,
            stretches: Vec::new(),
        }
    }

    fn at(&mut self, now: Time) -> &mut Stretch {
        let index = (now / self.every) as usize;
        while self.stretches.len() <= index {
            let from_s = self.stretches.len() as u64 * self.every / SECOND;
            let entries = self.stretches.last().map_or(0, |last| last.entries);
            self.stretches.push(Stretch {
                from_s,
                entries,
                ..Stretch::default()
            });
        }
        &mut self.stretches[index]
    }

    pub(super) fn struck(&mut self, now: Time, fault: Fault) {
        *self.at(now).faults.entry(fault).or_default() += 1;
    }

    pub(super) fn looked(&mut self, now: Time, online: usize, entries: u64) {
        let stretch = self.at(now);
        stretch.online_least = Some(stretch.online_least.map_or(online, |least| least.min(online)));
        stretch.entries = entries;
    }

    pub(super) fn into_stretches(self) -> Vec<Stretch> {
        self.stretches
    }
}
