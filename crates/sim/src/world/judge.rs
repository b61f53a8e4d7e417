//! What must always hold, each as a check of its own. The judge sees everything and decides nothing.
//!
//! Begin with [`Check`], the list of what is watched. The judge's own memory is built from what becomes durable on
//! either side, never from what the judged code says of itself.

mod arrival;
mod desired;
mod keeping;
mod runs;
mod safety;
mod stops;

use std::collections::{BTreeMap, BTreeSet};

use muster_model::{MachineView, RecordNumber, SessionNumber};
use muster_protocol::link::{Envelope, MachineMessage, TokenBucket};

use super::schedule::{SECOND, Time};
use super::workload::Token;
use runs::Runs;
pub(super) use safety::{Pressed, Seen};

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
    /// A machine is shown as online only if it was heard of lately.
    PresenceIsHeard,
    /// After the faults the fleet comes together, with nothing missing.
    Converges,
    /// Where the network does what TCP promises, neither end accuses the other of breaking the protocol.
    NobodyIsAccused,
    /// Queues and answers keep to their bounds.
    Bounded,
    /// What is written can be read again.
    Encoding,
    /// A stop reaches its machine: at once where that is in session, also where the log refuses it, and else when it comes
    /// back, if the log has it. Never too late, and carried out once. Issued is said of what the log has, and told of what was
    /// said.
    StopsArrive,
    /// What a machine should become reaches it once it is in the log, is kept before it counts, and is never gone back on.
    DesiredArrives,
    /// A motor is told to move only by a command with a valid stamp, within its limit, and under power; without one it comes to rest.
    MotionIsStamped,
    /// A latch stays until somebody beside the machine resets it, also over a power cut; what lost its power, or was latched, moves
    /// only when it was resumed there; and nothing has power of which the disk does not hold that.
    LatchesLast,
    /// What was stopped from afar moves only when somebody beside the machine lets it.
    NothingRemoteLoosens,
    /// A machine says, and is shown, at rest only where that was measured.
    RestIsMeasured,
    /// What breaks – a contact, the contactor, the motor, a sensor, the link, the loop itself – stops the machine, in time.
    FaultsStop,
    /// Nothing panics.
    NoPanic,
}

impl Check {
    /// Each of them.
    pub const ALL: [Self; 20] = [
        Self::OnceAndInOrder,
        Self::AcknowledgedIsDurable,
        Self::SentIsKept,
        Self::ForgottenIsHeld,
        Self::SessionsAreFenced,
        Self::ViewIsFold,
        Self::LossIsReal,
        Self::PresenceIsHeard,
        Self::Converges,
        Self::NobodyIsAccused,
        Self::Bounded,
        Self::Encoding,
        Self::StopsArrive,
        Self::DesiredArrives,
        Self::MotionIsStamped,
        Self::LatchesLast,
        Self::NothingRemoteLoosens,
        Self::RestIsMeasured,
        Self::FaultsStop,
        Self::NoPanic,
    ];
}

/// Something that must hold did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What was watched.
    pub check: Check,
    /// Which machine it is about, if it is about one.
    pub machine: Option<usize>,
    /// When it was seen, in microseconds of virtual time.
    pub at_us: u64,
    /// What was seen.
    pub what: String,
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
    tokens_logged: Runs,
    /// When anything of it last reached the server.
    heard_at: Time,
    /// How often it was asked to send again in this session.
    asked: u64,
    /// Records that the server cannot take, and the tokens in them.
    poison: BTreeMap<u64, Token>,
    /// Records that came in over the session in force at that time.
    rightful: Runs,
    folded: Option<MachineView>,
    /// The stops that people asked for, and those that were said to it.
    stops_asked: BTreeSet<String>,
    stops_said: BTreeSet<String>,
    /// The stops in the log, and the newest of them where it never expires.
    stops_logged: BTreeSet<String>,
    stop_lasting: Option<String>,

    /// What is desired of it.
    wanted: desired::Wanted,

    // The machine's side.
    /// The session it last spoke in, and how much it may say there yet.
    said_in: (Option<SessionNumber>, Option<TokenBucket>),
    /// Which records its disk has held, and what was in them.
    tokens_kept: Runs,
    /// Tokens that need not arrive: their disk was lost, the outbox was full, or the server cannot take them.
    excused: Runs,
    /// Tokens that were kept, need to arrive and have not.
    outstanding: BTreeSet<Token>,
    /// Records removed in this life which the server does not hold.
    given_up: u64,
    /// Stops that its disk has held an answer to.
    stops_answered: BTreeSet<String>,
    /// Stops that it carried out, each with the life in which it did.
    stops_carried_out: BTreeSet<(u64, String)>,
    /// Whether its disk was ever lost, or its outbox ever full.
    may_have_lost: bool,
    /// What it moves with.
    body: safety::Watched,
}

