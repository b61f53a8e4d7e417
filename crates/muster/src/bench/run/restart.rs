//! A server with a long history starts again.

use std::time::{Duration, Instant};

use super::super::context::Context;
use super::super::error::{BenchError, Result};
use super::super::http::Http;
use super::super::load::Enough;
use super::super::progress::thousands;
use super::super::report::Figure;
use super::super::servers::{Setup, Subject, Target};
use super::super::wire::What;
use super::{join, pipelined};

/// Events in the log.
const EVENTS: u64 = 1_000_000;
/// The same with `--quick`.
const EVENTS_QUICK: u64 = 20_000;
/// Events on the way on each connection while the log is filled.
const IN_FLIGHT: u32 = 4;
/// How long filling the log may take.
const FILL_WITHIN: Duration = Duration::from_secs(300);

pub(in crate::bench) const METHOD: &str = "All machines connect and send events until a million is acknowledged (20,000 with \
    --quick). From the start of the process (`muster serve`) until /readyz is answered with 200, asked every millisecond: once \
    after kill -9, with the entries since the last checkpoint to be read again, and once after an end in order. All sessions \
    are over meanwhile; the files are in the system's cache. Then the log's position is asked for by the API.";

pub(in crate::bench) fn run(context: &mut Context) -> Result<()> {
    let machines = context.plan.machines;
    let events = if context.plan.quick { EVENTS_QUICK } else { EVENTS };
    let flags = pipelined::unlimited();
    let setup = Setup {
        flags: flags.clone(),
        ..Setup::default()
    };
    let target = Target::start(context, Subject::Muster, &setup)?;
    let mut load = context.load(&target, true)?;
    join(context, &mut load, "muster", machines)?;
    context
        .progress
        .step(&format!("filling the log with {} events", thousands(events)));
    let progress = &mut context.progress;
    let enough = Enough {
        time: FILL_WITHIN,
        messages: events,
    };
    let sent = load.send_acknowledged(What::Event, IN_FLIGHT, enough, &mut |sent| {
        progress.go_on(|| {
            format!(
                "{} of {} events are in the log",
                thousands(sent),
                thousands(events)
            )
        });
    })?;
    if sent.messages < events {
        return Err(BenchError::Load(format!(
            "only {} events fit into {FILL_WITHIN:?}",
            sent.messages
        )));
    }
    drop(load);
    let again = target.again(&flags);
    target.program.kill();
    let (after_kill_ms, target) = start_again(context, &again, events)?;
    target.program.end()?;
    let (after_end_ms, target) = start_again(context, &again, events)?;
    for (key, what, value) in [
        ("restart.killed", "ready again after kill -9", after_kill_ms),
        ("restart.ended", "ready again after an end in order", after_end_ms),
    ] {
        context
            .report
            .add(Figure::new(key, Subject::Muster, what, value, "ms", METHOD).at_most(300.0));
    }
    target.discard(context);
    Ok(())
}

fn start_again(context: &mut Context, setup: &Setup, events: u64) -> Result<(f64, Target)> {
    context.progress.step("starting again");
    let began = Instant::now();
    let mut target = Target::spawn(context, Subject::Muster, setup)?;
    target.wait_until_ready(context)?;
    let took_ms = began.elapsed().as_secs_f64() * 1e3;
    let summary = Http::connect(target.address)?.json("/api/v1/fleet/summary")?;
    match summary["position"].as_u64() {
        Some(position) if position >= events => Ok((took_ms, target)),
        position => Err(BenchError::Load(format!(
            "the log ends at {position:?} after {events} events"
        ))),
    }
}
