//! What it costs to keep many people current.

use std::time::Duration;

use super::super::context::Context;
use super::super::error::{BenchError, Result};
use super::super::host;
use super::super::load::Load;
use super::super::report::{Better, Figure};
use super::super::servers::{Setup, Subject, Target};
use super::super::wire::What;
use super::join;

/// Most machines that change.
const MACHINES_MAX: usize = 1_000;
/// How many people look.
const SUBSCRIBERS: usize = 100;
/// How many with `--quick`.
const SUBSCRIBERS_QUICK: usize = 10;
/// Longest time until what was sent last has reached everybody.
const LAST_WITHIN: Duration = Duration::from_millis(500);

pub(in crate::bench) const METHOD: &str = "1,000 machines send one measurement a second each, in turn, first without and then with \
    100 subscribers to all of them (Muster: `machine.*.state` on /ws as a dashboard asks, ten updates a second at most; \
    brokers: a wildcard subscription, QoS 0). Processor time of the server with subscribers minus that without, divided by what \
    reached the subscribers: rows of the fleet's table (Muster; several changes of a machine in one tick are one row), or \
    messages.";

pub(in crate::bench) fn run(context: &mut Context) -> Result<()> {
    let machines = context.plan.machines.min(MACHINES_MAX);
    let subscribers = if context.plan.quick {
        SUBSCRIBERS_QUICK
    } else {
        SUBSCRIBERS
    };
    let (rate, time) = (machines as f64, context.plan.time);
    let mut each = Vec::new();
    for subject in context.subjects() {
        let target = Target::start(context, subject, &Setup::default())?;
        let mut load = context.load_with_subscribers(&target, machines)?;
        let name = subject.name();
        join(context, &mut load, name, machines)?;
        load.hold(context.plan.settle())?;
        context
            .progress
            .step(&format!("{name}: changes that nobody looks at"));
        let (alone_s, _) = window(context, &mut load, &target, rate, time)?;
        context
            .progress
            .step(&format!("{name}: {subscribers} subscribers"));
        load.join(machines + subscribers, subscribers, &mut |_| {})?;
        load.hold(context.plan.settle())?;
        let (watched_s, delivered) = window(context, &mut load, &target, rate, time)?;
        if delivered == 0 {
            return Err(BenchError::Load("nothing reached the subscribers".to_owned()));
        }
        let (more_s, tick_s) = (watched_s - alone_s, 1.0 / host::ticks_per_second());
        let limit =
            (more_s < tick_s).then(|| "less than the kernel's clock tells apart: at most this".to_owned());
        let each_us = more_s.max(tick_s) / delivered as f64 * 1e6;
        let per_second = delivered as f64 / time.as_secs_f64();
        context.report.add(Figure::new(
            "fan-out.rate",
            subject,
            "what reached subscribers",
            per_second,
            "1/s",
            METHOD,
        ));
        context.report.add(
            Figure::new(
                "fan-out.cpu",
                subject,
                "processor time of each",
                each_us,
                "µs",
                METHOD,
            )
            .limited(limit),
        );
        each.push((subject, each_us));
        drop(load);
        target.discard(context);
    }
    context.report.add_ratios(
        "fan-out.cpu",
        "processor time of each",
        &each,
        Better::Less,
        &[(Subject::MosquittoTcp, 0.15)],
        METHOD,
    );
    Ok(())
}

/// Processor time of the server while machines change, and how much reached subscribers.
fn window(
    context: &mut Context,
    load: &mut Load,
    target: &Target,
    rate: f64,
    time: Duration,
) -> Result<(f64, u64)> {
    load.take_delivered();
    let watch = context.watch(&target.program)?;
    load.send_openly(What::Sample, rate, time, &mut |_| {})?;
    load.hold(LAST_WITHIN)?;
    Ok((watch.finish(&target.program)?.cpu_s, load.take_delivered()))
}