/// The one who watches.
#[derive(Debug)]
pub(super) struct Judge {
    machines: Vec<Known>,
    violation: Option<Violation>,
    steps_at: (Time, u64),
    /// When the server was last started.
    pub server_since: Time,
    looks: [u64; Check::ALL.len()],
}

/// Who is shown as online was heard of within this time: it is degraded after 45 s, and the log may take a while to say
/// so (a slow one 18 s a batch, with one before it).
const ONLINE_WITHIN: Time = 100 * SECOND;
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
            server_since: 0,
            looks: [0; Check::ALL.len()],
        }
    }

    /// The first thing that did not hold.
    pub(super) fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// How often each check was looked at.
    pub(super) fn checks(&self) -> BTreeMap<Check, u64> {
        let looks = Check::ALL.into_iter().zip(self.looks);
        looks.filter(|(_, looks)| *looks > 0).collect()
    }

    /// What the judge knows of a machine, in words.
    pub(super) fn stands(&self, machine: usize, shown: usize, words: &mut Vec<String>) {
        let known = &self.machines[machine];
        words.push(format!(
            "the judge has seen in the log: records up to {}, session {}, tokens up to {}",
            known.highest,
            known.session,
            known.tokens_logged.greatest().unwrap_or(0)
        ));
        if !known.outstanding.is_empty() {
            let tokens: Vec<String> = known
                .outstanding
                .iter()
                .take(shown)
                .map(ToString::to_string)
                .collect();
            words.push(format!(
                "{} tokens are kept by the machine and not in the log: {} …",
                known.outstanding.len(),
                tokens.join(", ")
            ));
        }
    }

    /// Counts a look, and keeps what did not hold if it is the first.
    pub(super) fn look(
        &mut self,
        machine: Option<usize>,
        now: Time,
        check: Check,
        holds: bool,
        what: impl FnOnce() -> String,
    ) {
        self.looks[check as usize] += 1;
        if !holds && self.violation.is_none() {
            self.violation = Some(Violation {
                check,
                machine,
                at_us: now,
                what: what(),
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
            self.look(None, now, Check::Bounded, false, || {
                format!("{steps} steps at one moment")
            });
        }
    }

    /// Something of a machine reaches the server.
    pub(super) fn heard(&mut self, now: Time, machine: usize) {
        self.machines[machine].heard_at = now;
    }

    /// A machine is shown as online, or not.
    pub(super) fn present(&mut self, now: Time, machine: usize, online: bool) {
        let silent = now.saturating_sub(self.machines[machine].heard_at.max(self.server_since));
        let holds = !online || silent <= ONLINE_WITHIN;
        self.look(Some(machine), now, Check::PresenceIsHeard, holds, || {
            format!(
                "machine {machine} is shown as online, and nothing was heard of it for {} s",
                silent / SECOND
            )
        });
    }

    /// A frame reaches the server.
    pub(super) fn frame(
        &mut self,
        now: Time,
        machine: usize,
        connection: u64,
        frame: &Envelope<MachineMessage>,
    ) {
        self.heard(now, machine);
        let known = &mut self.machines[machine];
        if matches!(frame.message, MachineMessage::Hello(_)) {
            known.connection = Some(connection);
        } else if let Some(record) = frame.record
            && known.connection == Some(connection)
            && frame.session == Some(known.session_given)
        {
            known.rightful.insert(record.0);
        }
    }
}
