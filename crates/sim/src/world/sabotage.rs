//! The planted bugs, where they need more than a line.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_brain::shard::{Append, ConnectionId, Input, Placed};
use muster_model::entry::StateChange;
use muster_model::{LogPosition, MachineEntry, MachineView, RecordNumber, SequenceNumber, SessionNumber};
use muster_protocol::link::{Ack, ByeReason, Envelope, MachineMessage, ServerMessage};

use super::World;
use super::log::{Batch, Outcome};
use super::planted::Planted;

/// What the planted bugs remember.
#[derive(Debug, Default)]
pub(super) struct Sabotage {
    /// What arrived on connections that are over, and of which machine.
    stale: Vec<(usize, Envelope<MachineMessage>)>,
    /// What was on its way to the log when the server stopped.
    pub lost: Vec<Batch>,
    /// By connection: how many messages and records were skipped so far, and the last sequence that was heard.
    skipped: BTreeMap<u64, Skipped>,
    /// Connections that a newer one took over from and that were not ended, with the newer one and its session.
    unfenced: BTreeMap<u64, Option<(u64, SessionNumber)>>,
    /// By connection: the last sequence that was heard, and how many messages of another one were put in between.
    shifted: BTreeMap<u64, (u64, u64)>,
}

/// What was skipped on a connection.
#[derive(Clone, Copy, Debug, Default)]
struct Skipped {
    machine: usize,
    heard: u64,
    highest: u64,
    messages: u64,
    records: u64,
}

impl Sabotage {
    /// Gives records the numbers back that they had before what was missing was skipped.
    pub(super) fn number_again(&mut self, entries: &mut [Append]) {
        for append in entries {
            let machine = append.machine.as_uuid().as_u128() as usize - 1;
            let of_machine = self
                .skipped
                .values()
                .rev()
                .find(|skipped| skipped.machine == machine);
            let Some(records) = of_machine
                .map(|skipped| skipped.records)
                .filter(|records| *records > 0)
            else {
                continue;
            };
            let mut entry = (*append.entry).clone();
            match &mut entry {
                MachineEntry::StateReported { record, version, .. } => {
                    record.0 += records;
                    version.0 += records;
                }
                MachineEntry::EventReported { record, .. }
                | MachineEntry::ResponseReported { record, .. } => {
                    record.0 += records;
                }
                _ => {}
            }
            append.entry = Arc::new(entry);
        }
    }
}

impl World {
    /// What the server says, as a server with the planted bug would say it.
    pub(super) fn tamper_below(
        &mut self,
        machine: usize,
        connection: u64,
        frame: &mut Envelope<ServerMessage>,
    ) {
        match (self.scenario.planted, &mut frame.message) {
            (Some(Planted::GapSkipped), ServerMessage::Ack(ack)) => {
                let skipped = self.sabotage.skipped.get(&connection);
                ack.record.0 += skipped.map_or(0, |skipped| skipped.records);
            }
            (Some(Planted::GapSkipped), ServerMessage::Welcome(welcome)) => {
                let skipped = Skipped {
                    machine,
                    heard: 1,
                    highest: welcome.highest_record.0,
                    ..Skipped::default()
                };
                self.sabotage.skipped.insert(connection, skipped);
            }
            // What comes right behind the welcome is a stop that was missed.
            (Some(Planted::StopNotSaidAgain), message @ ServerMessage::Command(_))
                if frame.sequence == SequenceNumber(2) =>
            {
                let record = RecordNumber::ZERO;
                *message = ServerMessage::Ack(Ack {
                    record,
                    heartbeat: None,
                });
            }
            // The same of what is desired, which comes behind such a stop.
            (Some(Planted::DesiredNotSaidAgain), message @ ServerMessage::Desired(_))
                if frame.sequence <= SequenceNumber(3) =>
            {
                let record = RecordNumber::ZERO;
                *message = ServerMessage::Ack(Ack {
                    record,
                    heartbeat: None,
                });
            }
            (Some(Planted::StopWaitsForLog), message) => {
                if let ServerMessage::Command(command) = message
                    && !self.judge.is_stop_logged(machine, &command.id)
                {
                    *message = ServerMessage::Ack(Ack {
                        record: RecordNumber::ZERO,
                        heartbeat: None,
                    });
                }
            }
            (Some(Planted::FenceMissing), ServerMessage::Bye(bye)) if bye.reason == ByeReason::Fenced => {
                self.sabotage.unfenced.insert(connection, None);
            }
            (Some(Planted::FenceMissing), ServerMessage::Welcome(welcome)) => {
                let older = self.network.of(machine);
                for older in older.into_iter().filter(|older| *older != connection) {
                    if let Some(newer) = self.sabotage.unfenced.get_mut(&older) {
                        *newer = Some((connection, welcome.session));
                    }
                }
            }
            _ => {}
        }
    }

