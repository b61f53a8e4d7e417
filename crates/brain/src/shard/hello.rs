//! From `hello` to `welcome`: who is there, which version is spoken, which connection is over, what was lost.

use muster_model::{
    DesiredVersion, MachineEntry, MachineId, MachineView, RecordNumber, SequenceNumber, SessionNumber,
};
use muster_protocol::link::{
    ByeReason, Envelope, Hello, MINOR, MachineMessage, OLDEST_VERSION, ServerMessage, VERSION, Welcome,
};

use super::{Connection, ConnectionId, Shard, Slot};
use crate::Now;

/// A machine to be welcomed once its session is on disk.
#[derive(Clone, Debug)]
pub(super) struct Greeting {
    pub connection: ConnectionId,
    pub machine: MachineId,
    pub session: SessionNumber,
    pub version: u16,
    pub dictionary: Option<u32>,
}

impl Shard {
    pub(super) fn hello(
        &mut self,
        now: Now,
        id: ConnectionId,
        frame: &Envelope<MachineMessage>,
        hello: &Hello,
    ) {
        let machine = frame.machine_id;
        if self.draining {
            self.bye(
                now,
                id,
                machine,
                ByeReason::Drain,
                "the server is being stopped",
                Some(1_000),
                1001,
            );
            return;
        }
        if frame.sequence != SequenceNumber(1) {
            self.refuse(now, id, machine, "hello is message 1 of its connection");
            return;
        }
        if machine.as_uuid().is_nil() {
            // Every machine whose id was never set has this one, and they would take over from each other for ever.
            self.refuse(
                now,
                id,
                machine,
                "the id is nil: give the machine an id of its own",
            );
            return;
        }
        let spoken = hello
            .versions
            .iter()
            .copied()
            .filter(|version| (OLDEST_VERSION..=VERSION).contains(version));
        let Some(version) = spoken.max() else {
            self.figures.refused += 1;
            let message = format!("versions {OLDEST_VERSION} to {VERSION} are spoken here");
            self.bye(
                now,
                id,
                machine,
                ByeReason::UnsupportedVersion,
                &message,
                None,
                1008,
            );
            return;
        };
        if let Some(slot) = self.slots.get(&machine)
            && let Some(wait_ms) = slot.flooded_until_ms.checked_sub(now.mono_ms)
            && wait_ms > 0
        {
            self.figures.refused += 1;
            self.figures.floods_refused += 1;
            let message = "this machine flooded: it is let in again when what it may say has filled up again";
            let retry = Some(u32::try_from(wait_ms).unwrap_or(u32::MAX));
            self.bye(now, id, machine, ByeReason::Overloaded, message, retry, 1013);
            return;
        }
        if let Some(slot) = self.slots.get_mut(&machine)
            && !slot.sessions.take(now.mono_ms)
        {
            self.figures.refused += 1;
            self.figures.sessions_refused += 1;
            let retry_after_ms = u32::try_from(slot.sessions.wait_ms(now.mono_ms)).unwrap_or(u32::MAX);
            let message = "this machine connects again and again: each time it takes room in the log";
            let retry = Some(retry_after_ms.max(self.options.fenced_retry_ms));
            self.bye(now, id, machine, ByeReason::Overloaded, message, retry, 1013);
            return;
        }
        if !self.slots.contains_key(&machine) && !self.places.take() {
            self.figures.refused += 1;
            self.figures.machines_refused += 1;
            let most = self.places.most();
            let message = format!("the fleet has {most} machines, and no more may join");
            let retry = Some(self.options.full_retry_ms);
            self.bye(now, id, machine, ByeReason::Overloaded, &message, retry, 1013);
            return;
        }
        self.fence(now, machine);
        if let std::collections::btree_map::Entry::Vacant(e) = self.slots.entry(machine) {
            e.insert(Slot::new(MachineView::new(machine, now.wall), now, &self.options));
            self.append(machine, MachineEntry::Registered);
        }
        let Some(session) = self.open_session(now, machine, id, hello.last_session) else {
            return;
        };
        if let Some(slot) = self.slots.get_mut(&machine) {
            slot.desired_held = DesiredVersion(hello.desired_version);
        }
        self.append(machine, opened(session, hello));
        self.note_lost_records(machine, hello);
        self.connections.insert(
            id,
            Connection {
                machine,
                session,
                welcomed: false,
                heard_sequence: frame.sequence,
                said_sequence: SequenceNumber::ZERO,
            },
        );
        let mine = self.options.dictionaries.iter();
        self.batch.greetings.push(Greeting {
            connection: id,
            machine,
            session,
            version,
            dictionary: mine.copied().find(|mine| hello.dictionaries.contains(mine)),
        });
    }

