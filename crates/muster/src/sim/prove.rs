//! `muster sim prove`: thousands of small worlds, the seeds that once failed, and every planted bug.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use muster_sim::prove::{Caught, Plan, Proof, Sweep, prove};
use serde::Serialize;

use super::progress::ProgressLine;
use super::verdict::{CountsDocument, checks};
use super::{quiet_panics, refuse, render, write_out};
use crate::operator::OutputFormat;

/// Most seeds of one proof.
const SEEDS_MAX: u64 = 100_000_000;
/// Seeds that failed and are shown with what they found.
const FAILURES_SHOWN: usize = 20;

/// How much is proved.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Each seed is a small world of its own: one to four machines, one or two shards, minutes of dense faults or hours\n\
    of rare ones. All processors are used. Seeds that once failed are always run. A seed that fails is told with\n\
    `muster sim replay SEED`.\n\
    Exit codes: 0 everything held and every planted bug was caught; 1 otherwise; 64 an option is not accepted."
)]
pub(crate) struct ProveOptions {
    /// How many seeds
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    seeds: u64,
    /// The first seed
    #[arg(long, value_name = "S", default_value_t = 0)]
    first: u64,
    /// In how many seeds each planted bug may show itself; 0 leaves them out
    #[arg(long, value_name = "M", default_value_t = 400)]
    planted_seeds: u64,
}

#[derive(Debug, Serialize)]
struct ProofDocument {
    verdict: &'static str,
    first: u64,
    seeds: SweepDocument,
    kept: SweepDocument,
    planted: Vec<CaughtDocument>,
    took_s: f64,
}

#[derive(Debug, Serialize)]
struct SweepDocument {
    seeds: u64,
    /// One number over the trace hashes of all seeds.
    hash: String,
    machine_hours: f64,
    together_after_s: f64,
    run_twice: u64,
    unequal: Vec<u64>,
    failed: Vec<FailureDocument>,
    counts: CountsDocument,
    checks: BTreeMap<String, u64>,
}

#[derive(Debug, Serialize)]
struct FailureDocument {
    seed: u64,
    check: String,
    what: String,
}

#[derive(Debug, Serialize)]
struct CaughtDocument {
    name: &'static str,
    caught: u64,
    seeds: u64,
    by: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<u64>,
}

/// `muster sim prove`.
pub(crate) fn run(options: &ProveOptions, output: OutputFormat) -> ExitCode {
    if !(1..=SEEDS_MAX).contains(&options.seeds) {
        return refuse("--seeds", &options.seeds, &format!("1 to {SEEDS_MAX}"));
    }
    if options.planted_seeds > SEEDS_MAX {
        return refuse(
            "--planted-seeds",
            &options.planted_seeds,
            &format!("0 to {SEEDS_MAX}"),
        );
    }
    quiet_panics();
    let line = Mutex::new(ProgressLine::new());
    let plan = Plan {
        first: options.first,
        seeds: options.seeds,
        planted_seeds: options.planted_seeds,
    };
    let proof = prove(plan, &|stage| {
        let mut line = line.lock().unwrap_or_else(PoisonError::into_inner);
        let told = line.took().as_secs_f64();
        line.tell(|| {
            let last = stage
                .last_found
                .map_or_else(String::new, |seed| format!(", such as {seed}"));
            format!(
                "{}: {} of {}, {} found something{last}  ({told:.0} s)",
                stage.what, stage.done, stage.of, stage.found
            )
        });
    });
    let mut line = line.into_inner().unwrap_or_else(PoisonError::into_inner);
    let took = line.took();
    line.end();
    let document = ProofDocument {
        verdict: if proof.holds() { "holds" } else { "failed" },
        first: options.first,
        seeds: SweepDocument::new(&proof.seeds),
        kept: SweepDocument::new(&proof.kept),
        planted: proof.planted.iter().map(CaughtDocument::new).collect(),
        took_s: took.as_secs_f64(),
    };
    let text = render(&document, output, || table(&proof, &document, took));
    match text.and_then(|text| write_out(&text)) {
        Ok(()) if proof.holds() => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(code) => code,
    }
}

impl SweepDocument {
    fn new(sweep: &Sweep) -> Self {
        let failed = sweep.failed.iter().map(|failure| FailureDocument {
            seed: failure.seed,
            check: format!("{:?}", failure.check),
            what: failure.what.clone(),
        });
        Self {
            seeds: sweep.seeds,
            hash: format!("{:016x}", sweep.hash),
            machine_hours: sweep.machine_ms as f64 / 3.6e6,
            together_after_s: sweep.counts.together_after_ms as f64 / 1_000.0,
            run_twice: sweep.twice,
            unequal: sweep.unequal.clone(),
            failed: failed.collect(),
            counts: CountsDocument::new(&sweep.counts),
            checks: checks(&sweep.checks),
        }
    }
}

impl CaughtDocument {
    fn new(caught: &Caught) -> Self {
        Self {
            name: caught.planted.name(),
            caught: caught.caught,
            seeds: caught.seeds,
            by: checks(&caught.by),
            first: caught.first,
        }
    }
}

/// The proof for people.
fn table(proof: &Proof, document: &ProofDocument, took: Duration) -> String {
    let mut text = String::new();
    for (name, sweep, written) in [
        ("seeds", &proof.seeds, &document.seeds),
        ("kept seeds", &proof.kept, &document.kept),
    ] {
        text.push_str(&format!(
            "{name:<12}{} of {} hold, {} run twice, {} of them unequal\n",
            sweep.seeds - sweep.failed.len() as u64,
            sweep.seeds,
            sweep.twice,
            sweep.unequal.len()
        ));
        text.push_str(&format!(
            "            hash {}, {:.0} machine hours, {} events, {} faults, longest way together {:.0} s\n",
            written.hash,
            written.machine_hours,
            written.counts.events,
            written.counts.faults,
            written.together_after_s
        ));
        for failure in written.failed.iter().take(FAILURES_SHOWN) {
            let what: String = failure.what.chars().take(300).collect();
            text.push_str(&format!(
                "  FAILED    seed {}: {}: {what}\n",
                failure.seed, failure.check
            ));
        }
        if written.failed.len() > FAILURES_SHOWN {
            text.push_str(&format!(
                "            and {} more\n",
                written.failed.len() - FAILURES_SHOWN
            ));
        }
    }
    if proof.planted.iter().any(|caught| caught.seeds > 0) {
        text.push_str("planted bugs, caught by so many seeds:\n");
    }
    for caught in &document.planted {
        let by: Vec<String> = caught
            .by
            .iter()
            .map(|(check, times)| format!("{check} {times}"))
            .collect();
        let mark = if caught.caught == 0 { "MISSED" } else { "" };
        text.push_str(&format!(
            "  {:<32}{:>5} of {}   {mark}{}\n",
            caught.name,
            caught.caught,
            caught.seeds,
            by.join(", ")
        ));
    }
    text.push_str(&format!("took        {:.1} s\n", took.as_secs_f64()));
    text.push_str(&format!("verdict     {}\n", document.verdict));
    text
}
