//! How the workloads fare, in the words of the reported state.

use std::collections::BTreeMap;

use muster_model::workload::WorkloadName;
use muster_model::workload::report::{WorkloadPhase, WorkloadReport, WorkloadsReport};
use muster_model::{Severity, Timestamp};
use muster_reflex::workload::{Standing, Workloads};

use crate::message::Finding;

/// Longest reason that is reported.
const REASON_MAX_BYTES: usize = 500;
/// Longest word of a grant.
const DETAIL_MAX_BYTES: usize = 200;

/// What an instance uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usage {
    pub(super) memory_bytes: Option<u64>,
    pub(super) cpu_percent: Option<f64>,
}

/// Remembers when each phase began in wall-clock time, so that a clock that is put does not look like news.
#[derive(Debug, Default)]
pub(super) struct Since {
    known: BTreeMap<WorkloadName, (u64, Timestamp)>,
}

impl Since {
    fn of(&mut self, name: &WorkloadName, since_ms: u64, mono_ms: u64, wall_ms: i64) -> Timestamp {
        match self.known.get(name) {
            Some((known_ms, at)) if *known_ms == since_ms => *at,
            Some(_) | None => {
                let ago = i64::try_from(mono_ms.saturating_sub(since_ms)).unwrap_or(0);
                let at = Timestamp::from_millis(wall_ms - ago);
                self.known.insert(name.clone(), (since_ms, at));
                at
            }
        }
    }
}

/// The section of the reported state.
pub(super) fn report(
    workloads: &Workloads,
    usage: impl Fn(&WorkloadName) -> Usage,
    since: &mut Since,
    (mono_ms, wall_ms): (u64, i64),
    refused: Option<String>,
) -> WorkloadsReport {
    since.known.retain(|name, _| workloads.knows(name));
    let lines = workloads.standing().map(|standing| {
        let at = since.of(standing.name, standing.since_ms, mono_ms, wall_ms);
        let usage = standing
            .instance
            .map_or_else(Usage::default, |_| usage(standing.name));
        line(&standing, at, usage)
    });
    WorkloadsReport {
        workloads: lines.collect(),
        refused,
    }
}

fn line(standing: &Standing<'_>, since: Timestamp, usage: Usage) -> WorkloadReport {
    let granted = standing.granted.iter().cloned().map(|mut grant| {
        clip(&mut grant.detail, DETAIL_MAX_BYTES);
        grant
    });
    WorkloadReport {
        name: standing.name.to_string(),
        kind: standing.workload.kind,
        phase: standing.phase,
        reason: standing.reason.map(|reason| {
            let mut reason = reason.to_owned();
            clip(&mut reason, REASON_MAX_BYTES);
            reason
        }),
        since,
        restarts: standing.restarts,
        last_exit: standing.last_exit.map(muster_reflex::workload::Exit::words),
        version: standing.version.to_owned(),
        source: standing.source,
        conflict: standing.conflict,
        runner: standing.runner.map(str::to_owned),
        memory_bytes: usage.memory_bytes,
        cpu_percent: usage.cpu_percent,
        granted: granted.collect(),
    }
}

/// What of it is wrong with the machine. Conflicts and refusals are said by the node that keeps what the fleet wants.
pub(super) fn findings(report: &WorkloadsReport) -> Vec<Finding> {
    let finding = |kind: &str, subject: &str, severity, message: String| Finding {
        kind: kind.to_owned(),
        subject: subject.to_owned(),
        severity,
        message,
    };
    let mut all = Vec::new();
    for workload in &report.workloads {
        let name = &workload.name;
        let why = workload.reason.as_deref().unwrap_or("nobody knows why");
        match workload.phase {
            WorkloadPhase::Failed => {
                let message = format!("Workload {name} does not run: {why}");
                all.push(finding("workload.failed", name, Severity::Error, message));
            }
            WorkloadPhase::Unhealthy => {
                let message = format!("Workload {name} does not work: {why}");
                all.push(finding("workload.unhealthy", name, Severity::Warning, message));
            }
            WorkloadPhase::Pending
            | WorkloadPhase::Starting
            | WorkloadPhase::Running
            | WorkloadPhase::Healthy
            | WorkloadPhase::Backoff
            | WorkloadPhase::Stopping
            | WorkloadPhase::Stopped => {}
        }
    }
    all
}

pub(super) fn clip(text: &mut String, most: usize) {
    text.truncate(text.floor_char_boundary(most));
}
