//! The third act: gives up what the workload shall not have, and becomes the program.
//!
//! What becomes of each thing goes over standard input, which here is a pipe to the keeper; it closes when the program begins.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use muster_model::workload::report::{Grant, GrantState};
use muster_model::workload::{SeccompProfile, Workload};
use rustix::process::{PidfdFlags, Resource, Rlimit, geteuid, pidfd_open, setrlimit, setsid};
use rustix::thread::{CapabilitySet, ThreadNameSpaceType, UnshareFlags};
use serde::{Deserialize, Serialize};

use super::files::{Directory, Refused};
use super::{cgroup, mounts, seccomp, users};

/// Where programs are looked for by what the workload starts.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the keeper is told.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Report {
    pub(super) granted: Vec<Grant>,
    pub(super) refused: Option<Refused>,
}

/// Becomes the program; the arguments are whether there is a pid namespace, and the control groups.
pub(super) fn enter(directory: &Path, rest: &[OsString]) -> io::Result<ExitCode> {
    let mut keeper = File::from(rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3)?);
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    let Some(launch) = Directory::new(directory).launch()? else {
        return Err(io::ErrorKind::NotFound.into());
    };
    let has_namespace = rest.first().is_some_and(|word| word == "made");
    let groups: Vec<_> = rest.iter().skip(1).map(PathBuf::from).collect();
    let mut rights = Rights::default();
    let entered = Entered {
        has_namespace,
        joins: None,
        workload: &launch.workload,
    };
    let refused = rights.give_up(&entered, &groups);
    if let Some(refused) = refused {
        return say(&mut keeper, rights, Some(refused));
    }
    let workload = &launch.workload;
    let Some(program) = &workload.program else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let mut command = Command::new(program);
    command.args(&workload.arguments).env_clear().env("PATH", PATH);
    command
        .env("MUSTER_WORKLOAD", launch.name.as_str())
        .envs(&workload.environment);
    say(
        &mut keeper,
        Rights {
            granted: std::mem::take(&mut rights.granted),
        },
        None,
    )?;
    let error = command.exec();
    let refused = Refused {
        why: format!("{program}: {error}"),
        for_good: false,
        granted: Vec::new(),
    };
    say(&mut keeper, Rights::default(), Some(refused))
}

/// Becomes a health check; the arguments are the program's number, how many control groups there are, the groups, and the command.
pub(super) fn check(directory: &Path, rest: &[OsString]) -> io::Result<ExitCode> {
    let missing = || io::Error::from(io::ErrorKind::InvalidInput);
    let number = |at: usize| {
        rest.get(at)
            .and_then(|word| word.to_str())
            .and_then(|word| word.parse::<i32>().ok())
    };
    let pid = number(0)
        .and_then(rustix::process::Pid::from_raw)
        .ok_or_else(missing)?;
    let count = usize::try_from(number(1).ok_or_else(missing)?).map_err(|_| missing())?;
    let groups: Vec<_> = rest.iter().skip(2).take(count).map(PathBuf::from).collect();
    let (program, arguments) = rest
        .get(2 + count..)
        .and_then(<[_]>::split_first)
        .ok_or_else(missing)?;
    let launch = Directory::new(directory).launch()?.ok_or_else(missing)?;
    let mut rights = Rights::default();
    let entered = Entered {
        has_namespace: false,
        joins: Some(pid),
        workload: &launch.workload,
    };
    if let Some(refused) = rights.give_up(&entered, &groups) {
        return Err(io::Error::other(refused.why));
    }
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .envs(&launch.workload.environment);
    Err(command.exec())
}

fn say(keeper: &mut File, rights: Rights, refused: Option<Refused>) -> io::Result<ExitCode> {
    let failed = refused.is_some();
    let report = Report {
        granted: rights.granted,
        refused,
    };
    let mut line = serde_json::to_vec(&report)?;
    line.push(b'\n');
    keeper.write_all(&line)?;
    Ok(ExitCode::from(u8::from(failed)))
}

struct Entered<'a> {
    has_namespace: bool,
    /// The process whose isolation is entered, instead of one of its own.
    joins: Option<rustix::process::Pid>,
    workload: &'a Workload,
}

#[derive(Default)]
struct Rights {
    granted: Vec<Grant>,
}

impl Rights {
    fn note(&mut self, what: &str, done: Result<String, Option<io::Error>>) {
        let (state, detail) = match done {
            Ok(detail) => (GrantState::Granted, detail),
            Err(None) => (GrantState::NotPresent, "not on this architecture".to_owned()),
            Err(Some(error)) if error.kind() == io::ErrorKind::NotFound => {
                (GrantState::NotPresent, error.to_string())
            }
            Err(Some(error)) => (GrantState::NotPermitted, error.to_string()),
        };
        self.granted.push(Grant {
            what: what.to_owned(),
            state,
            detail,
        });
    }

