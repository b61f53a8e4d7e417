//! The load generator: one thread, one epoll, many connections that speak any protocol.
//!
//! Begin with [`Load`]. What a connection says and understands is a [`Speaker`]; `super::wire` has one for each kind of
//! server. Everything here is bounded in time and ends when the run is to end.

mod comeback;
mod connection;
mod phases;
mod secure;

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_runtime::Shutdown;
use rustix::event::{Timespec, epoll};
use rustls::ClientConfig;

use super::error::{BenchError, Result};
use super::wire::{Clock, Heard, Speaker};
use comeback::Comebacks;
use connection::{Connection, Phase};
pub(super) use phases::{Enough, Joined, Sent};
pub(super) use secure::loopback;

/// Connections that share a source address, so that ports do not run out.
const CONNECTIONS_PER_SOURCE: usize = 5_000;
/// Longest pause of the generator: how finely an open load is spread.
const TICK: Duration = Duration::from_millis(1);
/// Events taken in at once.
const EVENTS_MAX: usize = 1_024;
/// What is read at once.
const READ_BYTES: usize = 64 * 1_024;

/// Makes the speaker of the connection with this index.
pub(super) type Maker = Box<dyn Fn(usize) -> Box<dyn Speaker>>;

/// How the connection with this index is encrypted.
pub(super) type Securer = Box<dyn Fn(usize) -> Arc<ClientConfig>>;

/// Many connections to one server.
pub(super) struct Load {
    address: SocketAddr,
    make: Maker,
    /// None: nothing is encrypted.
    secure: Option<Securer>,
    first_source: u8,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    events: Vec<epoll::Event>,
    buffer: Vec<u8>,
    out: Vec<u8>,
    clock: Clock,
    heard: Heard,
    stop: Shutdown,
    /// Connections in session.
    up: usize,
    /// Connections that ended though nobody asked for it, and why the last one did.
    lost: usize,
    why_lost: String,
    /// How connections that end are made again; none: they are not.
    comebacks: Option<Comebacks>,
    /// How many of the connections send; the others listen.
    senders: usize,
}

impl Load {
    /// No connection yet. `first_source` keeps runs that follow each other from using up the same ports: 127.0.1.x.
    pub(super) fn new(address: SocketAddr, first_source: u8, make: Maker, stop: Shutdown) -> Result<Self> {
        let epoll =
            epoll::create(epoll::CreateFlags::CLOEXEC).map_err(BenchError::system("no epoll can be had"))?;
        Ok(Self {
            address,
            make,
            secure: None,
            first_source,
            epoll,
            connections: Vec::new(),
            events: Vec::with_capacity(EVENTS_MAX),
            buffer: vec![0; READ_BYTES],
            out: Vec::with_capacity(READ_BYTES),
            clock: Clock::now(),
            heard: Heard::default(),
            stop,
            up: 0,
            lost: 0,
            why_lost: String::new(),
            comebacks: None,
            senders: usize::MAX,
        })
    }

    /// Connections are encrypted from the first byte on, each with a certificate of its own.
    pub(super) fn secured(mut self, secure: Securer) -> Self {
        self.secure = Some(secure);
        self
    }

    /// How many connections are in session.
    pub(super) fn up(&self) -> usize {
        self.up
    }

    /// Connections that ended though nobody asked for it.
    pub(super) fn lost(&self) -> usize {
        self.lost
    }

    /// From now on connections that end are made again, as machines do it.
    pub(super) fn let_them_come_back(&mut self) {
        self.comebacks = Some(Comebacks::default());
    }

    /// Only so many of the connections send.
    pub(super) fn limit_senders(&mut self, senders: usize) {
        self.senders = senders;
    }

    /// Publications that reached subscribers since this was asked last.
    pub(super) fn take_delivered(&mut self) -> u64 {
        std::mem::take(&mut self.heard.delivered)
    }

