//! The commands of whoever stands beside a machine.

use std::process::ExitCode;

use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};
use muster_model::vocabulary::Safety;

use super::beside::{Failed, Output, Place, carry_out, print_json};
use crate::local::Standing;
use crate::local::client::{LocalError, machines, safety};
use crate::nodes::safety::Press;

/// Machines that are asked at the same time.
const AT_ONCE: usize = 8;

/// Which machine, and how to say it.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 it is so, 1 it is not (why is said), 64 no such machine, 69 no machine runs there, \
                        71 refused by the operating system."
)]
pub(super) struct Flags {
    #[command(flatten)]
    place: Place,
    /// All machines that run there
    #[arg(long, conflicts_with = "machine")]
    all: bool,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

pub(super) fn run(press: Option<Press>, flags: &Flags) -> ExitCode {
    carry_out(async {
        let standing = ask_all(press, flags).await?;
        show(press, flags, &standing)
    })
}

/// Asks the machines that are meant, a few at a time; in the order in which they are there.
async fn ask_all(press: Option<Press>, flags: &Flags) -> Result<Vec<Standing>, LocalError> {
    if !flags.all {
        let standing = safety(&flags.place.data, press.map(word), flags.place.machine.as_deref()).await?;
        return Ok(vec![standing]);
    }
    let there = machines(&flags.place.data).await?;
    let asked = there
        .iter()
        .map(|standing| safety(&flags.place.data, press.map(word), Some(&standing.machine)));
    stream::iter(asked).buffered(AT_ONCE).try_collect().await
}

const fn word(press: Press) -> &'static str {
    match press {
        Press::Estop => "estop",
        Press::Stop => "stop",
        Press::Reset => "reset",
        Press::Resume => "resume",
    }
}

fn show(press: Option<Press>, flags: &Flags, all: &[Standing]) -> Result<ExitCode, Failed> {
    match (flags.output, all) {
        (Output::Json, [only]) if !flags.all => print_json(only)?,
        (Output::Json, _) => print_json(all)?,
        (Output::Text, _) => {
            for standing in all {
                println!("{}: {}", standing.machine, words(standing));
                if press.is_none() {
                    details(standing).iter().for_each(|line| println!("  {line}"));
                }
            }
        }
    }
    let all_so = all.iter().all(|standing| is_so(press, standing));
    Ok(ExitCode::from(u8::from(!all_so)))
}

/// Whether a machine stands as it should after this was pressed.
fn is_so(press: Option<Press>, standing: &Standing) -> bool {
    let Some(press) = press else { return true };
    let Some(operation) = standing.operation.as_ref().filter(|_| standing.kept) else {
        return false;
    };
    let moves = matches!(operation.safety, Safety::Operational | Safety::Limited);
    match press {
        Press::Estop => operation.safety == Safety::EstopLatched,
        Press::Stop => !moves,
        Press::Reset => !matches!(operation.safety, Safety::EstopLatched | Safety::FaultLatched),
        Press::Resume => moves,
    }
}

/// What its loop was granted, and what its gate did not let through.
fn details(standing: &Standing) -> Vec<String> {
    let thread = standing.safety.as_ref().and_then(|safety| safety.thread.as_ref());
    let why = |why: &Option<String>| why.clone().unwrap_or_default();
    let grants = thread.map(|thread| {
        let place = match thread.priority {
            Some(priority) => format!("real-time priority {priority}"),
            None => format!("no real-time priority ({})", why(&thread.priority_refused)),
        };
        let memory = if thread.memory_locked {
            "memory locked".to_owned()
        } else {
            format!("memory not locked ({})", why(&thread.memory_refused))
        };
        format!("safety loop: {place}, {memory}")
    });
    let decisions = standing.gate.iter().flat_map(|gate| &gate.decisions);
    let refused =
        decisions.map(|decision| format!("gate: {}, last at {}", decision.words(), decision.last_at));
    grants.into_iter().chain(refused).collect()
}

fn words(standing: &Standing) -> String {
    let Some(operation) = &standing.operation else {
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
    if !standing.kept {
        words.push_str("; not on disk yet: a power cut could lose it");
    }
    words
}
