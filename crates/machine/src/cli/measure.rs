//! Measurements that somebody takes on a machine.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use muster_runtime::errors::chain;

use super::beside::{Output, complain};
use crate::measure::stop::{MeasureError, Options, Report, run as measure_stop, stay_busy};

/// What is measured.
#[derive(Debug, Subcommand)]
pub(super) enum What {
    /// How long a local stop takes, from the edge of the input to the output that is off.
    ///
    /// Without a machine file the input is an event in this process, and what is measured is the safety loop alone: its thread, its
    /// priority, this computer and its kernel. With --config the machine's own contactor is switched, once for each stop.
    #[command(
        after_help = "Exit codes: 0 measured (and within --limit, if given), 1 over the limit, 64 not suitable, 71 refused by the operating system."
    )]
    Stop(StopFlags),
    /// Keep one processor busy; for measurements.
    #[command(hide = true)]
    Busy,
}

#[derive(Debug, Args)]
pub(super) struct StopFlags {
    /// How many stops
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rounds: u32,
    /// How many processes keep the processors busy meanwhile [default: two for each processor]
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=256))]
    load: Option<u32>,
    /// How often the loop looks, in milliseconds
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=100))]
    period_ms: u64,
    /// The input has no edges: what it says is found at the next period
    #[arg(long)]
    without_edges: bool,
    /// The machine file whose contactor and emergency stop input are used
    #[arg(long, value_name = "FILE", requires = "trigger")]
    config: Option<PathBuf>,
    /// The output of that file that is wired to the emergency stop input for this measurement
    #[arg(long, value_name = "DEVICE", requires = "config")]
    trigger: Option<String>,
    /// Fail if 999 of 1,000 stops take longer than so many microseconds
    #[arg(long, value_name = "MICROSECONDS")]
    limit: Option<f64>,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

pub(super) fn run(what: What) -> ExitCode {
    match what {
        What::Stop(flags) => stop(&flags),
        What::Busy => {
            stay_busy();
            ExitCode::SUCCESS
        }
    }
}

fn stop(flags: &StopFlags) -> ExitCode {
    let wired = match (&flags.config, &flags.trigger) {
        (Some(file), Some(trigger)) => match crate::config::Config::load(Some(file), [], []) {
            Ok(config) => Some((config.settings.wiring, trigger.clone())),
            Err(error) => return complain(64, &chain(&error)),
        },
        _ => None,
    };
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let options = Options {
        rounds: flags.rounds,
        load: flags
            .load
            .unwrap_or_else(|| u32::try_from(2 * processors).unwrap_or(u32::MAX)),
        period: Duration::from_millis(flags.period_ms),
        edges: !flags.without_edges,
        wired,
    };
    let shown = std::io::stderr().is_terminal();
    let report = measure_stop(&options, |done| {
        if shown && done % 100 == 0 {
            eprint!("\r{done} of {} stops", flags.rounds);
            let _ = std::io::stderr().flush();
        }
    });
    if shown {
        eprint!("\r\x1b[K");
    }
    let report = match report {
        Ok(report) => report,
        Err(error @ MeasureError::System { .. }) => return complain(71, &chain(&error)),
        Err(error @ (MeasureError::Unsuitable(_) | MeasureError::Stuck { .. })) => {
            return complain(64, &chain(&error));
        }
    };
    match flags.output {
        Output::Json => match serde_json::to_string_pretty(&report) {
            Ok(text) => println!("{text}"),
            Err(error) => return complain(70, &error.to_string()),
        },
        Output::Text => print!("{}", words(&report)),
    }
    match flags.limit {
        Some(limit) if report.p999_us > limit => complain(
            1,
            &format!(
                "999 of 1,000 stops took up to {:.0} µs: the limit is {limit} µs",
                report.p999_us
            ),
        ),
        Some(_) | None => ExitCode::SUCCESS,
    }
}

fn words(report: &Report) -> String {
    let found = if report.edges {
        "edges wake it"
    } else {
        "found at the next period"
    };
    format!(
        "{} stops beside {} busy processes; the loop looks every {} ms, {found}\n{}\n\n  least  {:8.0} µs\n  p50    \
         {:8.0} µs\n  p99    {:8.0} µs\n  p99.9  {:8.0} µs\n  most   {:8.0} µs\n",
        report.rounds,
        report.load,
        report.period_us / 1_000,
        report.grants,
        report.least_us,
        report.p50_us,
        report.p99_us,
        report.p999_us,
        report.most_us
    )
}
