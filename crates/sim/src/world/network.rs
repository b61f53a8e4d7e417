//! The links between machines and server, as TCP gives them: in order and whole, or cut off.
//!
//! Each connection is a pair of pipes. A direction can be blocked (what is said waits), a connection can be cut for
//! both ends or for one only (the other does not notice), and an old one can go on delivering after a new one stands.
//! What TCP never does (frames twice, out of order, one missing) happens only in hostile worlds.

use std::collections::{BTreeMap, VecDeque};

use muster_protocol::link::{Envelope, MachineMessage, ServerMessage};

use super::profile::Wire;
use super::random::Random;
use super::schedule::{MILLISECOND, Time};

/// What travels.
#[derive(Clone, Debug)]
pub(super) enum Packet {
    Up(Box<Envelope<MachineMessage>>),
    Down(Box<Envelope<ServerMessage>>),
    /// A frame as it is on the wire.
    Text(String),
    Ping,
    Pong,
    /// The other end has closed.
    End(String),
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Machine to server.
    Up,
    /// Server to machine.
    Down,
}

#[derive(Debug, Default)]
pub(super) struct Pipe {
    last_at: Time,
    /// What was sent before it was cut, or is sent afterwards, never arrives.
    pub cut: bool,
    /// What waits because the way is blocked.
    pub held: VecDeque<Packet>,
    /// What arrives waits, whether the way is blocked or not.
    pub stalled: bool,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub machine: usize,
    pub machine_life: u64,
    pub machine_open: bool,
    pub server_open: bool,
    pub up: Pipe,
    pub down: Pipe,
    pub unanswered_pings: u32,
    /// A write that is not out because the way is blocked.
    pub write_stalled: bool,
}

#[derive(Debug)]
pub(super) struct Network {
    pub connections: BTreeMap<u64, Connection>,
    opened: u64,
    /// The connections of each machine, the oldest first.
    of_machine: Vec<Vec<u64>>,
    /// How long a frame travels, per machine.
    pub latency: Vec<Time>,
    pub blocked_up: Vec<bool>,
    pub blocked_down: Vec<bool>,
    /// How often frames come twice, out of order, or not at all.
    pub wire: Wire,
    /// Whether connections are remembered after both ends have closed them.
    pub keep_closed: bool,
    pub random: Random,
}

impl Pipe {
    /// Nothing comes out any more, whatever was or will be sent.
    pub(super) fn cut(&mut self) {
        self.cut = true;
        self.held.clear();
    }
}

impl Connection {
    pub(super) fn pipe(&mut self, way: Way) -> &mut Pipe {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }
}

impl Network {
    pub(super) fn new(machines: usize, mut random: Random) -> Self {
        Self {
            connections: BTreeMap::new(),
            opened: 0,
            of_machine: vec![Vec::new(); machines],
            latency: (0..machines)
                .map(|_| random.between(1, 80) * MILLISECOND)
                .collect(),
            blocked_up: vec![false; machines],
            blocked_down: vec![false; machines],
            wire: Wire::default(),
            keep_closed: false,
            random,
        }
    }

    pub(super) fn open(&mut self, machine: usize, machine_life: u64) -> u64 {
        self.opened += 1;
        let connection = Connection {
            machine,
            machine_life,
            machine_open: true,
            server_open: true,
            up: Pipe::default(),
            down: Pipe::default(),
            unanswered_pings: 0,
            write_stalled: false,
        };
        self.connections.insert(self.opened, connection);
        self.of_machine[machine].push(self.opened);
        self.opened
    }

    /// The connections of a machine that are not over for both ends, the oldest first.
    pub(super) fn of(&self, machine: usize) -> Vec<u64> {
        self.of_machine[machine].clone()
    }

    pub(super) fn blocked(&self, machine: usize, way: Way) -> bool {
        match way {
            Way::Up => self.blocked_up[machine],
            Way::Down => self.blocked_down[machine],
        }
    }

    /// When a packet that is sent now arrives: more than once, or never, in hostile worlds.
    pub(super) fn travel(&mut self, id: u64, way: Way, now: Time, is_end: bool) -> Vec<Time> {
        let Some(connection) = self.connections.get_mut(&id) else {
            return Vec::new();
        };
        let typical = self.latency[connection.machine];
        let pipe = connection.pipe(way);
        let wait = self.random.around(typical);
        let wire = self.wire;
        if !is_end && wire != Wire::default() {
            if self.random.chance(wire.loss_percent * 10) {
                return Vec::new();
            }
            let overtakes = self.random.chance(wire.reordered_percent * 10);
            let at = if overtakes {
                now + wait
            } else {
                (pipe.last_at + 1).max(now + wait)
            };
            pipe.last_at = pipe.last_at.max(at);
            let mut arrivals = vec![at];
            if self.random.chance(wire.duplicates_percent * 10) {
                arrivals.push(at + self.random.around(typical));
            }
            return arrivals;
        }
        let at = (pipe.last_at + 1).max(now + wait);
        pipe.last_at = at;
        vec![at]
    }

    /// Connections of a machine that neither end has open can be forgotten.
    pub(super) fn forget_closed(&mut self, machine: usize) {
        if self.keep_closed {
            return;
        }
        let connections = &mut self.connections;
        self.of_machine[machine].retain(|id| {
            let open = connections
                .get(id)
                .is_some_and(|connection| connection.machine_open || connection.server_open);
            if !open {
                connections.remove(id);
            }
            open
        });
    }
}
