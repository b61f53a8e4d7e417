//! Units of systemd, asked for all at once by `systemctl show`.

use std::collections::BTreeMap;
use std::io;
use std::process::Command;
use std::time::Duration;

use muster_model::service::ServiceState;
use muster_model::workload::WorkloadName;

use super::{Places, Seen};
use crate::nodes::workloads::run_command;

/// How long systemd may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// What is asked of each unit.
const PROPERTIES: &str = "LoadState,ActiveState,SubState,Result,MainPID,NRestarts";

pub(super) async fn look(places: &Places, units: &[(&WorkloadName, &str)]) -> BTreeMap<WorkloadName, Seen> {
    let answer = if places.systemd.is_dir() {
        let mut command = Command::new(&places.systemctl);
        command.args(["show", "--no-pager", "--property", PROPERTIES, "--"]);
        command.args(units.iter().map(|(_, unit)| unit));
        let asked = tokio::task::spawn_blocking(move || run_command(command, ANSWER_WITHIN)).await;
        match asked.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok((true, text)) => Ok(text),
            Ok((false, said)) => Err(said.lines().next().unwrap_or("systemctl failed").to_owned()),
            Err(error) => Err(format!("{}: {error}", places.systemctl.display())),
        }
    } else {
        Err("systemd does not run here".to_owned())
    };
    match answer {
        Ok(text) => {
            let mut blocks = text.split("\n\n");
            let seen = units.iter().map(|(name, _)| {
                let block = blocks.next().unwrap_or_default();
                ((*name).clone(), read(block))
            });
            seen.collect()
        }
        Err(why) => units
            .iter()
            .map(|(name, _)| ((*name).clone(), Seen::unknown(why.clone())))
            .collect(),
    }
}

/// How a unit is, from its properties. Source: org.freedesktop.systemd1(5).
fn read(block: &str) -> Seen {
    let of = |name: &str| {
        let found = block
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        found.unwrap_or_default().trim()
    };
    let state = match (of("LoadState"), of("ActiveState")) {
        ("", _) | (_, "") => return Seen::unknown("systemd's answer is not understood"),
        ("not-found", _) => ServiceState::Missing,
        (_, "active") => ServiceState::Running,
        (_, "activating" | "deactivating" | "reloading" | "refreshing" | "maintenance") => {
            ServiceState::Changing
        }
        (_, "failed") => ServiceState::Failed,
        (_, "inactive") => ServiceState::Stopped,
        (_, _) => ServiceState::Unknown,
    };
    let mut words = vec![format!("{}/{}", of("ActiveState"), of("SubState"))];
    if state == ServiceState::Missing {
        words = vec!["systemd knows no such unit".to_owned()];
    }
    if !matches!(of("Result"), "" | "success") {
        words.push(format!("result {}", of("Result")));
    }
    if !matches!(of("MainPID"), "" | "0") {
        words.push(format!("process {}", of("MainPID")));
    }
    if !matches!(of("NRestarts"), "" | "0") {
        words.push(format!("restarted {} times", of("NRestarts")));
    }
    Seen::new(state, words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_become_states() {
        for (block, state, detail) in [
            (
                "MainPID=81\nNRestarts=2\nResult=success\nLoadState=loaded\nActiveState=active\nSubState=running",
                ServiceState::Running,
                "active/running, process 81, restarted 2 times",
            ),
            (
                "MainPID=0\nNRestarts=5\nResult=exit-code\nLoadState=loaded\nActiveState=failed\nSubState=failed",
                ServiceState::Failed,
                "failed/failed, result exit-code, restarted 5 times",
            ),
            (
                "MainPID=0\nResult=success\nLoadState=not-found\nActiveState=inactive\nSubState=dead",
                ServiceState::Missing,
                "systemd knows no such unit",
            ),
            (
                "LoadState=loaded\nActiveState=inactive\nSubState=dead",
                ServiceState::Stopped,
                "inactive/dead",
            ),
            (
                "LoadState=loaded\nActiveState=activating\nSubState=auto-restart",
                ServiceState::Changing,
                "auto-restart",
            ),
            ("", ServiceState::Unknown, "not understood"),
        ] {
            let seen = read(block);
            assert_eq!(seen.state, state, "{block}");
            assert!(seen.detail.contains(detail), "{seen:?}");
        }
    }
}
