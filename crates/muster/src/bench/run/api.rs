//! What a person waits for while the fleet sends.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::super::context::Context;
use super::super::error::{BenchError, Result};
use super::super::host;
use super::super::http::Http;
use super::super::progress::thousands;
use super::super::report::Figure;
use super::super::servers::{Setup, Subject, Target};
use super::super::wire::{What, machine_id};
use super::{join, quantile};

/// Pause between two requests for one machine.
const ONE_EVERY: Duration = Duration::from_millis(10);
/// One request in so many is for the list.
const LIST_EVERY: usize = 5;
/// From how much on the client's own lateness is told.
const LATE_MS: f64 = 0.5;
/// How long the load goes on before the first request.
const BEFORE: Duration = Duration::from_secs(1);

pub(in crate::bench) const METHOD: &str = "While the load of fleet-ingest goes on: one client on a thread of its own with one kept connection asks \
    every 10 ms for a machine (`GET machines/{id}`, another one each time), and each fifth time for the first page of a \
    filtered list (100 of all machines, `filter=cpu>50&sort=-cpu`). From the request's first byte to the answer's last. The client \
    shares the generator's core, and goes before it where the system allows (SCHED_FIFO); how late it wakes from its own pauses is \
    told, because an answer is noticed as late.";

pub(in crate::bench) fn run(context: &mut Context) -> Result<()> {
    let (machines, rate, time) = (
        context.plan.machines,
        context.plan.fleet_rate(),
        context.plan.time,
    );
    let target = Target::start(context, Subject::Muster, &Setup::default())?;
    let mut load = context.load(&target, false)?;
    join(context, &mut load, "muster", machines)?;
    load.hold(context.plan.settle())?;
    context.progress.step(&format!(
        "requests under {} messages a second",
        thousands(rate as u64)
    ));
    load.send_openly(What::Sample, rate, BEFORE, &mut |_| {})?;
    let (done, address) = (AtomicBool::new(false), target.address);
    let watch = context.watch(&target.program)?;
    let progress = &mut context.progress;
    let (sent, asked) = std::thread::scope(|scope| {
        let client = scope.spawn(|| ask(address, machines, &done));
        let sent = load.send_openly(What::Sample, rate, time, &mut |sent| {
            progress.go_on(|| format!("{} messages sent", thousands(sent)));
        });
        done.store(true, Ordering::Relaxed);
        (sent, client.join())
    });
    let limit = watch.finish(&target.program)?.limit(Some((rate, &sent?)));
    let mut asked = asked.map_err(|_| BenchError::Load("the client of the API panicked".to_owned()))??;
    asked.late_ms.sort_by(f64::total_cmp);
    let late_ms = quantile(&asked.late_ms, 0.99);
    let late =
        (late_ms >= LATE_MS).then(|| format!("the client itself woke up to {late_ms:.1} ms late (p99)"));
    let limits: Vec<String> = limit.into_iter().chain(late).collect();
    let limit = (!limits.is_empty()).then(|| limits.join("; "));
    for (key, what, mut samples, goal_ms) in [
        ("api.machine", "one machine's state", asked.one_ms, 1.0),
        ("api.list", "filtered list, page of 100", asked.list_ms, 5.0),
    ] {
        samples.sort_by(f64::total_cmp);
        let count = format!("{what}, {} requests", samples.len());
        let (middle, late) = (quantile(&samples, 0.5), quantile(&samples, 0.99));
        let figure =
            |key: String, what: String, value| Figure::new(key, Subject::Muster, what, value, "ms", METHOD);
        context
            .report
            .add(figure(format!("{key}.p50"), format!("{count}: p50"), middle).limited(limit.clone()));
        context.report.add(
            figure(format!("{key}.p99"), format!("{count}: p99"), late)
                .at_most(goal_ms)
                .limited(limit.clone()),
        );
    }
    drop(load);
    target.discard(context);
    Ok(())
}

/// Times of answers.
struct Asked {
    one_ms: Vec<f64>,
    list_ms: Vec<f64>,
    /// How much later than it meant to the client woke from its pauses: what its own core adds to every answer.
    late_ms: Vec<f64>,
}

fn ask(address: SocketAddr, machines: usize, done: &AtomicBool) -> Result<Asked> {
    // Where that is refused, its lateness is told.
    host::wake_at_once();
    let mut http = Http::connect(address)?;
    let mut asked = Asked {
        one_ms: Vec::new(),
        list_ms: Vec::new(),
        late_ms: Vec::new(),
    };
    let (began, mut requests) = (Instant::now(), 0usize);
    while !done.load(Ordering::Relaxed) {
        let is_list = requests % LIST_EVERY == LIST_EVERY - 1;
        let path = if is_list {
            "/api/v1/machines?filter=cpu%3E50&sort=-cpu&limit=100".to_owned()
        } else {
            // A step that has no factor in common with most numbers of machines goes round all of them.
            format!("/api/v1/machines/{}", machine_id(requests * 7_919 % machines))
        };
        let answer = http.get(&path)?.expect_ok(&path)?;
        let list = if is_list {
            &mut asked.list_ms
        } else {
            &mut asked.one_ms
        };
        list.push(answer.took.as_secs_f64() * 1e3);
        requests += 1;
        let next = began + ONE_EVERY * requests as u32;
        if Instant::now() >= next {
            continue;
        }
        host::sleep(next.saturating_duration_since(Instant::now()));
        asked.late_ms.push(next.elapsed().as_secs_f64() * 1e3);
    }
    Ok(asked)
}
