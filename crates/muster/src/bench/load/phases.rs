//! What a load does: join, send openly, send as fast as it is taken, send with acknowledgements.

use std::time::{Duration, Instant};

use super::connection::Phase;
use super::{Load, TICK, seconds_since};
use crate::bench::error::{BenchError, Result};
use crate::bench::wire::What;

/// How long all connections together may take to be in session.
const JOIN_WITHIN: Duration = Duration::from_secs(120);
/// How long a server may take to read what was sent to it.
const DRAIN_WITHIN: Duration = Duration::from_secs(60);
/// Messages that an open load sends in a row before it listens.
const ROW_MAX: u64 = 256;

/// How joining went.
#[derive(Clone, Debug)]
pub(in crate::bench) struct Joined {
    pub(in crate::bench) seconds: f64,
}

/// How sending went.
#[derive(Clone, Debug)]
pub(in crate::bench) struct Sent {
    pub(in crate::bench) messages: u64,
    /// How long was sent; for an acknowledged load until the last acknowledgement.
    pub(in crate::bench) seconds: f64,
}

impl Sent {
    pub(in crate::bench) fn per_second(&self) -> f64 {
        self.messages as f64 / self.seconds
    }
}

impl Load {
    /// Brings connections into session until `count` are, at most `at_once` of them on the way at a time.
    pub(in crate::bench) fn join(
        &mut self,
        count: usize,
        at_once: usize,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Joined> {
        let began = Instant::now();
        while self.up < count {
            while self.connections.len() < count && self.connections.len() - self.up < at_once {
                self.open(self.connections.len())?;
            }
            self.turn(TICK)?;
            self.heard.forget();
            self.check()?;
            progress(self.up);
            if began.elapsed() > JOIN_WITHIN {
                return Err(BenchError::Load(format!(
                    "only {} of {count} connections came into session within {} s",
                    self.up,
                    JOIN_WITHIN.as_secs()
                )));
            }
        }
        Ok(Joined {
            seconds: seconds_since(began),
        })
    }

    /// Holds the connections and answers pings.
    pub(in crate::bench) fn hold(&mut self, time: Duration) -> Result<()> {
        let began = Instant::now();
        while began.elapsed() < time {
            self.turn(TICK * 10)?;
            self.heard.forget();
            self.check()?;
        }
        Ok(())
    }

    /// Sends so many messages a second, one a write, over all connections in turn, whether the server keeps up or not.
    pub(in crate::bench) fn send_openly(
        &mut self,
        what: What,
        per_second: f64,
        time: Duration,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Sent> {
        let (began, total, connections) = (
            Instant::now(),
            self.connections.len(),
            self.connections.len() as u64,
        );
        if total == 0 {
            return Err(BenchError::Load("nobody is connected".to_owned()));
        }
        let mut sent = 0u64;
        loop {
            let elapsed = began.elapsed();
            if elapsed >= time {
                break;
            }
            let due = (elapsed.as_secs_f64() * per_second) as u64;
            let row = (due - sent).min(ROW_MAX);
            for _ in 0..row {
                let index = (sent % connections) as usize;
                self.say(index, |speaker, clock, out| speaker.say(what, clock, out));
                sent += 1;
            }
            self.turn(if sent < due { Duration::ZERO } else { TICK })?;
            self.heard.forget();
            self.check()?;
            progress(sent);
        }
        Ok(Sent {
            messages: sent,
            seconds: seconds_since(began),
        })
    }

    /// Sends `batch` messages a write on every connection that takes them, for so long.
    pub(in crate::bench) fn send_all_it_takes(
        &mut self,
        what: What,
        batch: usize,
        time: Duration,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Sent> {
        let (began, mut sent) = (Instant::now(), 0u64);
        while began.elapsed() < time {
            let mut wrote = false;
            for index in 0..self.connections.len() {
                let connection = &self.connections[index];
                if connection.phase == Phase::Up && connection.is_flushed() {
                    wrote = true;
                    self.say(index, |speaker, clock, out| {
                        (0..batch).for_each(|_| speaker.say(what, clock, out));
                    });
                    sent += batch as u64;
                }
            }
            self.turn(if wrote { Duration::ZERO } else { TICK })?;
            self.heard.forget();
            self.check()?;
            progress(sent);
        }
        Ok(Sent {
            messages: sent,
            seconds: seconds_since(began),
        })
    }

    /// Keeps `in_flight` messages on the way on every connection, and waits for the last acknowledgement.
    pub(in crate::bench) fn send_acknowledged(
        &mut self,
        what: What,
        in_flight: u32,
        time: Duration,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Sent> {
        let (began, mut sent) = (Instant::now(), 0u64);
        loop {
            let sending = began.elapsed() < time;
            let mut waiting = 0u64;
            for index in 0..self.connections.len() {
                let connection = &mut self.connections[index];
                let free = in_flight.saturating_sub(connection.in_flight);
                if sending && free > 0 && connection.phase == Phase::Up && connection.is_flushed() {
                    connection.in_flight += free;
                    self.say(index, |speaker, clock, out| {
                        (0..free).for_each(|_| speaker.say(what, clock, out));
                    });
                    sent += u64::from(free);
                }
                waiting += u64::from(self.connections[index].in_flight);
            }
            if !sending && waiting == 0 {
                return Ok(Sent {
                    messages: sent,
                    seconds: seconds_since(began),
                });
            }
            if began.elapsed() > time + DRAIN_WITHIN {
                return Err(BenchError::Load(format!(
                    "{waiting} of {sent} messages were not acknowledged within {} s",
                    DRAIN_WITHIN.as_secs()
                )));
            }
            self.turn(TICK)?;
            self.heard.forget();
            self.check()?;
            progress(sent - waiting);
        }
    }

    /// Waits until the server has read all that was sent: every connection ends what it said with a ping.
    pub(in crate::bench) fn drain(&mut self) -> Result<()> {
        let began = Instant::now();
        let mut unanswered = 0usize;
        for index in 0..self.connections.len() {
            if self.connections[index].phase == Phase::Up {
                self.connections[index].asked_at = Some(Instant::now());
                self.say(index, |speaker, _, out| speaker.ask(out));
                unanswered += 1;
            }
        }
        self.heard.forget();
        while unanswered > 0 {
            self.turn(TICK)?;
            unanswered -= self.heard.answers.len().min(unanswered);
            self.heard.forget();
            self.check()?;
            if began.elapsed() > DRAIN_WITHIN {
                return Err(BenchError::Load(format!(
                    "{unanswered} connections were not answered within {} s after the load",
                    DRAIN_WITHIN.as_secs()
                )));
            }
        }
        Ok(())
    }
}
