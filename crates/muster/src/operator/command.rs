//! `muster command`: gives a machine a command, and waits for what the machine answers.
//!
//! Accepted is not done: what becomes of a command shows in the machine's state and its events.

use std::time::Duration;

use clap::Args;
use muster_model::MachineId;
use muster_model::entry::JsonText;
use muster_protocol::api::{CommandTold, GiveCommand, GivenCommand};

use super::error::OperatorError;
use super::find::find;
use super::session::Session;
use super::stop::reason;
use super::text::clean;

/// Longest time that can be waited for, in seconds.
const WAIT_MAX_S: u64 = 600;
/// How often it is looked whether the machine answered.
const LOOK_EVERY: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
#[command(after_help = "\
A MACHINE is a name, an id, or the beginning of an id. `muster machine commands MACHINE`
shows what it carries out, and what it answered to earlier commands. To stop machines there
is `muster stop`; nothing lets a machine move again but somebody beside it.

Exit codes:
  0  the machine has it
  1  the machine did not take it, or the server did not
  3  it is issued, but the machine did not answer in time
  others as for all commands

Examples:
  muster command frida identify --reason 'which of them is it'")]
pub struct CommandOptions {
    /// Name, id, or the beginning of an id
    #[arg(value_name = "MACHINE")]
    pub machine: String,

    /// What is asked for: identify …
    #[arg(value_name = "KIND")]
    pub kind: String,

    /// How, as JSON, where the kind takes any
    #[arg(long, value_name = "JSON", value_parser = json)]
    pub arguments: Option<JsonText>,

    /// Why: kept, and seen by people at the machine
    #[arg(long, short, value_name = "TEXT", value_parser = reason)]
    pub reason: String,

    /// Wait at most so many seconds for the answer; 0: do not wait
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(..=WAIT_MAX_S))]
    pub wait: u64,

    /// How long the machine may carry it out, in seconds; what is usual for the kind if absent
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub expires: Option<u64>,
}

fn json(text: &str) -> Result<JsonText, String> {
    serde_json::value::RawValue::from_string(text.to_owned())
        .map(JsonText)
        .map_err(|error| error.to_string())
}

pub(super) async fn run(options: CommandOptions, session: &mut Session) -> Result<(), OperatorError> {
    let id = find(session, &options.machine, None).await?.id;
    let body = GiveCommand {
        kind: options.kind,
        arguments: options.arguments,
        reason: options.reason,
        expires_in_s: options.expires,
    };
    give(id, &body, Duration::from_secs(options.wait), session).await
}

/// Gives a command, waits for the answer, and shows what came of it.
pub(super) async fn give(
    id: MachineId,
    body: &GiveCommand,
    wait: Duration,
    session: &mut Session,
) -> Result<(), OperatorError> {
    let mut told = session.client.give_command(id, body).await?;
    if !told.told {
        session.note("the machine left before it could be told");
    } else if let Some(answered) = answered(&told, wait, session).await? {
        told.command = answered;
    }
    if !session.is_table() {
        session.document(&told)?;
    }
    let (machine, command) = (&told.machine_name, &told.command);
    match command.answer.as_deref() {
        Some("accepted" | "duplicate") => {
            let line = format!("{} has the command {}\n", clean(machine), clean(&command.kind));
            if session.is_table() {
                session.print(&line)?;
            }
            Ok(())
        }
        Some(answer) => {
            let why = command.answer_reason.as_deref().unwrap_or("it did not say why");
            Err(OperatorError::NotTaken {
                what: format!("{machine} answered {answer}: {why}"),
            })
        }
        None => Err(OperatorError::NotAnswered {
            machine: machine.clone(),
            kind: command.kind.clone(),
        }),
    }
}

/// The command with its answer, if that comes in time.
async fn answered(
    told: &CommandTold,
    wait: Duration,
    session: &Session,
) -> Result<Option<GivenCommand>, OperatorError> {
    let until = tokio::time::Instant::now() + wait;
    while tokio::time::Instant::now() < until {
        let commands = session.client.machine_commands(told.machine_id).await?;
        let found = commands
            .items
            .into_iter()
            .find(|command| command.command_id == told.command.command_id && command.answer.is_some());
        if found.is_some() {
            return Ok(found);
        }
        tokio::time::sleep(LOOK_EVERY.min(wait)).await;
    }
    Ok(None)
}
