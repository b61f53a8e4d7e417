//! All machines come at once, each with its certificate, while people stop one of those that are back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use super::super::context::{Context, Watched};
use super::super::error::{BenchError, Result};
use super::super::load::{Joined, Load};
use super::super::progress::thousands;
use super::super::report::{Better, Figure};
use super::super::servers::{Setup, Subject, Target};
use super::super::wire::What;
use super::stop::{Asked, Stopped, WAITING_MAX, ask};
use super::{join, quantile};

/// How long machines send events before the server is killed.
const SEND: Duration = Duration::from_secs(1);
/// How long the fleet may take to be shown as it is.
const SHOWN_WITHIN: Duration = Duration::from_secs(30);
/// How long a stop may take in the middle of it: as long as with the fleet in session.
const STOP_GOAL_MS: f64 = 20.0;

pub(in crate::bench) const METHOD: &str = "As storm, where every machine has a certificate of its own and the server wants it (see connections-tls). \
    All machines are in session and send an event each within a second; the server is killed with kill -9 among them and started again. When it is ready, all \
    connect at the same moment, without jitter and without a limit on how many are on the way: from the first connect to the last welcome, each session on disk. \
    Checked besides: no machine is told of a lower record than it was acknowledged before, and `fleet/summary` comes to say that all are online. \
    Brokers know nobody, and are started anew; connections that a broker ends before they are in session are made again by the rule of the link. Muster may end none.";
pub(in crate::bench) const STOP_METHOD: &str = "During storm-tls: one machine more is back before all the others begin. Every 40 ms an admin, signed in over TLS, \
    asks for a remote stop of it: from the first byte of `POST machines/{id}/stop` until the command was read at that machine's socket, and until the client had its answer. \
    Client and machine have threads of their own on the generator's core, and go before it where the system allows (SCHED_FIFO).";

pub(in crate::bench) fn run(context: &mut Context) -> Result<()> {
    let setup = Setup::secured(&context.enrolled()?);
    let mut each = Vec::new();
    for subject in context.secured_subjects() {
        let (target, mut load) = match subject {
            Subject::Muster => killed_and_back(context, &setup)?,
            _ => {
                let target = Target::start(context, subject, &setup)?;
                let mut load = context.load(&target, false)?;
                // Some end connections that wait for too long.
                load.let_them_come_back();
                (target, load)
            }
        };
        let machines = thousands(context.plan.machines as u64);
        let name = subject.name();
        context
            .progress
            .step(&format!("{name}: {machines} connect at once"));
        let (joined, watched) = match subject {
            Subject::Muster => {
                let (joined, watched, asked) = with_stops(context, &target, &mut load)?;
                add_stops(context, asked, &watched);
                wait_until_online(context, &target, &mut load)?;
                (joined, watched)
            }
            _ => {
                let watch = context.watch(&target.program)?;
                let joined = storm(context, &mut load, name)?;
                (joined, watch.finish(&target.program)?)
            }
        };
        let peak_mib = target.program.peak_kib()? as f64 / 1_024.0;
        let time = Figure::new(
            "storm.tls.time",
            subject,
            "mutual TLS: all back in session",
            joined.seconds,
            "s",
            METHOD,
        );
        let time = match subject {
            Subject::Muster => time.at_most(4.0),
            _ => time,
        };
        let limit = match load.lost() {
            0 => used(&watched),
            lost => format!(
                "{}; {} connections were ended before they were in session, and made again",
                used(&watched),
                thousands(lost as u64)
            ),
        };
        context.report.add(time.limited(Some(limit)));
        let what = "mutual TLS: most memory ever held";
        context.report.add(Figure::new(
            "storm.tls.memory",
            subject,
            what,
            peak_mib,
            "MiB",
            METHOD,
        ));
        each.push((subject, joined.seconds));
        drop(load);
        target.discard(context);
    }
    let (key, what) = ("storm.tls.time", "mutual TLS: all back in session");
    let goals = [(Subject::NatsWebSocket, 1.0)];
    context
        .report
        .add_ratios(key, what, &each, Better::Less, &goals, METHOD);
    Ok(())
}