    /// In an order in which nothing takes away what a later step needs. Says what must not be missing and is.
    fn give_up(&mut self, entered: &Entered<'_>, groups: &[PathBuf]) -> Option<Refused> {
        let workload = entered.workload;
        if let Err(error) = cgroup::join(groups)
            && groups_are_asked_for(workload)
        {
            self.note("limits", Err(Some(error)));
        }
        // The program is the first of its group, so that a signal reaches what it starts.
        let _ = setsid();
        if let Some(most) = workload.limits.open_files {
            let most = u64::from(most);
            let limit = Rlimit {
                current: Some(most),
                maximum: Some(most),
            };
            let done = setrlimit(Resource::Nofile, limit).map(|()| most.to_string());
            self.note("open_files", done.map_err(|error| Some(error.into())));
        }
        let user = workload.user.as_deref().map(users::find);
        match entered.joins {
            Some(pid) => {
                if let Err(error) = join(pid) {
                    self.note("namespaces", Err(Some(error)));
                    return Some(self.refused("the workload's namespaces cannot be entered".to_owned()));
                }
            }
            None => self.separate(entered),
        }
        let directory = workload.directory.as_deref().unwrap_or("/");
        if let Err(error) = rustix::process::chdir(directory) {
            return Some(self.refused(format!("directory {directory}: {error}")));
        }
        self.drop_capabilities(workload);
        match user {
            None => {}
            Some(Err(error)) => {
                self.note("user", Err(Some(error)));
                // It would run as somebody else: no best effort.
                return Some(self.missing(|grant| grant.what == "user"));
            }
            Some(Ok(user)) => {
                let done = users::become_user(&user);
                let failed = done.is_err();
                let detail = format!("user {}, group {}", user.uid.as_raw(), user.gid.as_raw());
                self.note("user", done.map(|()| detail).map_err(Some));
                if failed && !workload.best_effort {
                    return Some(self.missing(|grant| grant.what == "user"));
                }
            }
        }
        if let Err(error) = rustix::thread::set_no_new_privs(true) {
            self.note("no_new_privileges", Err(Some(error.into())));
        }
        if workload.seccomp == SeccompProfile::Default {
            let done = seccomp::install();
            self.note("seccomp", done.map(|()| "profile default".to_owned()));
        }
        let missing = |grant: &Grant| grant.state != GrantState::Granted;
        (self.granted.iter().any(missing) && !workload.best_effort).then(|| self.missing(missing))
    }

    /// Namespaces of its own.
    fn separate(&mut self, entered: &Entered<'_>) {
        let workload = entered.workload;
        // Nobody asks for these: they are taken where they are given.
        let _ = unshare(UnshareFlags::NEWIPC);
        let _ = unshare(UnshareFlags::NEWUTS);
        if !workload.network {
            let done = unshare(UnshareFlags::NEWNET).map(|()| "none".to_owned());
            self.note("network", done.map_err(Some));
        }
        let filesystem = &workload.filesystem;
        if filesystem.read_only || entered.has_namespace {
            let own = unshare(UnshareFlags::NEWNS).and_then(|()| mounts::separate());
            if own.is_ok() && entered.has_namespace {
                // Without it, it sees the machine's processes, and can do nothing to them.
                let _ = mounts::own_processes();
            }
            if filesystem.read_only {
                let done = own.and_then(|()| mounts::read_only(&filesystem.writable));
                let detail = match filesystem.writable.as_slice() {
                    [] => "all".to_owned(),
                    paths => format!("all but {}", paths.join(", ")),
                };
                self.note("read_only", done.map(|()| detail).map_err(Some));
            }
        }
    }

    /// Who is not root has none to drop.
    fn drop_capabilities(&mut self, workload: &Workload) {
        if !geteuid().is_root() {
            return;
        }
        let kept = match kept(&workload.capabilities) {
            Ok(kept) => kept,
            Err(error) => return self.note("capabilities", Err(Some(error))),
        };
        let mut done = Ok(());
        for capability in CapabilitySet::all().iter() {
            if kept.contains(capability) || capability.bits().count_ones() != 1 {
                continue;
            }
            match rustix::thread::remove_capability_from_bounding_set(capability) {
                // The kernel does not know it.
                Ok(()) | Err(rustix::io::Errno::INVAL) => {}
                Err(error) => done = Err(Some(error.into())),
            }
        }
        let detail = match workload.capabilities.as_slice() {
            [] => "none kept".to_owned(),
            names => format!("kept: {}", names.join(", ")),
        };
        self.note("capabilities", done.map(|()| detail));
    }

    fn missing(&mut self, which: impl Fn(&Grant) -> bool) -> Refused {
        let words = self.granted.iter().filter(|grant| which(grant)).map(words);
        let why = words.collect::<Vec<_>>().join("; ");
        self.refused(why)
    }

    fn refused(&mut self, why: String) -> Refused {
        Refused {
            why,
            for_good: true,
            granted: std::mem::take(&mut self.granted),
        }
    }
}

/// What became of something, for a person.
pub(super) fn words(grant: &Grant) -> String {
    let state = grant.state.as_str().replace('_', " ");
    format!("{}: {state} ({})", grant.what, grant.detail)
}

fn groups_are_asked_for(workload: &Workload) -> bool {
    let limits = &workload.limits;
    limits.memory_mib.is_some()
        || limits.cpu_percent.is_some()
        || limits.cpu_weight.is_some()
        || limits.processes.is_some()
}

fn kept(names: &[String]) -> io::Result<CapabilitySet> {
    names.iter().try_fold(CapabilitySet::empty(), |kept, name| {
        let found = CapabilitySet::from_name(&name.to_ascii_uppercase());
        let missing = || io::Error::new(io::ErrorKind::NotFound, format!("no capability {name:?}"));
        found.map(|found| kept | found).ok_or_else(missing)
    })
}

fn join(pid: rustix::process::Pid) -> io::Result<()> {
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let types = ThreadNameSpaceType::MOUNT
        | ThreadNameSpaceType::NETWORK
        | ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION
        | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME;
    Ok(rustix::thread::move_into_thread_name_spaces(
        std::os::fd::AsFd::as_fd(&pidfd),
        types,
    )?)
}

#[expect(
    deprecated,
    reason = "only FILES makes it unsafe, which is not used; its successor needs unsafe code, which is denied here"
)]
fn unshare(flags: UnshareFlags) -> io::Result<()> {
    rustix::thread::unshare(flags).map_err(Into::into)
}
