//! `muster updates …`: the stop of all updates, in one command, confirmed machine by machine.

use clap::{Args, Subcommand};
use muster_protocol::api::UpdatesStop;

use super::error::OperatorError;
use super::find::find;
use super::session::Session;
use super::stop::reason;
use super::text::{Cell, Column, Paint, Table};

/// Stop all updates, or let them go on
#[derive(Debug, Subcommand)]
pub enum UpdatesCommand {
    /// Have machines begin no update any more. What is on probation proves itself or goes back
    #[command(after_help = "\
Examples:
  muster updates stop --all --reason 'a bad release is out'
  muster updates stop ada --reason 'on show today'")]
    Stop(WhichOptions),
    /// Let updates go on
    Resume(WhichOptions),
    /// Show of which machines it is asked, and which confirmed it
    Status,
}

#[derive(Debug, Args)]
pub struct WhichOptions {
    /// Which: names, ids, or beginnings of ids
    #[arg(value_name = "MACHINE", required_unless_present_any = ["all", "filter"])]
    pub machines: Vec<String>,

    /// All machines
    #[arg(long, conflicts_with_all = ["machines", "filter"])]
    pub all: bool,

    /// Those that pass this filter: region=munich
    #[arg(long, value_name = "FILTER", conflicts_with = "machines")]
    pub filter: Option<String>,

    /// Why: machines show it, and people who look into it later
    #[arg(long, short, value_name = "TEXT", value_parser = reason)]
    pub reason: String,
}

pub(super) async fn run(command: UpdatesCommand, session: &mut Session) -> Result<(), OperatorError> {
    match command {
        UpdatesCommand::Stop(options) => change(options, true, session).await,
        UpdatesCommand::Resume(options) => change(options, false, session).await,
        UpdatesCommand::Status => status(session).await,
    }
}

async fn change(options: WhichOptions, stops: bool, session: &mut Session) -> Result<(), OperatorError> {
    let mut machines = Vec::new();
    for given in &options.machines {
        machines.push(find(session, given, None).await?.id);
    }
    let body = UpdatesStop {
        machines: (!machines.is_empty()).then_some(machines),
        filter: options.filter,
        all: options.all.then_some(true),
        reason: options.reason,
    };
    let told = if stops {
        session.client.stop_updates(&body).await?
    } else {
        session.client.resume_updates(&body).await?
    };
    if !session.is_table() {
        return session.document(&told);
    }
    let what = if stops {
        "to stop all updates"
    } else {
        "that updates may go on"
    };
    session.print(&format!("{} machines are told {what}\n", told.told))?;
    if !told.refused.is_empty() {
        session.note(&format!(
            "{} could not be told: --output json names them",
            told.refused.len()
        ));
    }
    if stops {
        session.note("muster updates status shows which machines confirmed it");
    }
    Ok(())
}

async fn status(session: &mut Session) -> Result<(), OperatorError> {
    let standing = session.client.updates_stop().await?;
    if !session.is_table() {
        return session.document(&standing);
    }
    if standing.items.is_empty() {
        session.note("updates are stopped nowhere");
        return Ok(());
    }
    let mut table = Table::new([Column::left("MACHINE", 255), Column::left("UPDATES", 254)]);
    for machine in &standing.items {
        let stands = match (machine.is_asked, machine.is_confirmed) {
            (true, true) => Cell::painted("stopped", Paint::Good),
            (true, false) => Cell::painted("not confirmed yet", Paint::Warning),
            (false, _) => Cell::painted("may go on, not confirmed yet", Paint::Warning),
        };
        table.push(vec![Cell::new(&machine.name), stands]);
    }
    let lines = table.take_lines(session.look);
    session.print(&lines)?;
    session.print(&format!(
        "{} of {} machines confirmed it\n",
        standing.confirmed, standing.asked
    ))
}
