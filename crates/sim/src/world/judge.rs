//! What must always hold, each as a check of its own. The judge sees everything and decides nothing.
//!
//! Begin with [`Check`], the list of what is watched. The judge's own memory is built from what becomes durable on
//! either side, never from what the judged code says of itself.

mod arrival;
mod keeping;

use std::collections::{BTreeMap, BTreeSet};

use muster_model::{MachineView, RecordNumber, SessionNumber};
use muster_protocol::link::{Envelope, MachineMessage};

use super::schedule::Time;
use super::workload::Token;

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// Each record takes effect at most once, and in order.
    OnceAndInOrder,
    /// What the server acknowledges is in its log.
    AcknowledgedIsDurable,
    /// What a machine sends is on its disk.
    SentIsKept,
    /// A machine forgets only what the server holds, or what it had to give up for want of room.
    ForgottenIsHeld,
    /// Nothing of a session that is over takes effect, and session numbers grow.
    SessionsAreFenced,
    /// What the server shows is the fold of its log.
    ViewIsFold,
    /// Records are written off only where a disk was lost or an outbox was full.
    LossIsReal,
    /// After the faults the fleet comes together, with nothing missing.
    Converges,
    /// Where the network does what TCP promises, neither end accuses the other of breaking the protocol.
    NobodyIsAccused,
    /// Queues and answers keep to their bounds.
    Bounded,
    /// What is written can be read again.
    Encoding,
    /// Nothing panics.
    NoPanic,
}

/// Something that must hold did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What was watched.
    pub check: Check,
    /// When it was seen, in microseconds of virtual time.
    pub at_us: u64,
    /// What was seen.
    pub what: String,
    /// The last steps before it, in words.
    pub steps: Vec<String>,
}

/// What the judge knows of one machine.
#[derive(Debug, Default)]
struct Known {
    // The server's side.
    /// The connection that last said hello.
    connection: Option<u64>,
    /// The session that was last given to that connection, durable or not.
    session_given: SessionNumber,
    /// The last session in the log.
    session: SessionNumber,
    /// The highest record in the log, without holes.
    highest: RecordNumber,
    tokens_logged: BTreeSet<Token>,
    /// How often it was asked to send again in this session.
    asked: u64,
    /// Records that came in over the session in force at that time.
    rightful: BTreeSet<RecordNumber>,
    folded: Option<MachineView>,

    // The machine's side.
    /// Which records its disk has held, and what was in them.
    tokens_kept: BTreeSet<Token>,
    /// Tokens that need not arrive: their disk was lost, or the outbox was full.
    excused: BTreeSet<Token>,
    /// Records removed in this life which the server does not hold.
    given_up: u64,
    /// Whether its disk was ever lost, or its outbox ever full.
    may_have_lost: bool,
}

/// The one who watches.
#[derive(Debug)]
pub(super) struct Judge {
    machines: Vec<Known>,
    violation: Option<Violation>,
    steps_at: (Time, u64),
    pub checks: BTreeMap<Check, u64>,
}

/// Requests to send again in one session, beyond which they feed on themselves.
const ASKED_IN_SESSION_MAX: u64 = 4;
/// More steps than this at one moment mean that something goes round in circles.
const STEPS_AT_ONE_TIME_MAX: u64 = 20_000;

impl Judge {
    pub(super) fn new(machines: usize) -> Self {
        Self {
            machines: (0..machines).map(|_| Known::default()).collect(),
            violation: None,
            steps_at: (0, 0),
            checks: BTreeMap::new(),
        }
    }

    /// The first thing that did not hold.
    pub(super) fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// Counts a look, and keeps what did not hold if it is the first.
    pub(super) fn look(&mut self, now: Time, check: Check, holds: bool, what: impl FnOnce() -> String) {
        *self.checks.entry(check).or_default() += 1;
        if !holds && self.violation.is_none() {
            self.violation = Some(Violation {
                check,
                at_us: now,
                what: what(),
                steps: Vec::new(),
            });
        }
    }

    /// Time goes on.
    pub(super) fn step(&mut self, now: Time) {
        if self.steps_at.0 == now {
            self.steps_at.1 += 1;
        } else {
            self.steps_at = (now, 0);
        }
        let steps = self.steps_at.1;
        if steps > STEPS_AT_ONE_TIME_MAX {
            self.look(now, Check::Bounded, false, || {
                format!("{steps} steps at one moment")
            });
        }
    }

    /// A frame reaches the server.
    pub(super) fn frame(&mut self, machine: usize, connection: u64, frame: &Envelope<MachineMessage>) {
        let known = &mut self.machines[machine];
        if matches!(frame.message, MachineMessage::Hello(_)) {
            known.connection = Some(connection);
        } else if let Some(record) = frame.record
            && known.connection == Some(connection)
            && frame.session == Some(known.session_given)
        {
            known.rightful.insert(record);
        }
    }
}
