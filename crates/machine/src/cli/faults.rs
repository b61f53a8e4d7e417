//! `muster-machine fault`: puts faults into a simulated machine, shows them, takes them out.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use http::Method;
use muster_model::simulation::{SimulatedFault, Simulation};
use muster_protocol::link::FAULT_MAX_S;

use crate::local::client::{Ask, LocalError, ask};

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
    /// The machine's data directory
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/var/lib/muster-machine",
        env = "MUSTER__DATA"
    )]
    data: PathBuf,
    /// Which machine, where several run there (a simulated fleet)
    #[arg(long, value_name = "NAME")]
    machine: Option<String>,
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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let asked = match runtime {
        Ok(runtime) => runtime.block_on(asked(flags)),
        Err(error) => {
            return complain(
                71,
                &format!("the operating system refused a runtime: {error} [MST-M008]"),
            );
        }
    };
    match asked {
        Ok(simulation) => {
            print!("{}", words(&simulation));
            ExitCode::SUCCESS
        }
        Err(error @ LocalError::NotRunning { .. }) => complain(69, &format!("{error} [MST-M011]")),
        Err(error @ LocalError::Unreachable(_)) => complain(71, &format!("{error} [MST-M011]")),
        Err(error @ LocalError::Refused(_)) => complain(64, &format!("{error} [MST-M012]")),
    }
}

async fn asked(flags: &Flags) -> Result<Simulation, LocalError> {
    let (method, path) = match (flags.fault, flags.clear, flags.for_s) {
        (None, false, _) => (Method::GET, "/v1/faults".to_owned()),
        (None, true, _) => (Method::DELETE, "/v1/faults".to_owned()),
        (Some(fault), true, _) => (Method::DELETE, format!("/v1/faults/{fault}")),
        (Some(fault), false, None) => (Method::POST, format!("/v1/faults/{fault}")),
        (Some(fault), false, Some(seconds)) => (Method::POST, format!("/v1/faults/{fault}/{seconds}")),
    };
    let asked = Ask {
        method: &method,
        path: &path,
        machine: flags.machine.as_deref(),
        body: None,
    };
    ask(&flags.data, asked).await
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

fn complain(code: u8, what: &str) -> ExitCode {
    eprintln!("muster-machine: {what}");
    ExitCode::from(code)
}
