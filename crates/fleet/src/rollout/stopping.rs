//! All updates stop at once, or may go on: `stopped` in the section `release` of each machine.
//!
//! A machine has confirmed it when it reports so. What is on probation there still proves itself or goes back.

use futures_util::future::join_all;
use muster_model::release::{DesiredReleases, SECTION};
use muster_model::{DesiredVersion, MachineId, MachineView};

use super::run::assign;
use crate::state::Fleet;

/// Machines that are told at the same time.
const TOLD_AT_ONCE: usize = 256;
/// Somebody else changes what is desired of a machine in the same moment: so often it is tried.
const TRIES: u32 = 5;

/// What a machine has of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// It is asked for.
    pub is_asked: bool,
    /// The machine reports that it stopped.
    pub is_confirmed: bool,
}

/// How a machine stands.
pub fn standing(view: &MachineView) -> Standing {
    let updates = view.reported.updates.as_ref();
    Standing {
        is_asked: releases(view).is_ok_and(|releases| releases.stopped.is_some()),
        is_confirmed: updates.is_some_and(|updates| updates.stopped),
    }
}

/// Has all updates of these machines stop, for this reason; none: they may go on. Answers when the log has it, machine by machine, with
/// why not, where it could not be.
pub async fn stop(
    fleet: &Fleet,
    machines: &[MachineId],
    stopped: Option<&str>,
    (issuer, reason): (&str, &str),
) -> Vec<(MachineId, Result<(), String>)> {
    let mut results = Vec::with_capacity(machines.len());
    for some in machines.chunks(TOLD_AT_ONCE) {
        let told = some.iter().map(|machine| async move {
            let result = stop_one(fleet, *machine, stopped, (issuer, reason)).await;
            (*machine, result)
        });
        results.extend(join_all(told).await);
    }
    results
}

async fn stop_one(
    fleet: &Fleet,
    machine: MachineId,
    stopped: Option<&str>,
    by: (&str, &str),
) -> Result<(), String> {
    let mut last = String::new();
    for _ in 0..TRIES {
        let view = fleet
            .view(machine)
            .ok_or_else(|| "there is no such machine".to_owned())?;
        let mut releases = releases(&view)?;
        let stopped = stopped.map(str::to_owned);
        if releases.stopped == stopped {
            return Ok(());
        }
        releases.stopped = stopped;
        let desired = view.desired.as_ref();
        let expected = desired.map_or(DesiredVersion::ZERO, |desired| desired.version);
        match assign(fleet, machine, Some(expected), &releases, by).await {
            Ok(()) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn releases(view: &MachineView) -> Result<DesiredReleases, String> {
    let desired = view.desired.as_ref();
    match desired.and_then(|desired| desired.sections.get(SECTION)) {
        None => Ok(DesiredReleases::default()),
        Some(section) => serde_json::from_str(section.content.0.get())
            .map_err(|error| format!("its desired section {SECTION:?} cannot be read: {error}")),
    }
}
