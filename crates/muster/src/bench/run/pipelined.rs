//! Few connections that send all that the server takes: what one core can do.

use super::super::context::Context;
use super::super::error::Result;
use super::super::progress::thousands;
use super::super::report::{Better, Figure};
use super::super::servers::{Setup, Subject, Target};
use super::super::wire::What;
use super::join;

/// Messages in one write.
const BATCH: usize = 64;
/// What lifts the server's limit on what one machine may send: here a hundred send what ten thousand would.
const UNLIMITED: [&str; 4] = ["--messages-per-second", "1000000", "--messages-burst", "1000000"];

pub(in crate::bench) const METHOD: &str = "100 connections, 64 messages a write (each in a frame of its own), the next write when \
    the kernel took the last one whole: the server sets the pace. The message and what is done with it are those of \
    fleet-ingest. Messages divided by utime + stime of the server's process until the last was read (a ping is answered): a \
    rate for each second of processor time, whether or not its core was full. Muster's limit for one machine is lifted with \
    --messages-per-second and --messages-burst.";

pub(in crate::bench) fn run(context: &mut Context) -> Result<()> {
    let (connections, time) = (context.plan.busy_connections(), context.plan.time);
    let mut each = Vec::new();
    for subject in context.subjects() {
        let setup = Setup {
            flags: UNLIMITED.to_vec(),
            ..Setup::default()
        };
        let target = Target::start(context, subject, &setup)?;
        let mut load = context.load(&target, false)?;
        let name = subject.name();
        join(context, &mut load, name, connections)?;
        context
            .progress
            .step(&format!("{name}: all that it takes for {} s", time.as_secs()));
        let watch = context.watch(&target.program)?;
        let progress = &mut context.progress;
        let sent = load.send_all_it_takes(What::Sample, BATCH, time, &mut |sent| {
            progress.go_on(|| format!("{name}: {} messages sent", thousands(sent)));
        })?;
        let limit = watch.finish(&target.program)?.limit(None);
        load.drain()?;
        let watched = watch.finish(&target.program)?;
        let per_core = sent.messages as f64 / watched.cpu_s.max(f64::EPSILON);
        context.report.add(
            Figure::new(
                "pipelined.rate",
                subject,
                "messages for each second of a core",
                per_core,
                "1/s",
                METHOD,
            )
            .limited(limit),
        );
        each.push((subject, per_core));
        drop(load);
        target.discard(context);
    }
    context.report.add_ratios(
        "pipelined.rate",
        "messages for each second of a core",
        &each,
        Better::More,
        &[(Subject::MosquittoTcp, 2.5)],
        METHOD,
    );
    Ok(())
}

/// The same limits for the scenario of durable events.
pub(super) fn unlimited() -> Vec<&'static str> {
    UNLIMITED.to_vec()
}
