//! The commands with which a person at a terminal looks at a fleet and works with it.
//!
//! `main` flattens [`GlobalOptions`] and [`OperatorCommand`] into its own parser and hands both to [`run`]:
//!
//! ```ignore
//! #[derive(clap::Parser)]
//! #[command(after_help = operator::EXIT_CODES)]
//! struct Arguments {
//!     #[command(flatten)]
//!     global: operator::GlobalOptions,
//!     #[command(subcommand)]
//!     command: Command,
//! }
//!
//! #[derive(clap::Subcommand)]
//! enum Command {
//!     #[command(flatten)]
//!     Operator(operator::OperatorCommand),
//!     Completions(operator::CompletionsOptions),
//! }
//! ```
//!
//! Data goes to standard output and everything else to standard error. Each command is a module of its own; what they
//! share is the [`session::Session`] (client, streams, clock, zone) and the words and tables in [`text`]. The commands
//! know the server by its API only.

#![allow(
    unreachable_pub,
    reason = "the same modules serve a library, where these are reachable, and a binary"
)]

mod audit;
mod calibration;
mod command;
mod completions;
mod credentials;
mod enroll;
mod error;
mod events;
mod fault;
mod find;
mod identity;
mod login;
mod machine;
mod machines;
mod moment;
mod options;
mod person;
mod policy;
mod proposal;
mod recordings;
mod releases;
mod rollout;
mod session;
mod status;
mod stop;
mod text;
mod token;
mod updates;
mod workloads;

#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::Subcommand;

pub use completions::{CompletionsOptions, write_completions};
pub use error::OperatorError;
pub use options::{GlobalOptions, OutputFormat};
pub use releases::ReleasesCommand;

use session::Session;

/// What the exit codes of the operator's commands mean, for the end of a help text.
pub const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   failed, or refused by the server
  2   the command line is not understood
  3   stop, command: issued, but not every machine is known to stand, or to have it; --wait: it is desired, but not known to be so
  64  bad configuration, such as an address that is none
  69  the server cannot be reached, or does not answer in time";

/// Commands that look at a fleet and work with it through a server's API.
#[derive(Debug, Subcommand)]
pub enum OperatorCommand {
    /// Show the fleet in figures: how many machines, how they are, and since when there is history
    Status(status::StatusOptions),
    /// List machines: now, at a moment of the past, or live
    Machines(Box<machines::MachinesOptions>),
    /// Look at one machine, or change its labels and its name
    #[command(subcommand)]
    Machine(machine::MachineCommand),
    /// List what happened in the fleet, or follow it
    Events(events::EventsOptions),
    /// How the devices of a machine are calibrated: show it, desire another profile, go back
    #[command(subcommand)]
    Calibration(calibration::CalibrationCommand),
    /// What machines run: list it, show it, desire something else, read what it printed
    #[command(subcommand)]
    Workloads(workloads::WorkloadsCommand),
    /// Ask machines to stop, and follow them until they stand
    Stop(stop::StopOptions),
    /// Give a machine a command, and wait for its answer
    Command(command::CommandOptions),
    /// Releases on the server. People write it as `muster release …`
    #[command(skip)]
    Releases(ReleasesCommand),
    /// Bring a release to machines: plan, approve, start, watch, take back
    #[command(subcommand)]
    Rollout(rollout::RolloutCommand),
    /// Stop all updates, or let them go on
    #[command(subcommand)]
    Updates(updates::UpdatesCommand),
    /// What machines recorded: list it, have minutes kept, fetch it
    #[command(subcommand)]
    Recordings(recordings::RecordingsCommand),
    /// Let machines into the fleet: make tokens, list and withdraw them
    #[command(subcommand)]
    Enroll(enroll::EnrollCommand),
    /// What machines prove who they are by: list it, let in, shut out, renew
    #[command(subcommand)]
    Identity(identity::IdentityCommand),
    /// Put a fault into a simulated machine, or take it out
    Fault(fault::FaultOptions),
    /// Make the first admin of a server, by the link that it said when it started
    SetUp(login::SetUpOptions),
    /// Sign in at a server
    Login(login::LoginOptions),
    /// Sign out at a server
    Logout,
    /// Who you are at a server, and what you may do
    Whoami(login::WhoamiOptions),
    /// Who there is, and what they are granted
    #[command(subcommand)]
    Person(person::PersonCommand),
    /// Tokens for programs
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Who is signed in
    #[command(subcommand)]
    Session(token::SessionCommand),
    /// Rules of one's own: what nobody may, whatever is granted, what somebody may besides, and what nobody may alone
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Acts that wait for a second person, because a policy asks for one
    #[command(subcommand)]
    Proposal(proposal::ProposalCommand),
    /// Who did what: filter it, follow it, check that it is whole
    Audit(Box<audit::AuditOptions>),
}

/// Carries out a command and says on standard error why it could not. A reader that went away is not an error.
pub async fn run(command: OperatorCommand, options: GlobalOptions) -> ExitCode {
    match try_run(command, &options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error.report(&mut std::io::stderr().lock(), options.colour_on_stderr());
            ExitCode::from(error.exit_code())
        }
    }
}

/// Carries out a command; the caller tells of errors.
///
/// # Errors
///
/// As [`OperatorError`] says.
pub async fn try_run(command: OperatorCommand, options: &GlobalOptions) -> Result<(), OperatorError> {
    let mut session = Session::open(options)?;
    carry_out(command, &mut session).await
}

async fn carry_out(command: OperatorCommand, session: &mut Session) -> Result<(), OperatorError> {
    match command {
        OperatorCommand::Status(options) => status::run(options, session).await,
        OperatorCommand::Machines(options) => machines::run(*options, session).await,
        OperatorCommand::Machine(command) => machine::run(command, session).await,
        OperatorCommand::Events(options) => events::run(options, session).await,
        OperatorCommand::Calibration(command) => calibration::run(command, session).await,
        OperatorCommand::Workloads(command) => workloads::run(command, session).await,
        OperatorCommand::Stop(options) => stop::run(options, session).await,
        OperatorCommand::Command(options) => command::run(options, session).await,
        OperatorCommand::Releases(command) => releases::run(command, session).await,
        OperatorCommand::Rollout(command) => rollout::run(command, session).await,
        OperatorCommand::Updates(command) => updates::run(command, session).await,
        OperatorCommand::Recordings(command) => recordings::run(command, session).await,
        OperatorCommand::Enroll(command) => enroll::run(command, session).await,
        OperatorCommand::Identity(command) => identity::run(command, session).await,
        OperatorCommand::Fault(options) => fault::run(options, session).await,
        OperatorCommand::SetUp(options) => login::set_up(options, session).await,
        OperatorCommand::Login(options) => login::login(options, session).await,
        OperatorCommand::Logout => login::logout(session).await,
        OperatorCommand::Whoami(options) => login::whoami(options, session).await,
        OperatorCommand::Person(command) => person::run(command, session).await,
        OperatorCommand::Token(command) => token::tokens(command, session).await,
        OperatorCommand::Session(command) => token::sessions(command, session).await,
        OperatorCommand::Policy(command) => policy::run(command, session).await,
        OperatorCommand::Proposal(command) => proposal::run(command, session).await,
        OperatorCommand::Audit(options) => audit::run(*options, session).await,
    }
}
