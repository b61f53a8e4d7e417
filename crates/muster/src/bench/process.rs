//! The programs that are measured: started on the server's core, watched through /proc, always ended.
//!
//! A child is started through this executable (`muster bench-child`), which keeps itself to one core, asks the kernel to be
//! killed when the bench dies, and becomes the program. So the process id is the program's, and nothing is left behind.

use std::ffi::OsString;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use muster_runtime::Shutdown;
use rustix::process::{Pid, Signal, kill_process};

use super::error::{BenchError, Result};
use super::host;

/// How long a program may take until it can be spoken to.
const START_WITHIN: Duration = Duration::from_secs(20);
/// How long a program may take to end in order.
const END_WITHIN: Duration = Duration::from_secs(30);
/// Lines of standard error that an error message repeats.
const SAID_LINES: usize = 8;

/// How a child of the bench becomes the program that is measured.
#[derive(Clone, Debug, Args)]
pub(crate) struct ChildOptions {
    /// The core to stay on
    #[arg(long)]
    core: usize,
    /// The bench that starts it
    #[arg(long)]
    parent: i32,
    /// The program and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    program: Vec<OsString>,
}

/// Becomes the program.
pub(crate) fn become_program(options: ChildOptions) -> ExitCode {
    use std::os::unix::process::CommandExt;
    // Without it a bench that is killed leaves a server behind; nothing else depends on it.
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    if parent != Some(options.parent) {
        return ExitCode::FAILURE;
    }
    host::go_first_alone();
    if let Err(error) = host::pin(&[options.core]) {
        eprintln!("error[{}]: {error}", error.code());
        return ExitCode::FAILURE;
    }
    let Some((program, arguments)) = options.program.split_first() else {
        return ExitCode::FAILURE;
    };
    let error = Command::new(program).args(arguments).exec();
    eprintln!("{} cannot be started: {error}", Path::new(program).display());
    ExitCode::FAILURE
}

/// A program that is measured. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Program {
    name: String,
    child: std::process::Child,
    stderr: PathBuf,
}

impl Program {
    /// Starts a program on one core; what it says goes to a file in `directory`.
    pub(super) fn start(
        name: &str,
        core: usize,
        directory: &Path,
        program: &Path,
        arguments: &[OsString],
    ) -> Result<Self> {
        let stderr = directory.join(format!("{name}.stderr"));
        let file = |source| BenchError::File {
            path: stderr.clone(),
            done: "written",
            source,
        };
        let output = File::create(&stderr).map_err(file)?;
        let also = output.try_clone().map_err(file)?;
        let own = std::env::current_exe().map_err(BenchError::system("this executable cannot be found"))?;
        let child = Command::new(own)
            .arg("bench-child")
            .args([
                "--core",
                &core.to_string(),
                "--parent",
                &std::process::id().to_string(),
                "--",
            ])
            .arg(program)
            .args(arguments)
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(also)
            .spawn()
            .map_err(BenchError::system("no process can be started"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            stderr,
        })
    }

    /// An error about this program, with what it said last.
    pub(super) fn error(&self, what: impl Into<String>) -> BenchError {
        let text = std::fs::read_to_string(&self.stderr).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        BenchError::Child {
            name: self.name.clone(),
            what: what.into(),
            said: lines[lines.len().saturating_sub(SAID_LINES)..].join("\n"),
        }
    }

