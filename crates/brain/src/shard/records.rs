//! What a machine in session says: each record once and in order, the rest passed on.

use muster_model::{MachineEntry, MachineEvent, MachineId, RecordNumber, StateVersion, Timestamp};
use muster_protocol::link::{Envelope, MachineMessage, RefusedRecord, Resync, ServerMessage, StateReport};

use super::{ConnectionId, Effect, Shard};
use crate::Now;

/// Greatest value of a measurement, whatever its unit: what 32 bits hold, as tables do.
const VALUE_MAX: f64 = f32::MAX as f64;

impl Shard {
    pub(super) fn take(&mut self, now: Now, id: ConnectionId, frame: Envelope<MachineMessage>) {
        let machine = frame.machine_id;
        // A machine's clock may run ahead: what it says was not said later than now.
        let said_at = frame.timestamp.min(now.wall);
        match frame.message {
            MachineMessage::Heartbeat(_) => {
                self.touch(machine);
                self.acknowledge(now, machine, Some(frame.sequence));
            }
            MachineMessage::Telemetry(mut telemetry) => {
                // No measurement is as great as that, and the mean of several would be no number at all.
                let told = telemetry.samples.len();
                telemetry.samples.retain(|sample| sample.value.abs() <= VALUE_MAX);
                self.figures.unbelievable += (told - telemetry.samples.len()) as u64;
                if let Some(slot) = self.slots.get_mut(&machine) {
                    for sample in &telemetry.samples {
                        let at = said_at.plus_millis(i64::from(sample.offset_ms)).min(now.wall);
                        slot.view.vitals.observe(&sample.metric, sample.value, at);
                    }
                    slot.touch(&mut self.dirty);
                }
                self.effects.push(Effect::Telemetry {
                    machine,
                    at: said_at,
                    telemetry,
                });
            }
            MachineMessage::Log(log) => {
                self.effects.push(Effect::Log {
                    machine,
                    at: said_at,
                    log,
                });
            }
            MachineMessage::State(report) => {
                self.record(now, id, machine, frame.record, said_at, Durable::State(report));
            }
            MachineMessage::Event(event) => {
                let event = MachineEvent {
                    kind: event.kind,
                    severity: event.severity,
                    message: event.message,
                    at: said_at,
                    data: event.data,
                    correlation_id: event.correlation_id,
                    causation_id: event.causation_id,
                };
                self.record(
                    now,
                    id,
                    machine,
                    frame.record,
                    said_at,
                    Durable::Event(Box::new(event)),
                );
            }
            MachineMessage::Response(response) => {
                self.record(
                    now,
                    id,
                    machine,
                    frame.record,
                    said_at,
                    Durable::Response(response),
                );
            }
            // `frame` has dealt with it.
            MachineMessage::Hello(_) => {}
        }
    }

    /// Takes the record that comes next, and no other.
    fn record(
        &mut self,
        now: Now,
        id: ConnectionId,
        machine: MachineId,
        record: Option<RecordNumber>,
        at: Timestamp,
        durable: Durable,
    ) {
        // The decoder gave every durable message a record.
        let (Some(record), Some(slot)) = (record, self.slots.get_mut(&machine)) else {
            return;
        };
        if record <= slot.pending.record {
            self.figures.duplicates += 1;
            return;
        }
        if record != slot.pending.record.next() {
            self.resync(now, id, machine, "a record is missing");
            return;
        }
        slot.pending.record = record;
        if slot.asked_for == Some(record) {
            slot.asked_for = None;
        }
        let entry = match durable {
            Durable::Event(event) => MachineEntry::EventReported {
                record,
                event: *event,
            },
            Durable::Response(response) => MachineEntry::ResponseReported {
                record,
                at,
                command_id: response.command_id,
                outcome: response.outcome.as_str().to_owned(),
                reason: response.reason,
            },
            Durable::State(StateReport::Patch { base, .. }) if base != slot.pending.state_version => {
                // It cannot be applied, and it will not come again in another form: say so, and ask for the whole. A
                // machine that dropped the state before may have many of these: once is enough.
                let asked = slot.asked_for_state;
                self.append(
                    machine,
                    MachineEntry::RecordsLost {
                        first: record,
                        last: record,
                    },
                );
                if !asked {
                    self.resync(
                        now,
                        id,
                        machine,
                        "a patch applies to a state that is not known here",
                    );
                }
                return;
            }
            Durable::State(report) => {
                slot.asked_for_state &= !matches!(report, StateReport::Full(_));
                let version = StateVersion(record.0);
                slot.pending.state_version = version;
                MachineEntry::StateReported {
                    record,
                    version,
                    at,
                    change: report.into_change(),
                }
            }
        };
        self.append(machine, entry);
    }

    /// A record was refused for what it holds. It stays the first of the machine's outbox and comes again with each
    /// session: after a few times it is passed over, and the log says what it was.
    pub(super) fn refused(&mut self, id: ConnectionId, refused: &RefusedRecord, reason: String) {
        let machine = refused.machine_id;
        let speaks = self.connections.get(&id).is_some_and(|connection| {
            let (owner, session) = (connection.machine, connection.session);
            connection.welcomed && owner == machine && session == refused.session
        });
        let most = self.options.refusals_max;
        let Some(slot) = self.slots.get_mut(&machine).filter(|_| speaks) else {
            return;
        };
        if refused.record != slot.pending.record.next() {
            return;
        }
        let before = match slot.refused {
            Some((record, times)) if record == refused.record => times,
            Some(_) | None => 0,
        };
        if before + 1 < most {
            slot.refused = Some((refused.record, before + 1));
            return;
        }
        slot.refused = None;
        slot.pending.record = refused.record;
        self.figures.records_refused += 1;
        let entry = MachineEntry::RecordRefused {
            record: refused.record,
            kind: refused.kind.to_owned(),
            reason,
        };
        self.append(machine, entry);
    }

    /// Asks for the full state, and for the records from the first that is missing. Once for each of them.
    pub(super) fn resync(&mut self, now: Now, id: ConnectionId, machine: MachineId, reason: &str) {
        let Some(slot) = self.slots.get_mut(&machine) else {
            return;
        };
        let next_record = slot.pending.record.next();
        if slot.asked_for == Some(next_record) {
            return;
        }
        slot.asked_for = Some(next_record);
        slot.asked_for_state = true;
        self.figures.resyncs += 1;
        let resync = Resync {
            reason: reason.to_owned(),
            next_record,
        };
        self.send(now, id, machine, ServerMessage::Resync(resync));
    }
}

enum Durable {
    State(StateReport),
    Event(Box<MachineEvent>),
    Response(muster_protocol::link::Response),
}
