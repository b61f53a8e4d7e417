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
/// Signs of life come from connections that lie so far apart, so that each time it is another one.
const BEAT_STRIDE: usize = 7_919;
/// Messages that an open load sends in a row before it listens: an answer is noticed a fifth of a millisecond late at most.
const ROW_MAX: u64 = 32;

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

/// When an acknowledged load ends: whichever comes first.
#[derive(Clone, Copy, Debug)]
pub(in crate::bench) struct Enough {
    pub(in crate::bench) time: Duration,
    pub(in crate::bench) messages: u64,
}

impl Enough {
    /// After so long.
    pub(in crate::bench) const fn after(time: Duration) -> Self {
        Self {
            time,
            messages: u64::MAX,
        }
    }
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

    /// Ends all connections from this side, and forgets why they ended; what was acknowledged on them stays known.
    pub(in crate::bench) fn lose_all(&mut self) {
        for connection in &mut self.connections {
            connection.hang_up();
        }
        (self.up, self.lost) = (0, 0);
    }

    /// Brings all connections into session at once: those that there were, and as many more as are missing.
    pub(in crate::bench) fn join_at_once(
        &mut self,
        count: usize,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Joined> {
        let began = Instant::now();
        for index in 0..self.connections.len().min(count) {
            self.open(index)?;
        }
        self.join(count, count, progress)?;
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

    /// Waits until all that there ever were are in session again. They come back by themselves.
    pub(in crate::bench) fn wait_for_all(&mut self, progress: &mut dyn FnMut(usize)) -> Result<()> {
        let (began, count) = (Instant::now(), self.connections.len());
        while self.up < count {
            self.turn(TICK)?;
            self.heard.forget();
            self.check()?;
            progress(self.up);
            if began.elapsed() > JOIN_WITHIN {
                return Err(BenchError::Load(format!(
                    "only {} of {count} came back within {} s; the last that did not: {}",
                    self.up,
                    JOIN_WITHIN.as_secs(),
                    self.why_lost
                )));
            }
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
        self.send_and_beat(what, per_second, time, None, progress)
            .map(|(sent, _)| sent)
    }

    /// The same, and every `beat_every` one connection gives a sign of life. How long each took to be answered, in
    /// milliseconds; it fails if one is not answered at all.
    pub(in crate::bench) fn send_and_beat(
        &mut self,
        what: What,
        per_second: f64,
        time: Duration,
        beat_every: Option<Duration>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(Sent, Vec<f64>)> {
        let (began, senders) = (Instant::now(), self.connections.len().min(self.senders));
        if senders == 0 {
            return Err(BenchError::Load("nobody is connected".to_owned()));
        }
        let (mut sent, mut beats, mut answered_ms) = (0u64, 0u32, Vec::new());
        loop {
            let elapsed = began.elapsed();
            if elapsed >= time {
                break;
            }
            let due = (elapsed.as_secs_f64() * per_second) as u64;
            let row = (due - sent).min(ROW_MAX);
            for _ in 0..row {
                let index = (sent % senders as u64) as usize;
                self.say(index, |speaker, clock, out| speaker.say(what, clock, out));
                sent += 1;
            }
            if beat_every.is_some_and(|every| elapsed >= every * beats) {
                self.beat(beats as usize * BEAT_STRIDE % senders);
                beats += 1;
            }
            self.turn(if sent < due { Duration::ZERO } else { TICK })?;
            answered_ms.extend(self.answers_ms());
            self.heard.forget();
            self.check()?;
            progress(sent);
        }
        let sent = Sent {
            messages: sent,
            seconds: seconds_since(began),
        };
        let ended = Instant::now();
        while self
            .connections
            .iter()
            .any(|connection| connection.asked_at.is_some())
        {
            self.turn(TICK)?;
            answered_ms.extend(self.answers_ms());
            self.heard.forget();
            self.check()?;
            if ended.elapsed() > DRAIN_WITHIN {
                return Err(BenchError::Load("a sign of life was never answered".to_owned()));
            }
        }
        Ok((sent, answered_ms))
    }

    /// One connection gives a sign of life, unless it still waits for the answer to its last one.
    fn beat(&mut self, index: usize) {
        if self.connections[index].asked_at.is_none() {
            self.connections[index].asked_at = Some(Instant::now());
            self.say(index, |speaker, clock, out| speaker.beat(clock, out));
        }
    }

    fn answers_ms(&self) -> impl Iterator<Item = f64> {
        self.heard
            .answers
            .iter()
            .map(|(_, took)| took.as_secs_f64() * 1e3)
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
        enough: Enough,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Sent> {
        let (began, mut sent) = (Instant::now(), 0u64);
        loop {
            let sending = began.elapsed() < enough.time && sent < enough.messages;
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
            if began.elapsed() > enough.time.saturating_add(DRAIN_WITHIN) {
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
