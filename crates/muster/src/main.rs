//! The one door people open: server, demo, simulator and the operator's commands.
//!
//! Each command is a module. As `muster-machine`, or with `agent` first, this is the runtime of a machine, as in the demo.

mod bench;
mod demo;
mod logging;
mod operator;
mod release;
mod rundown;
mod serve;
mod sim;
mod store;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// Runs fleets of physical machines: coordinated, not controlled.
#[derive(Debug, Parser)]
#[command(name = "muster", version, propagate_version = true, after_help = operator::EXIT_CODES)]
struct Arguments {
    #[command(flatten)]
    global: operator::GlobalOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show Muster at work: a server, this computer as a machine, and a simulated fleet
    Demo(demo::DemoOptions),
    /// Run the fleet's server
    Serve(Box<serve::ServeOptions>),
    /// Run simulated machines, or whole fleets in virtual time
    #[command(subcommand)]
    Sim(sim::SimCommand),
    /// Look after what a server keeps
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Make releases from directories, look at them, check them, bring them to a server
    #[command(subcommand)]
    Release(release::ReleaseCommand),
    /// Measure how fast and how small Muster is on this computer, also beside other servers
    Bench(bench::BenchOptions),
    /// Become a program that `bench` measures
    #[command(hide = true)]
    BenchChild(bench::ChildOptions),
    /// Run the runtime of this machine, as muster-machine does
    #[command(hide = true)]
    Agent {
        /// As for muster-machine
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    #[command(flatten)]
    Operator(operator::OperatorCommand),
    /// Write a completion script for a shell
    Completions(operator::CompletionsOptions),
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let called = arguments.next().map(std::path::PathBuf::from);
    if called
        .as_deref()
        .and_then(|path| path.file_name())
        .is_some_and(|name| name == "muster-machine")
    {
        return muster_machine::main_with_args(std::env::args_os());
    }
    let Arguments { global, command } = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return rundown::refuse(&error, arguments.next().as_deref()),
    };
    match command {
        Command::Demo(options) => demo::run(options),
        Command::Serve(options) => serve::run(*options),
        Command::Sim(command) => sim::run(command, global.output),
        Command::Store(command) => store::run(command),
        Command::Release(command) => release::run(command, global),
        Command::Bench(options) => bench::run(options, global.output),
        Command::BenchChild(options) => bench::become_program(options),
        Command::Agent { arguments } => {
            muster_machine::main_with_args(std::iter::once(OsString::from("muster-machine")).chain(arguments))
        }
        Command::Operator(command) => rundown::block_on(operator::run(command, global)),
        Command::Completions(options) => {
            match operator::write_completions(&options, &mut Arguments::command(), &mut std::io::stdout()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::FAILURE,
            }
        }
    }
}
