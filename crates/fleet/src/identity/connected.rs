//! Which connections of machines stand, by which certificate: so that one can be cut, and a second holder of a key be seen.

use std::collections::HashMap;

use muster_brain::shard::ConnectionId;
use muster_model::{MachineId, Timestamp};
use muster_protocol::enrol::Fingerprint;
use parking_lot::Mutex;

use super::register::{Register, Standing};
use crate::gateway::line::Line;

/// Whose certificate was superseded has so long to connect with the newer one.
const SUPERSEDED_FOR_MS: i64 = 60_000;

/// Who a connection is from, as its handshake proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The machine.
    pub machine: MachineId,
    /// By which certificate.
    pub certificate: Fingerprint,
    /// When that ends.
    pub not_after: Timestamp,
}

/// A session that stands.
struct Live {
    peer: Peer,
    line: Line,
    /// A newer connection of the same machine came.
    overtaken: bool,
}

/// All of them.
#[derive(Default)]
pub struct Connected(Mutex<Maps>);

#[derive(Default)]
struct Maps {
    connections: HashMap<ConnectionId, Live>,
    newest: HashMap<MachineId, ConnectionId>,
}

/// A connection that must end.
pub struct Cut {
    /// Which one.
    pub connection: ConnectionId,
    /// Whose.
    pub machine: MachineId,
    /// The way to it.
    pub line: Line,
    /// Why.
    pub why: Why,
}

/// Why a connection must end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The machine was shut out, for this reason.
    Revoked(String),
    /// The certificate has ended.
    Expired,
    /// A newer one is in use.
    Superseded,
}

impl Connected {
    /// A connection has said hello.
    pub fn open(&self, connection: ConnectionId, peer: Peer, line: Line) {
        let mut maps = self.0.lock();
        if let Some(older) = maps.newest.insert(peer.machine, connection)
            && let Some(older) = maps.connections.get_mut(&older)
        {
            older.overtaken = true;
        }
        let live = Live {
            peer,
            line,
            overtaken: false,
        };
        maps.connections.insert(connection, live);
    }

    /// A connection is gone. Gives back who it was from, and whether a newer one had come.
    pub fn gone(&self, connection: ConnectionId) -> Option<(Peer, bool)> {
        let mut maps = self.0.lock();
        let live = maps.connections.remove(&connection)?;
        if maps.newest.get(&live.peer.machine) == Some(&connection) {
            maps.newest.remove(&live.peer.machine);
        }
        Some((live.peer, live.overtaken))
    }

    /// Whether a machine is connected.
    pub fn is_connected(&self, machine: MachineId) -> bool {
        self.0.lock().newest.contains_key(&machine)
    }

    /// Connections that must end now.
    pub fn due(&self, register: &Register, now: Timestamp) -> Vec<Cut> {
        let maps = self.0.lock();
        let cuts = maps.connections.iter().filter_map(|(connection, live)| {
            let why = if live.peer.not_after <= now {
                Why::Expired
            } else {
                why(register, &live.peer, now)?
            };
            Some(Cut {
                connection: *connection,
                machine: live.peer.machine,
                line: live.line.clone(),
                why,
            })
        });
        cuts.collect()
    }
}

/// Why a peer may not stay, if it may not.
pub fn why(register: &Register, peer: &Peer, now: Timestamp) -> Option<Why> {
    let Some(record) = register.holder(peer.certificate) else {
        return Some(Why::Superseded);
    };
    if let Standing::Revoked { reason } = &record.standing {
        return Some(Why::Revoked(reason.clone()));
    }
    let superseded = record
        .certificate(peer.certificate)
        .and_then(|certificate| certificate.superseded_at)?;
    (now.millis_since(superseded) > SUPERSEDED_FOR_MS).then_some(Why::Superseded)
}
