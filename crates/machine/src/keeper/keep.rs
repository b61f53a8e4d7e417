//! The second act: stays beside the program, writes down what it prints and how it ends, and hears what it is asked.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitCode, Stdio};
use std::time::Duration;

use muster_model::Timestamp;
use muster_model::workload::StopSignal;
use muster_model::workload::report::{Grant, GrantState};
use muster_runtime::Clock;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, getpid, kill_process, kill_process_group, pidfd_open,
    set_child_subreaper, setsid, wait,
};

use super::cgroup::{self, Places};
use super::enter::{self, Report};
use super::files::{Directory, Ended, Launch, Refused, Started};
use super::log::{FILE_MAX_BYTES, Stream, Writer};
use super::{COMMAND, stop};

/// What is read of the program at once.
const READ_BYTES: usize = 16 << 10;
/// Longest report of the act that becomes the program.
const REPORT_MAX_BYTES: u64 = 256 << 10;
/// What was left behind by others is looked for so often.
const REAP_EVERY: Timespec = Timespec {
    tv_sec: 5,
    tv_nsec: 0,
};
/// How often leftovers are killed before they are given up.
const LEFTOVER_ROUNDS: u32 = 50;
const LEFTOVER_WAIT: Duration = Duration::from_millis(2);

/// Keeps the instance that the directory names. The argument says what became of the pid namespace: `made`, `none`, or why not.
pub(super) fn keep(directory: &Path, rest: &[OsString]) -> io::Result<ExitCode> {
    // What asks the runtime's terminal to end does not mean this.
    let _ = setsid();
    let files = Directory::new(directory);
    let launch = files.launch()?.ok_or(io::ErrorKind::NotFound)?;
    let namespace = rest.first().map(|word| word.to_string_lossy().into_owned());
    let namespace = namespace.unwrap_or_else(|| "none".to_owned());
    if namespace != "made" {
        // What its program leaves behind comes to the keeper, to be ended with it.
        let _ = set_child_subreaper(Some(getpid()));
    }
    let ended = match Kept::begin(&files, &launch, &namespace) {
        Ok(Ok(kept)) => kept.until_it_ends(&files)?,
        Ok(Err(refused)) => ended_before(&launch, refused),
        Err(error) => ended_before(
            &launch,
            Refused {
                why: error.to_string(),
                for_good: false,
                granted: Vec::new(),
            },
        ),
    };
    files.write_ended(&ended)?;
    Ok(ExitCode::SUCCESS)
}

fn ended_before(launch: &Launch, refused: Refused) -> Ended {
    Ended {
        instance: launch.instance,
        code: None,
        signal: None,
        out_of_memory: false,
        by_others: false,
        refused: Some(refused),
    }
}

struct Kept {
    launch: Launch,
    child: Child,
    pid: Pid,
    control: File,
    log: Writer,
    clock: Clock,
    groups: Vec<PathBuf>,
    has_namespace: bool,
    /// Somebody else than the runtime asked it to end.
    by_others: bool,
    status: Option<WaitStatus>,
}

