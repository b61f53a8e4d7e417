//! Containers, by Podman's command line. Their keeper is conmon: it outlives the runtime, writes the log, and knows how they end.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use muster_model::workload::report::{Grant, GrantState};
use muster_model::workload::{SeccompProfile, StopSignal};
use muster_reflex::workload::Exit;
use serde::Deserialize;

use super::runner::{Runner, run};
use crate::keeper::files::{Directory, Launch, Refused, Started};
use crate::keeper::{cgroup, log, pause};

/// How long Podman may take to fetch an image and start it.
const START_WITHIN: Duration = Duration::from_secs(600);
/// How long Podman may take for anything else.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Podman.
pub(super) struct Podman;

/// What `podman inspect` says of a container, as far as it is read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    state: State,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct State {
    running: bool,
    exit_code: i32,
    #[serde(rename = "OOMKilled")]
    oom_killed: bool,
    pid: i32,
    conmon_pid: i32,
    error: String,
    status: String,
}

impl Podman {
    fn inspect(launch: &Launch) -> io::Result<Option<State>> {
        let mut command = Command::new("podman");
        command.args(["container", "inspect", "--format", "json", &launch.group]);
        let (well, said) = run(command, ANSWER_WITHIN)?;
        if !well {
            return if said.contains("no such container") || said.contains("no container with name") {
                Ok(None)
            } else {
                Err(io::Error::other(
                    said.trim().chars().take(300).collect::<String>(),
                ))
            };
        }
        let begin = said.find('[').unwrap_or(0);
        let all: Vec<Inspected> = serde_json::from_str(&said[begin..])?;
        Ok(all.into_iter().next().map(|inspected| inspected.state))
    }

    fn remove(launch: &Launch) -> io::Result<()> {
        let mut command = Command::new("podman");
        command.args(["rm", "--force", "--ignore", "--time", "0", &launch.group]);
        match run(command, ANSWER_WITHIN)? {
            (true, _) => Ok(()),
            (false, said) => Err(io::Error::other(
                said.trim().chars().take(300).collect::<String>(),
            )),
        }
    }
}

impl Runner for Podman {
    fn name(&self) -> &'static str {
        "podman"
    }

    fn start(&self, files: &Directory, launch: &Launch) -> Result<Started, Refused> {
        let failed = |why: String, for_good| Refused {
            why,
            for_good,
            granted: Vec::new(),
        };
        let io = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => failed("podman: not present on this machine".to_owned(), true),
            _ => failed(error.to_string(), false),
        };
        // What is left of the instance before, if the runtime was killed at the wrong moment.
        Self::remove(launch).map_err(io)?;
        let mut command = Command::new("podman");
        command.arg("run").args(arguments(files, launch));
        let (well, said) = run(command, START_WITHIN).map_err(io)?;
        if !well {
            let _ = Self::remove(launch);
            let said = said.trim().chars().take(500).collect::<String>();
            return Err(failed(format!("podman: {said}"), false));
        }
        let Some(state) = Self::inspect(launch).map_err(io)? else {
            return Err(failed("podman: it is gone again".to_owned(), false));
        };
        let (keeper, began) = keeper(&state);
        let groups = groups_of(state.pid);
        // What ended at once has no groups any more that could be looked at.
        let granted = if state.running {
            granted(launch, &groups)
        } else {
            Vec::new()
        };
        let started = Started {
            instance: launch.instance,
            keeper,
            keeper_began: began,
            program: (state.pid > 0).then_some(state.pid),
            granted,
            groups,
        };
        let missing: Vec<_> = started
            .granted
            .iter()
            .filter(|grant| grant.state != GrantState::Granted)
            .collect();
        if !missing.is_empty() && !launch.workload.best_effort && state.running {
            let words = missing
                .iter()
                .map(|grant| format!("{}: {}", grant.what, grant.detail));
            let why = words.collect::<Vec<_>>().join("; ");
            let _ = Self::remove(launch);
            return Err(Refused {
                why,
                for_good: true,
                granted: started.granted,
            });
        }
        files.write_started(&started).map_err(io)?;
        Ok(started)
    }

    fn end(&self, _files: &Directory, launch: &Launch, signal: Option<StopSignal>) -> io::Result<()> {
        let mut command = Command::new("podman");
        let word = signal.map_or("KILL".to_owned(), |signal| signal.as_str().to_ascii_uppercase());
        command.args(["kill", "--signal", &word, &launch.group]);
        // It may have ended meanwhile.
        run(command, ANSWER_WITHIN).map(drop)
    }

    fn lives(&self, _files: &Directory, launch: &Launch) -> io::Result<bool> {
        Ok(Self::inspect(launch)?.is_some_and(|state| state.running))
    }

    fn conclude(&self, _files: &Directory, launch: &Launch) -> io::Result<Exit> {
        // conmon writes down how it ended before it goes, and Podman reads it a moment later.
        let mut state = Self::inspect(launch)?;
        for _ in 0..50 {
            if !state
                .as_ref()
                .is_some_and(|state| state.running || state.status == "stopping")
            {
                break;
            }
            pause(Duration::from_millis(100));
            state = Self::inspect(launch)?;
        }
        let exit = match state {
            None => Exit::UNKNOWN,
            Some(state) if state.running => {
                return Err(io::Error::other("conmon ended, and the container runs"));
            }
            Some(state) if !state.error.is_empty() => Exit::UNKNOWN,
            Some(state) => Exit {
                // As shells have it: 128 and the signal.
                code: Some(state.exit_code),
                signal: None,
                out_of_memory: state.oom_killed,
                by_others: false,
            },
        };
        Self::remove(launch)?;
        Ok(exit)
    }

    fn check(&self, _files: &Directory, launch: &Launch, check: &[String]) -> io::Result<Command> {
        let mut command = Command::new("podman");
        command.args(["exec", &launch.group]).args(check);
        Ok(command)
    }
}

