//! How soon a sign of life is answered while the fleet sends.

use std::time::Duration;

use super::super::context::Context;
use super::super::error::Result;
use super::super::progress::thousands;
use super::super::report::{Better, Figure};
use super::super::servers::{Setup, Subject, Target};
use super::super::wire::What;
use super::{join, quantile};

/// Messages a second of each machine meanwhile.
const RATE: f64 = 5.0;
/// One heartbeat in so long: 500 a second.
const BEAT_EVERY: Duration = Duration::from_millis(2);

pub(in crate::bench) const METHOD: &str = "All machines connected; the load of fleet-ingest at five messages a second of each \
    (50,000 a second of 10,000). Every 2 ms one machine, each time another, sends a heartbeat; from the moment it is given to \
    the kernel until the server's answer to it (`ack` with its sequence) was read: the way there and back, and what the \
    generator itself takes to notice. Brokers know no heartbeat: their figure is that of PINGREQ and PING, which they answer \
    without looking at anything.";

pub(in crate::bench) fn run(context: &mut Context) -> Result<()> {
    let (machines, time) = (context.plan.machines, context.plan.time);
    let rate = machines as f64 * RATE;
    let mut late = Vec::new();
    for subject in context.subjects() {
        let target = Target::start(context, subject, &Setup::default())?;
        let mut load = context.load(&target, false)?;
        let name = subject.name();
        join(context, &mut load, name, machines)?;
        load.hold(context.plan.settle())?;
        context.progress.step(&format!(
            "{name}: heartbeats under {} messages a second",
            thousands(rate as u64)
        ));
        let watch = context.watch(&target.program)?;
        let progress = &mut context.progress;
        let (sent, mut answered_ms) =
            load.send_and_beat(What::Sample, rate, time, Some(BEAT_EVERY), &mut |sent| {
                progress.go_on(|| format!("{name}: {} messages sent", thousands(sent)));
            })?;
        let limit = watch.finish(&target.program)?.limit(Some((rate, &sent)));
        answered_ms.sort_by(f64::total_cmp);
        let count = answered_ms.len();
        for (key, share, what) in [("p50", 0.5, "p50"), ("p99", 0.99, "p99")] {
            let value = quantile(&answered_ms, share);
            let what = format!("heartbeat to answer, {count}: {what}");
            let figure = Figure::new(format!("heartbeat.{key}"), subject, what, value, "ms", METHOD);
            context.report.add(
                match (subject, key) {
                    (Subject::Muster, "p99") => figure.at_most(3.0),
                    _ => figure,
                }
                .limited(limit.clone()),
            );
        }
        late.push((subject, quantile(&answered_ms, 0.99)));
        drop(load);
        target.discard(context);
    }
    let what = "heartbeat to answer: p99";
    context
        .report
        .add_ratios("heartbeat.p99", what, &late, Better::Less, &[], METHOD);
    Ok(())
}
