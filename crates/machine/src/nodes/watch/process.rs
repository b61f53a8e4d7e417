//! Processes, by their command's name or a file with their number.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use muster_model::service::{ServiceState, WatchedService};
use muster_model::workload::WorkloadName;

use super::Seen;

/// Processes that are looked at; more than any kernel has by default.
const PROCESSES_MAX: usize = 65_536;

pub(super) fn look(proc: &Path, wanted: &[(&WorkloadName, &WatchedService)]) -> BTreeMap<WorkloadName, Seen> {
    let by_command = wanted.iter().any(|(_, service)| service.command.is_some());
    let running = if by_command {
        commands(proc)
    } else {
        Ok(BTreeMap::new())
    };
    let seen = wanted.iter().map(|(name, service)| {
        let seen = match (&service.command, &service.pidfile) {
            (Some(command), _) => match &running {
                Ok(running) => by_name(running.get(command)),
                Err(why) => Seen::unknown(why.clone()),
            },
            (None, Some(pidfile)) => by_file(proc, Path::new(pidfile)),
            (None, None) => Seen::unknown("nothing says which process"),
        };
        ((*name).clone(), seen)
    });
    seen.collect()
}

fn by_name(pids: Option<&Vec<u32>>) -> Seen {
    match pids.map(Vec::as_slice) {
        None | Some([]) => Seen::new(ServiceState::Missing, "no process has this name"),
        Some([pid]) => Seen::new(ServiceState::Running, format!("process {pid}")),
        Some([pid, others @ ..]) => Seen::new(
            ServiceState::Running,
            format!("process {pid} and {} more", others.len()),
        ),
    }
}

fn by_file(proc: &Path, pidfile: &Path) -> Seen {
    let text = match fs::read_to_string(pidfile) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Seen::new(ServiceState::Missing, format!("no file {}", pidfile.display()));
        }
        Err(error) => return Seen::unknown(format!("{}: {error}", pidfile.display())),
    };
    let Ok(pid) = text.trim().parse::<u32>() else {
        return Seen::unknown(format!("{} holds no number", pidfile.display()));
    };
    if lives(&proc.join(pid.to_string())) {
        Seen::new(ServiceState::Running, format!("process {pid}"))
    } else {
        Seen::new(
            ServiceState::Failed,
            format!("process {pid} is gone, and its file is not"),
        )
    }
}

/// Every command's name with its processes, the lowest number first.
fn commands(proc: &Path) -> Result<BTreeMap<String, Vec<u32>>, String> {
    let entries = fs::read_dir(proc).map_err(|error| format!("{}: {error}", proc.display()))?;
    let mut all: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for entry in entries.flatten().take(PROCESSES_MAX) {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // It may be gone meanwhile.
        let Ok(command) = fs::read_to_string(entry.path().join("comm")) else {
            continue;
        };
        if lives(&entry.path()) {
            all.entry(command.trim_end_matches('\n').to_owned())
                .or_default()
                .push(pid);
        }
    }
    all.values_mut().for_each(|pids| pids.sort_unstable());
    Ok(all)
}

/// One that ended and that nobody waited for is none. Source: proc(5), stat, field 3.
fn lives(process: &Path) -> bool {
    let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
    let state = stat
        .rsplit_once(')')
        .and_then(|(_, after)| after.trim_start().chars().next());
    state.is_some_and(|state| !matches!(state, 'Z' | 'X' | 'x'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zombies_and_stale_files_are_no_processes() {
        let proc = tempfile::tempdir().unwrap();
        for (pid, command, state) in [(7, "camera", 'S'), (3, "camera", 'R'), (9, "gone", 'Z')] {
            let process = proc.path().join(pid.to_string());
            fs::create_dir(&process).unwrap();
            fs::write(process.join("comm"), format!("{command}\n")).unwrap();
            fs::write(process.join("stat"), format!("{pid} ({command}) {state} 1 1")).unwrap();
        }
        fs::create_dir(proc.path().join("sys")).unwrap();
        let file = |name: &str, text: &str| {
            let path = proc.path().join(name);
            fs::write(&path, text).unwrap();
            WatchedService {
                pidfile: Some(path.display().to_string()),
                ..WatchedService::default()
            }
        };
        let command = |text: &str| WatchedService {
            command: Some(text.into()),
            ..WatchedService::default()
        };
        for (service, state, detail) in [
            (command("camera"), ServiceState::Running, "process 3 and 1 more"),
            (command("gone"), ServiceState::Missing, "no process has this name"),
            (command("cam"), ServiceState::Missing, "no process"),
            (file("a.pid", "7\n"), ServiceState::Running, "process 7"),
            (file("b.pid", "9"), ServiceState::Failed, "process 9 is gone"),
            (file("c.pid", "8"), ServiceState::Failed, "process 8 is gone"),
            (file("d.pid", "x"), ServiceState::Unknown, "holds no number"),
            (
                WatchedService {
                    pidfile: Some("/no/such.pid".into()),
                    ..WatchedService::default()
                },
                ServiceState::Missing,
                "no file /no/such.pid",
            ),
        ] {
            let name: WorkloadName = "x".parse().unwrap();
            let seen = look(proc.path(), &[(&name, &service)]).remove(&name).unwrap();
            assert_eq!(seen.state, state, "{service:?}");
            assert!(seen.detail.contains(detail), "{seen:?}");
        }
    }
}
