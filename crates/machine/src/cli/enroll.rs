//! `muster-machine enroll`: makes this computer a machine of a fleet.

use std::process::ExitCode;

use clap::Args;
use muster_runtime::Clock;

use super::beside;
use crate::error::MachineError;

use crate::identity::enrol::{PeoplesUrl, enrol};

#[derive(Debug, Args)]
#[command(after_help = "\
The key is made here and never leaves this computer. Run it as the user that runs the runtime.

Exit codes: 0 enrolled, 64 not accepted, 69 server not reached, 73 data directory not usable, 77 refused by the server.

Examples:
  muster-machine enroll mste_… --server https://fleet.example:7700
  muster-machine enroll mste_… --server https://fleet.example:7700 --again")]
pub(super) struct Flags {
    /// The token that `muster enroll new` gave; - reads it from standard input
    #[arg(env = "MUSTER_ENROLL_TOKEN", hide_env_values = true)]
    token: String,
    /// Where people reach the server
    #[arg(long, value_name = "URL")]
    server: String,
    /// Where the machine keeps its identity [default: /var/lib/muster-machine, or what the configuration says]
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// The configuration, a YAML file
    #[arg(long, value_name = "FILE")]
    config: Option<std::path::PathBuf>,
    /// Also where the machine is enrolled already: it takes on what the token says
    #[arg(long)]
    again: bool,
}

pub(super) fn run(flags: Flags) -> Result<ExitCode, MachineError> {
    let token = match flags.token.as_str() {
        "-" => {
            let mut line = String::new();
            let read = std::io::stdin().read_line(&mut line);
            read.map_err(|source| MachineError::System {
                what: "standard input",
                source,
            })?;
            line
        }
        token => token.to_owned(),
    };
    let server: PeoplesUrl = flags.server.parse().map_err(MachineError::Identity)?;
    let settings = super::Flags {
        config: flags.config,
        data: flags.data,
        ..super::Flags::default()
    }
    .load()?
    .settings;
    let runtime = match beside::runtime() {
        Ok(runtime) => runtime,
        Err(failed) => return Ok(failed.told()),
    };
    let (identity, issued) = runtime
        .block_on(enrol(
            &settings.data,
            &server,
            &token,
            flags.again,
            Clock::start(),
        ))
        .map_err(MachineError::Identity)?;
    let document = identity.document();
    println!("Enrolled as machine {}", document.machine_id);
    for (key, value) in &issued.labels {
        println!("  label {key}={value}");
    }
    println!("Certificate until {}, renewed by itself", document.not_after);
    println!("Server {}", document.server);
    if issued.pending {
        println!(
            "It waits until a person accepts it: muster identity accept {}",
            document.machine_id
        );
    }
    Ok(ExitCode::SUCCESS)
}
