//! What the log says, in words: why is this machine not updated, why did this phase stop, who approved.

use muster_model::MachineId;
use muster_model::rollout::{MachineChange, RolloutAct, RolloutEntry, RolloutRecord};

/// What a record says about the rollout, or about one machine of it; none where it says nothing about that.
pub fn line(record: &RolloutRecord, machine: Option<MachineId>) -> Option<String> {
    match (&record.entry, machine) {
        (RolloutEntry::Created { spec, by, reason, .. }, _) => {
            Some(format!("{by} wrote down {}: {reason}", spec.shown_name()))
        }
        (RolloutEntry::Planned { phases, by }, _) => {
            let names: Vec<&str> = phases.iter().map(|phase| phase.name.as_str()).collect();
            Some(format!(
                "{by} planned {} phases: {}",
                names.len(),
                shortened(&names)
            ))
        }
        (RolloutEntry::Placed { phase, machines }, None) => {
            let count = machines.len();
            Some(format!("{count} machines belong to phase {}", phase + 1))
        }
        (RolloutEntry::Placed { phase, machines }, Some(machine)) => machines
            .contains(&machine)
            .then(|| format!("belongs to phase {}", phase + 1)),
        (RolloutEntry::LeftOut { why, machines }, None) => {
            Some(format!("{} machines are left out: {why}", machines.len()))
        }
        (RolloutEntry::LeftOut { why, machines }, Some(machine)) => {
            machines.contains(&machine).then(|| format!("is left out: {why}"))
        }
        (RolloutEntry::PhaseAdded(facts), _) => Some(format!("phase {} was added", facts.name)),
        (RolloutEntry::Acted { act, by, reason }, machine) => {
            acted(act, machine).map(|what| format!("{by} {what}: {reason}"))
        }
        (RolloutEntry::Offered(offers), None) => Some(format!("{} machines got a place", offers.len())),
        (RolloutEntry::Offered(offers), Some(machine)) => {
            let offer = offers.iter().find(|offer| offer.machine == machine)?;
            let number = offer.number;
            Some(format!(
                "got a place until {} (assignment {number}, {}, to begin before {})",
                offer.lease_until, offer.act, offer.until
            ))
        }
        (RolloutEntry::Changed(changes), None) => {
            let failed = changes.iter().filter(|change| change.cause.is_some());
            let words: Vec<String> = failed
                .take(10)
                .map(|change| format!("{}: {}", change.machine, went(change)))
                .collect();
            (!words.is_empty()).then(|| words.join("; "))
        }
        (RolloutEntry::Changed(changes), Some(machine)) => {
            changes.iter().find(|change| change.machine == machine).map(went)
        }
        (
            RolloutEntry::PhaseChanged {
                phase,
                stage,
                why,
                counts,
            },
            _,
        ) => {
            let why = if why.is_empty() {
                String::new()
            } else {
                format!(": {why}")
            };
            Some(format!(
                "phase {} is {stage}{why} ({} succeeded, {} failed, {} went back, {} unreachable, {} skipped, {} open)",
                phase + 1,
                counts.succeeded,
                counts.failed,
                counts.rolled_back,
                counts.unreachable,
                counts.skipped,
                counts.open()
            ))
        }
        (RolloutEntry::StateChanged { state, why, .. }, _) => Some(format!("the rollout is {state}: {why}")),
    }
}

fn went(change: &MachineChange) -> String {
    if change.why.is_empty() {
        change.stage.to_string()
    } else {
        format!("{}: {}", change.stage, change.why.join("; "))
    }
}

fn acted(act: &RolloutAct, about: Option<MachineId>) -> Option<String> {
    let named = |machines: &[MachineId], verb: &str| match about {
        Some(machine) => {
            (machines.is_empty() || machines.contains(&machine)).then(|| format!("{verb} this machine"))
        }
        None if machines.is_empty() => Some(format!("{verb} all machines that did not make it")),
        None => Some(format!("{verb} {} machines", machines.len())),
    };
    match act {
        RolloutAct::Approve => Some("approved the plan".to_owned()),
        RolloutAct::Start { at: None } => Some("started it".to_owned()),
        RolloutAct::Start { at: Some(at) } => Some(format!("started it, to begin at {at}")),
        RolloutAct::ApprovePhase { phase } => Some(format!("approved phase {}", phase + 1)),
        RolloutAct::Pause => Some("paused it".to_owned()),
        RolloutAct::Resume => Some("resumed it".to_owned()),
        RolloutAct::Retry { machines } => named(machines, "tried again with"),
        RolloutAct::Skip { machines } => named(machines, "skipped"),
        RolloutAct::Abort => Some("aborted it".to_owned()),
        RolloutAct::RollBack { phase: None } => Some("has all machines go back".to_owned()),
        RolloutAct::RollBack { phase: Some(phase) } => Some(format!("has phase {} go back", phase + 1)),
    }
}

fn shortened(names: &[&str]) -> String {
    const SHOWN: usize = 8;
    let mut text = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}
