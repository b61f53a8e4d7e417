//! `muster-machine config`: whether a file is accepted, and what is in force.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use muster_runtime::errors::chain;

use super::Flags;
use crate::config::{Config, ConfigError};
use crate::error::MachineError;

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Say whether a file is accepted, and everything that is wrong or odd in it. Ends with 64 if it is not accepted.
    Check {
        /// The YAML file.
        file: PathBuf,
    },
    /// Show what is in force, as a file that means the same.
    Show {
        /// Say behind each value where it comes from.
        #[arg(long)]
        origin: bool,
        #[command(flatten)]
        flags: Flags,
    },
}

pub(super) fn run(command: ConfigCommand) -> Result<ExitCode, MachineError> {
    match command {
        ConfigCommand::Check { file } => Ok(check(&file)),
        ConfigCommand::Show { origin, flags } => {
            show(origin, flags)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn check(file: &Path) -> ExitCode {
    // The lines that are shown are those that were checked, unless the file changes in this moment.
    let text = std::fs::read_to_string(file).unwrap_or_default();
    match Config::load(Some(file), [], []) {
        Ok(config) => {
            let oddities = config.oddities();
            for oddity in &oddities {
                eprintln!("warning: {oddity}{}", line_of(oddity, &text));
            }
            println!(
                "{} is accepted{}",
                file.display(),
                in_words(oddities.len(), "warning")
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            for error in error.each() {
                eprintln!("{}{}", chain(error), line_of(error, &text));
            }
            let wrong = in_words(error.count(), "mistake");
            let error = MachineError::from(error);
            let file = file.display();
            eprintln!("muster-machine: {file} is not accepted{wrong} [{}]", error.code());
            ExitCode::from(error.exit_code())
        }
    }
}

fn in_words(count: usize, what: &str) -> String {
    match count {
        0 => String::new(),
        1 => format!(", 1 {what}"),
        count => format!(", {count} {what}s"),
    }
}

/// The line that is meant, below what is said of it.
fn line_of(error: &ConfigError, text: &str) -> String {
    let Some((_, number)) = error.place() else {
        return String::new();
    };
    let Some(line) = text.lines().nth(number - 1) else {
        return String::new();
    };
    let line: String = line
        .chars()
        .take(LINE_SHOWN_MAX)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    format!("\n{number:>6} | {}", line.trim_end())
}

/// Characters of a line that are shown.
const LINE_SHOWN_MAX: usize = 200;

fn show(origin: bool, flags: Flags) -> Result<(), MachineError> {
    let config = flags.load()?;
    for name in &config.strange_variables {
        eprintln!("muster-machine: {name} sets nothing here");
    }
    let shown = if origin {
        config.show_origins()
    } else {
        config.show()
    };
    print!("{shown}");
    Ok(())
}
