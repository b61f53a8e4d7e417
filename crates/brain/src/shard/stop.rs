//! Remote stop: put into the log, then said to the machine, and said again to a machine that comes back without having
//! answered.
//!
//! There is no inverse: nothing here clears a stop or lets anything move. What came of a stop stands in the view, folded
//! from what the machine reports ([`muster_model::LastStop`]).

use muster_model::stop::STOP_KIND;
use muster_model::{Authority, MachineEntry, MachineId, Timestamp};
use muster_protocol::link::{Command, CommandKind, ServerMessage};

use super::{Asked, ConnectionId, Effect, RequestId, Shard};
use crate::Now;

/// A stop that a person asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopOrder {
    /// Names the command for ever: no other stop of any machine has it.
    pub command_id: String,
    /// Who asks.
    pub issuer: String,
    /// Why.
    pub reason: String,
    /// How long the machine may carry it out, counted from now.
    pub lifetime_ms: u64,
}

/// Why a stop was not issued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StopError {
    /// The fleet does not know the machine.
    #[error("there is no such machine")]
    NoSuchMachine,
    /// The log did not take it.
    #[error("it could not be stored: {reason}")]
    NotPersisted {
        /// Why.
        reason: String,
    },
}

/// A stop that is in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopIssued {
    /// Names the command.
    pub command_id: String,
    /// When it was asked for.
    pub issued: Timestamp,
    /// From when on the machine must not carry it out any more.
    pub expires: Timestamp,
    /// Whether the machine is in session: it was told at once. Otherwise it is told when it comes back, if that is in time.
    pub in_session: bool,
}

impl Shard {
    /// Puts a stop on its way to the log. The person is answered, and the machine told, when it is there.
    pub(super) fn stop(&mut self, now: Now, request: RequestId, machine: MachineId, order: StopOrder) {
        if !self.slots.contains_key(&machine) {
            let result = Err(StopError::NoSuchMachine);
            self.effects.push(Effect::Stopped {
                request,
                machine,
                result,
            });
            return;
        }
        let (issued, command_id) = (now.wall, order.command_id);
        let expires = issued.plus_millis(i64::try_from(order.lifetime_ms).unwrap_or(i64::MAX));
        let entry = MachineEntry::CommandIssued {
            command_id: command_id.clone(),
            kind: STOP_KIND.to_owned(),
            issuer: order.issuer,
            reason: order.reason,
            issued,
            expires,
        };
        self.append(machine, entry);
        let asked = Asked::Stop {
            command_id,
            issued,
            expires,
        };
        self.batch.answers.push((request, machine, asked));
    }

    /// A stop is in the log and folded in: says it to the machine, if that is in session.
    pub(super) fn tell_stop(&mut self, now: Now, machine: MachineId, entry: &MachineEntry) {
        let MachineEntry::CommandIssued {
            command_id,
            issuer,
            reason,
            issued,
            expires,
            ..
        } = entry
        else {
            return;
        };
        self.figures.stops_issued += 1;
        // A machine that is yet to be welcomed is told with its welcome.
        if let Some(connection) = self.in_session(machine) {
            let command = command(command_id, issuer, reason, *issued, *expires);
            self.say_stop(now, connection, machine, command);
        }
    }

    /// A machine was welcomed: says its last stop again, if it never answered that and may still carry it out. The machine
    /// knows it by its id.
    pub(super) fn tell_open_stop(&mut self, now: Now, connection: ConnectionId, machine: MachineId) {
        let Some(stop) = self
            .slots
            .get(&machine)
            .and_then(|slot| slot.view.last_stop.clone())
            .filter(|stop| stop.is_open(now.wall))
        else {
            return;
        };
        self.figures.stops_said_at_welcome += 1;
        let command = command(
            &stop.command_id,
            &stop.issuer,
            &stop.reason,
            stop.issued,
            stop.expires,
        );
        self.say_stop(now, connection, machine, command);
    }

    fn say_stop(&mut self, now: Now, connection: ConnectionId, machine: MachineId, command: Command) {
        if now.wall < command.expires {
            self.send(
                now,
                connection,
                machine,
                ServerMessage::Command(Box::new(command)),
            );
        }
    }

    /// The connection on which a machine may be told something now.
    pub(super) fn in_session(&self, machine: MachineId) -> Option<ConnectionId> {
        let connection = self.slots.get(&machine)?.connection?;
        self.connections
            .get(&connection)
            .is_some_and(|connection| connection.welcomed)
            .then_some(connection)
    }
}

fn command(id: &str, issuer: &str, reason: &str, issued: Timestamp, expires: Timestamp) -> Command {
    Command {
        id: id.to_owned(),
        kind: CommandKind::Stop,
        arguments: None,
        issuer: issuer.to_owned(),
        reason: reason.to_owned(),
        authority: Authority::None,
        issued,
        expires,
    }
}
