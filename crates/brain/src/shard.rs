//! One shard of the fleet: it owns its machines alone.
//!
//! Begin with [`Shard::step`]. A machine's life here is: `hello` ([`hello`]) → session → records ([`records`]) → what is
//! on disk is folded into its view and acknowledged → presence ([`presence`]) judged from what is heard. What people
//! decide about a machine is in [`profile`], the stop that they ask of it in [`stop`], other commands in [`command`], what they want
//! it to become in [`desired`].
//!
//! Nothing is folded, shown, welcomed or acknowledged before the log has it: what was accepted but is not on disk yet
//! lives in [`Pending`].

mod answers;
mod command;
mod desired;
mod hello;
mod interface;
mod places;
mod presence;
mod profile;
mod records;
mod stop;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use muster_model::view::Profile;
use muster_model::{
    DesiredState, DesiredVersion, Entry, MachineEntry, MachineId, MachineView, RecordNumber, SequenceNumber,
    SessionNumber, StateVersion, StreamVersion,
};
use muster_protocol::link::{Ack, Bye, ByeReason, Envelope, MachineMessage, ServerMessage, TokenBucket};

use crate::Now;
use answers::{Asked, stop_said};
pub use command::{COMMANDS_OPEN_MAX, CommandError, CommandIssued, CommandOrder, Rules, rules};
pub use desired::{DesiredChange, DesiredError, DesiredResult};
use hello::Greeting;
pub use interface::{Append, ConnectionId, Effect, Figures, Input, Options, Placed, RequestId, Ticket};
pub use places::Places;
pub use profile::{ProfileChange, ProfileError};
pub use stop::{StopError, StopOrder};

/// What a machine has said and the log does not hold yet.
#[derive(Clone, Debug)]
struct Pending {
    record: RecordNumber,
    state_version: StateVersion,
    session: SessionNumber,
    stream: StreamVersion,
    profile: Arc<Profile>,
    desired: Option<Arc<DesiredState>>,
}

#[derive(Debug)]
struct Slot {
    view: MachineView,
    pending: Pending,
    /// The connection of its session, from the accepted `hello` on.
    connection: Option<ConnectionId>,
    /// When anything was last heard.
    heard_ms: u64,
    /// Without a connection since.
    alone_since_ms: Option<u64>,
    /// How long it may be alone.
    grace_ms: u64,
    /// Why it is alone.
    alone_reason: Arc<str>,
    /// How many sessions it may open yet.
    sessions: TokenBucket,
    /// It flooded: until then it opens none.
    flooded_until_ms: u64,
    /// When its presence is looked at next.
    check_ms: Option<u64>,
    /// The presence that was last put into the log, on disk or not.
    presence: muster_model::Presence,
    /// The record that was asked for, so as not to ask for it with every message.
    asked_for: Option<RecordNumber>,
    /// Whether the whole state was asked for and has not come yet.
    asked_for_state: bool,
    /// The desired state that it said it holds when it connected last.
    desired_held: DesiredVersion,
    /// The record that comes next and was refused for what it holds, and how often.
    refused: Option<(RecordNumber, u8)>,
    /// Whether its view changed since it was last published.
    dirty: bool,
}

/// A connection whose `hello` was accepted.
#[derive(Debug)]
struct Connection {
    machine: MachineId,
    session: SessionNumber,
    /// Whether `welcome` was said.
    welcomed: bool,
    heard_sequence: SequenceNumber,
    said_sequence: SequenceNumber,
}

/// Entries that are on their way to the log, and what follows when they are there.
#[derive(Debug)]
struct Batch {
    ticket: Ticket,
    entries: Vec<Append>,
    greetings: Vec<Greeting>,
    answers: Vec<(RequestId, MachineId, Asked)>,
    /// Machines whose entries here build on a batch that failed: the log will refuse this one, too, and they have
    /// started over already.
    doomed: BTreeSet<MachineId>,
}

/// One shard of the fleet.
#[derive(Debug)]
pub struct Shard {
    options: Options,
    places: Places,
    slots: BTreeMap<MachineId, Slot>,
    connections: BTreeMap<ConnectionId, Connection>,
    /// Connections that were told to end and are not gone yet. They may have more under way, and must not begin anew: what
    /// they say next may be a hello for a machine that is not of this shard.
    ended: BTreeSet<ConnectionId>,
    /// When which machine's presence is to be looked at.
    checks: BTreeSet<(u64, MachineId)>,
    batch: Batch,
    in_flight: VecDeque<Batch>,
    dirty: Vec<MachineId>,
    figures: Figures,
    draining: bool,
    effects: Vec<Effect>,
}

