//! systemd as the place where a keeper runs: a transient unit whose properties carry the limits.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::keeper::COMMAND;
use crate::keeper::files::{Directory, Launch};
use crate::keeper::stop::AFTER_KILL_S;

/// Where systemd shows that it runs. Source: sd_booted(3).
const BOOTED: &str = "/run/systemd/system";
/// The keeper's own processes count as well, in a unit.
const KEEPER_PROCESSES: u32 = 1;

/// A systemd that can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Systemd {
    /// The user's own one instead of the computer's.
    pub is_user: bool,
}

impl Systemd {
    /// The computer's, where it runs and this process may ask it.
    pub fn find() -> Option<Self> {
        let here = Path::new(BOOTED).is_dir() && rustix::process::geteuid().is_root();
        here.then_some(Self { is_user: false })
    }

    /// The command that starts the keeper of this instance.
    pub(super) fn command(self, program: &Path, files: &Directory, launch: &Launch) -> Command {
        let mut command = Command::new("systemd-run");
        if self.is_user {
            command.arg("--user");
        }
        command.args(["--quiet", "--collect", "--service-type=exec"]);
        command.arg(format!("--unit={}-{}.service", launch.group, launch.instance));
        command.arg(format!("--description=Muster workload {}", launch.name));
        // A link to a process would be another process's in the unit.
        let program = std::fs::canonicalize(program).unwrap_or_else(|_| PathBuf::from(program));
        for property in properties(launch) {
            command.args(["-p", &property]);
        }
        command.args(["-p", &ends_by(&program, files, launch)]);
        command.arg("--").arg(program);
        command.args([COMMAND, "launch"]).arg(&files.path).arg("stay");
        command
    }
}

/// How systemd ends the unit: the program is asked as it wants to be, and the keeper sees how it ends.
fn ends_by(program: &Path, files: &Directory, launch: &Launch) -> String {
    let (program, directory) = (quoted(program), quoted(&files.path));
    format!(
        "ExecStop={program} {COMMAND} stop {directory} {}",
        launch.instance
    )
}

/// A path as one word of a command line in a unit. Source: systemd.syntax(7), systemd.service(5).
fn quoted(path: &Path) -> String {
    let mut text = String::from("\"");
    for character in path.to_string_lossy().chars() {
        match character {
            '"' | '\\' => text.extend(['\\', character]),
            '$' | '%' => text.extend([character, character]),
            _ => text.push(character),
        }
    }
    text.push('"');
    text
}

fn properties(launch: &Launch) -> Vec<String> {
    let limits = &launch.workload.limits;
    let mut all = vec![
        "KillMode=control-group".to_owned(),
        "OOMPolicy=continue".to_owned(),
    ];
    let stop_s = launch.workload.stop.timeout_s.saturating_add(2 * AFTER_KILL_S);
    all.push(format!("TimeoutStopSec={stop_s}"));
    all.push("MemoryAccounting=yes".to_owned());
    all.push("CPUAccounting=yes".to_owned());
    if let Some(mib) = limits.memory_mib {
        all.push(format!("MemoryMax={mib}M"));
        all.push("MemorySwapMax=0".to_owned());
    }
    all.extend(limits.cpu_percent.map(|percent| format!("CPUQuota={percent}%")));
    all.extend(limits.cpu_weight.map(|weight| format!("CPUWeight={weight}")));
    all.extend(
        limits
            .processes
            .map(|most| format!("TasksMax={}", most.saturating_add(KEEPER_PROCESSES))),
    );
    all
}

#[cfg(test)]
mod tests {
    use muster_model::workload::Workload;

    use super::*;

    #[test]
    fn limits_become_properties() {
        let mut workload = Workload::default();
        workload.limits.memory_mib = Some(64);
        workload.limits.cpu_percent = Some(50);
        workload.limits.processes = Some(9);
        let launch = Launch {
            name: "a".parse().unwrap(),
            instance: 3,
            version: String::new(),
            workload,
            runner: "systemd".into(),
            group: "muster-x-a".into(),
            boot: None,
        };
        let command =
            Systemd { is_user: false }.command(Path::new("/bin/sh"), &Directory::new("/d \"5$\""), &launch);
        let words: Vec<_> = command
            .get_args()
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        for word in [
            "--unit=muster-x-a-3.service",
            "MemoryMax=64M",
            "CPUQuota=50%",
            "TasksMax=10",
            "TimeoutStopSec=20",
            "stay",
        ] {
            assert!(words.iter().any(|each| each == word), "{word} in {words:?}");
        }
        let stop = words.iter().find(|word| word.starts_with("ExecStop="));
        let stop = stop.and_then(|stop| stop.split_once(" workload-init "));
        assert_eq!(stop.map(|(_, rest)| rest), Some(r#"stop "/d \"5$$\"" 3"#));
    }
}
