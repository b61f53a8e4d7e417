//! Where the link stands.

use muster_model::{SequenceNumber, SessionNumber};
use muster_protocol::link::{Limits, TokenBucket};

/// The link's state as other nodes and people see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkState {
    /// Not begun.
    Initializing,
    /// Making itself known to the server.
    Registering,
    /// Waiting to try again; it never had a session since it began.
    Retrying,
    /// In session.
    Connected,
    /// Ended, and not trying again.
    Disconnected,
    /// Waiting to try again; it had a session before.
    Reconnecting,
}

impl LinkState {
    /// The word for people and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Initializing => "initializing",
            Self::Registering => "registering",
            Self::Retrying => "retrying",
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
            Self::Reconnecting => "reconnecting",
        }
    }
}

/// Where the link stands, with all that belongs to it there.
#[derive(Debug)]
pub(super) enum Phase {
    /// Not begun.
    Initializing,
    /// A connection was asked for, or is being given up: the next thing is `Opened` or `Closed`.
    Connecting {
        /// How many attempts failed in a row.
        attempt: u32,
        /// Whether there was a session before.
        known: bool,
    },
    /// The connection stands, `hello` is said, `welcome` is awaited.
    Registering {
        /// How many attempts failed in a row.
        attempt: u32,
        /// Whether there was a session before.
        known: bool,
        /// When `hello` was said.
        said_hello_ms: u64,
        /// When to give up.
        deadline_ms: u64,
    },
    /// In session.
    Connected(Box<Session>),
    /// The server said bye; its close is awaited.
    Dismissed {
        /// How long to wait before coming back; none: do not.
        retry_after_ms: Option<u64>,
        /// How many attempts failed in a row.
        attempt: u32,
    },
    /// Waiting to try again.
    Waiting {
        /// Until when.
        until_ms: u64,
        /// How many attempts failed in a row.
        attempt: u32,
        /// Whether there was a session before.
        known: bool,
    },
    /// Ended.
    Stopped,
}

/// A session with the server.
#[derive(Debug)]
pub(super) struct Session {
    /// Its number.
    pub number: SessionNumber,
    /// The last message said.
    pub said_sequence: SequenceNumber,
    /// The last message heard.
    pub heard_sequence: SequenceNumber,
    /// When anything was last heard.
    pub heard_ms: u64,
    /// How often the server wants to hear a heartbeat.
    pub heartbeat_interval_ms: u64,
    /// When the next one is due.
    pub next_heartbeat_ms: u64,
    /// The heartbeat that is not answered yet, and when it was sent.
    pub heartbeat_sent: Option<(SequenceNumber, u64)>,
    /// What may be sent.
    pub limits: Limits,
    /// The compression dictionary that was agreed.
    pub dictionary: Option<u32>,
    /// How much may be said now, a little below what the server allows.
    pub bucket: TokenBucket,
    /// Until when there is nothing to be said without going beyond the limits.
    pub wait_until_ms: Option<u64>,
    /// Whether a write is out.
    pub writing: bool,
    /// Whether there is more to be written as soon as the socket takes it.
    pub flush: bool,
    /// When it began.
    pub since_ms: u64,
    /// How many attempts failed in a row before it.
    pub attempt: u32,
}

impl Phase {
    pub(super) fn state(&self) -> LinkState {
        match self {
            Self::Initializing => LinkState::Initializing,
            Self::Connecting { known: false, .. } | Self::Waiting { known: false, .. } => LinkState::Retrying,
            Self::Connecting { known: true, .. }
            | Self::Waiting { known: true, .. }
            | Self::Dismissed { .. } => LinkState::Reconnecting,
            Self::Registering { .. } => LinkState::Registering,
            Self::Connected(_) => LinkState::Connected,
            Self::Stopped => LinkState::Disconnected,
        }
    }
}
