//! `muster machine commands`: what a machine was told, what it answered, and what it can be told.

use clap::Args;
use muster_model::Timestamp;
use muster_protocol::api::GivenCommand;

use crate::operator::error::OperatorError;
use crate::operator::find::find;
use crate::operator::session::Session;
use crate::operator::text::{Cell, Column, Paint, Table, local_time};

#[derive(Debug, Args)]
pub struct CommandsOptions {
    /// Name, id, or the beginning of an id
    #[arg(value_name = "MACHINE")]
    pub machine: String,
}

pub(super) async fn run(options: CommandsOptions, session: &mut Session) -> Result<(), OperatorError> {
    let found = find(session, &options.machine, None).await?;
    let commands = session.client.machine_commands(found.id).await?;
    if !session.is_table() {
        return session.document(&commands);
    }
    let accepts = if commands.accepts.is_empty() {
        "it never said what".to_owned()
    } else {
        commands.accepts.join(", ")
    };
    session.note(&format!("{} carries out: {accepts}", found.title()));
    if commands.items.is_empty() {
        session.note("it was given no command yet");
        return Ok(());
    }
    let now = Timestamp::from_millis(session.now.timestamp().as_millisecond());
    let mut table = Table::new([
        Column::left("TIME", 200),
        Column::left("COMMAND", 210),
        Column::left("BY", 100),
        Column::left("ANSWER", 150),
        Column::left("WHY", u8::MAX),
    ]);
    // The newest last, as in any log.
    for command in commands.items.iter().rev() {
        let (answer, paint) = answer(command, now);
        let asked = match &command.arguments {
            Some(arguments) => format!("{} {}", command.kind, arguments.0.get()),
            None => command.kind.clone(),
        };
        let why = match &command.answer_reason {
            Some(reason) => format!("{}; the machine: {reason}", command.reason),
            None => command.reason.clone(),
        };
        table.push(vec![
            Cell::painted(local_time(command.issued_at, session.zone()), Paint::Dim),
            Cell::new(asked),
            Cell::painted(&command.issuer, Paint::Dim),
            Cell::painted(answer, paint),
            Cell::new(why),
        ]);
    }
    let lines = table.take_lines(session.look);
    session.print(&lines)
}

fn answer(command: &GivenCommand, now: Timestamp) -> (&str, Paint) {
    match command.answer.as_deref() {
        Some("accepted") => ("accepted", Paint::Good),
        Some("duplicate") => ("had it already", Paint::Plain),
        Some(other) => (other, Paint::Warning),
        None if now < command.expires_at => ("none yet", Paint::Plain),
        None => ("none came", Paint::Warning),
    }
}