impl Shard {
    /// A shard that owns these machines, as the log knows them. Those that were present have a while to come back.
    pub fn new(options: Options, now: Now, views: impl IntoIterator<Item = MachineView>) -> Self {
        let mut shard = Self {
            options,
            places: Places::default(),
            slots: BTreeMap::new(),
            connections: BTreeMap::new(),
            ended: BTreeSet::new(),
            checks: BTreeSet::new(),
            batch: Batch::new(Ticket(1)),
            in_flight: VecDeque::new(),
            dirty: Vec::new(),
            figures: Figures::default(),
            draining: false,
            effects: Vec::new(),
        };
        for view in views {
            let id = view.id;
            let mut slot = Slot::new(view, now, &shard.options);
            slot.grace_ms = shard.options.restart_grace_ms;
            slot.alone_reason = "did not come back after the server was restarted".into();
            shard.slots.insert(id, slot);
            shard.look_again(now, id);
        }
        shard
    }

    /// Lets only so many machines join, together with the other shards of the fleet. Until then there is no bound.
    pub fn with_places(mut self, places: Places) -> Self {
        self.places = places;
        self
    }

    /// Takes in what happened. What is to be done is collected until [`take_effects`](Self::take_effects), so that a
    /// caller who has many inputs at hand gets one batch for the log.
    pub fn step(&mut self, now: Now, input: Input) {
        match input {
            Input::Frame { connection, frame } => self.frame(now, connection, frame),
            Input::Refused {
                connection,
                refused,
                reason,
            } => self.refused(connection, &refused, reason),
            Input::Flooded(connection) => self.flooded(now, connection),
            Input::Heard(connection) => self.heard(now, connection),
            Input::Closed { connection, reason } => {
                self.ended.remove(&connection);
                self.closed(now, connection, &reason);
            }
            Input::Persisted { ticket, placed } => self.persisted(now, ticket, &placed),
            Input::NotPersisted { ticket, reason } => self.not_persisted(now, ticket, &reason),
            Input::Tick => self.look_at_presence(now),
            Input::ChangeProfile {
                request,
                machine,
                change,
                expected,
            } => {
                self.change_profile(request, machine, change, expected);
            }
            Input::ChangeDesired {
                request,
                machine,
                change,
                expected,
            } => self.change_desired(now, request, machine, change, expected),
            Input::Stop {
                request,
                machine,
                order,
            } => self.stop(now, request, machine, order),
            Input::Command {
                request,
                machine,
                order,
            } => self.command(now, request, machine, order),
            Input::Note {
                machine,
                what,
                detail,
            } => self.append(machine, MachineEntry::IdentityNoted { what, detail }),
            Input::Dismiss {
                connection,
                machine,
                reason,
                message,
                retry_after_ms,
            } => self.dismiss(now, connection, machine, (reason, message), retry_after_ms),
            Input::Drain { retry_after_ms } => self.drain(now, retry_after_ms),
        }
    }

    /// What is to be done, in order. Closes the current batch.
    pub fn take_effects(&mut self, now: Now) -> Vec<Effect> {
        if !self.batch.entries.is_empty() {
            let ticket = self.batch.ticket;
            let next = Batch::new(Ticket(ticket.0 + 1));
            let batch = std::mem::replace(&mut self.batch, next);
            let entries = batch.entries.clone();
            self.effects.push(Effect::Append {
                ticket,
                recorded_at: now.wall,
                entries,
            });
            self.in_flight.push_back(batch);
        }
        std::mem::take(&mut self.effects)
    }

    /// Shows views that changed since they were last shown, each once and at most so many; says how many are left.
    pub fn show_changed(&mut self, most: usize, mut show: impl FnMut(&MachineView)) -> usize {
        for _ in 0..most.min(self.dirty.len()) {
            let Some(id) = self.dirty.pop() else { break };
            if let Some(slot) = self.slots.get_mut(&id) {
                slot.dirty = false;
                show(&slot.view);
            }
        }
        self.dirty.len()
    }

    /// The views that changed since they were last shown, each once.
    pub fn take_changed(&mut self) -> Vec<MachineView> {
        let mut views = Vec::with_capacity(self.dirty.len());
        self.show_changed(usize::MAX, |view| views.push(view.clone()));
        views
    }

    /// How many views changed since they were last asked for.
    pub fn changed(&self) -> usize {
        self.dirty.len()
    }

    /// When the next [`Input::Tick`] is due.
    pub fn next_tick_ms(&self) -> Option<u64> {
        self.checks.first().map(|(at, _)| *at)
    }

