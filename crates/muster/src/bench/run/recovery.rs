//! The server is killed, and everybody comes back.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::super::context::Context;
use super::super::error::{BenchError, Result};
use super::super::http::Http;
use super::super::load::Load;
use super::super::progress::thousands;
use super::super::report::Figure;
use super::super::servers::{Setup, Subject, Target};
use super::super::wire::What;
use super::join;

/// How long machines send events before the server is killed: it is killed among them.
const SEND: Duration = Duration::from_secs(1);
/// How long the fleet may take to be shown as it was.
const SHOWN_WITHIN: Duration = Duration::from_secs(30);

pub(in crate::bench) const METHOD: &str = "All machines are connected and send one event a second each. The server is killed with \
    kill -9 among them and started again at once. Machines come back by the rule of the link: full jitter below 0.5 s, doubling \
    with every failure. From the kill until the last is welcomed. Checked besides: no machine is told of a lower record than it \
    was acknowledged before, and `fleet/summary` comes to say the same of the fleet as before (all but position and times).";

pub(in crate::bench) fn run(context: &mut Context) -> Result<()> {
    let machines = context.plan.machines;
    let target = Target::start(context, Subject::Muster, &Setup::default())?;
    let mut load = context.load(&target, true)?;
    join(context, &mut load, "muster", machines)?;
    load.hold(context.plan.settle())?;
    let before = all_online(context, &target, &mut load, machines)?;
    context.progress.step("killing the server among events");
    load.send_openly(What::Event, machines as f64, SEND, &mut |_| {})?;
    let again = target.again(&[]);
    load.let_them_come_back();
    let killed = Instant::now();
    target.program.kill();
    let target = Target::spawn(context, Subject::Muster, &again)?;
    let progress = &mut context.progress;
    // The end of the old connections is noticed first, so that nobody counts as being there still.
    while load.up() == machines {
        load.hold(Duration::from_millis(1))?;
    }
    load.wait_for_all(&mut |up| {
        progress.go_on(|| {
            format!(
                "{} of {} are back",
                thousands(up as u64),
                thousands(machines as u64)
            )
        });
    })?;
    let took_s = killed.elapsed().as_secs_f64();
    let after = all_online(context, &target, &mut load, machines)?;
    if before != after {
        return Err(BenchError::Load(format!("the fleet was {before} and is {after}")));
    }
    context.report.add(
        Figure::new(
            "recovery.time",
            Subject::Muster,
            "all back, state exact",
            took_s,
            "s",
            METHOD,
        )
        .at_most(5.0),
    );
    drop(load);
    target.discard(context);
    Ok(())
}

/// What the fleet is, once all machines are shown as online.
fn all_online(context: &Context, target: &Target, load: &mut Load, machines: usize) -> Result<Value> {
    let began = Instant::now();
    let mut http = Http::connect(target.address)?;
    loop {
        let mut summary = http.json("/api/v1/fleet/summary")?;
        let online = summary["by_presence"]["online"].as_u64();
        if online == Some(machines as u64) {
            if let Some(fields) = summary.as_object_mut() {
                for moving in ["at", "position", "server_time", "history_from"] {
                    fields.remove(moving);
                }
            }
            return Ok(summary);
        }
        if began.elapsed() > SHOWN_WITHIN {
            return Err(BenchError::Load(format!(
                "{online:?} of {machines} machines are shown as online"
            )));
        }
        context.check()?;
        load.hold(Duration::from_millis(20))?;
    }
}
