//! What goes into the log and comes out of it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use muster_model::{LogPosition, MachineId, StreamVersion, Timestamp};

/// Longest name of a stream.
pub const STREAM_NAME_MAX_BYTES: usize = 200;
const MACHINE_PREFIX: &str = "machine/";

/// Names a stream of events: `machine/<uuid>`, or another short text such as `fleet` or `rollout/7`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamName(Name);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Name {
    Machine(MachineId),
    Other(Arc<str>),
}

/// A text that cannot name a stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stream's name has 1 to {STREAM_NAME_MAX_BYTES} bytes without control characters: {given:?}")]
pub struct StreamNameError {
    /// What was given, cut to 64 characters.
    pub given: String,
}

impl StreamName {
    /// The stream of one machine.
    pub const fn machine(id: MachineId) -> Self {
        Self(Name::Machine(id))
    }

    /// The machine, if the stream is that of one.
    pub fn as_machine(&self) -> Option<MachineId> {
        match &self.0 {
            Name::Machine(id) => Some(*id),
            Name::Other(_) => None,
        }
    }
}

impl From<MachineId> for StreamName {
    fn from(id: MachineId) -> Self {
        Self::machine(id)
    }
}

impl FromStr for StreamName {
    type Err = StreamNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let acceptable =
            (1..=STREAM_NAME_MAX_BYTES).contains(&text.len()) && !text.chars().any(char::is_control);
        if !acceptable {
            let given = text.chars().take(64).collect();
            return Err(StreamNameError { given });
        }
        let machine = text
            .strip_prefix(MACHINE_PREFIX)
            .and_then(|id| id.parse::<MachineId>().ok());
        // Only the form that is written again counts, so that a name and its text are one to one.
        match machine {
            Some(id) if Self::machine(id).to_string() == text => Ok(Self::machine(id)),
            _ => Ok(Self(Name::Other(text.into()))),
        }
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Name::Machine(id) => write!(f, "{MACHINE_PREFIX}{id}"),
            Name::Other(name) => f.write_str(name),
        }
    }
}

/// Where the client believes a stream to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Anywhere.
    Any,
    /// Its last event has this version; zero if it must have none.
    Version(StreamVersion),
}

/// One event to be appended.
#[derive(Clone, Debug)]
pub struct Append {
    /// To which stream.
    pub stream: StreamName,
    /// Where the stream must be for this to happen. Earlier events of the same batch count.
    pub expected: Expected,
    /// When it happened; moved to the time of the event before if that is later.
    pub recorded_at: Timestamp,
    /// What happened, at most 1 MiB.
    pub body: Bytes,
}

/// Where an event was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Where it stands in the log.
    pub position: LogPosition,
    /// Where it stands in its stream.
    pub version: StreamVersion,
    /// The time it was given.
    pub recorded_at: Timestamp,
}

/// Where a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamHead {
    /// The version of its last event.
    pub version: StreamVersion,
    /// The position of its last event.
    pub position: LogPosition,
}

/// An event of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Where it stands in the log.
    pub position: LogPosition,
    /// Its stream.
    pub stream: StreamName,
    /// Where it stands in its stream.
    pub version: StreamVersion,
    /// The position of the event before in the same stream; zero if it is the first.
    pub previous: LogPosition,
    /// When it was recorded; never earlier than the event before.
    pub recorded_at: Timestamp,
    /// What happened.
    pub body: Bytes,
}

/// An event whose body is borrowed for the time of a visit.
#[derive(Clone, Copy, Debug)]
pub struct EventRef<'a> {
    /// Where it stands in the log.
    pub position: LogPosition,
    /// Its stream.
    pub stream: &'a StreamName,
    /// Where it stands in its stream.
    pub version: StreamVersion,
    /// The position of the event before in the same stream; zero if it is the first.
    pub previous: LogPosition,
    /// When it was recorded; never earlier than the event before.
    pub recorded_at: Timestamp,
    /// What happened.
    pub body: &'a [u8],
}

impl Event {
    /// The event, borrowed.
    pub fn as_ref(&self) -> EventRef<'_> {
        EventRef {
            position: self.position,
            stream: &self.stream,
            version: self.version,
            previous: self.previous,
            recorded_at: self.recorded_at,
            body: &self.body,
        }
    }
}

impl EventRef<'_> {
    /// The event with a body of its own.
    pub fn to_event(&self) -> Event {
        Event {
            position: self.position,
            stream: self.stream.clone(),
            version: self.version,
            previous: self.previous,
            recorded_at: self.recorded_at,
            body: Bytes::copy_from_slice(self.body),
        }
    }
}

/// The state of one stream, as it was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Whose state.
    pub stream: StreamName,
    /// The checkpoint at which it was kept; nothing changed from there to the checkpoint it was loaded for.
    pub position: LogPosition,
    /// The state.
    pub body: Bytes,
}

/// All states of one checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshots {
    /// The position after which these are the states.
    pub checkpoint: LogPosition,
    /// When that was; `None` where there is no checkpoint.
    pub recorded_at: Option<Timestamp>,
    /// One per stream that has one, by the age of the streams.
    pub snapshots: Vec<Snapshot>,
    /// Streams with a damaged snapshot, because of which an older checkpoint was taken: hand them in as changed with
    /// the next one, and it will be whole again.
    pub damaged: Vec<StreamName>,
}

/// Figures of a log since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogStats {
    /// Events that wait to be written.
    pub queued_rows: u64,
    /// Batches that were handed in and not answered yet.
    pub unanswered: u64,
    /// Commits that succeeded.
    pub commits: u64,
    /// Events that were written.
    pub rows: u64,
    /// Batches refused because a stream was elsewhere than expected.
    pub conflicts: u64,
    /// Batches refused because the queue was full.
    pub refused_queue_full: u64,
    /// Batches refused because the disk was full.
    pub refused_disk_full: u64,
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Thinned {
    /// Checkpoints.
    pub checkpoints: u64,
    /// Snapshots that nothing needs any more.
    pub snapshots: u64,
}

/// How much lies how in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Events that are packed.
    pub packed_events: u64,
    /// Bytes of their blocks, in whole pages.
    pub packed_bytes: u64,
    /// Snapshots.
    pub snapshots: u64,
    /// Bytes of the snapshots.
    pub snapshot_bytes: u64,
}