    /// Every machine as the log knows it, with what was heard since.
    pub fn views(&self) -> impl Iterator<Item = &MachineView> {
        self.slots.values().map(|slot| &slot.view)
    }

    /// One machine as the log knows it, with what was heard since.
    pub fn view(&self, machine: MachineId) -> Option<&MachineView> {
        self.slots.get(&machine).map(|slot| &slot.view)
    }

    /// Figures, counted since the shard began.
    pub fn figures(&self) -> Figures {
        self.figures
    }

    /// Whether a machine may be told something now.
    pub fn is_in_session(&self, machine: MachineId) -> bool {
        self.in_session(machine).is_some()
    }

    /// Connections in session, welcomed or about to be.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Whether everything that was accepted is on disk.
    pub fn is_settled(&self) -> bool {
        self.in_flight.is_empty() && self.batch.entries.is_empty()
    }

    fn frame(&mut self, now: Now, id: ConnectionId, frame: Envelope<MachineMessage>) {
        let ended = self.ended.contains(&id);
        let Some(connection) = self.connections.get_mut(&id) else {
            match frame.message {
                MachineMessage::Hello(ref hello) if !ended => self.hello(now, id, &frame, hello),
                _ => {
                    // A connection that was fenced or refused may still have messages under way.
                    self.figures.stale += 1;
                    self.refuse(
                        now,
                        id,
                        frame.machine_id,
                        "the first message of a connection is hello",
                    );
                }
            }
            return;
        };
        if frame.machine_id != connection.machine {
            let reason = format!("this connection belongs to machine {}", connection.machine);
            self.refuse(now, id, frame.machine_id, &reason);
            return;
        }
        if matches!(frame.message, MachineMessage::Hello(_)) {
            self.refuse(now, id, frame.machine_id, "hello was said before");
            return;
        }
        if !connection.welcomed {
            self.refuse(now, id, frame.machine_id, "wait for welcome before saying more");
            return;
        }
        if frame.session != Some(connection.session) {
            self.figures.stale += 1;
            let reason = format!("this is session {}", connection.session);
            self.refuse(now, id, frame.machine_id, &reason);
            return;
        }
        if frame.sequence <= connection.heard_sequence {
            self.figures.duplicates += 1;
            return;
        }
        let gap = frame.sequence != connection.heard_sequence.next();
        connection.heard_sequence = frame.sequence;
        self.heard_of(now, frame.machine_id);
        if gap {
            // What was missing may be the answer to an earlier request: every gap is a reason to ask again.
            if let Some(slot) = self.slots.get_mut(&frame.machine_id) {
                slot.asked_for = None;
            }
            self.resync(now, id, frame.machine_id, "a message is missing");
        }
        self.take(now, id, frame);
    }

