//! A machine's runtime that has nothing to do.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{Shutdown as Direction, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::super::context::Context;
use super::super::error::{BenchError, Result};
use super::super::host;
use super::super::process::{Program, free_address};
use super::super::report::Figure;
use super::super::servers::{Setup, Subject, Target};

/// How long it is left alone before it is measured, and how long it is measured: heartbeats come every 30 s.
const TIMES: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(60));
/// The same with `--quick`.
const TIMES_QUICK: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(1));
/// How long the agent may take to be known to the server.
const KNOWN_WITHIN: Duration = Duration::from_secs(20);

pub(in crate::bench) const METHOD: &str = "`muster-machine run`, where it lies beside this executable; else `muster agent run`, the \
    same in the executable that holds everything, which takes more memory. It reads this computer's own hardware and is connected through a proxy that counts. After 20 s alone, for 60 s: VmRSS, \
    time of its threads on a processor, and bytes of TCP payload both ways. A busy computer has more to tell of.";

pub(in crate::bench) const TLS_METHOD: &str = "The same agent after `enroll` with a token of a server that lets machines in by their certificates, \
    connected with mutual TLS: what it takes with keys, certificates and encryption.";

pub(in crate::bench) fn run(context: &mut Context) -> Result<()> {
    let keys = ["agent.memory", "agent.cpu", "agent.network"];
    measure(context, &Setup::default(), keys, ("", METHOD))?;
    let setup = Setup::secured(&context.enrolled()?);
    let keys = ["agent.tls.memory", "agent.tls.cpu", "agent.tls.network"];
    measure(context, &setup, keys, ("mutual TLS: ", TLS_METHOD))
}

/// The executable of a machine, and what stands before its commands.
struct Executable {
    path: PathBuf,
    name: &'static str,
    first: Option<&'static str>,
}

impl Executable {
    fn find() -> Result<Self> {
        let own = std::env::current_exe().map_err(BenchError::system("this executable cannot be found"))?;
        let device = own.with_file_name("muster-machine");
        Ok(match device.is_file() {
            true => Self {
                path: device,
                name: "muster-machine",
                first: None,
            },
            false => Self {
                path: own,
                name: "muster agent",
                first: Some("agent"),
            },
        })
    }

    fn line(&self, words: &[&str], data: &Path) -> Vec<OsString> {
        let mut line: Vec<OsString> = self.first.iter().chain(words).map(Into::into).collect();
        line.extend(["--data".into(), data.into()]);
        line
    }

    /// Gets a certificate, as a person would have it do.
    fn enrol(&self, target: &Target, data: &Path) -> Result<()> {
        let answer = target.http()?.post("/api/v1/enrolments", "{}")?;
        let answer = answer.expect(201, "/api/v1/enrolments")?;
        let made: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let token = made["token"].as_str().unwrap_or_default();
        let server = format!("https://{}", target.people);
        let enrolled = Command::new(&self.path)
            .args(self.line(&["enroll", token, "--server", &server], data))
            .stdin(Stdio::null())
            .output()
            .map_err(BenchError::system("no process can be started"))?;
        if enrolled.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&enrolled.stderr).into_owned();
        Err(BenchError::Load(format!("the agent could not enrol: {said}")))
    }
}

