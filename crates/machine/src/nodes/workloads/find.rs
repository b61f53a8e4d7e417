//! What a runtime before left: which instances live, and how the others ended. Asking takes its time, and is done on a thread of its own.

use std::io;
use std::sync::Arc;

use muster_reflex::workload::{Exit, Found};

use super::Setup;
use super::podman::Podman;
use super::runner::{Native, Runner};
use super::systemd::Systemd;
use crate::keeper::files::{Directory, Launch, Started};

/// One workload that was started before.
pub(super) struct Seen {
    pub(super) found: Found,
    pub(super) launch: Launch,
    pub(super) runner: Arc<dyn Runner>,
    pub(super) started: Started,
}

impl Setup {
    /// What keeps instances, by its word in the report.
    pub(super) fn runner_of(&self, word: &str) -> Arc<dyn Runner> {
        let systemd = match word {
            "podman" => return Arc::new(Podman),
            "systemd" => Some(self.systemd.unwrap_or(Systemd { is_user: false })),
            _ => None,
        };
        Arc::new(Native {
            program: self.program.clone(),
            systemd,
        })
    }
}

/// Looks through all directories.
pub(super) fn all(setup: &Setup) -> io::Result<Vec<Seen>> {
    let entries = match std::fs::read_dir(&setup.directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let (mut all, boot) = (Vec::new(), boot());
    for entry in entries {
        let entry = entry?;
        let files = Directory::new(entry.path());
        match files.launch() {
            Ok(Some(launch)) => all.push(one(setup, &files, launch, boot.as_ref())?),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(directory = %entry.path().display(), %error, "not a workload's: left alone");
            }
        }
    }
    Ok(all)
}

fn one(setup: &Setup, files: &Directory, launch: Launch, boot: Option<&String>) -> io::Result<Seen> {
    let runner = setup.runner_of(&launch.runner);
    let exit = if runner.lives(files, &launch)? {
        None
    } else {
        Some(runner.conclude(files, &launch).unwrap_or(Exit::UNKNOWN))
    };
    let started = files
        .started()?
        .filter(|started| started.instance == launch.instance);
    let started = started.unwrap_or_default();
    let found = Found {
        name: launch.name.clone(),
        instance: launch.instance,
        version: launch.version.clone(),
        workload: Arc::new(launch.workload.clone()),
        exit,
        runner: launch.runner.clone(),
        granted: started.granted.clone(),
        held: files.is_held(),
        rest: files.rest()?.filter(|rest| rest.instance == launch.instance),
        // Nobody can tell: the same.
        rebooted: launch.boot.is_some() && boot.is_some() && launch.boot.as_ref() != boot,
    };
    Ok(Seen {
        found,
        launch,
        runner,
        started,
    })
}

/// The kernel's mark for this boot. Source: random(4).
pub(super) fn boot() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(boot.trim().to_owned())
}
