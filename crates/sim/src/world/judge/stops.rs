//! What is watched of stops: from who asks to the machine, at once or when it comes back, in time and once.

use muster_brain::shard::{CommandIssued, StopError};
use muster_model::Timestamp;
use muster_protocol::link::{Command, MachineMessage};
use muster_reflex::link::StoredRecord;

use super::super::schedule::Time;
use super::super::server::STOP_LASTING_MS;
use super::{Check, Judge};

impl Judge {
    /// A stop is durable in the log. Of those that are not answered only the newest is said again.
    pub(super) fn stop_logged(&mut self, machine: usize, id: &str, lifetime_ms: i64) {
        let known = &mut self.machines[machine];
        known.stops_logged.insert(id.to_owned());
        let lasts = u64::try_from(lifetime_ms).is_ok_and(|lifetime_ms| lifetime_ms >= STOP_LASTING_MS);
        known.stop_lasting = lasts.then(|| id.to_owned());
    }

    /// A person asks for a stop.
    pub(in super::super) fn stop_asked(&mut self, machine: usize, id: &str) {
        self.machines[machine].stops_asked.insert(id.to_owned());
    }

    /// Whether a stop is in the log.
    pub(in super::super) fn is_stop_logged(&self, machine: usize, id: &str) -> bool {
        self.machines[machine].stops_logged.contains(id)
    }

    /// The server says this to a machine, at this moment of its own clock.
    pub(in super::super) fn commanded(
        &mut self,
        now: Time,
        machine: usize,
        command: &Command,
        said_at: Timestamp,
    ) {
        let id = &command.id;
        self.machines[machine].stops_said.insert(id.clone());
        let asked = self.machines[machine].stops_asked.contains(id);
        self.look(Some(machine), now, Check::StopsArrive, asked, || {
            format!("machine {machine} is told of {id}, which nobody asked of it")
        });
        let in_time = said_at < command.expires;
        self.look(Some(machine), now, Check::StopsArrive, in_time, || {
            format!("machine {machine} is told of {id} when its time is over")
        });
    }

    /// The machine was in session when this stop was asked for, and what the server did about it is done.
    pub(in super::super) fn said_at_once(&mut self, now: Time, machine: usize, id: &str) {
        let said = self.machines[machine].stops_said.contains(id);
        self.look(Some(machine), now, Check::StopsArrive, said, || {
            format!("machine {machine} is in session and is not told of {id} at once")
        });
    }

    /// What whoever asked for a stop is told.
    pub(in super::super) fn stop_answered(
        &mut self,
        now: Time,
        machine: usize,
        id: &str,
        result: &Result<CommandIssued, StopError>,
    ) {
        match result {
            Ok(_) => {
                let logged = self.machines[machine].stops_logged.contains(id);
                self.look(Some(machine), now, Check::StopsArrive, logged, || {
                    format!("{id} of machine {machine} is called issued and is not in the log")
                });
            }
            Err(StopError::NotPersisted { told, .. }) => {
                let said = self.machines[machine].stops_said.contains(id);
                self.look(Some(machine), now, Check::StopsArrive, *told == said, || {
                    format!("{id} is called told: {told}, and was said to machine {machine}: {said}")
                });
            }
            Err(StopError::NoSuchMachine | StopError::Stopping) => {}
        }
    }

    /// These records are on a machine's disk.
    pub(super) fn answers_kept(&mut self, machine: usize, records: &[StoredRecord]) {
        for stored in records {
            if let MachineMessage::Response(response) = &stored.message {
                let answered = &mut self.machines[machine].stops_answered;
                answered.insert(response.command_id.clone());
            }
        }
    }

    /// A machine carries out a stop, in this life.
    pub(in super::super) fn carried_out(&mut self, now: Time, machine: usize, life: u64, id: &str) {
        let first = self.machines[machine]
            .stops_carried_out
            .insert((life, id.to_owned()));
        self.look(Some(machine), now, Check::StopsArrive, first, || {
            format!("machine {machine} carries out {id} for the second time in its life")
        });
    }

    /// A stop that this machine must have got and has not.
    pub(in super::super) fn stop_unheard(&self, machine: usize) -> Option<&str> {
        let known = &self.machines[machine];
        let id = known.stop_lasting.as_deref()?;
        (!known.stops_answered.contains(id)).then_some(id)
    }
}
