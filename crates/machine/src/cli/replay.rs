//! Runs a recording again.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use muster_model::Timestamp;
use muster_runtime::errors::chain;

use super::beside::{Output, complain, print_json};
use crate::replay::{Asked, Different, Node, Report, replay};

/// Which recording, and what of it.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 the same was decided, 1 something else was, 65 no recording, or nothing in it to compare.\n\
                  Example: muster-machine replay kept-20261121T070000.123Z-20261121T070230.000Z-estop_latched.mcap --node safety"
)]
pub(super) struct Flags {
    /// The recording, an MCAP file
    file: PathBuf,
    /// From when on decisions are compared, such as 2026-11-21T07:00:00Z
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Until when
    #[arg(long, value_name = "TIME")]
    to: Option<Timestamp>,
    /// Which nodes decide again
    #[arg(long, value_enum, value_delimiter = ',', default_value = "all")]
    node: Vec<Which>,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    All,
    Safety,
    State,
    Health,
    Telemetry,
}

pub(super) fn run(flags: &Flags) -> ExitCode {
    let nodes = flags.node.iter().flat_map(|which| match which {
        Which::All => Node::ALL.to_vec(),
        Which::Safety => vec![Node::Safety],
        Which::State => vec![Node::State],
        Which::Health => vec![Node::Health],
        Which::Telemetry => vec![Node::Telemetry],
    });
    let asked = Asked {
        file: flags.file.clone(),
        from: flags.from,
        to: flags.to,
        nodes: nodes.collect(),
    };
    let report = match replay(&asked) {
        Ok(report) => report,
        Err(error) => {
            let what = format!("{}: {} [MST-M040]", flags.file.display(), chain(&error));
            return complain(65, &what);
        }
    };
    match flags.output {
        Output::Json => {
            if let Err(failed) = print_json(&report) {
                return failed.told();
            }
        }
        Output::Text => show(&report),
    }
    if !report.compared() {
        let what = format!("nothing in {} can be compared [MST-M041]", report.file);
        return complain(65, &what);
    }
    ExitCode::from(u8::from(report.differences > 0))
}

fn show(report: &Report) {
    let of = |name: &str| report.machine.get(name).map_or("unknown", String::as_str);
    println!("{}", report.file);
    println!(
        "  recorded   by {} ({}), version {}",
        of("name"),
        of("machine_id"),
        of("version")
    );
    if report.other_version {
        println!("  replayed   by version {}: another one", report.version);
    }
    if let Some(span) = report.span {
        println!("  time       {} to {}", span.from, span.to);
    }
    println!("  messages   {}", report.messages);
    println!("  steps      {} of the safety region", report.steps);
    println!("  decisions  {} compared", report.decisions);
    println!(
        "  speed      {:.0} x real time ({:.3} s)",
        report.times_real_time, report.took_s
    );
    if report.skipped_packs > 0 {
        println!(
            "  note       {} packs of steps come before the first that can be entered",
            report.skipped_packs
        );
    }
    if report.gaps > 0 {
        println!("  note       steps are missing in {} places", report.gaps);
    }
    for (topic, unreadable) in &report.unreadable {
        println!(
            "  note       {} messages of {topic} cannot be read by this version: {}",
            unreadable.messages, unreadable.why
        );
    }
    if let Some(why) = &report.broken {
        println!("  note       the file ends early: {why}");
    }
    if report.differences == 0 {
        println!("  the same was decided");
        return;
    }
    println!("  {} differences", report.differences);
    for different in &report.shown {
        line(different);
    }
    let more = report.differences - report.shown.len() as u64;
    if more > 0 {
        println!("  … and {more} more");
    }
}

fn line(different: &Different) {
    println!("  {} {}: {}", different.at, different.node, different.what);
    println!("    expected {}", different.expected);
    println!("    got      {}", different.got);
}
