//! `muster stop`: asks machines to stop, then follows what they say until they stand.
//!
//! What counts is the state that a machine reports, not that a message went out. There is no command that takes a stop
//! back: only somebody at the machine lets it move again.

mod progress;

use std::io::{BufRead, IsTerminal};
use std::time::Duration;

use clap::{ArgGroup, Args};
use muster_client::MachineQuery;
use muster_model::MachineId;
use muster_protocol::api::{
    STOP_LIFETIME_MAX_S, STOP_MACHINES_MAX, STOP_REASON_MAX_CHARS, StopRequest, StopSelection,
};

use super::error::OperatorError;
use super::find::find;
use super::session::Session;

/// Longest time that can be waited for, in seconds.
const WAIT_MAX_S: u64 = 3_600;

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").required(true).args(["machines", "filter", "all"])))]
#[command(after_help = "\
A MACHINE is a name, an id, or the beginning of an id.

Machines that are away are told when they come back, within --expires. Only somebody at
the machine lets it move again; there is no command for that. It is no emergency stop: the
network and the server stand between you and the machine.

Shown of each machine, counted from the moment at which the stop was asked for:
  received  the machine has the stop
  standing  its reported state shows that its safety region holds it
  at rest   it measures that nothing moves any more; – where it measures nothing

Exit codes:
  0  every machine stands
  3  stops are issued, but not every machine is known to stand
  others as for all commands

Examples:
  muster stop frida --reason 'smoke at the left wheel'
  muster stop frida fritz --reason drill --wait 30
  muster stop --filter 'region=munich kind=car' --reason 'people in the hall'
  muster stop --all --yes --reason 'fire alarm' --output json")]
pub struct StopOptions {
    /// Names, ids, or beginnings of ids
    #[arg(value_name = "MACHINE")]
    pub machines: Vec<String>,

    /// Machines that pass: 'kind=car region=munich'
    #[arg(long, short, value_name = "FILTER")]
    pub filter: Option<String>,

    /// Every machine of the fleet
    #[arg(long)]
    pub all: bool,

    /// Why: read by people at the machine, and kept
    #[arg(long, short, value_name = "TEXT", value_parser = reason)]
    pub reason: String,

    /// Do not ask before many machines are stopped
    #[arg(long, short)]
    pub yes: bool,

    /// Follow the machines for at most so many seconds; 0: do not follow them
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(..=WAIT_MAX_S))]
    pub wait: u64,

    /// Machines that come back after so many seconds are not told any more: 1 to 86400; what the server says if absent
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=STOP_LIFETIME_MAX_S))]
    pub expires: Option<u64>,
}

/// Why something is asked of a machine.
pub(super) fn reason(text: &str) -> Result<String, String> {
    let reason = text.trim();
    let fits = (1..=STOP_REASON_MAX_CHARS).contains(&reason.chars().count());
    if !fits || reason.chars().any(char::is_control) {
        return Err(format!(
            "a reason has 1 to {STOP_REASON_MAX_CHARS} characters, and no control characters"
        ));
    }
    Ok(reason.to_owned())
}

pub(super) async fn run(options: StopOptions, session: &mut Session) -> Result<(), OperatorError> {
    let selection = if options.all {
        StopSelection::All
    } else if let Some(filter) = &options.filter {
        StopSelection::Filter(filter.clone())
    } else {
        StopSelection::Machines(named(&options.machines, session).await?)
    };
    if !options.yes && !matches!(selection, StopSelection::Machines(_)) {
        agreed(&options, session).await?;
    }
    let request = StopRequest::new(selection, options.reason, options.expires);
    let issued = session.client.stop(&request).await?;
    progress::follow(issued, Duration::from_secs(options.wait), session).await
}

async fn named(given: &[String], session: &Session) -> Result<Vec<MachineId>, OperatorError> {
    if given.len() > STOP_MACHINES_MAX {
        return Err(OperatorError::Usage {
            what: format!("{} machines are named", given.len()),
            hint: format!("at most {STOP_MACHINES_MAX} can be: select them with --filter or --all"),
        });
    }
    let mut machines = Vec::with_capacity(given.len());
    for name in given {
        machines.push(find(session, name, None).await?.id);
    }
    Ok(machines)
}

/// Asks whoever sits at the terminal, with the number of machines. Where nobody sits there, `--yes` has to be given.
async fn agreed(options: &StopOptions, session: &mut Session) -> Result<(), OperatorError> {
    let query = MachineQuery {
        filter: options.filter.clone(),
        limit: Some(1),
        ..MachineQuery::default()
    };
    let total = session.client.machines(&query).await?.total;
    let which = match &options.filter {
        Some(filter) => format!("{} that pass {filter:?}", machines(total)),
        None => format!("all {}", machines(total)),
    };
    let Some(answers) = &mut session.answers else {
        return Err(OperatorError::Usage {
            what: format!("nothing was stopped: this would stop {which}, and there is no terminal to ask at"),
            hint: "add --yes to stop them without being asked".to_owned(),
        });
    };
    let _ = write!(
        session.notes,
        "Stop {which}? Only somebody at each machine can let it move again. [y/N] "
    );
    let _ = session.notes.flush();
    let mut line = String::new();
    answers.read_line(&mut line)?;
    if matches!(line.trim().to_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(OperatorError::Declined)
}

/// A number of machines in words.
fn machines(count: u64) -> String {
    if count == 1 {
        "1 machine".to_owned()
    } else {
        format!("{count} machines")
    }
}

/// Where a person's answers come from, if a person sits there.
pub(super) fn terminal() -> Option<Box<dyn BufRead + Send>> {
    let stdin = std::io::stdin();
    let is_person = stdin.is_terminal() && std::io::stderr().is_terminal();
    is_person.then(|| Box::new(std::io::BufReader::new(stdin)) as Box<dyn BufRead + Send>)
}
