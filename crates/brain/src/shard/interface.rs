//! What goes into a shard and what comes out: names, settings, inputs, effects and figures.

use std::sync::Arc;

use muster_model::entry::IdentityFact;
use muster_model::view::Profile;
use muster_model::{DesiredVersion, Entry, LogPosition, MachineEntry, MachineId, StreamVersion, Timestamp};
use muster_protocol::link::{
    ByeReason, Envelope, Limits, LogReport, MachineMessage, RefusedRecord, ServerMessage, Telemetry,
};

use super::command::{CommandError, CommandIssued, CommandOrder};
use super::desired::{DesiredChange, DesiredResult};
use super::profile::{ProfileChange, ProfileError};
use super::stop::{StopError, StopOrder};

/// One WebSocket of one machine. Never used twice while the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Names a batch of entries on its way to the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Names a request of a person, so that its answer finds the way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// How a shard behaves. Every bound is here.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// How often machines should send a heartbeat.
    pub heartbeat_interval_ms: u32,
    /// Nothing heard for so long while connected: the presence is degraded.
    pub degraded_after_ms: u64,
    /// Nothing heard for so long: the machine is lost.
    pub lost_after_ms: u64,
    /// How long a machine may be without a connection before it is lost.
    pub reconnect_grace_ms: u64,
    /// How long machines have to come back after the server was restarted.
    pub restart_grace_ms: u64,
    /// How long a machine waits that another connection of the same machine has taken over from.
    pub fenced_retry_ms: u32,
    /// A record that is refused so often for what it holds is passed over, or its machine could never say anything again.
    pub refusals_max: u8,
    /// How long a machine waits that finds the fleet full.
    pub full_retry_ms: u32,
    /// Sessions a second that one machine may open for long: each is an entry of the log.
    pub sessions_per_s: u32,
    /// Sessions that one machine may open at once.
    pub sessions_burst: u32,
    /// What machines may send.
    pub limits: Limits,
    /// Compression dictionaries this server has, the best first. None: text only.
    pub dictionaries: Vec<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            heartbeat_interval_ms: 30_000,
            degraded_after_ms: 45_000,
            lost_after_ms: 90_000,
            reconnect_grace_ms: 5_000,
            restart_grace_ms: 45_000,
            fenced_retry_ms: 60_000,
            refusals_max: 3,
            full_retry_ms: 300_000,
            sessions_per_s: 1,
            sessions_burst: 60,
            limits: Limits::default(),
            dictionaries: Vec::new(),
        }
    }
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A machine said this. The first frame of a connection must be a `hello`.
    Frame {
        /// On this connection.
        connection: ConnectionId,
        /// What it said.
        frame: Envelope<MachineMessage>,
    },
    /// A machine sent a durable message that is refused for what it holds; its connection is about to end.
    Refused {
        /// On this connection.
        connection: ConnectionId,
        /// What can be read of it.
        refused: RefusedRecord,
        /// Why, for a person.
        reason: String,
    },
    /// A machine said more than its limits allow; its connection is about to end.
    Flooded(ConnectionId),
    /// Something came over a connection that is no message, such as the answer to a ping.
    Heard(ConnectionId),
    /// A connection is gone.
    Closed {
        /// Which one.
        connection: ConnectionId,
        /// Why, for a person.
        reason: String,
    },
    /// A batch is on disk: where each of its entries stands. Batches come back in the order they were given.
    Persisted {
        /// Which one.
        ticket: Ticket,
        /// Place and time of each entry, in the batch's order.
        placed: Vec<Placed>,
    },
    /// A batch is not on disk and will not be. The log goes on; what was in it must come again.
    NotPersisted {
        /// Which one.
        ticket: Ticket,
        /// Why, for a person.
        reason: String,
    },
    /// Look at the time.
    Tick,
    /// A person changes labels or name of a machine.
    ChangeProfile {
        /// Where the answer goes.
        request: RequestId,
        /// Which machine.
        machine: MachineId,
        /// What changes.
        change: ProfileChange,
        /// Only if this is the version of the profile that the person saw.
        expected: Option<StreamVersion>,
    },
    /// A person changes what a machine should become.
    ChangeDesired {
        /// Where the answer goes.
        request: RequestId,
        /// Which machine.
        machine: MachineId,
        /// What changes.
        change: DesiredChange,
        /// Only if this is the version that the person saw; zero: that nobody desired anything yet.
        expected: Option<DesiredVersion>,
    },
    /// A person asks a machine to stop.
    Stop {
        /// Where the answer goes. Many machines may be asked in one request: each is answered for itself.
        request: RequestId,
        /// Which machine.
        machine: MachineId,
        /// The stop.
        order: StopOrder,
    },
    /// A person gives a machine another command.
    Command {
        /// Where the answer goes.
        request: RequestId,
        /// Which machine.
        machine: MachineId,
        /// The command.
        order: CommandOrder,
    },
    /// The server noticed something about the identity of a machine. Where the fleet does not know the machine, nothing is noted.
    Note {
        /// Which machine.
        machine: MachineId,
        /// What.
        what: IdentityFact,
        /// More of it, for a person.
        detail: String,
    },
    /// End one connection in order, for a reason that lies outside of what was said on it.
    Dismiss {
        /// Which one.
        connection: ConnectionId,
        /// Whose.
        machine: MachineId,
        /// Why, for the machine.
        reason: ByeReason,
        /// Why, for a person.
        message: String,
        /// When the machine may come back; none: not by itself.
        retry_after_ms: Option<u32>,
    },
    /// End every connection in order.
    Drain {
        /// When the machines may come back.
        retry_after_ms: u32,
    },
}

