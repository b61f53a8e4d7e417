//! What happens next: events in the order of virtual time, ties broken by chance from the seed.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::random::Random;

/// Virtual time since the world began, in microseconds.
pub(super) type Time = u64;

pub(super) const MILLISECOND: Time = 1_000;
pub(super) const SECOND: Time = 1_000_000;

#[derive(Debug)]
struct Due<E> {
    at: Time,
    tie: u64,
    event: E,
}

#[derive(Debug)]
pub(super) struct Schedule<E> {
    now: Time,
    ties: Random,
    queue: BinaryHeap<Due<E>>,
}

impl<E> Schedule<E> {
    pub(super) fn new(ties: Random) -> Self {
        Self {
            now: 0,
            ties,
            queue: BinaryHeap::new(),
        }
    }

    pub(super) fn now(&self) -> Time {
        self.now
    }

    pub(super) fn at(&mut self, at: Time, event: E) {
        let tie = self.ties.next();
        let at = at.max(self.now);
        self.queue.push(Due { at, tie, event });
    }

    pub(super) fn after(&mut self, wait: Time, event: E) {
        self.at(self.now.saturating_add(wait), event);
    }

    pub(super) fn next(&mut self) -> Option<E> {
        let due = self.queue.pop()?;
        self.now = due.at;
        Some(due.event)
    }
}

impl<E> Ord for Due<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        // The heap gives the greatest first: the earliest is the greatest.
        (other.at, other.tie).cmp(&(self.at, self.tie))
    }
}

impl<E> PartialOrd for Due<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Due<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<E> Eq for Due<E> {}
