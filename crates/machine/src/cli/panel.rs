//! The commands of whoever stands beside a machine.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use muster_model::state::Operation;
use muster_model::vocabulary::Safety;

use crate::local::Standing;
use crate::local::client::{LocalError, safety};
use crate::nodes::safety::Press;

/// Which machine, and how to say it.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 it is so, 1 it is not (why is said), 64 no such machine, 69 no machine runs there, \
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
    /// Which machine, where several run there (a simulated fleet)
    #[arg(long, value_name = "NAME")]
    machine: Option<String>,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    Text,
    Json,
}

pub(super) fn run(press: Option<Press>, flags: &Flags) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            return complain(
                71,
                &format!("the operating system refused a runtime: {error} [MST-M008]"),
            );
        }
    };
    match runtime.block_on(safety(&flags.data, press.map(word), flags.machine.as_deref())) {
        Ok(standing) => show(press, flags.output, &standing),
        Err(error @ LocalError::NotRunning { .. }) => complain(69, &format!("{error} [MST-M011]")),
        Err(error @ LocalError::Unreachable(_)) => complain(71, &format!("{error} [MST-M011]")),
        Err(error @ LocalError::Refused(_)) => complain(64, &format!("{error} [MST-M012]")),
    }
}

const fn word(press: Press) -> &'static str {
    match press {
        Press::Estop => "estop",
        Press::Stop => "stop",
        Press::Reset => "reset",
        Press::Resume => "resume",
    }
}

fn complain(code: u8, what: &str) -> ExitCode {
    eprintln!("muster-machine: {what}");
    ExitCode::from(code)
}

fn show(press: Option<Press>, output: Output, standing: &Standing) -> ExitCode {
    match output {
        Output::Json => match serde_json::to_string_pretty(standing) {
            Ok(text) => println!("{text}"),
            Err(error) => return complain(70, &error.to_string()),
        },
        Output::Text => println!("{}: {}", standing.machine, words(standing.operation.as_ref())),
    }
    let as_wished = match (
        press,
        standing.operation.as_ref().map(|operation| operation.safety),
    ) {
        (None, _) => true,
        (Some(Press::Estop), region) => region == Some(Safety::EstopLatched),
        (Some(Press::Stop), region) => !matches!(region, None | Some(Safety::Operational | Safety::Limited)),
        (Some(Press::Reset), region) => {
            !matches!(region, None | Some(Safety::EstopLatched | Safety::FaultLatched))
        }
        (Some(Press::Resume), region) => matches!(region, Some(Safety::Operational | Safety::Limited)),
    };
    ExitCode::from(u8::from(!as_wished))
}

fn words(operation: Option<&Operation>) -> String {
    let Some(operation) = operation else {
        return "does not know yet how it stands".to_owned();
    };
    let mut words = operation.safety.as_str().replace('_', " ");
    if !operation.held_by.is_empty() {
        let causes: Vec<_> = operation
            .held_by
            .iter()
            .map(|cause| cause.replace('_', " "))
            .collect();
        words.push_str(&format!(", held by {}", causes.join(", ")));
    }
    match operation.at_rest {
        Some(true) => words.push_str("; at rest, as measured"),
        Some(false) => words.push_str("; not at rest yet"),
        None => {}
    }
    words
}