    /// Something was heard of the machine behind a connection.
    fn heard(&mut self, now: Now, id: ConnectionId) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        let machine = connection.machine;
        if connection.welcomed {
            self.heard_of(now, machine);
        } else if let Some(slot) = self.slots.get_mut(&machine) {
            slot.hear(now);
        }
    }

    /// Something was heard of a machine in session.
    fn heard_of(&mut self, now: Now, machine: MachineId) {
        if let Some(slot) = self.slots.get_mut(&machine) {
            slot.hear(now);
            if slot.presence != muster_model::Presence::Online {
                self.set_presence(machine, muster_model::Presence::Online, "heard of again");
            }
        }
    }

    fn closed(&mut self, now: Now, id: ConnectionId, reason: &str) {
        let Some(connection) = self.connections.remove(&id) else {
            return;
        };
        if let Some(slot) = self.slots.get_mut(&connection.machine)
            && slot.connection == Some(id)
        {
            slot.connection = None;
            slot.alone_since_ms = Some(now.mono_ms);
            slot.grace_ms = self.options.reconnect_grace_ms;
            slot.alone_reason = format!("connection closed: {reason}").into();
            self.look_again(now, connection.machine);
        }
    }

    /// A batch is on disk: fold it in, welcome, acknowledge, answer.
    fn persisted(&mut self, now: Now, ticket: Ticket, placed: &[Placed]) {
        let Some(batch) = self.in_flight.pop_front_if(|batch| batch.ticket == ticket) else {
            return;
        };
        let mut recorded = Vec::with_capacity(batch.entries.len());
        let mut acks: BTreeSet<MachineId> = BTreeSet::new();
        let mut desired: BTreeSet<MachineId> = BTreeSet::new();
        let said: BTreeMap<String, ConnectionId> = batch.answers.iter().filter_map(stop_said).collect();
        for (append, placed) in batch.entries.into_iter().zip(placed) {
            let Some(slot) = self.slots.get_mut(&append.machine) else {
                continue;
            };
            slot.view
                .apply(placed.position, placed.version, placed.recorded_at, &append.entry);
            if append.entry.record().is_some() || matches!(*append.entry, MachineEntry::RecordsLost { .. }) {
                acks.insert(append.machine);
            }
            if matches!(*append.entry, MachineEntry::DesiredChanged { .. }) {
                desired.insert(append.machine);
            }
            self.touch(append.machine);
            let said = append.entry.command_id().and_then(|id| said.get(id).copied());
            self.tell(now, append.machine, &append.entry, said);
            recorded.push(Entry {
                position: placed.position,
                machine: append.machine,
                version: placed.version,
                recorded_at: placed.recorded_at,
                body: append.entry,
            });
        }
        self.effects.push(Effect::Recorded(recorded));
        self.tell_desired(now, &desired);
        for greeting in batch.greetings {
            self.welcome(now, &greeting);
        }
        for machine in acks {
            self.acknowledge(now, machine, None);
        }
        for (request, machine, asked) in batch.answers {
            self.answer(request, machine, asked);
        }
    }

    /// A batch is lost: whoever had something in it starts over from what is on disk.
    fn not_persisted(&mut self, now: Now, ticket: Ticket, reason: &str) {
        let Some(batch) = self.in_flight.pop_front_if(|batch| batch.ticket == ticket) else {
            return;
        };
        // Before anything else: starting over ends their connections, and a stop is to be said on them.
        for (request, machine, asked) in batch.answers {
            self.answer_lost(now, request, machine, asked, reason);
        }
        let machines: BTreeSet<MachineId> = batch.entries.iter().map(|append| append.machine).collect();
        for machine in machines.difference(&batch.doomed).copied() {
            self.start_over(now, machine, reason);
        }
    }

    fn start_over(&mut self, now: Now, machine: MachineId, reason: &str) {
        // What else of this machine is under way, or waits for the next batch, builds on what was lost.
        for batch in &mut self.in_flight {
            batch.doomed.insert(machine);
        }
        self.batch.entries.retain(|append| append.machine != machine);
        self.batch
            .greetings
            .retain(|greeting| greeting.machine != machine);
        let answers = std::mem::take(&mut self.batch.answers);
        for (request, about, asked) in answers {
            if about == machine {
                self.answer_lost(now, request, machine, asked, reason);
            } else {
                self.batch.answers.push((request, about, asked));
            }
        }
        let Some(slot) = self.slots.get_mut(&machine) else {
            return;
        };
        slot.pending = Pending::of(&slot.view);
        slot.presence = slot.view.presence;
        slot.asked_for = None;
        slot.asked_for_state = false;
        let connection = slot.connection;
        if slot.view.version == StreamVersion::ZERO {
            self.forget(machine);
        }
        if let Some(connection) = connection {
            let message = format!("the log did not take it: {reason}");
            self.bye(
                now,
                connection,
                machine,
                ByeReason::Overloaded,
                &message,
                Some(5_000),
                1013,
            );
        }
        self.look_again(now, machine);
    }

    /// A machine whose registration never reached the log was never there.
    fn forget(&mut self, machine: MachineId) {
        if let Some(slot) = self.slots.get_mut(&machine)
            && let Some(check) = slot.check_ms.take()
        {
            self.checks.remove(&(check, machine));
        }
        self.dirty.retain(|id| *id != machine);
        if self.slots.remove(&machine).is_some() {
            self.places.give_back();
        }
    }

    fn drain(&mut self, now: Now, retry_after_ms: u32) {
        self.draining = true;
        let open: Vec<(ConnectionId, MachineId)> = self
            .connections
            .iter()
            .map(|(id, connection)| (*id, connection.machine))
            .collect();
        for (id, machine) in open {
            self.bye(
                now,
                id,
                machine,
                ByeReason::Drain,
                "the server is being stopped",
                Some(retry_after_ms),
                1001,
            );
        }
    }

    /// Tells a connection why it ends, and ends it.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is one field of the frame or the close"
    )]
    fn bye(
        &mut self,
        now: Now,
        id: ConnectionId,
        machine: MachineId,
        reason: ByeReason,
        message: &str,
        retry_after_ms: Option<u32>,
        code: u16,
    ) {
        let supported_versions = match reason {
            ByeReason::UnsupportedVersion => {
                (muster_protocol::link::OLDEST_VERSION..=muster_protocol::link::VERSION).collect()
            }
            ByeReason::Drain
            | ByeReason::Fenced
            | ByeReason::Revoked
            | ByeReason::Overloaded
            | ByeReason::Violation => Vec::new(),
        };
        let bye = Bye {
            reason,
            message: message.to_owned(),
            retry_after_ms,
            supported_versions,
        };
        self.send(now, id, machine, ServerMessage::Bye(bye));
        self.effects.push(Effect::Close {
            connection: id,
            code,
            reason: message.to_owned(),
        });
        self.closed(now, id, message);
        self.ended.insert(id);
    }

    /// Ends a connection for a reason that lies outside of what was said on it.
    fn dismiss(
        &mut self,
        now: Now,
        id: ConnectionId,
        machine: MachineId,
        (reason, message): (ByeReason, String),
        retry_after_ms: Option<u32>,
    ) {
        let is_its_own = |connection: &Connection| connection.machine == machine;
        if self.connections.get(&id).is_some_and(is_its_own) {
            self.bye(now, id, machine, reason, &message, retry_after_ms, 1008);
        }
    }

    /// Ends a connection for what it said.
    fn refuse(&mut self, now: Now, id: ConnectionId, machine: MachineId, why: &str) {
        self.figures.refused += 1;
        self.bye(now, id, machine, ByeReason::Violation, why, None, 1008);
    }

    fn send(&mut self, now: Now, id: ConnectionId, machine: MachineId, message: ServerMessage) {
        let (session, sequence) = match self.connections.get_mut(&id) {
            Some(connection) => {
                connection.said_sequence = connection.said_sequence.next();
                (Some(connection.session), connection.said_sequence)
            }
            None => (None, SequenceNumber(1)),
        };
        let machine_id = machine;
        let timestamp = now.wall;
        let frame = Envelope {
            machine_id,
            session,
            sequence,
            record: None,
            timestamp,
            traceparent: None,
            message,
        };
        self.effects.push(Effect::Send {
            connection: id,
            frame,
        });
    }

    fn acknowledge(&mut self, now: Now, machine: MachineId, heartbeat: Option<SequenceNumber>) {
        let Some(slot) = self.slots.get(&machine) else {
            return;
        };
        let record = slot.view.highest_record;
        if let Some(id) = slot.connection
            && self
                .connections
                .get(&id)
                .is_some_and(|connection| connection.welcomed)
        {
            self.send(now, id, machine, ServerMessage::Ack(Ack { record, heartbeat }));
        }
    }

    /// Puts an entry into the batch that is being gathered.
    fn append(&mut self, machine: MachineId, entry: MachineEntry) {
        let Some(slot) = self.slots.get_mut(&machine) else {
            return;
        };
        let expected = slot.pending.stream;
        slot.pending.stream = expected.next();
        self.batch.entries.push(Append {
            machine,
            expected,
            entry: Arc::new(entry),
        });
    }

    /// Marks a view as changed.
    fn touch(&mut self, machine: MachineId) {
        if let Some(slot) = self.slots.get_mut(&machine) {
            slot.touch(&mut self.dirty);
        }
    }
}