    /// Whether a connection stays open that ought to be ended.
    pub(super) fn keeps_fenced(&self, connection: u64) -> bool {
        self.sabotage.unfenced.contains_key(&connection)
    }

    /// What a machine says, as a server with the planted bug would take it.
    pub(super) fn tamper_above(
        &mut self,
        machine: usize,
        connection: ConnectionId,
        mut frame: Envelope<MachineMessage>,
    ) -> (ConnectionId, Envelope<MachineMessage>) {
        match self.scenario.planted {
            Some(Planted::GapSkipped) => {
                if let Some(skipped) = self.sabotage.skipped.get_mut(&connection.0) {
                    skipped.machine = machine;
                    skipped.take(&mut frame);
                }
            }
            Some(Planted::FenceMissing) => {
                if let Some(Some((newer, session))) = self.sabotage.unfenced.get(&connection.0) {
                    // As if it came next on the newer connection.
                    let (heard, put_between) = self.sabotage.shifted.entry(*newer).or_insert((1, 0));
                    *heard += 1;
                    *put_between += 1;
                    frame.session = Some(*session);
                    frame.sequence = SequenceNumber(*heard);
                    return (ConnectionId(*newer), frame);
                }
                let (heard, put_between) = self.sabotage.shifted.entry(connection.0).or_insert((1, 0));
                frame.sequence.0 += *put_between;
                *heard = frame.sequence.0.max(*heard);
            }
            _ => {}
        }
        (connection, frame)
    }

    /// What an old connection still delivers is kept for the next session.
    pub(super) fn keep_stale(&mut self, machine: usize, frame: Envelope<MachineMessage>) {
        if self.scenario.planted == Some(Planted::StaleSessionAccepted) && frame.record.is_some() {
            self.sabotage.stale.push((machine, frame));
        }
    }

    /// What an old connection delivered is passed off as said in the new session.
    pub(super) fn pass_off(&mut self, machine: usize, connection: u64, session: SessionNumber) {
        let (now, later) = std::mem::take(&mut self.sabotage.stale)
            .into_iter()
            .partition(|(of, _)| *of == machine);
        self.sabotage.stale = later;
        let kept: Vec<(usize, Envelope<MachineMessage>)> = now;
        let shard = machine % self.scenario.shards;
        for (index, (_, mut frame)) in kept.into_iter().enumerate() {
            // Behind hello, which was message 1.
            frame.sequence = SequenceNumber(index as u64 + 2);
            frame.session = Some(session);
            let connection = ConnectionId(connection);
            if let Some(host) = self.server.hosts.get_mut(shard) {
                host.inbox.push(Input::Frame { connection, frame });
                self.gather(shard);
            }
        }
    }

    /// Says at once that a batch is durable.
    pub(super) fn answer_early(&mut self, batch: &Batch) {
        let placed = guess_places(batch);
        let (shard, ticket) = (batch.shard, batch.ticket);
        self.server.hosts[shard]
            .inbox
            .push(Input::Persisted { ticket, placed });
        self.gather(shard);
    }
}

/// Says that a batch is durable which is not.
pub(super) fn hide_failure(mut outcome: Outcome) -> Outcome {
    if let Some(batch) = &outcome.refused {
        outcome.result = Ok(guess_places(batch));
    }
    outcome
}

impl Skipped {
    /// Takes a message as if nothing were missing before it.
    fn take(&mut self, frame: &mut Envelope<MachineMessage>) {
        let sequence = frame.sequence.0;
        if sequence > self.heard {
            self.messages += sequence - self.heard - 1;
            self.heard = sequence;
        }
        frame.sequence = SequenceNumber(sequence.saturating_sub(self.messages));
        if let Some(record) = &mut frame.record {
            if record.0 > self.highest {
                self.records += record.0 - self.highest - 1;
                self.highest = record.0;
            }
            record.0 = record.0.saturating_sub(self.records);
        }
    }
}

/// Folds into a view what never got into the log.
pub(super) fn fold_lost(lost: &[Batch], view: &mut MachineView) {
    for batch in lost {
        for append in &batch.entries {
            if append.machine == view.id && append.expected == view.version {
                let position = LogPosition(view.version.0 + 1);
                view.apply(position, append.expected.next(), batch.recorded_at, &append.entry);
            }
        }
    }
}

fn guess_places(batch: &Batch) -> Vec<Placed> {
    let places = batch.entries.iter().map(|append| Placed {
        position: LogPosition(append.expected.0 + 1),
        version: append.expected.next(),
        recorded_at: batch.recorded_at,
    });
    places.collect()
}

/// Leaves out what changed in the states.
pub(super) fn skip_states(entries: &mut [Append]) {
    for append in entries {
        if let MachineEntry::StateReported {
            record,
            version,
            at,
            change: StateChange::Patch(_),
        } = &*append.entry
        {
            append.entry = Arc::new(MachineEntry::StateReported {
                record: *record,
                version: *version,
                at: *at,
                change: StateChange::Patch(Box::default()),
            });
        }
    }
}
