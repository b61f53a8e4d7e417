//! Measurements that somebody takes on a machine.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use muster_runtime::errors::chain;

use super::beside::{Failed, Output, carry_out, complain, print_json};
use crate::measure::recorder;
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
    /// What recording takes of this machine: of its processor, of its disk.
    ///
    /// Messages like those of a real machine are said on a bus of their own to the node that records, with its threads.
    #[command(
        after_help = "Exit codes: 0 measured (and within --limit, if given), 1 over the limit or not all was recorded, 64 not suitable, 71 refused by the operating system."
    )]
    Recorder(RecorderFlags),
    /// Keep one processor busy; for measurements.
    #[command(hide = true)]
    Busy,
}

#[derive(Debug, Args)]
pub(super) struct RecorderFlags {
    /// Messages a second
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rate: u64,
    /// For how long, in seconds
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// On which disk: a folder is made there, and removed afterwards [default: the folder for temporary files]
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Fail if it takes more of a core, in percent
    #[arg(long, value_name = "PERCENT", allow_negative_numbers = true)]
    limit: Option<f64>,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
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
        What::Recorder(flags) => recorder(&flags),
        What::Busy => {
            stay_busy();
            ExitCode::SUCCESS
        }
    }
}

fn recorder(flags: &RecorderFlags) -> ExitCode {
    let options = recorder::Options {
        rate: flags.rate,
        seconds: flags.seconds,
        beside: flags.directory.clone().unwrap_or_else(std::env::temp_dir),
    };
    carry_out(async {
        let report = recorder::run(&options).await;
        let report = report.map_err(|error| Failed::new(64, chain(&error)))?;
        match flags.output {
            Output::Json => print_json(&report)?,
            Output::Text => print!(
                "messages    {:.0}/s, {} in all, {} not recorded\nprocessor   {:.2} % of a core\ndisk        {:.1} kB/s, {:.0} bytes a message\n",
                report.messages_per_s,
                report.messages,
                report.dropped,
                report.cpu_percent,
                report.bytes_per_s / 1e3,
                report.bytes_per_message
            ),
        }
        if report.dropped > 0 {
            return Err(Failed::new(1, "not all of it was recorded"));
        }
        match flags.limit {
            Some(limit) if report.cpu_percent > limit => {
                let what = format!(
                    "it took {:.2} % of a core: the limit is {limit} %",
                    report.cpu_percent
                );
                Err(Failed::new(1, what))
            }
            Some(_) | None => Ok(ExitCode::SUCCESS),
        }
    })
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
