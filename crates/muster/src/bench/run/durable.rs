//! Events that are acknowledged when they are safe.

use super::super::context::Context;
use super::super::error::Result;
use super::super::load::Enough;
use super::super::progress::thousands;
use super::super::report::{Better, Figure};
use super::super::servers::{Setup, Subject, Target};
use super::super::wire::What;
use super::{join, pipelined};

/// Events without an acknowledgement on each connection.
const IN_FLIGHT: u32 = 64;

pub(in crate::bench) const METHOD: &str = "100 connections, each with at most 64 events that are not acknowledged; what was \
    acknowledged is replaced at once. Until the last acknowledgement. Muster: `event` records, acknowledged after the \
    commit of the log (SQLite, synchronous FULL: fsync). mosquitto: QoS 1, not on disk. nats: JetStream with a file store and \
    its default sync interval, that is without fsync before the acknowledgement. For each second of processor time of the \
    server, and by the clock.";

pub(in crate::bench) fn run(context: &mut Context) -> Result<()> {
    let (connections, time) = (context.plan.busy_connections(), context.plan.time);
    let (mut cores, mut walls) = (Vec::new(), Vec::new());
    for subject in context.subjects() {
        let setup = Setup {
            flags: pipelined::unlimited(),
            acknowledged: true,
            ..Setup::default()
        };
        let target = Target::start(context, subject, &setup)?;
        let mut load = context.load(&target, true)?;
        let name = subject.name();
        join(context, &mut load, name, connections)?;
        context
            .progress
            .step(&format!("{name}: acknowledged events for {} s", time.as_secs()));
        let watch = context.watch(&target.program)?;
        let progress = &mut context.progress;
        let sent = load.send_acknowledged(What::Event, IN_FLIGHT, Enough::after(time), &mut |sent| {
            progress.go_on(|| format!("{name}: {} events acknowledged", thousands(sent)));
        })?;
        let watched = watch.finish(&target.program)?;
        let limit = watched.limit(None);
        let per_core = sent.messages as f64 / watched.cpu_s.max(f64::EPSILON);
        for (key, what, value, each) in [
            (
                "durable-events.rate",
                "acknowledged for each second of a core",
                per_core,
                &mut cores,
            ),
            (
                "durable-events.wall",
                "acknowledged a second, by the clock",
                sent.per_second(),
                &mut walls,
            ),
        ] {
            context
                .report
                .add(Figure::new(key, subject, what, value, "1/s", METHOD).limited(limit.clone()));
            each.push((subject, value));
        }
        drop(load);
        target.discard(context);
    }
    let goals = [(Subject::MosquittoTcp, 2.0), (Subject::NatsTcp, 1.2)];
    let what = "acknowledged for each second of a core";
    context
        .report
        .add_ratios("durable-events.rate", what, &cores, Better::More, &goals, METHOD);
    let what = "acknowledged a second, by the clock";
    context
        .report
        .add_ratios("durable-events.wall", what, &walls, Better::More, &[], METHOD);
    Ok(())
}
