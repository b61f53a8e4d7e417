//! What starts, ends and looks after instances. Everything here may take its time, and is called on threads of its own.

use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use muster_model::workload::StopSignal;
use muster_reflex::workload::Exit;

use super::systemd::Systemd;
use crate::keeper::files::{Directory, Launch, Refused, Started};
use crate::keeper::{BUSY, COMMAND, cgroup, pause};

/// How long a keeper may take to start a program.
const START_WITHIN: Duration = Duration::from_secs(15);
/// Between two looks whether it did.
const START_LOOK: Duration = Duration::from_millis(5);
/// How long what ended may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(3);

/// What keeps instances.
pub(super) trait Runner: Send + Sync {
    /// Its word in the report.
    fn name(&self) -> &'static str;
    /// Starts an instance; when it returns, it runs, or nothing of it is left.
    fn start(&self, files: &Directory, launch: &Launch) -> Result<Started, Refused>;
    /// Asks an instance to end by a signal, or ends it.
    fn end(&self, files: &Directory, launch: &Launch, signal: Option<StopSignal>) -> io::Result<()>;
    /// Whether an instance that was started before lives.
    fn lives(&self, files: &Directory, launch: &Launch) -> io::Result<bool>;
    /// How an instance ended that does not live any more; clears away what is left of it.
    fn conclude(&self, files: &Directory, launch: &Launch) -> io::Result<Exit>;
    /// A command that runs a check inside of the instance.
    fn check(&self, files: &Directory, launch: &Launch, command: &[String]) -> io::Result<Command>;
}

/// Native programs: a keeper of our own, started by ourselves or by systemd.
pub(super) struct Native {
    pub(super) program: PathBuf,
    pub(super) systemd: Option<Systemd>,
}

impl Native {
    fn command(&self, files: &Directory, launch: &Launch) -> Command {
        match &self.systemd {
            Some(systemd) => systemd.command(&self.program, files, launch),
            None => {
                let mut command = Command::new(&self.program);
                command.args([COMMAND, "launch"]).arg(&files.path);
                command
            }
        }
    }
}

impl Runner for Native {
    fn name(&self) -> &'static str {
        if self.systemd.is_some() { "systemd" } else { "own" }
    }

    fn start(&self, files: &Directory, launch: &Launch) -> Result<Started, Refused> {
        let failed = |why: String| Refused {
            why,
            for_good: false,
            granted: Vec::new(),
        };
        let io = |error: io::Error| failed(error.to_string());
        let mut command = alone(self.command(files, launch));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let output = command.output().map_err(io)?;
        if output.status.code() == Some(i32::from(BUSY)) {
            // Two runtimes, or one that forgot: there must be one instance, and this one knows of none.
            files.ask("kill").map_err(io)?;
            return Err(failed(
                "another keeper has its lock; it was told to end".to_owned(),
            ));
        }
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr)
                .trim()
                .chars()
                .take(500)
                .collect::<String>();
            return Err(failed(format!("{}: {said}", output.status)));
        }
        let until = Instant::now() + START_WITHIN;
        loop {
            if let Some(started) = files
                .started()
                .map_err(io)?
                .filter(|started| started.instance == launch.instance)
            {
                return Ok(started);
            }
            if let Some(ended) = files
                .ended()
                .map_err(io)?
                .filter(|ended| ended.instance == launch.instance)
            {
                return Err(ended
                    .refused
                    .unwrap_or_else(|| failed("it ended at once".to_owned())));
            }
            if Instant::now() > until {
                files.ask("kill").map_err(io)?;
                return Err(failed(format!(
                    "its keeper said nothing for {} s",
                    START_WITHIN.as_secs()
                )));
            }
            pause(START_LOOK);
        }
    }

    fn end(&self, files: &Directory, _launch: &Launch, signal: Option<StopSignal>) -> io::Result<()> {
        files.ask(signal.map_or("kill", StopSignal::as_str))
    }

    fn lives(&self, files: &Directory, _launch: &Launch) -> io::Result<bool> {
        files.is_kept()
    }

    fn conclude(&self, files: &Directory, launch: &Launch) -> io::Result<Exit> {
        let until = Instant::now() + GONE_WITHIN;
        while files.is_kept()? {
            if Instant::now() > until {
                return Err(io::Error::other("its keeper ended, and its lock is held"));
            }
            pause(START_LOOK);
        }
        let started = files
            .started()?
            .filter(|started| started.instance == launch.instance);
        if let Some(started) = started.filter(|_| self.systemd.is_none()) {
            // The namespace took all with it; without one, the keeper may have been killed before it could.
            cgroup::kill(&started.groups);
            cgroup::remove(&started.groups)?;
        }
        let ended = files.ended()?.filter(|ended| ended.instance == launch.instance);
        Ok(ended.map_or(Exit::UNKNOWN, |ended| ended.exit()))
    }

    fn check(&self, files: &Directory, launch: &Launch, check: &[String]) -> io::Result<Command> {
        let started = files
            .started()?
            .filter(|started| started.instance == launch.instance);
        let Some(Started {
            program: Some(pid),
            groups,
            ..
        }) = started
        else {
            return Err(io::Error::other("the kernel does not tell which process it is"));
        };
        let groups = if self.systemd.is_some() {
            Vec::new()
        } else {
            groups
        };
        let mut command = Command::new(&self.program);
        command.args([COMMAND, "check"]).arg(&files.path);
        command
            .args([pid.to_string(), groups.len().to_string()])
            .args(&groups)
            .args(check);
        Ok(command)
    }
}

/// Runs a command to its end, at most for so long: what it printed on both streams, cut, and whether it ended well.
pub(crate) fn run(command: Command, within: Duration) -> io::Result<(bool, String)> {
    let mut command = alone(command);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let said = [child.stdout.take().map(listen), child.stderr.take().map(listen)];
    let status = wait(&mut child, within)?;
    let said: Vec<_> = said
        .into_iter()
        .flatten()
        .filter_map(|thread| thread.join().ok())
        .collect();
    match status {
        Some(status) => Ok((status.success(), said.concat())),
        None => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer within {} s", within.as_secs()),
        )),
    }
}

/// Nobody but the runtime speaks to the systemd that started it: Podman would hand its socket on to containers. Source: sd_notify(3).
fn alone(mut command: Command) -> Command {
    for variable in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] {
        command.env_remove(variable);
    }
    command
}

/// Longest answer of a command; what is longer is read and let go.
const SAID_MAX_BYTES: usize = 256 << 10;

fn listen(mut pipe: impl io::Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut said = Vec::new();
        let mut buffer = [0; 4_096];
        while let Ok(count @ 1..) = pipe.read(&mut buffer) {
            let room = SAID_MAX_BYTES.saturating_sub(said.len()).min(count);
            said.extend_from_slice(&buffer[..room]);
        }
        String::from_utf8_lossy(&said).into_owned()
    })
}

/// Waits; what takes longer is killed.
fn wait(child: &mut Child, within: Duration) -> io::Result<Option<std::process::ExitStatus>> {
    let until = Instant::now() + within;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() > until {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        pause(START_LOOK);
    }
}
