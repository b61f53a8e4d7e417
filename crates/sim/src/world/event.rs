//! What can happen in a simulated world.

use super::log::Outcome;
use super::network::{Packet, Way};
use super::profile::Fault;

/// Something that happens at its time. A `life` tells whether it still concerns the one it was meant for.
#[derive(Debug)]
pub(super) enum Event {
    /// A packet comes out of a pipe.
    Arrive {
        connection: u64,
        way: Way,
        packet: Packet,
    },
    /// An attempt to connect has come to its end.
    Connected { machine: usize, life: u64 },
    /// The attempt has failed.
    NotConnected { machine: usize, life: u64 },
    /// The machine notices that its connection is over.
    LinkClosed {
        machine: usize,
        life: u64,
        connection: u64,
        reason: String,
    },
    /// The server notices that a connection is over.
    ServerClosed { connection: u64, reason: String },
    /// The socket took what was written.
    Written {
        machine: usize,
        life: u64,
        connection: u64,
    },
    /// A link wanted to be woken.
    Timer {
        machine: usize,
        life: u64,
        generation: u64,
    },
    /// A machine's disk is done with what it was writing.
    DiskDone { machine: usize, life: u64 },
    /// A machine has something to tell.
    Publish { machine: usize, life: u64 },
    /// A machine is switched on.
    Boot { machine: usize },
    /// The safety loop of a machine turns.
    Turn { machine: usize, life: u64 },
    /// A shard takes in what has gathered.
    ShardRun { life: u64, shard: usize },
    /// A shard wanted to look at the time.
    ShardTick {
        life: u64,
        shard: usize,
        generation: u64,
    },
    /// The log is done with what it was writing.
    LogDone { life: u64 },
    /// A shard hears what became of a batch.
    LogAnswer { life: u64, outcome: Outcome },
    /// The server sends a ping.
    Ping { connection: u64 },
    /// The server is started.
    ServerBoot,
    /// A person changes the profile of a machine.
    Ask,
    /// A fault of this kind strikes.
    Fault(Fault),
    /// A machine that stood still goes on.
    Resume { machine: usize, life: u64 },
    /// A way is free again.
    Heal { machine: usize, way: Way },
    /// What an old connection held back arrives.
    Release { connection: u64 },
    /// A look at what only time can show.
    Patrol,
    /// From here on nothing goes wrong any more.
    FaultsEnd,
    /// Has the fleet come together?
    Look,
}
