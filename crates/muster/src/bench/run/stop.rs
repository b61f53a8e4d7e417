//! How soon a remote stop is at the machine while the fleet sends.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use super::super::context::Context;
use super::super::error::{BenchError, Result};
use super::super::host;
use super::super::http::{Http, Stream, connect};
use super::super::progress::thousands;
use super::super::report::Figure;
use super::super::servers::{Setup, Subject, Target};
use super::super::wire::{Heard, Muster, Speaker, What, machine_id};
use super::{join, quantile};

/// Messages a second of each machine meanwhile.
const RATE: f64 = 5.0;
/// One stop in so long.
const STOP_EVERY: Duration = Duration::from_millis(40);
/// How long the load goes on before the first stop.
const BEFORE: Duration = Duration::from_secs(1);
/// A stop that is not there after this never comes.
const THERE_WITHIN: Duration = Duration::from_secs(5);
/// Commands that wait to be compared: one at a time is asked for.
pub(super) const WAITING_MAX: usize = 64;
/// How often the machine's end looks whether all is over.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(in crate::bench) const METHOD: &str = "All machines connected; the load of fleet-ingest at five messages a second of each \
    (50,000 a second of 10,000). Every 40 ms a client with one kept connection asks for a remote stop of one more machine, which is connected by itself and \
    answers each: from the first byte of `POST machines/{id}/stop` until the command was read at that machine's socket, and until the client had its answer, which says that the \
    log has it. Client and machine have threads of their own on the generator's core, and go before it where the system allows (SCHED_FIFO).";

pub(in crate::bench) fn run(context: &mut Context) -> Result<()> {
    let (machines, time) = (context.plan.machines, context.plan.time);
    let rate = machines as f64 * RATE;
    let target = Target::start(context, Subject::Muster, &Setup::default())?;
    let mut load = context.load(&target, false)?;
    join(context, &mut load, "muster", machines)?;
    let machine = Stopped::connect(target.address, machine_id(machines), None)?;
    load.hold(context.plan.settle())?;
    context.progress.step(&format!(
        "remote stops under {} messages a second",
        thousands(rate as u64)
    ));
    load.send_openly(What::Sample, rate, BEFORE, &mut |_| {})?;
    let (done, all_done) = (AtomicBool::new(false), AtomicBool::new(false));
    let http = target.http()?;
    let (told, there) = sync_channel(WAITING_MAX);
    let watch = context.watch(&target.program)?;
    let progress = &mut context.progress;
    let (sent, listened, asked) = std::thread::scope(|scope| {
        let listener = scope.spawn(|| machine.listen(&told, &all_done));
        let client = scope.spawn(|| ask(http, &machine_id(machines), there, &done));
        let sent = load.send_openly(What::Sample, rate, time, &mut |sent| {
            progress.go_on(|| format!("{} messages sent", thousands(sent)));
        });
        done.store(true, Ordering::Relaxed);
        // The last stop is waited for before nobody listens any more.
        let asked = client.join();
        all_done.store(true, Ordering::Relaxed);
        (sent, listener.join(), asked)
    });
    let limit = watch.finish(&target.program)?.limit(Some((rate, &sent?)));
    let panicked = |_| BenchError::Load("a thread of the measurement panicked".to_owned());
    listened.map_err(panicked)??;
    let asked = asked.map_err(panicked)??;
    for (key, what, mut samples, goal_ms) in [
        (
            "remote-stop.there",
            "stop asked for until at the machine",
            asked.there_ms,
            Some(20.0),
        ),
        (
            "remote-stop.answered",
            "stop asked for until in the log and answered",
            asked.answered_ms,
            None,
        ),
    ] {
        samples.sort_by(f64::total_cmp);
        let count = samples.len();
        for (name, share) in [("p50", 0.5), ("p99", 0.99), ("most", 1.0)] {
            let figure = Figure::new(
                format!("{key}.{name}"),
                Subject::Muster,
                format!("{what}, {count}: {name}"),
                quantile(&samples, share),
                "ms",
                METHOD,
            );
            let figure = match goal_ms {
                Some(goal_ms) if name == "p99" => figure.at_most(goal_ms),
                Some(_) | None => figure,
            };
            context.report.add(figure.limited(limit.clone()));
        }
    }
    drop(load);
    target.discard(context);
    Ok(())
}

