//! Readings that pass a threshold, and come back some way before that is over.

use std::sync::Arc;

use muster_model::Severity;
use muster_model::state::{Disk, Power, StatePatch};
use serde::{Deserialize, Serialize};

use crate::message::Finding;
use crate::options::Thresholds;

/// How far a temperature falls below the threshold before its problem ends.
const BACK_CELSIUS: f64 = 5.0;
/// How far a share goes back before its problem ends.
const BACK_POINTS: f64 = 3.0;

/// Watches readings pass thresholds.
#[derive(Serialize, Deserialize)]
pub(super) struct Watch {
    thresholds: Thresholds,
    thermal: Option<Severity>,
    power: Option<Severity>,
    memory: Option<Severity>,
    disks: Vec<(String, Severity)>,
}

impl Watch {
    pub(super) fn new(thresholds: Thresholds) -> Self {
        Self {
            thresholds,
            thermal: None,
            power: None,
            memory: None,
            disks: Vec::new(),
        }
    }

    /// What is wrong by these readings. A problem whose reading is missing still stands: nobody saw it end.
    pub(super) fn judge(&mut self, patch: &StatePatch) -> Vec<Finding> {
        let limits = self.thresholds;
        let mut findings = Vec::new();
        let thermal = patch.thermal.iter().flatten().next();
        self.thermal = judged(self.thermal, thermal.is_some(), |before| {
            let steps = [
                (Severity::Critical, limits.thermal_critical_celsius),
                (Severity::Warning, limits.thermal_warning_celsius),
            ];
            let celsius = thermal?.highest_celsius;
            let severity = rising(before, celsius, BACK_CELSIUS, &steps)?;
            Some((severity, format!("The hottest zone is at {celsius:.0} °C")))
        })
        .map(|(severity, message)| findings.push_as("thermal.high", "", severity, message));
        let power = patch.power.iter().flatten().next();
        self.power = judged(self.power, power.is_some(), |before| {
            let fed = |power: &&Arc<Power>| power.charging || power.external_supply;
            let percent = power.filter(|power| !fed(power))?.battery_percent?;
            // A battery gets worse downwards: the same rule with the sign turned.
            let steps = [
                (Severity::Error, -limits.battery_error_percent),
                (Severity::Warning, -limits.battery_warning_percent),
            ];
            let severity = rising(before, -percent, BACK_POINTS, &steps)?;
            Some((
                severity,
                format!("The battery is at {percent:.0} % and not charging"),
            ))
        })
        .map(|(severity, message)| findings.push_as("power.low", "", severity, message));
        let resources = patch.resources.iter().flatten().next();
        self.memory = judged(self.memory, resources.is_some(), |before| {
            let percent = resources?.memory_percent;
            let steps = [(Severity::Warning, limits.memory_warning_percent)];
            let severity = rising(before, percent, BACK_POINTS, &steps)?;
            Some((severity, format!("Memory is {percent:.0} % in use")))
        })
        .map(|(severity, message)| findings.push_as("memory.high", "", severity, message));
        self.judge_disks(
            resources.map(|resources| resources.disks.as_slice()),
            &mut findings,
        );
        findings
    }

    fn judge_disks(&mut self, disks: Option<&[Disk]>, findings: &mut Vec<Finding>) {
        let limits = self.thresholds;
        let Some(disks) = disks else {
            for (mount, severity) in &self.disks {
                let message = format!("{mount} was nearly full when it was last read");
                findings.push_as("disk.nearly_full", mount, *severity, message);
            }
            return;
        };
        let mut standing = Vec::new();
        for disk in disks {
            let before = self.disks.iter().find(|(mount, _)| *mount == disk.mount);
            let steps = [
                (Severity::Error, limits.disk_error_percent),
                (Severity::Warning, limits.disk_warning_percent),
            ];
            let before = before.map(|(_, severity)| *severity);
            if let Some(severity) = rising(before, disk.used_percent, BACK_POINTS, &steps) {
                let message = format!("{} is {:.0} % full", disk.mount, disk.used_percent);
                findings.push_as("disk.nearly_full", &disk.mount, severity, message);
                standing.push((disk.mount.clone(), severity));
            }
        }
        self.disks = standing;
    }
}

/// The judgement of a reading; without a reading, what was judged before.
fn judged(
    before: Option<Severity>,
    is_read: bool,
    judge: impl FnOnce(Option<Severity>) -> Option<(Severity, String)>,
) -> Option<(Severity, String)> {
    if is_read {
        judge(before)
    } else {
        before.map(|severity| (severity, "It was so when it was last read".to_owned()))
    }
}

/// How bad a value is: a step is reached at its threshold, and left only some way below it. Steps: the worst first.
fn rising(before: Option<Severity>, value: f64, back: f64, steps: &[(Severity, f64)]) -> Option<Severity> {
    steps
        .iter()
        .find(|(severity, threshold)| {
            let held = before.is_some_and(|before| before >= *severity);
            value >= if held { threshold - back } else { *threshold }
        })
        .map(|(severity, _)| *severity)
}

trait PushAs {
    fn push_as(&mut self, kind: &str, subject: &str, severity: Severity, message: String) -> Severity;
}

impl PushAs for Vec<Finding> {
    fn push_as(&mut self, kind: &str, subject: &str, severity: Severity, message: String) -> Severity {
        self.push(Finding {
            kind: kind.to_owned(),
            subject: subject.to_owned(),
            severity,
            message,
        });
        severity
    }
}
