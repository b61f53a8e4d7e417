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

pub(in crate::bench) const TLS_JOIN_METHOD: &str = "The same where every machine has a certificate of its own and the server wants it: TLS 1.3, ECDSA on P-256, \
    X25519 with ML-KEM-768 where the server knows it, nothing resumed; Muster looks at the chain and then asks its register. The generator offers what machines do, looks \
    at the server's chain once and then knows its certificate by the bytes. Muster runs as people run it, with sign-in. Machines have enrolled and been there before. \
    Brokers: the same certificates, wanted and looked at; no register.";

pub(in crate::bench) fn run(context: &mut Context) -> Result<()> {
    let setup = Setup::default();
    let each = context.subjects().into_iter().map(|subject| {
        measure(
            context,
            subject,
            &setup,
            ["connections.join", "connections.memory"],
            6.0,
        )
        .map(|kib| (subject, kib))
    });
    let each = each.collect::<Result<Vec<_>>>()?;
    let goals = [(Subject::MosquittoWebSocket, 1.0)];
    add_ratios(context, "connections.memory", &each, &goals);
    Ok(())
}

/// The same with mutual TLS.
pub(in crate::bench) fn run_secured(context: &mut Context) -> Result<()> {
    let setup = Setup::secured(&context.enrolled()?);
    let each = context.secured_subjects().into_iter().map(|subject| {
        measure(
            context,
            subject,
            &setup,
            ["connections.tls.join", "connections.tls.memory"],
            18.0,
        )
        .map(|kib| (subject, kib))
    });
    let each = each.collect::<Result<Vec<_>>>()?;
    let goals = [(Subject::MosquittoTcp, 1.0)];
    add_ratios(context, "connections.tls.memory", &each, &goals);
    Ok(())
}

fn add_ratios(context: &mut Context, key: &str, each: &[(Subject, f64)], goals: &[(Subject, f64)]) {
    let what = match key {
        "connections.memory" => "memory of each connection",
        _ => "mutual TLS: memory of each connection",
    };
    context
        .report
        .add_ratios(key, what, each, Better::Less, goals, MEMORY_METHOD);
}

/// Gives back the memory of each connection, in KiB.
fn measure(
    context: &mut Context,
    subject: Subject,
    setup: &Setup,
    [join_key, memory_key]: [&str; 2],
    goal_kib: f64,
) -> Result<f64> {
    let (machines, settle) = (context.plan.machines, context.plan.settle());
    let (join_method, how) = match setup.enrolled {
        Some(_) => (TLS_JOIN_METHOD, "mutual TLS: "),
        None => (JOIN_METHOD, ""),
    };
    let target = Target::start(context, subject, setup)?;
    let mut load = context.load(&target, false)?;
    context.pause(settle / 3)?;
    let before_kib = target.program.resident_kib()?;
    let watch = context.watch(&target.program)?;
    let joined = join(context, &mut load, subject.name(), machines)?;
    let limit = watch.finish(&target.program)?.limit(None);
    load.hold(settle)?;
    let held_kib = target.program.resident_kib()?.saturating_sub(before_kib);
    let per_machine_kib = held_kib as f64 / machines as f64;
    let join = Figure::new(
        join_key,
        subject,
        format!("{how}all in session"),
        joined.seconds,
        "s",
        join_method,
    );
    context.report.add(join.limited(limit));
    let memory = Figure::new(
        memory_key,
        subject,
        format!("{how}memory of each connection"),
        per_machine_kib,
        "KiB",
        MEMORY_METHOD,
    );
    context.report.add(match subject {
        Subject::Muster => memory.at_most(goal_kib),
        _ => memory,
    });
    drop(load);
    target.discard(context);
    Ok(per_machine_kib)
}