    fn check(&self) -> Result<()> {
        if self.stop.is_requested() {
            return Err(BenchError::Stopped);
        }
        if let Some(broken) = &self.heard.broken {
            return Err(BenchError::Load(format!("the server broke a promise: {broken}")));
        }
        if self.lost > 0 && self.comebacks.is_none() {
            return Err(BenchError::Load(format!(
                "{} of {} connections were lost; the last one: {}",
                self.lost,
                self.connections.len(),
                self.why_lost
            )));
        }
        Ok(())
    }

    /// Takes in what the connections have to say, waiting no longer than that for the first of them.
    fn turn(&mut self, wait: Duration) -> Result<()> {
        let timeout = Timespec {
            tv_sec: wait.as_secs() as i64,
            tv_nsec: i64::from(wait.subsec_nanos()),
        };
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        match epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(&mut events),
            Some(&timeout),
        ) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                return Err(BenchError::System {
                    what: "epoll cannot be waited for",
                    source: error.into(),
                });
            }
        }
        for event in &events {
            let (data, flags) = (event.data, event.flags);
            self.attend(data.u64(), flags);
        }
        self.events = events;
        if let Some(comebacks) = &mut self.comebacks {
            let now = Instant::now();
            for index in comebacks.due(now) {
                self.open(index)?;
            }
        }
        self.clock = Clock::now();
        Ok(())
    }

    /// One connection has something to say, or room for what it has to be told.
    fn attend(&mut self, token: u64, flags: epoll::EventFlags) {
        let (index, generation) = ((token >> 32) as usize, token as u32);
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        if connection.generation != generation || connection.phase == Phase::Gone {
            return;
        }
        let was_up = connection.phase == Phase::Up;
        let result = connection.attend(flags, &mut self.buffer, &mut self.out, &mut self.heard);
        match result {
            Ok(()) if !was_up && connection.phase == Phase::Up => {
                self.up += 1;
                if let Some(comebacks) = &mut self.comebacks {
                    comebacks.came(index);
                }
            }
            Ok(()) => {}
            Err(why) => self.lose(index, why),
        }
    }

    fn lose(&mut self, index: usize, why: String) {
        let connection = &mut self.connections[index];
        if connection.phase == Phase::Up {
            self.up -= 1;
        }
        connection.hang_up();
        self.lost += 1;
        self.why_lost = why;
        if let Some(comebacks) = &mut self.comebacks {
            comebacks.plan(index);
        }
    }

    /// Opens the connection with this index, or opens it again.
    fn open(&mut self, index: usize) -> Result<()> {
        let source = self
            .first_source
            .wrapping_add((index / CONNECTIONS_PER_SOURCE) as u8);
        // .0 is a network's name and .255 its broadcast: neither is needed.
        let source = 1 + source % 253;
        let generation = self.connections.get(index).map_or(0, |old| old.generation + 1);
        let speaker = match self.connections.get_mut(index) {
            Some(old) => old.speaker.take().unwrap_or_else(|| (self.make)(index)),
            None => (self.make)(index),
        };
        let secured_by = self.secure.as_ref().map(|secure| secure(index));
        let connection = Connection::open(index, generation, self.address, source, speaker, secured_by)?;
        connection.register(&self.epoll)?;
        match self.connections.get_mut(index) {
            Some(old) => *old = connection,
            None => self.connections.push(connection),
        }
        Ok(())
    }

    /// Says something on one connection; what does not fit waits.
    fn say(&mut self, index: usize, what: impl FnOnce(&mut dyn Speaker, &Clock, &mut Vec<u8>)) {
        self.out.clear();
        let connection = &mut self.connections[index];
        let Some(speaker) = connection.speaker.as_deref_mut() else {
            return;
        };
        what(speaker, &self.clock, &mut self.out);
        if let Err(why) = connection.write(&self.out) {
            self.lose(index, why);
        }
    }
}

/// The time between two moments in seconds, never zero.
fn seconds_since(began: Instant) -> f64 {
    began.elapsed().as_secs_f64().max(1e-9)
}