/// The machine that is stopped: its end of the link, read as soon as something is there.
pub(super) struct Stopped {
    stream: Box<dyn Stream>,
    speaker: Box<dyn Speaker + Send>,
}

impl Stopped {
    /// Connects, with a certificate where one is wanted, and waits for its welcome.
    pub(super) fn connect(
        address: SocketAddr,
        machine: String,
        secured_by: Option<Arc<ClientConfig>>,
    ) -> Result<Self> {
        let failed = "the machine that is stopped cannot connect";
        let mut stream = connect(address, LOOK_EVERY, secured_by).map_err(BenchError::system(failed))?;
        let mut speaker = Box::new(Muster::connect_as(machine, address.to_string()));
        let mut out = Vec::new();
        speaker.open(&mut out);
        stream.write_all(&out).map_err(BenchError::system(failed))?;
        let mut machine = Self { stream, speaker };
        let (mut heard, began) = (Heard::default(), Instant::now());
        let mut rest = Vec::new();
        while !heard.joined {
            machine.turn(&mut rest, &mut heard)?;
            if began.elapsed() > THERE_WITHIN {
                return Err(BenchError::Load(
                    "the machine that is stopped is not welcomed".to_owned(),
                ));
            }
        }
        Ok(machine)
    }

    /// Reads what is there and answers it.
    fn turn(&mut self, rest: &mut Vec<u8>, heard: &mut Heard) -> Result<()> {
        let failed = "the machine that is stopped lost its connection";
        let mut buffer = [0; 16 * 1_024];
        let read = match self.stream.read(&mut buffer) {
            Ok(0) => return Err(BenchError::Load(failed.to_owned())),
            Ok(read) => read,
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) =>
            {
                return Ok(());
            }
            Err(error) => return Err(BenchError::system(failed)(error)),
        };
        rest.extend_from_slice(&buffer[..read]);
        let mut out = Vec::new();
        let taken = self
            .speaker
            .hear(rest, &mut out, heard)
            .map_err(BenchError::Load)?;
        rest.drain(..taken);
        self.stream.write_all(&out).map_err(BenchError::system(failed))
    }

    /// Tells of each command when it is there.
    pub(super) fn listen(mut self, told: &SyncSender<(String, Instant)>, done: &AtomicBool) -> Result<()> {
        host::wake_at_once();
        let (mut heard, mut rest) = (Heard::default(), Vec::new());
        while !done.load(Ordering::Relaxed) {
            self.turn(&mut rest, &mut heard)?;
            let now = Instant::now();
            for command in heard.commands.drain(..) {
                // Whoever waited for it may have given up.
                let _ = told.try_send((command, now));
            }
        }
        Ok(())
    }
}

/// Times of stops.
pub(super) struct Asked {
    pub(super) there_ms: Vec<f64>,
    pub(super) answered_ms: Vec<f64>,
}

/// Asks for stops of one machine until all is over.
pub(super) fn ask(
    mut http: Http,
    machine: &str,
    there: Receiver<(String, Instant)>,
    done: &AtomicBool,
) -> Result<Asked> {
    host::wake_at_once();
    let mut asked = Asked {
        there_ms: Vec::new(),
        answered_ms: Vec::new(),
    };
    let path = format!("/api/v1/machines/{machine}/stop");
    let (began, mut stops) = (Instant::now(), 0u32);
    while !done.load(Ordering::Relaxed) {
        let start = Instant::now();
        let answer = http.post(&path, r#"{"reason":"measured"}"#)?;
        let answer = answer.expect(202, &path)?;
        asked.answered_ms.push(answer.took.as_secs_f64() * 1e3);
        let id = command_of(&answer.body)?;
        loop {
            let Ok((command, at)) = there.recv_timeout(THERE_WITHIN) else {
                return Err(BenchError::Load(format!(
                    "the stop {id} never came to the machine"
                )));
            };
            if command == id {
                asked
                    .there_ms
                    .push(at.saturating_duration_since(start).as_secs_f64() * 1e3);
                break;
            }
        }
        stops += 1;
        let next = began + STOP_EVERY * stops;
        host::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(asked)
}

fn command_of(body: &[u8]) -> Result<String> {
    let read: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let id = read
        .as_ref()
        .and_then(|answer| answer["stops"][0]["command_id"].as_str());
    id.map(str::to_owned).ok_or_else(|| {
        let text = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
        BenchError::Load(format!("the answer to a stop names no command: {text}"))
    })
}
