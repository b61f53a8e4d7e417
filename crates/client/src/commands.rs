//! Commands of one machine other than stop. Accepted is not done: what became of one shows in the machine's state and events.

use muster_model::MachineId;
use muster_protocol::api::{CommandTold, GiveCommand, MachineCommands};

use crate::client::Client;
use crate::error::ClientError;
use crate::page::Parameters;

impl Client {
    /// The commands that were last given to a machine, the newest first, and what it can be commanded.
    pub async fn machine_commands(&self, id: MachineId) -> Result<MachineCommands, ClientError> {
        self.get(&["machines", &id.to_string(), "commands"], Parameters::default())
            .await
    }

    /// Gives a machine a command. The answer says that it is stored, and whether the machine was told at once.
    pub async fn give_command(&self, id: MachineId, body: &GiveCommand) -> Result<CommandTold, ClientError> {
        self.post(&["machines", &id.to_string(), "commands"], body).await
    }
}
