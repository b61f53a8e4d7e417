//! Commands of people other than stop: put into the log, then said to the machine.
//!
//! Begin with [`rules`]: it says which there are. A machine is only told what it said that it carries out. What it answered
//! stands in the view, folded from what it reports ([`muster_model::RecentCommands`]). Stop goes its own way ([`super::stop`]):
//! it waits for nothing.

use muster_model::entry::JsonText;
use muster_model::{Authority, GivenCommand, MachineEntry, MachineId, Timestamp};
use muster_protocol::link::{Command, CommandKind, ServerMessage};

use super::{Asked, ConnectionId, Effect, RequestId, Shard};
use crate::Now;

/// Most commands of one machine that wait for its answer: what is under way is remembered in its view.
pub const COMMANDS_OPEN_MAX: usize = 8;

/// How commands of one kind are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How long the machine may carry it out where nothing else is said.
    pub lifetime_s: u64,
    /// The longest time that can be asked for.
    pub lifetime_max_s: u64,
    /// Whether a machine that is away is told when it comes, and told again until it answers. Otherwise it is for machines in
    /// session, and said once.
    pub waits: bool,
}

/// How commands of this kind are given by people; none where they cannot be. Stop is given in its own way.
pub const fn rules(kind: CommandKind) -> Option<Rules> {
    match kind {
        // Somebody stands in the hall and looks for it now.
        CommandKind::Identify => Some(Rules {
            lifetime_s: 30,
            lifetime_max_s: 600,
            waits: false,
        }),
        // It is for whoever watches now.
        CommandKind::Fault => Some(Rules {
            lifetime_s: 30,
            lifetime_max_s: 600,
            waits: false,
        }),
        // What is kept are the minutes around now.
        CommandKind::RecordMark => Some(Rules {
            lifetime_s: 30,
            lifetime_max_s: 600,
            waits: false,
        }),
        // A machine that is away brings it when it is back.
        CommandKind::RecordUpload => Some(Rules {
            lifetime_s: 3_600,
            lifetime_max_s: 86_400,
            waits: true,
        }),
        CommandKind::Stop
        | CommandKind::MissionAssign
        | CommandKind::MissionPause
        | CommandKind::MissionResume
        | CommandKind::MissionCancel
        | CommandKind::ModeSet
        | CommandKind::TeleopGrant
        | CommandKind::TeleopRevoke
        | CommandKind::Reboot
        | CommandKind::LogsTail
        | CommandKind::DiagnosticsRun
        | CommandKind::RecordStart
        | CommandKind::RecordStop => None,
    }
}

/// A command that a person gives.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandOrder {
    /// Names the command for ever: no other command of any machine has it.
    pub command_id: String,
    /// What is asked for.
    pub kind: CommandKind,
    /// How: what [`CommandKind::check`] lets pass.
    pub arguments: Option<JsonText>,
    /// Who asks.
    pub issuer: String,
    /// Why.
    pub reason: String,
    /// How long the machine may carry it out, counted from now.
    pub lifetime_ms: u64,
}

/// A command that is in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandIssued {
    /// Names the command.
    pub command_id: String,
    /// When it was asked for.
    pub issued: Timestamp,
    /// From when on the machine must not carry it out any more.
    pub expires: Timestamp,
    /// Whether the machine is in session: it was told at once.
    pub in_session: bool,
}

/// Why a command was not issued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The fleet does not know the machine.
    #[error("there is no such machine")]
    NoSuchMachine,
    /// People cannot give commands of this kind.
    #[error("commands of kind {0} cannot be given")]
    NotGiven(CommandKind),
    /// The machine did not say that it carries out commands of this kind.
    #[error("it does not carry out {kind}: {}", accepted(accepts))]
    NotAccepted {
        /// What was asked for.
        kind: CommandKind,
        /// What it carries out.
        accepts: Vec<String>,
    },
    /// The machine is away, and commands of this kind are for machines that are there.
    #[error("it is not connected just now, and {0} is for now: it is not kept for later")]
    NotInSession(CommandKind),
    /// Too many others wait for their answer.
    #[error("{COMMANDS_OPEN_MAX} commands wait for its answer already")]
    TooManyOpen,
    /// The log did not take it.
    #[error("it could not be stored: {reason}")]
    NotPersisted {
        /// Why.
        reason: String,
    },
}

fn accepted(kinds: &[String]) -> String {
    if kinds.is_empty() {
        "it never said what it does, which machines say when they connect".to_owned()
    } else {
        format!("it said that it carries out {}", kinds.join(", "))
    }
}