    /// How much a machine may say is counted for each connection. So who used it up must not get all of it again by connecting
    /// anew: it waits for as long as it takes to fill up.
    pub(super) fn flooded(&mut self, now: Now, id: ConnectionId) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        let limits = &self.options.limits;
        let fills_in_ms =
            (u64::from(limits.messages_burst) * 1_000).div_ceil(u64::from(limits.messages_per_s.max(1)));
        if let Some(slot) = self.slots.get_mut(&connection.machine) {
            slot.flooded_until_ms = now.mono_ms + fills_in_ms;
        }
    }

    /// The older connection of the same machine is over, whatever it still says.
    fn fence(&mut self, now: Now, machine: MachineId) {
        let older = self.slots.get(&machine).and_then(|slot| slot.connection);
        if let Some(older) = older {
            self.figures.fenced += 1;
            let retry = Some(self.options.fenced_retry_ms);
            let message = "a newer connection of this machine took over";
            self.bye(now, older, machine, ByeReason::Fenced, message, retry, 1008);
        }
    }

    fn open_session(
        &mut self,
        now: Now,
        machine: MachineId,
        id: ConnectionId,
        said_last: SessionNumber,
    ) -> Option<SessionNumber> {
        let slot = self.slots.get_mut(&machine)?;
        // Larger than every earlier one, also than one that only the machine remembers. A number from nowhere could
        // use up all numbers, so it is believed only near those that are known.
        let known = slot.pending.session;
        let believable = said_last.0 <= known.0.saturating_add(1 << 20);
        let session = if believable {
            known.max(said_last).next()
        } else {
            known.next()
        };
        slot.pending.session = session;
        slot.connection = Some(id);
        slot.alone_since_ms = None;
        slot.heard_ms = now.mono_ms;
        slot.asked_for = None;
        slot.asked_for_state = false;
        slot.presence = muster_model::Presence::Online;
        self.look_again(now, machine);
        Some(session)
    }

    /// What the machine no longer holds and the log never got will never come: keep a note and go on behind it.
    fn note_lost_records(&mut self, machine: MachineId, hello: &Hello) {
        let Some(slot) = self.slots.get_mut(&machine) else {
            return;
        };
        let last_lost = match &hello.records {
            Some(range) => RecordNumber(range.first.0.saturating_sub(1)),
            None => hello.highest_record,
        };
        if last_lost > slot.pending.record {
            let first = slot.pending.record.next();
            slot.pending.record = last_lost;
            self.append(
                machine,
                MachineEntry::RecordsLost {
                    first,
                    last: last_lost,
                },
            );
        }
    }

    /// The session is on disk: the machine may speak.
    pub(super) fn welcome(&mut self, now: Now, greeting: &Greeting) {
        let Some(connection) = self.connections.get_mut(&greeting.connection) else {
            return;
        };
        if connection.session != greeting.session {
            return;
        }
        connection.welcomed = true;
        let Some(slot) = self.slots.get(&greeting.machine) else {
            return;
        };
        let welcome = Welcome {
            session: greeting.session,
            version: greeting.version,
            minor: MINOR,
            server_time: now.wall,
            heartbeat_interval_ms: self.options.heartbeat_interval_ms,
            limits: self.options.limits,
            dictionary: greeting.dictionary,
            highest_record: slot.view.highest_record,
            state_version: slot.view.state_version,
            desired_version: slot.view.desired.as_ref().map_or(0, |desired| desired.version.0),
        };
        self.send(
            now,
            greeting.connection,
            greeting.machine,
            ServerMessage::Welcome(Box::new(welcome)),
        );
        self.tell_open_stop(now, greeting.connection, greeting.machine);
        self.tell_open_commands(now, greeting.connection, greeting.machine);
        self.tell_newer_desired(now, greeting.connection, greeting.machine);
    }
}

fn opened(session: SessionNumber, hello: &Hello) -> MachineEntry {
    MachineEntry::SessionOpened {
        session,
        boot_id: hello.boot_id,
        agent_version: hello.agent_version.clone(),
        commands: hello.commands.clone(),
    }
}
