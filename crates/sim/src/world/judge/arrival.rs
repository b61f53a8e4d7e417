//! What is watched at the server: sessions, the log, acknowledgements, views.

use muster_model::{MachineEntry, MachineView, RecordNumber};
use muster_protocol::link::{Bye, ByeReason, ServerMessage};

use super::super::schedule::Time;
use super::super::stream::{Logged, Stream, fold};
use super::super::workload::Token;
use super::{ASKED_IN_SESSION_MAX, Check, Judge};

impl Judge {
    /// The server hands this in to the log.
    pub(in super::super) fn handed_in(&mut self, now: Time, machine: usize, entry: &MachineEntry) {
        let known = &mut self.machines[machine];
        if let MachineEntry::SessionOpened { session, .. } = entry {
            known.session_given = *session;
            known.asked = 0;
        }
        if let Some(record) = entry.record() {
            let rightful = known.rightful.contains(record.0);
            self.look(Some(machine), now, Check::SessionsAreFenced, rightful, || {
                format!("record {record} of machine {machine} was taken from a session that is over")
            });
        }
    }

    /// This is durable in the log.
    pub(in super::super) fn durable(&mut self, now: Time, machine: usize, logged: &Logged) {
        match &*logged.entry {
            MachineEntry::SessionOpened { session, .. } => {
                let (session, last) = (*session, self.machines[machine].session);
                self.look(
                    Some(machine),
                    now,
                    Check::SessionsAreFenced,
                    session > last,
                    || format!("session {session} of machine {machine} follows session {last}"),
                );
                self.machines[machine].session = session;
            }
            MachineEntry::RecordsLost { first, last } => self.written_off(now, machine, *first, *last),
            MachineEntry::EventReported { record, event } => {
                self.record(now, machine, *record);
                let known = &mut self.machines[machine];
                if let Ok(token) = event.message.parse() {
                    let before = known.tokens_logged.greatest().unwrap_or(0);
                    known.tokens_logged.insert(token);
                    known.outstanding.remove(&token);
                    self.look(Some(machine), now, Check::OnceAndInOrder, token > before, || {
                        format!("token {token} of machine {machine} is in the log after token {before}")
                    });
                }
            }
            MachineEntry::StateReported { record, .. } | MachineEntry::ResponseReported { record, .. } => {
                self.record(now, machine, *record);
            }
            MachineEntry::RecordRefused { record, .. } => self.passed_over(now, machine, *record),
            MachineEntry::CommandIssued {
                command_id,
                issued,
                expires,
                ..
            } => self.stop_logged(machine, command_id, expires.millis_since(*issued)),
            MachineEntry::DesiredChanged {
                version,
                section,
                content,
                ..
            } => self.desired_logged(now, machine, *version, section, content.as_ref()),
            MachineEntry::Registered
            | MachineEntry::PresenceChanged { .. }
            | MachineEntry::Renamed { .. }
            | MachineEntry::IdentityNoted { .. }
            | MachineEntry::Labelled { .. } => {}
        }
    }

    fn record(&mut self, now: Time, machine: usize, record: RecordNumber) {
        let known = &mut self.machines[machine];
        let next = known.highest.next();
        known.highest = known.highest.max(record);
        self.look(Some(machine), now, Check::OnceAndInOrder, record == next, || {
            format!("record {record} of machine {machine} is in the log where {next} belongs")
        });
    }

    /// The server cannot take this record.
    pub(in super::super) fn poisoned(&mut self, machine: usize, record: RecordNumber, token: Token) {
        self.machines[machine].poison.insert(record.0, token);
    }

    /// A record is passed over for what it holds: only one that the server cannot take, and nothing of it is awaited any more.
    fn passed_over(&mut self, now: Time, machine: usize, record: RecordNumber) {
        self.record(now, machine, record);
        let known = &mut self.machines[machine];
        let token = known.poison.get(&record.0).copied();
        if let Some(token) = token {
            known.excused.insert(token);
            known.outstanding.remove(&token);
        }
        self.look(Some(machine), now, Check::LossIsReal, token.is_some(), || {
            format!("record {record} of machine {machine} is passed over, but there is nothing wrong with it")
        });
    }

