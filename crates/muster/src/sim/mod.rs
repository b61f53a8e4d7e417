//! `muster sim`: simulated machines, against a real server or in a world of their own.
//!
//! `connect` runs machines in real time over real sockets. `run`, `replay` and `prove` run whole fleets in virtual time,
//! with a judge that watches what must hold.

mod connect;
mod progress;
mod prove;
mod verdict;
mod world;

#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::Subcommand;

use crate::operator::OutputFormat;
use crate::rundown::EXIT_CONFIGURATION;

/// Simulated machines.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum SimCommand {
    /// Run many simulated machines in this process and connect them to a server
    Connect(connect::ConnectOptions),
    /// Run a whole fleet, its server and its faults in virtual time, and judge it
    Run(world::RunOptions),
    /// Tell step by step, in words, what happened in a run
    Replay(world::ReplayOptions),
    /// Run thousands of small worlds and every planted bug
    Prove(prove::ProveOptions),
}

/// Carries the command out.
pub(crate) fn run(command: SimCommand, output: OutputFormat) -> ExitCode {
    match command {
        SimCommand::Connect(options) => connect::run(options),
        SimCommand::Run(options) => world::run(&options, output),
        SimCommand::Replay(options) => world::replay(&options, output),
        SimCommand::Prove(options) => prove::run(&options, output),
    }
}

/// Says that an option is not accepted, and what is.
fn refuse(option: &str, given: &dyn std::fmt::Display, accepted: &str) -> ExitCode {
    eprintln!("error[MST-X002]: {option} is {given}: {accepted} is accepted");
    ExitCode::from(EXIT_CONFIGURATION)
}

/// Writes the one document of a command. A reader that went away is not an error.
fn write_out(text: &str) -> Result<(), ExitCode> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => {
            eprintln!("error: the output cannot be written: {error}");
            Err(ExitCode::FAILURE)
        }
    }
}

/// A document as JSON or YAML; as a table by the given words.
fn render<T: serde::Serialize>(
    document: &T,
    output: OutputFormat,
    table: impl FnOnce() -> String,
) -> Result<String, ExitCode> {
    let not_written = |error: &dyn std::fmt::Display| {
        eprintln!("error: the verdict cannot be written: {error}");
        ExitCode::FAILURE
    };
    match output {
        OutputFormat::Table => Ok(table()),
        OutputFormat::Json => serde_json::to_string_pretty(document)
            .map(|text| text + "\n")
            .map_err(|error| not_written(&error)),
        OutputFormat::Yaml => yaml_serde::to_string(document).map_err(|error| not_written(&error)),
    }
}

/// A panic in a world is a finding, told with the verdict, and no noise before it.
fn quiet_panics() {
    std::panic::set_hook(Box::new(|_| {}));
}