/// Where an entry stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// In the fleet's log.
    pub position: LogPosition,
    /// Among the entries about its machine.
    pub version: StreamVersion,
    /// When the log recorded it.
    pub recorded_at: Timestamp,
}

/// An entry on its way to the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Append {
    /// About which machine.
    pub machine: MachineId,
    /// The version that the machine's stream has before this entry.
    pub expected: StreamVersion,
    /// The fact.
    pub entry: Arc<MachineEntry>,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Put these into the log, all or none.
    Append {
        /// Names the batch.
        ticket: Ticket,
        /// When this was decided.
        recorded_at: Timestamp,
        /// The entries.
        entries: Vec<Append>,
    },
    /// Say this.
    Send {
        /// On this connection.
        connection: ConnectionId,
        /// What.
        frame: Envelope<ServerMessage>,
    },
    /// End this connection, after what was said before.
    Close {
        /// Which one.
        connection: ConnectionId,
        /// The WebSocket close code.
        code: u16,
        /// Why, for whoever reads the other end.
        reason: String,
    },
    /// These entries are in the log, and folded in.
    Recorded(Vec<Entry>),
    /// Keep these measurements.
    Telemetry {
        /// Of which machine.
        machine: MachineId,
        /// The time that the samples' offsets count from.
        at: Timestamp,
        /// The samples.
        telemetry: Telemetry,
    },
    /// Keep these lines.
    Log {
        /// Of which machine.
        machine: MachineId,
        /// The time that the lines' offsets count from.
        at: Timestamp,
        /// The lines.
        log: LogReport,
    },
    /// Answer a person.
    Answer {
        /// Which request.
        request: RequestId,
        /// What came of it.
        result: Result<Arc<Profile>, ProfileError>,
    },
    /// Tell a person what is desired of a machine now, or why it was not changed.
    DesiredChanged {
        /// Which request.
        request: RequestId,
        /// What came of it.
        result: DesiredResult,
    },
    /// Tell a person what became of a stop.
    Stopped {
        /// Which request.
        request: RequestId,
        /// Of which machine.
        machine: MachineId,
        /// Whether it is in the log, and on its way to the machine.
        result: Result<CommandIssued, StopError>,
    },
    /// Tell a person what became of another command.
    Commanded {
        /// Which request.
        request: RequestId,
        /// Whether it is in the log, and on its way to the machine.
        result: Result<CommandIssued, CommandError>,
    },
}

/// Figures of a shard, counted since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Messages that were said before, in sequence or record.
    pub duplicates: u64,
    /// Times a machine was asked to send its state and records again.
    pub resyncs: u64,
    /// Messages of sessions that are over.
    pub stale: u64,
    /// Connections that another connection of the same machine took over from.
    pub fenced: u64,
    /// Records that were passed over because they were refused each time they came.
    pub records_refused: u64,
    /// Connections that were refused for what they said.
    pub refused: u64,
    /// Machines that were not let in because the fleet is full.
    pub machines_refused: u64,
    /// Sessions that were refused because their machine opens too many.
    pub sessions_refused: u64,
    /// Sessions that were refused because their machine flooded just before.
    pub floods_refused: u64,
    /// Measurements that were dropped because none is so great.
    pub unbelievable: u64,
    /// Stops that were put into the log.
    pub stops_issued: u64,
    /// Desired states that were said to a machine with its welcome, because it held less.
    pub desired_said_at_welcome: u64,
    /// Stops that were said to a machine with its welcome, because it had not answered them.
    pub stops_said_at_welcome: u64,
    /// Stops that were said to their machine and that the log did not take.
    pub stops_without_record: u64,
    /// Other commands that were put into the log.
    pub commands_issued: u64,
    /// Other commands that were said to a machine with its welcome, because it had not answered them.
    pub commands_said_at_welcome: u64,
}
