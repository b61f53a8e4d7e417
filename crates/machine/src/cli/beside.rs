//! What all commands share that ask a machine beside one: where it is, how to ask it, how to say what came of it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use http::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::local::client::{Ask, LocalError, ask};

/// Where a machine runs.
#[derive(Clone, Debug, Args)]
pub(super) struct Place {
    /// The machine's data directory
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/var/lib/muster-machine",
        env = "MUSTER__DATA"
    )]
    pub(super) data: PathBuf,
    /// Which machine, where several run there (a simulated fleet)
    #[arg(long, value_name = "NAME")]
    pub(super) machine: Option<String>,
}

/// For whom a command writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    Text,
    Json,
}

/// Why a command came to nothing: the exit code, and words with the error's code.
#[derive(Debug)]
pub(super) struct Failed {
    code: u8,
    what: String,
}

/// What a refusal by the machine ends with, which each topic has of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused {
    pub(super) code: u8,
    pub(super) error: &'static str,
}

/// Where nothing more exact can be said.
pub(super) const NOT_ACCEPTED: Refused = Refused {
    code: 64,
    error: "MST-M012",
};

impl Place {
    /// Asks the machine for what `path` names.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        method: &Method,
        path: &str,
        body: Option<String>,
    ) -> Result<T, LocalError> {
        let asked = Ask {
            method,
            path,
            machine: self.machine.as_deref(),
            body,
        };
        ask(&self.data, asked).await
    }
}

impl Failed {
    pub(super) fn new(code: u8, what: impl Into<String>) -> Self {
        Self {
            code,
            what: what.into(),
        }
    }

    /// Why a machine was not reached, or refused.
    pub(super) fn asking(error: &LocalError, refused: Refused) -> Self {
        let (code, name) = match error {
            LocalError::NotRunning { .. } => (69, "MST-M011"),
            LocalError::Unreachable(_) => (71, "MST-M011"),
            LocalError::Refused(_) => (refused.code, refused.error),
        };
        Self::new(code, format!("{error} [{name}]"))
    }

    /// Says it, and is the code to end with.
    pub(super) fn told(&self) -> ExitCode {
        complain(self.code, &self.what)
    }
}

impl From<LocalError> for Failed {
    fn from(error: LocalError) -> Self {
        Self::asking(&error, NOT_ACCEPTED)
    }
}

/// Ends with what `work` comes to, or says why it did not.
pub(super) fn carry_out(work: impl Future<Output = Result<ExitCode, Failed>>) -> ExitCode {
    let done = runtime().and_then(|runtime| runtime.block_on(work));
    done.unwrap_or_else(|failed| failed.told())
}

/// What asks.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| {
        Failed::new(
            71,
            format!("the operating system refused a runtime: {error} [MST-M008]"),
        )
    })
}

/// For programs.
pub(super) fn print_json<T: Serialize + ?Sized>(value: &T) -> Result<(), Failed> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failed::new(70, error.to_string()))?;
    println!("{text}");
    Ok(())
}

pub(super) fn complain(code: u8, what: &str) -> ExitCode {
    eprintln!("muster-machine: {what}");
    ExitCode::from(code)
}
