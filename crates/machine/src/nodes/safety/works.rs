//! Where the safety loop runs: on a real-time thread of its own where it has real hardware, and else in the node itself, so that
//! thousands of simulated machines share a process.

use std::time::Duration;

use muster_runtime::Clock;
use muster_runtime::realtime::{Grants, boot_time};

use super::Setup;
use super::steps::Writer;
use super::thread::Loop;
use super::turns::{Told, Turned, Turns};
use crate::supervisor::NodeError;

/// The time by which the loop and who tells it something go.
#[derive(Clone, Copy, Debug)]
pub enum LoopClock {
    /// Counts while the computer sleeps: a machine that wakes up was late.
    Boot,
    /// The process's own, which may be simulated.
    Process(Clock),
}

impl LoopClock {
    /// Now, from a beginning that does not matter.
    pub fn now(&self) -> Duration {
        match self {
            Self::Boot => boot_time(),
            Self::Process(clock) => Duration::from_millis(clock.mono_ms()),
        }
    }

    /// The same in microseconds.
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.now().as_micros()).unwrap_or(u64::MAX)
    }
}

/// A safety loop at work.
pub(super) enum Works {
    /// In the node.
    Here(Box<Here>),
    /// On a thread.
    Thread(Box<Loop>),
}

/// The thread of a loop has not asked yet for what it needs.
pub(super) struct NotAsked;

pub(super) struct Here {
    turns: Turns,
    clock: Clock,
    time: LoopClock,
    due_ms: u64,
    steps: Writer,
}

impl Works {
    pub(super) fn start(setup: &Setup, turns: Turns, clock: Clock) -> Result<Self, NodeError> {
        if setup.threaded && turns.has_hardware() {
            return Ok(Self::Thread(Box::new(Loop::start(turns)?)));
        }
        Ok(Self::Here(Box::new(Here {
            turns,
            clock,
            time: setup.time,
            due_ms: 0,
            steps: Writer::default(),
        })))
    }

    /// Tells the loop what is known, and takes what came of its turns meanwhile.
    pub(super) fn exchange(&mut self, told: &Told, came: &mut Vec<Turned>) -> Result<(), NodeError> {
        match self {
            Self::Here(here) => {
                let now_us = here.time.now_us();
                if here.steps.wants_key(now_us) {
                    here.steps.key(now_us, here.turns.safety().clone());
                }
                let turned = here.turns.turn(now_us, told);
                here.steps.push(now_us, &turned.sample, &turned.verdict);
                came.push(turned);
                let period_ms = u64::try_from(here.turns.period().as_millis()).unwrap_or(u64::MAX);
                here.due_ms = here.clock.mono_ms().saturating_add(period_ms.max(1));
                Ok(())
            }
            Self::Thread(thread) => thread.exchange(told, came),
        }
    }

    /// The steps that were taken, for whoever records.
    pub(super) fn steps(&mut self) -> &mut Writer {
        match self {
            Self::Here(here) => &mut here.steps,
            Self::Thread(thread) => thread.steps(),
        }
    }

    /// What the computer granted to its thread: nothing where there is none, and an error where it has not asked yet.
    pub(super) fn grants(&self) -> Result<Option<&Grants>, NotAsked> {
        match self {
            Self::Here(_) => Ok(None),
            Self::Thread(thread) => thread.grants().map(Some).ok_or(NotAsked),
        }
    }

    /// Waits until there is something to exchange.
    pub(super) async fn due(&mut self) {
        match self {
            Self::Here(here) => tokio::time::sleep_until(here.clock.instant_at(here.due_ms)).await,
            Self::Thread(thread) => thread.news().await,
        }
    }

    /// The last turn: what moves has no power after it.
    pub(super) async fn end(&mut self, told: &Told, came: &mut Vec<Turned>) -> Result<(), NodeError> {
        match self {
            Self::Here(_) => self.exchange(told, came),
            Self::Thread(thread) => thread.end(told, came).await,
        }
    }
}