fn measure(
    context: &mut Context,
    setup: &Setup,
    [memory, cpu, network]: [&str; 3],
    (how, method): (&str, &'static str),
) -> Result<()> {
    let (settle, time) = if context.plan.quick { TIMES_QUICK } else { TIMES };
    let mut target = Target::start(context, Subject::Muster, setup)?;
    let proxy = Proxy::start(target.address)?;
    let directory = context.fresh_directory("agent")?;
    let data = directory.join("data");
    let executable = Executable::find()?;
    let scheme = match setup.enrolled {
        None => "ws",
        Some(_) => {
            target.wait_until_ready(context)?;
            executable.enrol(&target, &data)?;
            "wss"
        }
    };
    let (server, name) = (format!("{scheme}://{}", proxy.address), executable.name);
    let arguments = executable.line(&["run", "--log-level", "error", "--server", &server], &data);
    context.progress.step(&format!("{how}an agent connects"));
    let core = context.cores.server;
    let mut agent = Program::start("agent", core, &directory, &executable.path, &arguments)?;
    wait_until_known(context, &target, &mut agent)?;
    context.pause(settle)?;
    context
        .progress
        .step(&format!("{how}{name} idle for {} s", time.as_secs()));
    let (cpu_s, bytes, began) = (agent.threads_cpu_s()?, proxy.bytes(), Instant::now());
    context.pause(time)?;
    agent.check()?;
    let seconds = began.elapsed().as_secs_f64();
    let share_percent = (agent.threads_cpu_s()? - cpu_s) / seconds * 100.0;
    let per_second = (proxy.bytes() - bytes) as f64 / seconds;
    let resident_mb = agent.resident_kib()? as f64 * 1_024.0 / 1e6;
    for (key, what, value, unit, goal) in [
        (memory, "memory", resident_mb, "MB", 10.0),
        (cpu, "share of a core", share_percent, "%", 0.05),
        (network, "on the wire, both ways", per_second, "B/s", 60.0),
    ] {
        let what = format!("{how}{name}: {what}");
        context
            .report
            .add(Figure::new(key, Subject::Muster, what, value, unit, method).at_most(goal));
    }
    agent.kill();
    context.remove(&directory);
    drop(proxy);
    target.discard(context);
    Ok(())
}

fn wait_until_known(context: &Context, target: &Target, agent: &mut Program) -> Result<()> {
    let began = Instant::now();
    let mut http = target.http()?;
    loop {
        if http.json("/api/v1/fleet/summary")?["by_presence"]["online"].as_u64() == Some(1) {
            return Ok(());
        }
        agent.check()?;
        if began.elapsed() > KNOWN_WITHIN {
            return Err(agent.error("is not known to the server within its time"));
        }
        context.pause(Duration::from_millis(20))?;
    }
}

/// Passes bytes on and counts them. Ends with its connections.
struct Proxy {
    address: SocketAddr,
    bytes: Arc<AtomicU64>,
    done: Arc<AtomicBool>,
}

impl Proxy {
    fn start(to: SocketAddr) -> Result<Self> {
        let failed = "the counting proxy cannot be started";
        let address = free_address()?;
        let listener = TcpListener::bind(address).map_err(BenchError::system(failed))?;
        listener
            .set_nonblocking(true)
            .map_err(BenchError::system(failed))?;
        let (bytes, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, ended) = (bytes.clone(), done.clone());
        std::thread::Builder::new()
            .name("counting proxy".to_owned())
            .spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    match listener.accept() {
                        // A connection that fails is the agent's to make again.
                        Ok((from, _)) => {
                            let _ = pass(from, to, &counted);
                        }
                        Err(_) => host::sleep(Duration::from_millis(10)),
                    }
                }
            })
            .map_err(BenchError::system(failed))?;
        Ok(Self { address, bytes, done })
    }

    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
    }
}

/// Two threads, one each way.
fn pass(from: TcpStream, to: SocketAddr, counted: &Arc<AtomicU64>) -> std::io::Result<()> {
    from.set_nonblocking(false)?;
    from.set_nodelay(true)?;
    let to = TcpStream::connect(to)?;
    to.set_nodelay(true)?;
    for (mut from, mut to) in [(from.try_clone()?, to.try_clone()?), (to, from)] {
        let counted = counted.clone();
        std::thread::Builder::new()
            .name("counting proxy".to_owned())
            .spawn(move || {
                let mut buffer = [0; 16 * 1_024];
                while let Ok(length @ 1..) = from.read(&mut buffer) {
                    counted.fetch_add(length as u64, Ordering::Relaxed);
                    if to.write_all(&buffer[..length]).is_err() {
                        break;
                    }
                }
                // The other end learns that this one is over, however it ended.
                let _ = (from.shutdown(Direction::Both), to.shutdown(Direction::Both));
            })?;
    }
    Ok(())
}
