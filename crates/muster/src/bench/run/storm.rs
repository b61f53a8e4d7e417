//! All machines come at once.

use super::super::context::Context;
use super::super::error::{BenchError, Result};
use super::super::host;
use super::super::progress::thousands;
use super::super::report::Figure;
use super::super::servers::{Setup, Subject, Target};

pub(in crate::bench) const METHOD: &str = "All machines connect at the same moment, without jitter and without a limit on how \
    many are on the way, to a server that knows all of them from a session before (it was ended in order and started again \
    on the same data). From the first connect to the last welcome, each session on disk; memory is the highest RSS (VmHWM) \
    that the server ever had. The server's admission and its queue of connections to be \
    accepted are as they are by default; an attempt that finds the queue full is repeated by the kernel after 1 s, 3 s and so on. Brokers know nobody.";

pub(in crate::bench) fn run(context: &mut Context) -> Result<()> {
    let machines = context.plan.machines;
    for subject in context.subjects() {
        let name = subject.name();
        let mut setup = Setup::default();
        if subject == Subject::Muster {
            let target = Target::start(context, subject, &setup)?;
            let mut load = context.load(&target, false)?;
            super::join(context, &mut load, name, machines)?;
            drop(load);
            setup.data = Some(target.directory);
            target.program.end()?;
        }
        let target = Target::start(context, subject, &setup)?;
        let mut load = context.load(&target, false)?;
        context
            .progress
            .step(&format!("{name}: {} connect at once", thousands(machines as u64)));
        let (watch, overflows) = (context.watch(&target.program)?, host::listen_overflows());
        let progress = &mut context.progress;
        let joined = load.join(machines, machines, &mut |up| {
            progress.go_on(|| format!("{name}: {} are back", thousands(up as u64)));
        })?;
        let limit = watch.finish(&target.program)?.limit(None);
        let overflows = host::listen_overflows() - overflows;
        let queue = (overflows > 0).then(|| {
            let overflows = thousands(overflows);
            format!("{overflows} attempts did not fit the queue of the listening socket and were repeated by the kernel")
        });
        let limits: Vec<String> = limit.into_iter().chain(queue).collect();
        let limit = (!limits.is_empty()).then(|| limits.join("; "));
        if load.up() != machines {
            return Err(BenchError::Load(format!("{} of {machines} stayed", load.up())));
        }
        let peak_mib = target.program.peak_kib()? as f64 / 1_024.0;
        let figure = Figure::new(
            "storm.time",
            subject,
            "all back in session",
            joined.seconds,
            "s",
            METHOD,
        );
        context.report.add(
            match subject {
                Subject::Muster => figure.at_most(4.0),
                _ => figure,
            }
            .limited(limit),
        );
        context.report.add(Figure::new(
            "storm.memory",
            subject,
            "most memory ever held",
            peak_mib,
            "MiB",
            METHOD,
        ));
        drop(load);
        target.discard(context);
    }
    Ok(())
}
