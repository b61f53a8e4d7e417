//! `muster-machine workloads`: what a machine beside you runs.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use http::Method;
use muster_model::workload::report::{GrantState, WorkloadPhase, WorkloadReport, WorkloadsReport};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::beside::{Failed, Output, Place, Refused, carry_out, print_json};
use crate::nodes::workloads::LogLine;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List what runs, and how it fares
    List(Where),
    /// Show one with what it was granted
    Show(Which),
    /// Show what one printed last
    Logs {
        #[command(flatten)]
        which: Which,
        /// How many lines
        #[arg(long, default_value_t = 50)]
        lines: usize,
    },
    /// End one and start it anew
    Restart(Which),
    /// Stop one; it stays stopped, also when the runtime begins anew, until it is started
    Stop(Which),
    /// Start one that was stopped or failed
    Start(Which),
}

#[derive(Debug, Args)]
pub(super) struct Where {
    #[command(flatten)]
    place: Place,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 done, 1 the workload does not run, 64 no such workload, 69 no machine runs there, \
                        71 refused by the operating system."
)]
pub(super) struct Which {
    /// The workload's name
    name: String,
    #[command(flatten)]
    from: Where,
}

/// No such workload.
const UNKNOWN: Refused = Refused {
    code: 64,
    error: "MST-M030",
};

pub(super) fn run(command: &Command) -> ExitCode {
    match command {
        Command::List(from) => told(from, &Method::GET, "", |report: &WorkloadsReport| {
            print!("{}", table(report));
            ExitCode::SUCCESS
        }),
        Command::Show(which) => one(which, &Method::GET, ""),
        Command::Logs { which, lines } => {
            let path = format!("/{}/logs/{lines}", which.name);
            told(&which.from, &Method::GET, &path, |lines: &Vec<LogLine>| {
                for line in lines {
                    let at = line.at.map_or(String::new(), |at| format!("{at} "));
                    println!("{at}{}", line.message);
                }
                ExitCode::SUCCESS
            })
        }
        Command::Restart(which) => one(which, &Method::POST, "/restart"),
        Command::Stop(which) => one(which, &Method::POST, "/stop"),
        Command::Start(which) => one(which, &Method::POST, "/start"),
    }
}

fn one(which: &Which, method: &Method, what: &str) -> ExitCode {
    let path = format!("/{}{what}", which.name);
    told(&which.from, method, &path, |report: &WorkloadReport| {
        print!("{}", described(report));
        ExitCode::from(u8::from(report.phase == WorkloadPhase::Failed))
    })
}

/// Asks, and shows the answer: for people with `text`, which says how the command ends.
fn told<T: Serialize + DeserializeOwned>(
    from: &Where,
    method: &Method,
    path: &str,
    text: impl FnOnce(&T) -> ExitCode,
) -> ExitCode {
    carry_out(async {
        let path = format!("/v1/workloads{path}");
        let answer: T = from
            .place
            .ask(method, &path, None)
            .await
            .map_err(|error| Failed::asking(&error, UNKNOWN))?;
        match from.output {
            Output::Text => Ok(text(&answer)),
            Output::Json => print_json(&answer).map(|()| ExitCode::SUCCESS),
        }
    })
}

fn table(report: &WorkloadsReport) -> String {
    let mut text = String::new();
    if report.workloads.is_empty() {
        text.push_str("no workloads\n");
    }
    for workload in &report.workloads {
        let reason = workload
            .reason
            .as_ref()
            .map_or(String::new(), |reason| format!("  {reason}"));
        text.push_str(&format!(
            "{:20} {:9} {:10} restarts {:<3} {:>9} {:>7}{reason}\n",
            workload.name,
            workload.kind,
            workload.phase,
            workload.restarts,
            workload.memory_bytes.map_or(String::new(), |bytes| format!(
                "{:.1} MiB",
                bytes as f64 / 1_048_576.0
            )),
            workload
                .cpu_percent
                .map_or(String::new(), |percent| format!("{percent:.1} %")),
        ));
    }
    if let Some(refused) = &report.refused {
        text.push_str(&format!("the fleet's workloads are not accepted: {refused}\n"));
    }
    text
}

fn described(report: &WorkloadReport) -> String {
    let mut text = format!("{}: {}", report.name, report.phase);
    if let Some(reason) = &report.reason {
        text.push_str(&format!(" ({reason})"));
    }
    text.push_str(&format!(
        "\n  kind {}, version {}, wanted by the {}\n  since {}, started again {} times\n",
        report.kind, report.version, report.source, report.since, report.restarts
    ));
    if report.conflict {
        text.push_str("  conflict: the fleet wants another definition under this name, and did not get it\n");
    }
    if let Some(exit) = &report.last_exit {
        text.push_str(&format!("  last ended: {exit}\n"));
    }
    if let Some(runner) = &report.runner {
        text.push_str(&format!("  kept by: {runner}\n"));
    }
    for grant in &report.granted {
        let mark = match grant.state {
            GrantState::Granted => "granted",
            GrantState::NotPermitted => "NOT PERMITTED",
            GrantState::NotPresent => "NOT PRESENT",
        };
        text.push_str(&format!("  {}: {mark}, {}\n", grant.what, grant.detail));
    }
    text
}
