//! `muster-machine services`: what a machine beside you watches.

use std::process::ExitCode;

use clap::Args;
use http::Method;
use muster_model::service::{ServiceReport, ServiceState, Services};

use super::beside::{Failed, Output, Place, Refused, carry_out, print_json};

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 what is required is there, 1 it is not, 64 nothing is watched, 69 no machine runs there, \
                        71 refused by the operating system."
)]
pub(super) struct Flags {
    #[command(flatten)]
    place: Place,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Nothing is watched.
const NOTHING: Refused = Refused {
    code: 64,
    error: "MST-M030",
};

pub(super) fn run(flags: &Flags) -> ExitCode {
    carry_out(async {
        let asked = flags.place.ask(&Method::GET, "/v1/services", None).await;
        let services: Services = asked.map_err(|error| Failed::asking(&error, NOTHING))?;
        match flags.output {
            Output::Text => print!("{}", table(&services)),
            Output::Json => print_json(&services)?,
        }
        Ok(ExitCode::from(u8::from(services.services.iter().any(is_missed))))
    })
}

fn is_missed(service: &ServiceReport) -> bool {
    service.required && !matches!(service.state, ServiceState::Running | ServiceState::Changing)
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
