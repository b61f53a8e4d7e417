//! `muster fault`: puts a fault into a simulated machine, or takes it out.

use std::time::Duration;

use clap::Args;
use muster_model::entry::JsonText;
use muster_model::simulation::SimulatedFault;
use muster_protocol::api::GiveCommand;
use muster_protocol::link::{CommandKind, FAULT_MAX_S, FaultArguments};

use super::command::give;
use super::error::OperatorError;
use super::find::find;
use super::session::Session;
use super::stop::reason;

/// How long the machine's answer is waited for.
const WAIT: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
#[command(after_help = "\
Only simulated machines do this; a real one is never asked. A fault changes what simulated
hardware does and measures: it clears no latch and lets nothing move. That is done beside
the machine: `muster agent reset`, `muster agent resume`.

Faults: over_speed, runaway_motor, relay_stuck_on, relay_stuck_off, brown_out,
board_overheated, speed_silent, speed_frozen, estop_pressed, case_open, link_lost

Examples:
  muster fault ada runaway_motor
  muster fault ada link_lost --for 30
  muster fault ada --clear")]
pub struct FaultOptions {
    /// Name, id, or the beginning of an id
    #[arg(value_name = "MACHINE")]
    pub machine: String,

    /// Which fault; with --clear, all if absent
    #[arg(value_name = "KIND", required_unless_present = "clear")]
    pub fault: Option<SimulatedFault>,

    /// For so many seconds; else until it is cleared
    #[arg(long = "for", value_name = "SECONDS", conflicts_with = "clear", value_parser = clap::value_parser!(u32).range(1..=i64::from(FAULT_MAX_S)))]
    pub for_s: Option<u32>,

    /// Take it out
    #[arg(long)]
    pub clear: bool,

    /// Why: kept
    #[arg(long, short, value_name = "TEXT", value_parser = reason, default_value = "tried out in the simulation")]
    pub reason: String,
}

pub(super) async fn run(options: FaultOptions, session: &mut Session) -> Result<(), OperatorError> {
    let id = find(session, &options.machine, None).await?.id;
    let arguments = FaultArguments {
        fault: options.fault,
        clear: options.clear,
        for_s: options.for_s,
    };
    let arguments = serde_json::value::to_raw_value(&arguments).map_err(|error| OperatorError::Format {
        format: "JSON",
        detail: error.to_string(),
    })?;
    let body = GiveCommand {
        kind: CommandKind::Fault.as_str().to_owned(),
        arguments: Some(JsonText(arguments)),
        reason: options.reason,
        expires_in_s: None,
    };
    give(id, &body, WAIT, session).await
}
