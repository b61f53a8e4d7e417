//! `muster-machine services`: what a machine beside you watches.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use http::Method;
use muster_model::service::{ServiceState, Services};

use crate::local::client::{Ask, LocalError, ask};

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 what is required is there, 1 it is not, 64 nothing is watched, 69 no machine runs there, \
                        71 refused by the operating system."
)]
pub(super) struct Flags {
    /// The machine's data directory
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/var/lib/muster-machine",
        env = "MUSTER__DATA"
    )]
    data: PathBuf,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Output {
    Text,
    Json,
}

pub(super) fn run(flags: &Flags) -> ExitCode {
    let services = match asked(flags) {
        Ok(services) => services,
        Err(error @ LocalError::NotRunning { .. }) => {
            return super::complain(69, &format!("{error} [MST-M011]"));
        }
        Err(error @ LocalError::Unreachable(_)) => {
            return super::complain(71, &format!("{error} [MST-M011]"));
        }
        Err(error @ LocalError::Refused(_)) => return super::complain(64, &format!("{error} [MST-M030]")),
    };
    match flags.output {
        Output::Text => print!("{}", table(&services)),
        Output::Json => match serde_json::to_string_pretty(&services) {
            Ok(json) => println!("{json}"),
            Err(error) => return super::complain(70, &error.to_string()),
        },
    }
    let missing = services.services.iter().any(|service| {
        service.required && !matches!(service.state, ServiceState::Running | ServiceState::Changing)
    });
    ExitCode::from(u8::from(missing))
}

fn asked(flags: &Flags) -> Result<Services, LocalError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| LocalError::Unreachable(error.to_string()))?;
    let question = Ask {
        method: &Method::GET,
        path: "/v1/services",
        machine: None,
        body: None,
    };
    runtime.block_on(ask(&flags.data, question))
}

fn table(services: &Services) -> String {
    let lines = services.services.iter().map(|service| {
        format!(
            "{:20} {:8} {:9} {:9} {}\n",
            service.name,
            service.kind,
            service.state,
            if service.required { "required" } else { "" },
            service.detail
        )
    });
    lines.collect()
}