    fn written_off(&mut self, now: Time, machine: usize, first: RecordNumber, last: RecordNumber) {
        let known = &mut self.machines[machine];
        let next = known.highest.next();
        let may_have_lost = known.may_have_lost;
        known.highest = known.highest.max(last);
        self.look(
            Some(machine),
            now,
            Check::OnceAndInOrder,
            first == next && last >= first,
            || format!("records {first} to {last} of machine {machine} are written off where {next} belongs"),
        );
        self.look(Some(machine), now, Check::LossIsReal, may_have_lost, || {
            format!("records {first} to {last} of machine {machine} are written off, but it lost none")
        });
    }

    /// The server ends the session of a machine for what it said.
    pub(in super::super) fn accused(&mut self, now: Time, machine: usize, connection: u64, bye: &Bye) {
        let in_session = self.machines[machine].connection == Some(connection);
        let fair = bye.reason != ByeReason::Violation || !in_session;
        self.look(Some(machine), now, Check::NobodyIsAccused, fair, || {
            format!(
                "machine {machine} is accused on connection {connection}: {}",
                bye.message
            )
        });
    }

    /// The server asks a machine to send again, though the network lost nothing in between.
    pub(in super::super) fn asked(&mut self, now: Time, machine: usize) {
        self.machines[machine].asked += 1;
        let asked = self.machines[machine].asked;
        self.look(
            Some(machine),
            now,
            Check::Bounded,
            asked <= ASKED_IN_SESSION_MAX,
            || format!("machine {machine} is asked for the {asked}. time in one session to send again"),
        );
    }

    /// The server says this.
    pub(in super::super) fn said(&mut self, now: Time, machine: usize, message: &ServerMessage) {
        let acknowledged = match message {
            ServerMessage::Ack(ack) => ack.record,
            ServerMessage::Welcome(welcome) => welcome.highest_record,
            ServerMessage::Command(_)
            | ServerMessage::Desired(_)
            | ServerMessage::Resync(_)
            | ServerMessage::Bye(_) => return,
        };
        let durable = self.machines[machine].highest;
        self.look(
            Some(machine),
            now,
            Check::AcknowledgedIsDurable,
            acknowledged <= durable,
            || format!("record {acknowledged} of machine {machine} is acknowledged, the log has {durable}"),
        );
        if let ServerMessage::Welcome(welcome) = message {
            let (session, durable) = (welcome.session, self.machines[machine].session);
            self.look(
                Some(machine),
                now,
                Check::AcknowledgedIsDurable,
                session <= durable,
                || format!("session {session} of machine {machine} is welcomed, the log has {durable}"),
            );
        }
    }

    /// The server shows this of a machine.
    pub(in super::super) fn view(&mut self, now: Time, machine: usize, stream: &Stream, view: &MachineView) {
        let version = view.version.0;
        if version > stream.len() {
            self.look(Some(machine), now, Check::ViewIsFold, false, || {
                format!(
                    "machine {machine} is shown at version {version}, its log has {}",
                    stream.len()
                )
            });
            return;
        }
        if version == 0 {
            return;
        }
        let known = &mut self.machines[machine];
        let usable = known
            .folded
            .as_ref()
            .is_some_and(|folded| folded.version <= view.version && folded.version.0 >= stream.folded());
        if !usable {
            // The server started anew from an older fold: so does the judge.
            known.folded = stream.beginning(view.id);
        }
        let Some(folded) = &mut known.folded else { return };
        let behind = stream.between(folded.version.0, version);
        for logged in behind.unwrap_or_default() {
            fold(folded, logged);
        }
        // What is only heard is not in the log.
        folded.last_seen = view.last_seen;
        folded.vitals = view.vitals;
        let same = behind.is_some() && *view == *folded;
        let words = if same {
            String::new()
        } else {
            format!("machine {machine} is shown as {view:?}, its log folds to {folded:?}")
        };
        self.look(Some(machine), now, Check::ViewIsFold, same, || words);
    }
}
