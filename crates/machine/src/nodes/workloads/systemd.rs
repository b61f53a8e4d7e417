//! systemd as the place where a keeper runs: a transient unit whose properties carry the limits.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::keeper::COMMAND;
use crate::keeper::files::{Directory, Launch};

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
        for property in properties(launch) {
            command.args(["-p", &property]);
        }
        // A link to a process would be another process's in the unit.
        let program = std::fs::canonicalize(program).unwrap_or_else(|_| PathBuf::from(program));
        command.arg("--").arg(program);
        command.args([COMMAND, "launch"]).arg(&files.path).arg("stay");
        command
    }
}

fn properties(launch: &Launch) -> Vec<String> {
    let limits = &launch.workload.limits;
    let mut all = vec![
        "KillMode=control-group".to_owned(),
        "OOMPolicy=continue".to_owned(),
    ];
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
        };
        let command =
            Systemd { is_user: false }.command(Path::new("/bin/sh"), &Directory::new("/d"), &launch);
        let words: Vec<_> = command
            .get_args()
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        for word in [
            "--unit=muster-x-a-3.service",
            "MemoryMax=64M",
            "CPUQuota=50%",
            "TasksMax=10",
            "stay",
        ] {
            assert!(words.iter().any(|each| each == word), "{word} in {words:?}");
        }
    }
}