impl Kept {
    fn begin(files: &Directory, launch: &Launch, namespace: &str) -> io::Result<Result<Self, Refused>> {
        let workload = &launch.workload;
        let control = files.make_control()?;
        let log = Writer::open(&files.path, FILE_MAX_BYTES)?;
        let (groups, mut granted) = if launch.runner == "systemd" {
            let groups = own_groups();
            let granted = cgroup::verify(&groups, &workload.limits);
            (groups, granted)
        } else {
            cgroup::make(&Places::find()?, &launch.group, &workload.limits)
        };
        let missing: Vec<_> = granted
            .iter()
            .filter(|grant| grant.state != GrantState::Granted)
            .collect();
        if !missing.is_empty() && !workload.best_effort {
            let why = missing
                .into_iter()
                .map(enter::words)
                .collect::<Vec<_>>()
                .join("; ");
            let _ = cgroup::remove(&groups);
            return Ok(Err(Refused {
                why,
                for_good: true,
                granted,
            }));
        }
        let (report, told) = pipe_with(PipeFlags::CLOEXEC)?;
        let mut command = Command::new("/proc/self/exe");
        command.args([COMMAND, "enter"]).arg(&files.path).arg(namespace);
        if launch.runner != "systemd" {
            command.args(&groups);
        }
        command
            .stdin(Stdio::from(told))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = command.spawn()?;
        // The command holds the other end of the pipe.
        drop(command);
        let pid = Pid::from_child(&child);
        let mut kept = Self {
            launch: launch.clone(),
            child,
            pid,
            control,
            log,
            clock: Clock::start(),
            groups,
            has_namespace: namespace == "made",
            by_others: false,
            status: None,
        };
        let mut text = String::new();
        File::from(report)
            .take(REPORT_MAX_BYTES)
            .read_to_string(&mut text)?;
        let mut refused = None;
        let mut told = false;
        for line in text.lines() {
            let report: Report = serde_json::from_str(line)?;
            told = true;
            granted.extend(report.granted);
            if let Some(mut why) = report.refused {
                granted.append(&mut why.granted);
                refused = Some(why);
            }
        }
        if !told && refused.is_none() {
            refused = Some(Refused {
                why: "it ended before it could become the program".to_owned(),
                for_good: false,
                granted: Vec::new(),
            });
        }
        if let Some(mut refused) = refused {
            refused.granted = granted;
            kept.end_all();
            let _ = kept.child.wait();
            let _ = cgroup::remove(&kept.groups);
            return Ok(Err(refused));
        }
        if kept.has_namespace {
            let detail = "what it starts ends with it, and it sees no others".to_owned();
            granted.push(informed("processes_apart", GrantState::Granted, detail));
        } else if namespace != "none" {
            granted.push(informed(
                "processes_apart",
                GrantState::NotPermitted,
                namespace.to_owned(),
            ));
        }
        let (keeper, keeper_began) = self_on_this_computer()?;
        files.write_started(&Started {
            instance: launch.instance,
            keeper,
            keeper_began,
            program: first_child(),
            granted,
            groups: kept.groups.clone(),
        })?;
        Ok(Ok(kept))
    }

    /// Until the program ends, and everything that it started with it.
    fn until_it_ends(mut self, files: &Directory) -> io::Result<Ended> {
        let pidfd = pidfd_open(self.pid, PidfdFlags::empty())?;
        let mut out = self.child.stdout.take();
        let mut err = self.child.stderr.take();
        while self.status.is_none() {
            let ready = self.ready(out.as_ref(), err.as_ref(), pidfd.as_fd())?;
            self.drain(&ready, &mut out, &mut err);
            if ready.control {
                self.hear();
            }
            self.reap();
        }
        // What it printed last is still in the pipes; what it started may hold them open.
        let out_of_memory = cgroup::was_out_of_memory(&self.groups);
        self.end_all();
        loop {
            let ready = Ready::look(out.as_ref(), err.as_ref(), &[], Some(&Timespec::default()))?;
            if !ready.out && !ready.err {
                break;
            }
            self.drain(&ready, &mut out, &mut err);
        }
        let at = self.now();
        if let Err(error) = self.log.end(at) {
            complain(files, &error);
        }
        let status = self.status;
        Ok(Ended {
            instance: self.launch.instance,
            code: status.and_then(WaitStatus::exit_status),
            signal: status.and_then(WaitStatus::terminating_signal),
            out_of_memory,
            by_others: self.by_others,
            refused: None,
        })
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.wall_ms())
    }

    fn ready(
        &self,
        out: Option<&ChildStdout>,
        err: Option<&ChildStderr>,
        pidfd: BorrowedFd<'_>,
    ) -> io::Result<Ready> {
        Ready::look(out, err, &[self.control.as_fd(), pidfd], Some(&REAP_EVERY))
    }

    /// A disk that is full must not stop the program: what cannot be written is lost.
    fn drain(&mut self, ready: &Ready, out: &mut Option<ChildStdout>, err: &mut Option<ChildStderr>) {
        let mut buffer = [0; READ_BYTES];
        let at = self.now();
        if ready.out
            && let Some(pipe) = out
        {
            match pipe.read(&mut buffer) {
                Ok(0) | Err(_) => *out = None,
                Ok(count) => drop(self.log.take(at, Stream::Out, &buffer[..count])),
            }
        }
        if ready.err
            && let Some(pipe) = err
        {
            match pipe.read(&mut buffer) {
                Ok(0) | Err(_) => *err = None,
                Ok(count) => drop(self.log.take(at, Stream::Err, &buffer[..count])),
            }
        }
    }

    fn hear(&mut self) {
        let mut text = [0; 256];
        let count = self.control.read(&mut text).unwrap_or(0);
        for word in String::from_utf8_lossy(&text[..count]).lines() {
            if word == "kill" {
                self.end_all();
            } else if word == stop::word(self.launch.instance) {
                self.by_others = true;
                let _ = kill_process_group(self.pid, number(self.launch.workload.stop.signal));
            } else if let Ok(signal) = word.parse::<StopSignal>() {
                // Nobody has waited for it, so its number is nobody else's.
                let _ = kill_process_group(self.pid, number(signal));
            }
        }
    }

    /// Takes in who ended: the program, or what it left behind.
    fn reap(&mut self) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid == self.pid {
                self.status = Some(status);
            }
        }
    }

    /// Ends the program and all that it started. In a namespace of its own the rest goes when the keeper goes.
    fn end_all(&mut self) {
        if self.status.is_none() {
            let _ = kill_process_group(self.pid, Signal::KILL);
            let _ = kill_process(self.pid, Signal::KILL);
        }
        if self.has_namespace {
            return;
        }
        if self.launch.runner != "systemd" {
            cgroup::kill(&self.groups);
        }
        for _ in 0..LEFTOVER_ROUNDS {
            let left = children();
            if left.is_empty() {
                return;
            }
            for pid in left.into_iter().filter_map(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
            }
            self.reap();
            super::pause(LEFTOVER_WAIT);
        }
    }
}

