//! What people asked for and are to be answered once the log has it, or has refused it.

use muster_model::{MachineId, Timestamp};
use muster_protocol::link::Command;

use super::{
    CommandError, CommandIssued, ConnectionId, DesiredError, Effect, ProfileError, RequestId, Shard,
    StopError,
};
use crate::Now;

/// What a person asked for whose entry is on its way to the log.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    /// Another profile.
    Profile,
    /// Another desired state.
    Desired,
    /// A stop, and the connection on which it was said.
    Stop {
        command: Box<Command>,
        said: Option<ConnectionId>,
    },
    /// Another command.
    Command {
        command_id: String,
        issued: Timestamp,
        expires: Timestamp,
    },
}

impl Shard {
    /// What a person asked for is in the log.
    pub(super) fn answer(&mut self, request: RequestId, machine: MachineId, asked: Asked) {
        let Some(slot) = self.slots.get(&machine) else {
            return;
        };
        let effect = match asked {
            Asked::Profile => Effect::Answer {
                request,
                result: Ok(slot.view.profile.clone()),
            },
            Asked::Desired => Effect::DesiredChanged {
                request,
                result: Ok(slot.view.desired.clone()),
            },
            Asked::Stop { command, said } => Effect::Stopped {
                request,
                machine,
                result: Ok(CommandIssued {
                    command_id: command.id,
                    issued: command.issued,
                    expires: command.expires,
                    in_session: said.is_some() || self.in_session(machine).is_some(),
                }),
            },
            Asked::Command {
                command_id,
                issued,
                expires,
            } => Effect::Commanded {
                request,
                result: Ok(CommandIssued {
                    command_id,
                    issued,
                    expires,
                    in_session: self.in_session(machine).is_some(),
                }),
            },
        };
        self.effects.push(effect);
    }

    /// What a person asked for did not get into the log.
    pub(super) fn answer_lost(
        &mut self,
        now: Now,
        request: RequestId,
        machine: MachineId,
        asked: Asked,
        reason: &str,
    ) {
        let reason = reason.to_owned();
        let effect = match asked {
            Asked::Profile => Effect::Answer {
                request,
                result: Err(ProfileError::NotPersisted { reason }),
            },
            Asked::Desired => Effect::DesiredChanged {
                request,
                result: Err(DesiredError::NotPersisted { reason }),
            },
            Asked::Stop { command, said } => Effect::Stopped {
                request,
                machine,
                result: Err(StopError::NotPersisted {
                    told: self.stop_lost(now, machine, *command, said),
                    reason,
                }),
            },
            Asked::Command { .. } => Effect::Commanded {
                request,
                result: Err(CommandError::NotPersisted { reason }),
            },
        };
        self.effects.push(effect);
    }
}

/// The id of a stop that was said before it was in the log, and on which connection.
pub(super) fn stop_said((_, _, asked): &(RequestId, MachineId, Asked)) -> Option<(String, ConnectionId)> {
    match asked {
        Asked::Stop { command, said } => said.map(|said| (command.id.clone(), said)),
        Asked::Profile | Asked::Desired | Asked::Command { .. } => None,
    }
}