fn arguments(files: &Directory, launch: &Launch) -> Vec<String> {
    let workload = &launch.workload;
    let limits = &workload.limits;
    let mut all: Vec<String> = vec!["--detach".into(), "--name".into(), launch.group.clone()];
    let mut option = |name: &str, value: String| all.push(format!("--{name}={value}"));
    option("log-driver", "k8s-file".into());
    option("log-opt", format!("path={}", files.path.join(log::LOG).display()));
    option(
        "log-opt",
        format!(
            "max-size={}",
            log::FILE_MAX_BYTES * u64::from(1 + log::FILES_KEPT)
        ),
    );
    option("restart", "no".into());
    option("security-opt", "no-new-privileges".into());
    if workload.seccomp == SeccompProfile::None {
        option("security-opt", "seccomp=unconfined".into());
    }
    option("network", if workload.network { "host" } else { "none" }.into());
    if workload.filesystem.read_only {
        option("read-only", "true".into());
    }
    for path in &workload.filesystem.writable {
        option("volume", format!("{path}:{path}"));
    }
    if let Some(mib) = limits.memory_mib {
        option("memory", format!("{mib}m"));
    }
    if let Some(percent) = limits.cpu_percent {
        option("cpus", format!("{}.{:02}", percent / 100, percent % 100));
    }
    if let Some(weight) = limits.cpu_weight {
        option("cpu-shares", (u64::from(weight) * 1_024 / 100).max(2).to_string());
    }
    if let Some(most) = limits.processes {
        option("pids-limit", most.to_string());
    }
    if let Some(most) = limits.open_files {
        option("ulimit", format!("nofile={most}:{most}"));
    }
    option("cap-drop", "all".into());
    for capability in &workload.capabilities {
        option("cap-add", capability.to_ascii_uppercase());
    }
    if let Some(user) = &workload.user {
        option("user", user.clone());
    }
    if let Some(directory) = &workload.directory {
        option("workdir", directory.clone());
    }
    option("env", format!("MUSTER_WORKLOAD={}", launch.name));
    for (name, value) in &workload.environment {
        option("env", format!("{name}={value}"));
    }
    if let Some(program) = &workload.program {
        option(
            "entrypoint",
            serde_json::Value::from(vec![program.clone()]).to_string(),
        );
    }
    all.extend(workload.image.clone());
    all.extend(workload.arguments.iter().cloned());
    all
}

/// What was asked for, as the kernel has it: Podman leaves out with a warning what it cannot do.
fn granted(launch: &Launch, groups: &[PathBuf]) -> Vec<Grant> {
    let workload = &launch.workload;
    let mut all = cgroup::verify(groups, &workload.limits);
    let mut note = |what: &str, detail: &str| {
        all.push(Grant {
            what: what.to_owned(),
            state: GrantState::Granted,
            detail: detail.to_owned(),
        });
    };
    if let Some(most) = workload.limits.open_files {
        note("open_files", &most.to_string());
    }
    if !workload.network {
        note("network", "none");
    }
    if workload.filesystem.read_only {
        note("read_only", "by Podman");
    }
    if let Some(user) = &workload.user {
        note("user", user);
    }
    if workload.seccomp == SeccompProfile::Default {
        note("seccomp", "Podman's default profile");
    }
    note("processes_apart", "by Podman");
    all
}

/// The control groups of a container's first process, that are not the computer's own.
fn groups_of(pid: i32) -> Vec<PathBuf> {
    let process = Path::new("/proc").join(pid.to_string());
    let Ok(own) = fs::read_to_string(process.join("cgroup")) else {
        return Vec::new();
    };
    cgroup::Places::of_process(&own)
        .map(cgroup::Places::own)
        .unwrap_or_default()
}

fn keeper(state: &State) -> (i32, u64) {
    let process = Path::new("/proc").join(state.conmon_pid.to_string());
    (state.conmon_pid, crate::keeper::began(&process).unwrap_or(0))
}
