//! `muster machine …`: one machine.

mod commands;
pub(super) mod desired;
pub(super) mod logs;
mod profile;
mod sections;
mod telemetry;

use clap::{Args, Subcommand};

use super::error::OperatorError;
use super::events::{self, EventSelection};
use super::find::find;
use super::session::Session;

/// What can be done with one machine
#[derive(Debug, Subcommand)]
#[command(after_help = "A MACHINE is a name, an id, or the beginning of an id.")]
pub enum MachineCommand {
    /// Show everything that is known of a machine
    #[command(after_help = "\
Examples:
  muster machine show frida
  muster machine show 0190a3 --at '10m ago'
  muster machine show frida --output json | jq .reported.network")]
    Show(ShowOptions),
    /// List what happened to a machine, or follow it
    #[command(after_help = "\
Examples:
  muster machine events frida --severity warning
  muster machine events frida --follow")]
    Events(MachineEventsOptions),
    /// Show a machine's log
    #[command(after_help = "\
Examples:
  muster machine logs frida --limit 200
  muster machine logs frida --severity error --from yesterday
  muster machine logs frida --part workload.camera")]
    Logs(logs::LogsOptions),
    /// Show a machine's measurements: the latest, and how they went
    #[command(after_help = "\
Examples:
  muster machine telemetry frida --from '10m ago'
  muster machine telemetry frida --metric battery --output json")]
    Telemetry(telemetry::TelemetryOptions),
    /// Show the commands that a machine was given, what it answered, and what it carries out
    #[command(after_help = "\
Examples:
  muster machine commands frida
  muster machine commands frida --output json | jq .accepts")]
    Commands(commands::CommandsOptions),
    /// Set labels (key=value), take them away (key-), or show them
    #[command(after_help = "\
Examples:
  muster machine label frida line=3 shift=night
  muster machine label frida shift-
  muster machine label frida")]
    Label(profile::LabelOptions),
    /// Give a machine another name to be shown, or its own again
    #[command(after_help = "\
Examples:
  muster machine rename 0190a3 'Frida the second'
  muster machine rename 'Frida the second' --clear")]
    Rename(profile::RenameOptions),
    /// What a machine should become: show it, change a section of it, remove one
    #[command(subcommand)]
    Desired(desired::DesiredCommand),
}

#[derive(Debug, Args)]
pub struct ShowOptions {
    /// Name, id, or the beginning of an id
    #[arg(value_name = "MACHINE")]
    pub machine: String,

    /// Show it as it was at this moment: 14:03, `yesterday 14:03`, `10m ago`, `2026-11-21 14:03`, RFC 3339
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub at: Option<String>,
}

#[derive(Debug, Args)]
pub struct MachineEventsOptions {
    /// Name, id, or the beginning of an id
    #[arg(value_name = "MACHINE")]
    pub machine: String,

    #[command(flatten)]
    pub selection: EventSelection,
}

pub(super) async fn run(command: MachineCommand, session: &mut Session) -> Result<(), OperatorError> {
    match command {
        MachineCommand::Show(options) => show(options, session).await,
        MachineCommand::Events(options) => {
            let id = find(session, &options.machine, None).await?.id;
            events::show(options.selection, Some(id), true, session).await
        }
        MachineCommand::Logs(options) => logs::run(options, session).await,
        MachineCommand::Telemetry(options) => telemetry::run(options, session).await,
        MachineCommand::Commands(options) => commands::run(options, session).await,
        MachineCommand::Label(options) => profile::label(options, session).await,
        MachineCommand::Rename(options) => profile::rename(options, session).await,
        MachineCommand::Desired(command) => desired::run(command, session).await,
    }
}

async fn show(options: ShowOptions, session: &mut Session) -> Result<(), OperatorError> {
    let at = session.past(options.at.as_deref())?;
    let found = find(session, &options.machine, at).await?;
    let machine = session.client.machine(found.id, at).await?;
    let banner = session.past_banner(machine.past, machine.at);
    if !session.is_table() {
        return session.document(&machine);
    }
    let text = banner + &sections::render(&machine, session);
    session.print(&text)
}
