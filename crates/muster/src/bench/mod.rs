//! `muster bench`: how fast and how small Muster is, beside its goals and beside other servers.
//!
//! Begin with [`run`]. A [`scenario::Scenario`] starts what it measures ([`servers`], [`process`]), loads it ([`load`],
//! [`wire`]) and adds figures to the [`report`]. What is measured is always this executable as people run it, in a process
//! of its own; nothing in the server knows that it is measured.

mod baseline;
mod context;
mod enrolled;
mod error;
mod host;
mod http;
mod load;
mod options;
mod output;
mod process;
mod progress;
mod report;
mod run;
mod scenario;
mod servers;
mod wire;

#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::ValueEnum;
use muster_model::Timestamp;
use muster_runtime::Shutdown;
use muster_runtime::errors::chain;

use crate::operator::OutputFormat;
use crate::rundown::{block_on, signals};

use context::Context;
use error::{BenchError, Result};
pub(crate) use options::BenchOptions;
use options::Plan;
pub(crate) use process::{ChildOptions, become_program};
use progress::Progress;
use report::Report;

/// Takes the figures and writes them.
pub(crate) fn run(options: BenchOptions, format: OutputFormat) -> ExitCode {
    match options.plan() {
        Ok(plan) if plan.methods => {
            print!("{}", run::methods());
            ExitCode::SUCCESS
        }
        Ok(plan) => block_on(async move {
            let stop = Shutdown::new();
            let stopping = stop.clone();
            // The load is one thread that never waits for the runtime; it looks at the request to end by itself.
            let measuring = tokio::task::spawn_blocking(move || measure(plan, format, stop));
            tokio::select! {
                measured = measuring => match measured {
                    Ok(Ok(())) => ExitCode::SUCCESS,
                    Ok(Err(error)) => told(&error),
                    Err(error) => std::panic::resume_unwind(error.into_panic()),
                },
                code = signals(stopping) => code,
            }
        }),
        Err(error) => told(&error),
    }
}

fn told(error: &BenchError) -> ExitCode {
    eprintln!("error[{}]: {}", error.code(), chain(error));
    ExitCode::from(error.exit_code())
}

fn measure(plan: Plan, format: OutputFormat, stop: Shutdown) -> Result<()> {
    // Everything that can be wrong is found before the first server is started.
    let baseline = plan
        .baseline
        .as_deref()
        .map(baseline::Baseline::read)
        .transpose()?;
    for broker in &plan.vs {
        servers::find(*broker)?;
    }
    host::raise_open_files(plan.machines)?;
    let cores = host::Cores::divide()?;
    cores.pin_load()?;
    let mut report = Report::new(
        host::Host::look(&cores),
        now(),
        plan.quick,
        plan.machines,
        plan.time.as_secs(),
    );
    report.notes = notes(&plan, cores.are_shared());
    let precedence = host::Precedence::take();
    if precedence.is_some() {
        let note = "servers and load went before other programs (nice -19)".to_owned();
        report.notes.push(note);
    }
    let (progress, scenarios) = (Progress::new(plan.scenarios.len()), plan.scenarios.clone());
    let mut context = Context::new(plan, cores, stop, progress, report)?;
    for scenario in scenarios {
        context.progress.scenario(scenario.name());
        let result = scenario.run(&mut context);
        context.progress.clear();
        result?;
        context.check()?;
    }
    output::write(&context.report, format)?;
    if let Some(baseline) = baseline {
        let compared = baseline.compare(&context.report)?;
        eprintln!("{compared} ratios compared with the baseline: none is worse by more than a quarter.");
    }
    Ok(())
}

fn notes(plan: &Plan, shared: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if cfg!(debug_assertions) {
        notes.push(
            "this is a debug build: no figure says how fast Muster is (use `cargo run --release -- bench`)"
                .to_owned(),
        );
    }
    if plan.quick {
        notes.push("--quick: whether it works, not how fast it is".to_owned());
    }
    if shared {
        notes.push("there is one core only: server and load take it from each other".to_owned());
    }
    notes
}

fn now() -> String {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    Timestamp::from_millis(since.as_millis() as i64).to_string()
}

/// The scenarios that there are.
fn all() -> &'static [scenario::Scenario] {
    scenario::Scenario::value_variants()
}
