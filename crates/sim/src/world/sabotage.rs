//! The planted bugs, where they need more than a line.

use std::sync::Arc;

use muster_brain::shard::{Append, ConnectionId, Input, Placed};
use muster_model::entry::StateChange;
use muster_model::{LogPosition, MachineEntry, SequenceNumber, SessionNumber};
use muster_protocol::link::{Envelope, MachineMessage};

use super::World;
use super::log::{Batch, Outcome};
use super::planted::Planted;

impl World {
    /// What an old connection still delivers is kept for the next session.
    pub(super) fn keep_stale(&mut self, machine: usize, frame: Envelope<MachineMessage>) {
        if self.scenario.planted == Some(Planted::StaleSessionRewritten) && frame.record.is_some() {
            self.stale.push((machine, frame));
        }
    }

    /// What an old connection delivered is passed off as said in the new session.
    pub(super) fn pass_off(&mut self, machine: usize, connection: u64, session: SessionNumber) {
        let (now, later) = std::mem::take(&mut self.stale)
            .into_iter()
            .partition(|(of, _)| *of == machine);
        self.stale = later;
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