    /// Fails if it has ended.
    pub(super) fn check(&mut self) -> Result<()> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.error(format!("ended: {status}"))),
            Err(source) => Err(BenchError::System {
                what: "a process cannot be asked after",
                source,
            }),
        }
    }

    /// Waits until it takes connections.
    pub(super) fn wait_for_port(&mut self, address: SocketAddr, stop: &Shutdown) -> Result<()> {
        let deadline = Instant::now() + START_WITHIN;
        while TcpStream::connect(address).is_err() {
            self.check()?;
            if stop.is_requested() {
                return Err(BenchError::Stopped);
            }
            if Instant::now() > deadline {
                return Err(self.error(format!(
                    "does not listen at {address} within {} s",
                    START_WITHIN.as_secs()
                )));
            }
            host::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Asks it to end and waits for that.
    pub(super) fn end(mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let deadline = Instant::now() + END_WITHIN;
        loop {
            match self.child.try_wait() {
                Ok(Some(_)) => return Ok(()),
                Ok(None) if Instant::now() < deadline => host::sleep(Duration::from_millis(2)),
                Ok(None) => return Err(self.error(format!("did not end within {} s", END_WITHIN.as_secs()))),
                Err(source) => {
                    return Err(BenchError::System {
                        what: "a process cannot be waited for",
                        source,
                    });
                }
            }
        }
    }

    /// Ends it without giving it time for anything.
    pub(super) fn kill(mut self) {
        // It may have ended by itself; waiting takes it off the system's list either way.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let Some(pid) = Pid::from_raw(self.child.id() as i32) else {
            return Err(self.error("has no process id"));
        };
        kill_process(pid, signal).map_err(BenchError::system("a process cannot be signalled"))
    }

    /// Memory that it holds, in KiB (`VmRSS`).
    pub(super) fn resident_kib(&self) -> Result<u64> {
        self.status("VmRSS")
    }

    /// The most memory that it ever held, in KiB (`VmHWM`).
    pub(super) fn peak_kib(&self) -> Result<u64> {
        self.status("VmHWM")
    }

    fn status(&self, key: &str) -> Result<u64> {
        let text = self.read("status")?;
        let line = text.lines().find(|line| line.starts_with(key));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
            .ok_or_else(|| self.error(format!("has no {key}: it ended")))
    }

    /// Processor time that it used so far, in seconds: user and system. Source: proc_pid_stat(5).
    pub(super) fn cpu_s(&self) -> Result<f64> {
        let text = self.read("stat")?;
        // The name in brackets may hold anything, also spaces.
        let fields: Vec<f64> = text
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .map(|word| word.parse().unwrap_or(0.0))
            .collect();
        match (fields.get(11), fields.get(12)) {
            (Some(user), Some(system)) => Ok((user + system) / host::ticks_per_second()),
            _ => Err(self.error("has no processor time")),
        }
    }

    /// The same, much finer, of the threads that still run. Source: the kernel's sched-stats: nanoseconds on a processor.
    pub(super) fn threads_cpu_s(&self) -> Result<f64> {
        let path = PathBuf::from(format!("/proc/{}/task", self.child.id()));
        let threads = std::fs::read_dir(&path).map_err(|source| BenchError::File {
            path,
            done: "read",
            source,
        })?;
        let on_processor_ns = |thread: std::fs::DirEntry| {
            // A thread may end meanwhile.
            let text = std::fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
            let first = text
                .split_whitespace()
                .next()
                .and_then(|word| word.parse::<f64>().ok());
            first.unwrap_or(0.0)
        };
        Ok(threads.flatten().map(on_processor_ns).sum::<f64>() / 1e9)
    }

    fn read(&self, name: &str) -> Result<String> {
        let path = PathBuf::from(format!("/proc/{}/{name}", self.child.id()));
        std::fs::read_to_string(&path).map_err(|source| BenchError::File {
            path,
            done: "read",
            source,
        })
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ports below those that the kernel hands out for outgoing connections: a connection that is tried before a server listens
/// must not be given the server's own port, because then it would be connected with itself.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A loopback port that nobody has at this moment, and that was not handed out before.
pub(super) fn free_address() -> Result<SocketAddr> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let count = u32::from(PORTS.end - PORTS.start);
    for _ in 0..count {
        let place = std::process::id()
            .wrapping_mul(17)
            .wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, PORTS.start + (place % count) as u16));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    Err(BenchError::Load("no loopback port is free".to_owned()))
}
