//! `cargo xtask`: what the house does to itself.
//!
//! - [`test`]: every check and test, as named steps.
//! - [`prove`]: the long form of what fails rarely, and a report of it.
//! - [`tidy`]: the rules of the house that neither compiler nor clippy knows, as code.
//! - [`generate`]: the generated files that are committed.
//!
//! Nothing here is shipped, and no other crate depends on it.

mod generate;
mod process;
mod prove;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Checks, tests and generated files of this repository.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run every check and every test, and say at the end what passed.
    Test(test::Options),
    /// Prove what fails rarely: thousands of seeded worlds, real faults, mutated input; writes a report.
    Prove(prove::Options),
    /// Check the rules of the house that the compiler does not know.
    Tidy,
    /// Write the generated files that are committed (API documents, TypeScript types).
    Generate {
        /// Change nothing; fail when a committed file is not what would be generated.
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = Workspace::find().and_then(|workspace| match arguments.command {
        Task::Test(options) => test::run(&workspace, &options),
        Task::Prove(options) => prove::run(&workspace, &options),
        Task::Tidy => tidy::run(&workspace),
        Task::Generate { check } => generate::run(&workspace, check),
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        // Whoever returned false has already said what is wrong.
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
