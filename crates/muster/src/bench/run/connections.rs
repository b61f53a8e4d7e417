//! Machines that are connected and idle.

use super::super::context::Context;
use super::super::error::Result;
use super::super::report::{Better, Figure};
use super::super::servers::{Setup, Subject, Target};
use super::join;

pub(in crate::bench) const JOIN_METHOD: &str = "From the first connect to the last session: each connection is upgraded, says hello, and is \
    welcomed after its session is on disk (brokers: CONNACK or PONG). At most 512 are on the way at a time.";
pub(in crate::bench) const MEMORY_METHOD: &str = "VmRSS of the server's process, some seconds after all have joined, minus VmRSS before the first \
    joined, divided by the connections. Muster holds the state of each machine in it; brokers hold nothing.";

pub(in crate::bench) fn run(context: &mut Context) -> Result<()> {
    let (machines, settle) = (context.plan.machines, context.plan.settle());
    let mut each = Vec::new();
    for subject in context.subjects() {
        let target = Target::start(context, subject, &Setup::default())?;
        let mut load = context.load(&target, false)?;
        context.pause(settle / 3)?;
        let before_kib = target.program.resident_kib()?;
        let watch = context.watch(&target.program)?;
        let joined = join(context, &mut load, subject.name(), machines)?;
        let limit = watch.finish(&target.program)?.limit(None);
        load.hold(settle)?;
        let held_kib = target.program.resident_kib()?.saturating_sub(before_kib);
        let per_machine_kib = held_kib as f64 / machines as f64;
        context.report.add(
            Figure::new(
                "connections.join",
                subject,
                "all in session",
                joined.seconds,
                "s",
                JOIN_METHOD,
            )
            .limited(limit),
        );
        let memory = Figure::new(
            "connections.memory",
            subject,
            "memory of each connection",
            per_machine_kib,
            "KiB",
            MEMORY_METHOD,
        );
        context.report.add(match subject {
            Subject::Muster => memory.at_most(6.0),
            _ => memory,
        });
        each.push((subject, per_machine_kib));
        drop(load);
        target.discard(context);
    }
    context.report.add_ratios(
        "connections.memory",
        "memory of each connection",
        &each,
        Better::Less,
        &[(Subject::MosquittoWebSocket, 1.0)],
        MEMORY_METHOD,
    );
    Ok(())
}
