//! Starts the executable under test, reads what it says, and leaves nothing behind.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// What a process said is kept up to here.
const SAID_MAX_BYTES: usize = 64 * 1024;
/// How long a process may take to say that it is ready.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// How often to do something: so often in a short run, and `per_thousand` of the rounds that `MUSTER_PROVE_ROUNDS` asks for.
pub(crate) fn rounds(short: u64, per_thousand: u64) -> u64 {
    match std::env::var("MUSTER_PROVE_ROUNDS") {
        Ok(rounds) => {
            let rounds: u64 = rounds.parse().expect("MUSTER_PROVE_ROUNDS is a number");
            (rounds * per_thousand).div_ceil(1_000).max(1)
        }
        Err(_) => short,
    }
}

/// Where all chance of a run comes from, printed so that it can be given again.
pub(crate) fn dice(name: &str) -> Dice {
    let seed = std::env::var("MUSTER_PROVE_SEED").map_or_else(
        |_| u64::from(std::process::id()),
        |seed| seed.parse().expect("MUSTER_PROVE_SEED is a number"),
    );
    println!("\n{name}: MUSTER_PROVE_SEED={seed}");
    Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
}

/// Numbers that look random and follow from a seed.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    /// Waits for any time up to `most`: a fault may fall on any moment.
    #[expect(
        clippy::disallowed_methods,
        reason = "any moment will do; nothing is waited for"
    )]
    pub(crate) fn pause(&mut self, most: Duration) {
        std::thread::sleep(Duration::from_micros(self.below(most.as_micros() as u64 + 1)));
    }
}

/// One look, or one wait, counts for no more than this: where the whole computer stood still for a minute, nobody was slow.
const STEP_MAX: Duration = Duration::from_millis(250);

/// Looks again and again until something is there.
#[track_caller]
pub(crate) fn until<T>(what: &str, within: Duration, look: impl FnMut() -> Option<T>) -> T {
    wait(within, look).unwrap_or_else(|| panic!("not within {within:?}: {what}"))
}

/// The same for what need not come.
#[expect(clippy::disallowed_methods, reason = "between two looks at a condition")]
fn wait<T>(within: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let mut waited = Duration::ZERO;
    loop {
        let began = Instant::now();
        if let Some(found) = look() {
            return Some(found);
        }
        if waited >= within {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
        waited += began.elapsed().min(STEP_MAX);
    }
}

/// A port for a server that is killed and comes back at the same address. Not one of those that the system gives to
/// outgoing connections: a machine that knocks while the server is away could be given the very port and hold it.
pub(crate) fn steady_port() -> u16 {
    let first = 20_000 + (std::process::id() % 900 * 13) as u16;
    (first..first + 300)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a port is free")
}

/// The executable as a person would start it, without settings from around the test. `MUSTER_BIN` names another build.
pub(crate) fn muster() -> Command {
    let built = env!("CARGO_BIN_EXE_muster");
    let mut command = Command::new(std::env::var_os("MUSTER_BIN").unwrap_or(built.into()));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("MUSTER_") {
            command.env_remove(name);
        }
    }
    command
}

/// A process of ours; it does not outlive the test.
pub(crate) struct Process {
    child: Child,
    said: Arc<Said>,
}

#[derive(Default)]
struct Said {
    text: Mutex<(String, bool)>,
    news: Condvar,
}