/// What can be read.
#[derive(Default)]
struct Ready {
    out: bool,
    err: bool,
    control: bool,
}

impl Ready {
    fn look(
        out: Option<&ChildStdout>,
        err: Option<&ChildStderr>,
        others: &[BorrowedFd<'_>],
        wait: Option<&Timespec>,
    ) -> io::Result<Self> {
        let mut fds = Vec::with_capacity(4);
        fds.extend(
            others
                .iter()
                .map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)),
        );
        let first = fds.len();
        fds.extend(out.map(|out| PollFd::new(out, PollFlags::IN)));
        fds.extend(err.map(|err| PollFd::new(err, PollFlags::IN)));
        match poll(&mut fds, wait) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(Self::default()),
            Err(error) => return Err(error.into()),
        }
        let is_ready = |at: usize| fds.get(at).is_some_and(|fd| !fd.revents().is_empty());
        Ok(Self {
            control: first > 0 && is_ready(0),
            out: out.is_some() && is_ready(first),
            err: err.is_some() && is_ready(first + usize::from(out.is_some())),
        })
    }
}

fn informed(what: &str, state: GrantState, detail: String) -> Grant {
    Grant {
        what: what.to_owned(),
        state,
        detail,
    }
}

/// This process as the computer counts, which in a namespace differs from its own number, and when it began.
fn self_on_this_computer() -> io::Result<(i32, u64)> {
    let number = fs::read_link("/proc/self")?;
    let number = number.to_string_lossy().parse().map_err(io::Error::other)?;
    Ok((number, began(Path::new("/proc/self"))?))
}

/// When a process began, in the kernel's ticks. Source: proc(5), stat, field 22.
pub(crate) fn began(process: &Path) -> io::Result<u64> {
    let stat = fs::read_to_string(process.join("stat"))?;
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    let ticks = after
        .split_whitespace()
        .nth(19)
        .and_then(|ticks| ticks.parse().ok());
    ticks.ok_or_else(|| io::Error::other("stat is not as it should be"))
}

/// Its children, as the computer counts.
fn children() -> Vec<i32> {
    let text = fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    text.split_whitespace()
        .filter_map(|number| number.parse().ok())
        .collect()
}

fn first_child() -> Option<i32> {
    children().first().copied()
}

/// The groups that somebody else put this process into.
fn own_groups() -> Vec<PathBuf> {
    Places::find().map(Places::own).unwrap_or_default()
}

const fn number(signal: StopSignal) -> Signal {
    match signal {
        StopSignal::Term => Signal::TERM,
        StopSignal::Int => Signal::INT,
        StopSignal::Quit => Signal::QUIT,
        StopSignal::Hup => Signal::HUP,
        StopSignal::Usr1 => Signal::USR1,
        StopSignal::Usr2 => Signal::USR2,
    }
}

fn complain(files: &Directory, error: &io::Error) {
    eprintln!("muster-machine {COMMAND}: {}: {error}", files.path.display());
}
