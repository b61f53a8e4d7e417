//! Every machine sends measurements, one a write: the shape of a real fleet.

use super::super::context::Context;
use super::super::error::Result;
use super::super::progress::thousands;
use super::super::report::{Better, Figure};
use super::super::servers::{Setup, Subject, Target};
use super::super::wire::What;
use super::join;

pub(in crate::bench) const METHOD: &str = "All machines connected; ten messages a second of each, one message a write, in turn over all connections \
    (open load in ticks of 1 ms: it does not wait for the server). A message is JSON of about 200 bytes; Muster decodes, \
    validates, checks the session, keeps the state and stores the measurement, brokers (QoS 0, no subscriber) discard it. \
    Processor time is utime + stime of the server's process from the first message until the last was read (each \
    connection ends with a ping that is answered), divided by the messages.";

pub(in crate::bench) fn run(context: &mut Context) -> Result<()> {
    let (machines, rate, time) = (
        context.plan.machines,
        context.plan.fleet_rate(),
        context.plan.time,
    );
    let mut each = Vec::new();
    for subject in context.subjects() {
        let target = Target::start(context, subject, &Setup::default())?;
        let mut load = context.load(&target, false)?;
        join(context, &mut load, subject.name(), machines)?;
        load.hold(context.plan.settle())?;
        let name = subject.name();
        context.progress.step(&format!(
            "{name}: {} messages a second for {} s",
            thousands(rate as u64),
            time.as_secs()
        ));
        let watch = context.watch(&target.program)?;
        let progress = &mut context.progress;
        let sent = load.send_openly(What::Sample, rate, time, &mut |sent| {
            progress.go_on(|| format!("{name}: {} messages sent", thousands(sent)));
        })?;
        let at_the_end = watch.finish(&target.program)?;
        load.drain()?;
        let watched = watch.finish(&target.program)?;
        let limit = at_the_end.limit(Some((rate, &sent)));
        let per_message_us = watched.cpu_s / sent.messages as f64 * 1e6;
        let reached = Figure::new(
            "fleet-ingest.rate",
            subject,
            "messages taken",
            sent.per_second(),
            "1/s",
            METHOD,
        );
        context.report.add(
            match subject {
                // What was sent in whole ticks may be a little less than what was asked for.
                Subject::Muster => reached.at_least(rate * 0.99),
                _ => reached,
            }
            .limited(limit.clone()),
        );
        context.report.add(
            Figure::new(
                "fleet-ingest.cpu",
                subject,
                "processor time of a message",
                per_message_us,
                "µs",
                METHOD,
            )
            .limited(limit),
        );
        each.push((subject, per_message_us));
        drop(load);
        target.discard(context);
    }
    context.report.add_ratios(
        "fleet-ingest.cpu",
        "processor time of a message",
        &each,
        Better::Less,
        &[(Subject::MosquittoTcp, 0.9), (Subject::NatsWebSocket, 0.7)],
        METHOD,
    );
    Ok(())
}
