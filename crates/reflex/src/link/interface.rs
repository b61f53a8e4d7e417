//! What goes into the link and what comes out: settings, inputs, effects and figures.

use muster_model::{
    BootId, DesiredVersion, MachineId, RecordNumber, ReportedState, SessionNumber, Timestamp,
};
use muster_protocol::link::{
    Command, CommandKind, Desired, Envelope, EventReport, LogReport, MachineMessage,
};
use muster_protocol::link::{ServerMessage, Telemetry};

use super::ledger::Remembered;
use super::outbox::StoredRecord;
use super::phase::LinkState;

/// How the link behaves. Every bound is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// First upper bound of the wait before connecting again; doubles with each attempt.
    pub backoff_base_ms: u64,
    /// Last upper bound of that wait.
    pub backoff_max_ms: u64,
    /// The wait after a server that takes the machine, but not now, and does not say when.
    pub dismissed_wait_ms: u64,
    /// A session that lasted so long shows that all is well, and the waits start small again.
    pub settled_after_ms: u64,
    /// How long a connection may take to become a session.
    pub register_within_ms: u64,
    /// After this long without a sign of life the connection is given up.
    pub silence_max_ms: u64,
    /// How long state, events and telemetry wait for company.
    pub gather_ms: u64,
    /// How long logs wait for company.
    pub gather_low_ms: u64,
    /// About how much goes into one write, so that what is urgent never waits behind much.
    pub write_max_bytes: usize,
    /// Messages that may wait in each queue.
    pub queue_max: usize,
    /// Records kept in memory; the rest waits on disk.
    pub window_max: usize,
    /// Records kept on disk without acknowledgement; beyond that the oldest are dropped, and the server is told.
    pub outbox_max: u64,
    /// Commands remembered so as not to take them twice.
    pub ledger_max: usize,
    /// What this runtime can be commanded to do.
    pub commands: Vec<CommandKind>,
    /// Compression dictionaries this runtime has, and wants to use.
    pub dictionaries: Vec<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            backoff_base_ms: 500,
            backoff_max_ms: 8_000,
            dismissed_wait_ms: 30_000,
            settled_after_ms: 10_000,
            register_within_ms: 10_000,
            silence_max_ms: 27_000,
            gather_ms: 200,
            gather_low_ms: 5_000,
            write_max_bytes: 4_096,
            queue_max: 256,
            window_max: 256,
            outbox_max: 100_000,
            ledger_max: 1_024,
            commands: Vec::new(),
            dictionaries: Vec::new(),
        }
    }
}

/// Who this machine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its id, for life.
    pub machine_id: MachineId,
    /// This boot.
    pub boot_id: BootId,
    /// The version of the runtime.
    pub agent_version: String,
}

/// What was kept on disk from before this start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept {
    /// The highest record ever made, zero for none.
    pub highest_record: RecordNumber,
    /// The highest record that the server acknowledged, or that was dropped.
    pub settled: RecordNumber,
    /// The last session.
    pub last_session: SessionNumber,
    /// Commands that were taken.
    pub commands: Vec<Remembered>,
    /// The desired state that was held.
    pub desired_version: DesiredVersion,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Begin.
    Start,
    /// The connection that was asked for stands.
    Opened,
    /// The connection ended, or could not be made.
    Closed {
        /// Why, for a person.
        reason: String,
        /// Fresh randomness, for the jitter.
        entropy: u64,
    },
    /// The server said this.
    Frame(Envelope<ServerMessage>),
    /// Something came over the connection that is no message, such as a ping.
    Heard,
    /// The last write is out.
    Written,
    /// A node wants this to be told.
    Publish(Publication),
    /// Records are on disk up to and including this one.
    Persisted(RecordNumber),
    /// A desired state is on disk.
    DesiredKept(DesiredVersion),
    /// Records that were asked for, in order.
    Loaded(Vec<StoredRecord>),
    /// The time that was asked for has come.
    Timer,
    /// End, in order.
    Stop,
}

/// What a node wants to be told.
#[derive(Clone, Debug, PartialEq)]
pub enum Publication {
    /// The state as it is now: the link says what changed.
    State(ReportedState),
    /// Something happened.
    Event(Box<EventReport>),
    /// Measurements, with the time they were taken.
    Telemetry(Telemetry, Timestamp),
    /// Lines of the log.
    Log(LogReport, Timestamp),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Open a connection.
    Connect,
    /// Close the connection; the close is reported like any other.
    Disconnect {
        /// Why, for a person.
        reason: String,
    },
    /// Write these, in order and together.
    Write(Vec<Envelope<MachineMessage>>),
    /// Put this on disk, and the command with it, where there is one.
    Persist {
        /// The record.
        stored: StoredRecord,
        /// The command that must not be taken again.
        remember: Option<Remembered>,
    },
    /// Records up to and including this one need not be kept.
    Trim(RecordNumber),
    /// Read records from disk, from this one on.
    Load {
        /// The first.
        from: RecordNumber,
        /// At most so many.
        limit: usize,
    },
    /// Keep the session's number.
    KeepSession(SessionNumber),
    /// Give me a [`Input::Timer`] at this monotonic time. A later one replaces it.
    WakeAt(u64),
    /// Carry this command out.
    Command(Box<Command>),
    /// The server wants the machine to become this. Whoever keeps it says so by [`Input::DesiredKept`].
    Desired(Desired),
    /// The link's state changed.
    StateChanged {
        /// What it is now.
        state: LinkState,
        /// Why, for a person.
        reason: String,
    },
}

/// Figures about the link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Sessions since the start.
    pub connects: u32,
    /// Records that wait for an acknowledgement.
    pub outbox: u64,
    /// Messages dropped because their time was over or their queue full.
    pub dropped: u64,
    /// Records that were not made because the server would not take them.
    pub records_unfit: u64,
    /// Records dropped because the outbox was full.
    pub records_dropped: u64,
    /// Time from the last heartbeat to its answer.
    pub round_trip_ms: Option<u32>,
}
