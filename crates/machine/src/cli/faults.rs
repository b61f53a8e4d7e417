//! `muster-machine fault`: puts faults into a simulated machine, shows them, takes them out.

use std::process::ExitCode;

use clap::Args;
use http::Method;
use muster_model::simulation::{SimulatedFault, Simulation};
use muster_protocol::link::FAULT_MAX_S;

use super::beside::{Place, carry_out};
use crate::local::client::LocalError;

/// Which fault, of which machine.
#[derive(Debug, Args)]
#[command(after_help = "\
A fault changes what simulated hardware does and measures. It never clears a latch and never lets\n\
a machine move: that is done with reset and resume. Real machines have none put into them.\n\n\
Exit codes: 0 done, 64 not accepted (why is said), 69 no machine runs there, 71 refused by the operating system.")]
pub(super) struct Flags {
    /// Which fault; without one, those are shown that are possible and that stand
    #[arg(value_name = "KIND")]
    fault: Option<SimulatedFault>,
    /// For so long; else until it is cleared
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds, requires = "fault")]
    for_s: Option<u32>,
    /// Take it out; without a KIND all of them
    #[arg(long, conflicts_with = "for_s")]
    clear: bool,
    #[command(flatten)]
    place: Place,
}

/// `30` or `30s`.
fn seconds(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix('s').unwrap_or(text).parse();
    match number {
        Ok(seconds) if (1..=FAULT_MAX_S).contains(&seconds) => Ok(seconds),
        Ok(_) | Err(_) => Err(format!("1 to {FAULT_MAX_S} seconds are accepted: 30, 30s")),
    }
}

pub(super) fn run(flags: &Flags) -> ExitCode {
    carry_out(async {
        print!("{}", words(&asked(flags).await?));
        Ok(ExitCode::SUCCESS)
    })
}

async fn asked(flags: &Flags) -> Result<Simulation, LocalError> {
    let (method, path) = match (flags.fault, flags.clear, flags.for_s) {
        (None, false, _) => (Method::GET, "/v1/faults".to_owned()),
        (None, true, _) => (Method::DELETE, "/v1/faults".to_owned()),
        (Some(fault), true, _) => (Method::DELETE, format!("/v1/faults/{fault}")),
        (Some(fault), false, None) => (Method::POST, format!("/v1/faults/{fault}")),
        (Some(fault), false, Some(seconds)) => (Method::POST, format!("/v1/faults/{fault}/{seconds}")),
    };
    flags.place.ask(&method, &path, None).await
}

fn words(simulation: &Simulation) -> String {
    let possible: Vec<&str> = simulation.possible.iter().map(|fault| fault.as_str()).collect();
    let mut text = format!("possible: {}\n", possible.join(", "));
    if simulation.faults.is_empty() {
        text += "none stands\n";
    }
    for standing in &simulation.faults {
        let lasts = standing
            .for_s
            .map_or_else(|| "until cleared".to_owned(), |s| format!("for {s} s"));
        text += &format!("stands: {} ({lasts})\n", standing.fault);
    }
    text
}
