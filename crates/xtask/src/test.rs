//! `cargo xtask test`: every check and test as named steps.
//!
//! Begin at [`steps::STEPS`]. A step runs the tool a person would run by hand and hands on its output; [`counts`] reads
//! the runners' own summaries from it, so that the last line tells the true number of tests.

mod counts;
mod report;
mod steps;
mod tools;

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use self::counts::Tally;
use self::steps::{STEPS, Step};
use crate::workspace::Workspace;

/// What `cargo xtask test` can be told.
#[derive(clap::Args, Default)]
pub(crate) struct Options {
    /// Run only these steps.
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    only: Vec<String>,
    /// Leave these steps out.
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    skip: Vec<String>,
    /// Go on after a step that failed.
    #[arg(long)]
    keep_going: bool,
    /// Only what takes seconds once everything is compiled: no browser, no drift, no document tests.
    #[arg(long)]
    quick: bool,
    /// Print the steps and do nothing.
    #[arg(long)]
    list: bool,
}

/// How a step went.
struct Report {
    name: &'static str,
    verdict: Verdict,
    took: Duration,
}

/// What a step has to say.
enum Verdict {
    /// It did its work and found nothing wrong; the note may say more.
    Passed { tally: Tally, note: String },
    /// Something is wrong.
    Failed { tally: Tally, why: String },
    /// There is nothing for it to do yet, or an earlier failure ended the run.
    LeftOut { why: String },
}

/// Runs the chosen steps. True when none failed.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<bool> {
    let chosen = choose(options)?;
    if options.list {
        for step in STEPS {
            println!("{:<18} {}", step.name, step.what);
        }
        return Ok(true);
    }
    let mut reports: Vec<Report> = Vec::new();
    let mut stopped = false;
    for step in &chosen {
        let begun = Instant::now();
        let verdict = if stopped {
            Verdict::LeftOut {
                why: "an earlier step failed; --keep-going goes on".to_owned(),
            }
        } else {
            perform(workspace, step, &chosen)
        };
        stopped |= matches!(verdict, Verdict::Failed { .. }) && !options.keep_going;
        let report = Report {
            name: step.name,
            verdict,
            took: begun.elapsed(),
        };
        println!("{}", report::ending(&report));
        reports.push(report);
    }
    // Nothing else is printed after the last line.
    print!("{}", report::summary(&reports));
    std::io::stdout().flush()?;
    Ok(!reports
        .iter()
        .any(|report| matches!(report.verdict, Verdict::Failed { .. })))
}

/// Runs one step, unless what it needs does not exist yet.
fn perform(workspace: &Workspace, step: &'static Step, chosen: &[&'static Step]) -> Verdict {
    if let Some(why) = step.not_yet(workspace) {
        return Verdict::LeftOut { why };
    }
    println!("\n==> {}: {}", step.name, step.what);
    match (step.run)(workspace, chosen) {
        Ok(verdict) => verdict,
        Err(error) => Verdict::Failed {
            tally: Tally::default(),
            why: format!("{error:#}"),
        },
    }
}

/// The steps these options mean, in their own order.
fn choose(options: &Options) -> Result<Vec<&'static Step>> {
    for name in options.only.iter().chain(&options.skip) {
        if !STEPS.iter().any(|step| step.name == name) {
            let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
            bail!("there is no step {name}; there are {}", names.join(", "));
        }
    }
    let named = |names: &[String], step: &Step| names.iter().any(|name| name == step.name);
    let wanted = |step: &&Step| {
        let asked = if options.only.is_empty() {
            step.quick || !options.quick
        } else {
            named(&options.only, step)
        };
        asked && !named(&options.skip, step)
    };
    Ok(STEPS.iter().filter(wanted).collect())
}

#[cfg(test)]
mod tests;
