//! Remote stop: said to the machine at once if it is in session, put into the log, and said again to a machine that comes
//! back without having answered.
//!
//! Saying it waits for nothing, because standing is the safe direction; that it was issued is said to people only when the
//! log has it.
//!
//! There is no inverse: nothing here clears a stop or lets anything move. What came of a stop stands in the view, folded
//! from what the machine reports ([`muster_model::LastStop`]).

use muster_model::stop::STOP_KIND;
use muster_model::{Authority, MachineEntry, MachineId, Timestamp};
use muster_protocol::link::{Command, CommandKind};

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
    /// The server ended before it was known whether the log took it, and whether the machine was told.
    #[error("the server is being stopped: whether the machine was told is not known")]
    Stopping,
    /// The log did not take it.
    #[error("{} {reason}", unrecorded(*told))]
    NotPersisted {
        /// Whether the machine was told all the same.
        told: bool,
        /// Why.
        reason: String,
    },
}

fn unrecorded(told: bool) -> &'static str {
    if told {
        "the machine was told, the log has no record of it:"
    } else {
        "it could not be stored, and the machine was not told:"
    }
}

impl Shard {
    /// Says a stop to the machine if that is in session, and puts it on its way to the log. The person is answered when it is
    /// there.
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
        let issued = now.wall;
        let expires = issued.plus_millis(i64::try_from(order.lifetime_ms).unwrap_or(i64::MAX));
        let command = command(&order.command_id, &order.issuer, &order.reason, issued, expires);
        // It waits for no disk: that it stands is what matters, and a log that takes its time must not decide about it.
        let said = self
            .in_session(machine)
            .filter(|connection| self.say_command(now, *connection, machine, command.clone()));
        let entry = MachineEntry::CommandIssued {
            command_id: order.command_id,
            kind: STOP_KIND.to_owned(),
            arguments: None,
            issuer: order.issuer,
            reason: order.reason,
            issued,
            expires,
        };
        self.append(machine, entry);
        let asked = Asked::Stop {
            command: Box::new(command),
            said,
        };
        self.batch.answers.push((request, machine, asked));
    }

    /// The log did not take a stop. A machine that came into session meanwhile is told now; whether the machine was told.
    pub(super) fn stop_lost(
        &mut self,
        now: Now,
        machine: MachineId,
        command: Command,
        said: Option<ConnectionId>,
    ) -> bool {
        let here = self.in_session(machine).filter(|here| Some(*here) != said);
        let told = match here {
            Some(here) => self.say_command(now, here, machine, command) || said.is_some(),
            None => said.is_some(),
        };
        self.figures.stops_without_record += u64::from(told);
        told
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
        self.say_command(now, connection, machine, command);
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