impl Shard {
    /// Puts a command on its way to the log. The person is answered, and the machine told, when it is there.
    pub(super) fn command(&mut self, now: Now, request: RequestId, machine: MachineId, order: CommandOrder) {
        if let Err(error) = self.may_be_given(now, machine, &order) {
            let result = Err(error);
            self.effects.push(Effect::Commanded { request, result });
            return;
        }
        let (issued, command_id) = (now.wall, order.command_id);
        let expires = issued.plus_millis(i64::try_from(order.lifetime_ms).unwrap_or(i64::MAX));
        let entry = MachineEntry::CommandIssued {
            command_id: command_id.clone(),
            kind: order.kind.as_str().to_owned(),
            arguments: order.arguments,
            issuer: order.issuer,
            reason: order.reason,
            issued,
            expires,
        };
        self.append(machine, entry);
        let asked = Asked::Command {
            command_id,
            issued,
            expires,
        };
        self.batch.answers.push((request, machine, asked));
    }

    fn may_be_given(&self, now: Now, machine: MachineId, order: &CommandOrder) -> Result<(), CommandError> {
        let slot = self.slots.get(&machine).ok_or(CommandError::NoSuchMachine)?;
        let kind = order.kind;
        let rules = rules(kind).ok_or(CommandError::NotGiven(kind))?;
        if !slot.view.accepts.has(kind.as_str()) {
            let accepts = slot.view.accepts.iter().map(str::to_owned).collect();
            return Err(CommandError::NotAccepted { kind, accepts });
        }
        if !rules.waits && self.in_session(machine).is_none() {
            return Err(CommandError::NotInSession(kind));
        }
        let batches = self.in_flight.iter().chain([&self.batch]);
        let asked = batches.flat_map(|batch| &batch.answers);
        let under_way =
            asked.filter(|(_, about, asked)| *about == machine && matches!(asked, Asked::Command { .. }));
        if slot.view.commands.open(now.wall) + under_way.count() >= COMMANDS_OPEN_MAX {
            return Err(CommandError::TooManyOpen);
        }
        Ok(())
    }

    /// An entry is in the log and folded in: if it is a command that was not said yet, says it to the machine, if that is in
    /// session. A machine that is yet to be welcomed is told with its welcome.
    pub(super) fn tell(
        &mut self,
        now: Now,
        machine: MachineId,
        entry: &MachineEntry,
        said: Option<ConnectionId>,
    ) {
        let MachineEntry::CommandIssued {
            command_id,
            kind,
            arguments,
            issuer,
            reason,
            issued,
            expires,
        } = entry
        else {
            return;
        };
        let Some(kind) = CommandKind::of(kind) else {
            return;
        };
        if kind == CommandKind::Stop {
            self.figures.stops_issued += 1;
        } else {
            self.figures.commands_issued += 1;
        }
        if let Some(connection) = self.in_session(machine).filter(|now| Some(*now) != said) {
            let command = Command {
                id: command_id.clone(),
                kind,
                arguments: arguments.clone(),
                issuer: issuer.clone(),
                reason: reason.clone(),
                authority: Authority::None,
                issued: *issued,
                expires: *expires,
            };
            self.say_command(now, connection, machine, command);
        }
    }

    /// A machine was welcomed: says those of its commands again that wait for it, were never answered and may still be
    /// carried out. The machine knows them by their ids.
    pub(super) fn tell_open_commands(&mut self, now: Now, connection: ConnectionId, machine: MachineId) {
        let Some(slot) = self.slots.get(&machine) else {
            return;
        };
        let open = slot
            .view
            .commands
            .iter()
            .filter_map(|given| waiting(now, given, rules));
        let open: Vec<Command> = open.collect();
        for command in open {
            self.figures.commands_said_at_welcome += 1;
            self.say_command(now, connection, machine, command);
        }
    }

    /// Says a command, unless its time is over. Whether it was said.
    pub(super) fn say_command(
        &mut self,
        now: Now,
        connection: ConnectionId,
        machine: MachineId,
        command: Command,
    ) -> bool {
        let in_time = now.wall < command.expires;
        if in_time {
            let command = ServerMessage::Command(Box::new(command));
            self.send(now, connection, machine, command);
        }
        in_time
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

/// A command of people that waits for its machine, as it is said.
pub(super) fn waiting(
    now: Now,
    given: &GivenCommand,
    rules: impl Fn(CommandKind) -> Option<Rules>,
) -> Option<Command> {
    let kind = CommandKind::of(&given.kind)?;
    let waits = rules(kind).is_some_and(|rules| rules.waits);
    (waits && given.is_open(now.wall)).then(|| Command {
        id: given.command_id.clone(),
        kind,
        arguments: given.arguments.clone(),
        issuer: given.issuer.clone(),
        reason: given.reason.clone(),
        authority: Authority::None,
        issued: given.issued,
        expires: given.expires,
    })
}