/// A server that was killed while machines sent events, and is ready again; nobody is connected.
fn killed_and_back(context: &mut Context, setup: &Setup) -> Result<(Target, Load)> {
    let machines = context.plan.machines;
    let target = Target::start(context, Subject::Muster, setup)?;
    let mut load = context.load(&target, true)?;
    join(context, &mut load, "muster", machines)?;
    load.send_openly(What::Event, machines as f64, SEND, &mut |_| {})?;
    let again = target.again(&[]);
    target.program.kill();
    load.lose_all();
    let mut target = Target::start(context, Subject::Muster, &again)?;
    target.wait_until_ready(context)?;
    Ok((target, load))
}

/// All come at once.
fn storm(context: &mut Context, load: &mut Load, who: &str) -> Result<Joined> {
    let machines = context.plan.machines;
    let progress = &mut context.progress;
    let joined = load.join_at_once(machines, &mut |up| {
        progress.go_on(|| format!("{who}: {} are back", thousands(up as u64)));
    })?;
    if load.up() != machines {
        return Err(BenchError::Load(format!("{} of {machines} stayed", load.up())));
    }
    Ok(joined)
}

/// The same, while a machine that is back is stopped again and again.
fn with_stops(context: &mut Context, target: &Target, load: &mut Load) -> Result<(Joined, Watched, Asked)> {
    let enrolled = context.enrolled()?;
    let index = context.plan.machines;
    let machine = enrolled.id(index).to_string();
    let stopped = Stopped::connect(target.address, machine.clone(), Some(enrolled.machine(index)))?;
    let mut http = target.http()?;
    http.json("/api/v1/fleet/summary")?;
    let (done, all_done) = (AtomicBool::new(false), AtomicBool::new(false));
    let (told, there) = sync_channel(WAITING_MAX);
    let watch = context.watch(&target.program)?;
    let (joined, listened, asked) = std::thread::scope(|scope| {
        let listener = scope.spawn(|| stopped.listen(&told, &all_done));
        let client = scope.spawn(|| ask(http, &machine, there, &done));
        let joined = storm(context, load, "muster");
        done.store(true, Ordering::Relaxed);
        // The last stop is waited for before nobody listens any more.
        let asked = client.join();
        all_done.store(true, Ordering::Relaxed);
        (joined, listener.join(), asked)
    });
    let watched = watch.finish(&target.program)?;
    let panicked = |_| BenchError::Load("a thread of the measurement panicked".to_owned());
    listened.map_err(panicked)??;
    Ok((joined?, watched, asked.map_err(panicked)??))
}

fn add_stops(context: &mut Context, asked: Asked, watched: &Watched) {
    let ways = [
        (
            "storm.tls.stop",
            "stop asked for until at the machine",
            asked.there_ms,
        ),
        (
            "storm.tls.answered",
            "stop asked for until in the log and answered",
            asked.answered_ms,
        ),
    ];
    for (key, what, mut samples) in ways {
        samples.sort_by(f64::total_cmp);
        let what = format!("{what}, the longest of {}", samples.len());
        let figure = Figure::new(
            key,
            Subject::Muster,
            what,
            quantile(&samples, 1.0),
            "ms",
            STOP_METHOD,
        );
        let figure = match key {
            "storm.tls.stop" => figure.at_most(STOP_GOAL_MS),
            _ => figure,
        };
        context.report.add(figure.limited(watched.limit(None)));
    }
}

/// How much each side worked: a handshake costs both about as much.
fn used(watched: &Watched) -> String {
    let (server, generator) = (watched.server() * 100.0, watched.generator * 100.0);
    let used =
        format!("the server used {server:.0} % of its core, the generator {generator:.0} % of its own");
    match watched.limit(None) {
        Some(limit) => format!("{used}; {limit}"),
        None => used,
    }
}

fn wait_until_online(context: &Context, target: &Target, load: &mut Load) -> Result<()> {
    let (began, mut http) = (Instant::now(), target.http()?);
    // The one that is stopped has left.
    let wanted = context.plan.machines as u64;
    loop {
        let summary = http.json("/api/v1/fleet/summary")?;
        let online = summary["by_presence"]["online"].as_u64();
        if online.is_some_and(|online| online >= wanted) {
            return Ok(());
        }
        if began.elapsed() > SHOWN_WITHIN {
            return Err(BenchError::Load(format!(
                "{online:?} of {wanted} machines are shown as online"
            )));
        }
        context.check()?;
        load.hold(Duration::from_millis(20))?;
    }
}