impl Pending {
    fn of(view: &MachineView) -> Self {
        Self {
            record: view.highest_record,
            state_version: view.state_version,
            session: view.session,
            stream: view.version,
            profile: view.profile.clone(),
            desired: view.desired.clone(),
        }
    }
}

impl Slot {
    fn new(view: MachineView, now: Now, options: &Options) -> Self {
        Self {
            pending: Pending::of(&view),
            connection: None,
            heard_ms: now.mono_ms,
            alone_since_ms: Some(now.mono_ms),
            grace_ms: 0,
            alone_reason: "never connected".into(),
            sessions: TokenBucket::new(options.sessions_per_s, options.sessions_burst, now.mono_ms),
            flooded_until_ms: 0,
            check_ms: None,
            presence: view.presence,
            asked_for: None,
            asked_for_state: false,
            desired_held: DesiredVersion::ZERO,
            refused: None,
            dirty: false,
            view,
        }
    }
}

impl Slot {
    fn hear(&mut self, now: Now) {
        self.heard_ms = now.mono_ms;
        self.view.last_seen = self.view.last_seen.max(now.wall);
    }

    /// Marks its view as changed, in the list of those that did.
    fn touch(&mut self, dirty: &mut Vec<MachineId>) {
        if !self.dirty {
            self.dirty = true;
            dirty.push(self.view.id);
        }
    }
}

impl Batch {
    fn new(ticket: Ticket) -> Self {
        Self {
            ticket,
            entries: Vec::new(),
            greetings: Vec::new(),
            answers: Vec::new(),
            doomed: BTreeSet::new(),
        }
    }
}