impl Process {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Said::default());
        let (lines, to) = (BufReader::new(child.stderr.take().unwrap()), said.clone());
        std::thread::spawn(move || {
            for line in lines.split(b'\n') {
                let Ok(line) = line else { break };
                let mut text = to.text.lock().unwrap();
                if text.0.len() > SAID_MAX_BYTES {
                    let half = text.0.ceil_char_boundary(SAID_MAX_BYTES / 2);
                    text.0.drain(..half);
                }
                text.0.push_str(&String::from_utf8_lossy(&line));
                text.0.push('\n');
                to.news.notify_all();
            }
            to.text.lock().unwrap().1 = true;
            to.news.notify_all();
        });
        Self { child, said }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn said(&self) -> String {
        self.said.text.lock().unwrap().0.clone()
    }

    /// Waits for a piece of what it says; fails when it ends without saying it.
    #[track_caller]
    pub(crate) fn hear<T>(&mut self, what: &str, within: Duration, find: impl Fn(&str) -> Option<T>) -> T {
        let began = Instant::now();
        let mut waited = Duration::ZERO;
        let mut text = self.said.text.lock().unwrap();
        let ended = loop {
            if let Some(found) = find(&text.0) {
                return found;
            }
            if waited >= within || text.1 {
                break text.1;
            }
            let step = Instant::now();
            text = self.said.news.wait_timeout(text, STEP_MAX).unwrap().0;
            waited += step.elapsed().min(STEP_MAX);
        };
        // What it did say is printed when it is dropped.
        drop(text);
        let how = if ended {
            Some(self.child.wait().unwrap())
        } else {
            None
        };
        panic!("{what} was not said within {:?}; ended: {how:?}", began.elapsed());
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for the end, and for the last of what it said.
    #[track_caller]
    pub(crate) fn end(&mut self, within: Duration) -> ExitStatus {
        let ended = until("its end", within, || self.ended());
        until("its last words", within, || {
            self.said.text.lock().unwrap().1.then_some(())
        });
        ended
    }

    /// Whether it ends by itself soon.
    pub(crate) fn ends(&mut self, within: Duration) -> bool {
        wait(within, || self.ended()).is_some()
    }

    /// How many files it has open.
    pub(crate) fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid()))
            .unwrap()
            .count()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A stopped process dies of this, too.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- process {} said:\n{}", self.pid(), self.said());
        }
    }
}

/// `muster serve`.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
}

impl Server {
    pub(crate) fn command(data: &Path, port: u16) -> Command {
        let mut command = muster();
        command.args([
            "serve",
            "--trust-loopback",
            "--admin-listen",
            "127.0.0.1:0",
            "--log-format",
            "text",
            "--data",
        ]);
        command.arg(data).args(["--listen", &format!("127.0.0.1:{port}")]);
        command
    }

    pub(crate) fn start(data: &Path, port: u16) -> Self {
        Self::ready(Process::start(Self::command(data, port)))
    }

    /// Waits until it serves.
    #[track_caller]
    pub(crate) fn ready(mut process: Process) -> Self {
        let address = |said: &str, before: &str| -> Option<SocketAddr> {
            let rest = &said[said.find(before)? + before.len()..];
            let end = rest.find(|c: char| c != '.' && c != ':' && !c.is_ascii_digit())?;
            rest[..end].parse().ok()
        };
        let (serving, admin) = process.hear("its addresses", READY_WITHIN, |said| {
            Some((
                address(said, "Serving at http://")?,
                address(said, "metrics at http://")?,
            ))
        });
        Self {
            process,
            address: serving,
            admin,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// What the API answers.
    pub(crate) fn get(&self, path: &str) -> serde_json::Value {
        let body = http_get(self.address, path);
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
    }

    /// The sum of a metric over its labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = http_get(self.admin, "/metrics");
        let lines = text.lines().filter(|line| line.starts_with(name));
        lines
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }
}

fn http_get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (_, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("{path}: {answer:?}"));
    body.to_owned()
}

/// `muster agent run`: this executable as the runtime of a machine.
pub(crate) struct Agent {
    pub(crate) data: PathBuf,
    pub(crate) server: String,
    pub(crate) name: String,
    /// Where it reads its hardware; this computer's if nowhere else.
    pub(crate) hardware: Option<PathBuf>,
    pub(crate) environment: Vec<(String, String)>,
}

impl Agent {
    pub(crate) fn new(data: &Path, server: &str, name: &str) -> Self {
        Self {
            data: data.to_owned(),
            server: server.to_owned(),
            name: name.to_owned(),
            hardware: None,
            environment: Vec::new(),
        }
    }

    pub(crate) fn start(&self) -> Process {
        Process::start(self.command())
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = muster();
        command.args([
            "agent",
            "run",
            "--server",
            &self.server,
            "--name",
            &self.name,
            "--data",
        ]);
        command.arg(&self.data);
        if let Some(hardware) = &self.hardware {
            command.arg("--sysfs-root").arg(hardware);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}
