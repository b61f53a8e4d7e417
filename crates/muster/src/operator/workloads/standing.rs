//! What is desired and what is reported, workload by workload.

use std::collections::BTreeSet;

use muster_model::desired::DesiredStatus;
use muster_model::workload::report::{WorkloadPhase, WorkloadReport, WorkloadSource};
use muster_model::workload::{SECTION, Workload};
use muster_model::{DesiredVersion, Timestamp};
use muster_protocol::api::{Desired, DesiredSection, Machine};
use serde::Serialize;
use serde_json::Value;

use crate::operator::error::OperatorError;
use crate::operator::machine::desired::{entries, section_of};
use crate::operator::text::Paint;

/// One workload of a machine.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    pub(super) name: String,
    /// Who wants it, as far as the machine says; the fleet, where the machine does not know it.
    pub(super) source: WorkloadSource,
    pub(super) agreement: Agreement,
    /// Why it is as it is, where that is not plain.
    pub(super) why: Option<String>,
    pub(super) desired: Option<Wanted>,
    pub(super) reported: Option<WorkloadReport>,
}

/// What the fleet wants of it.
#[derive(Debug, Serialize)]
pub(super) struct Wanted {
    /// In which version of the desired state the section last changed.
    pub(super) version: DesiredVersion,
    pub(super) changed_at: Timestamp,
    pub(super) issuer: String,
    pub(super) reason: String,
    /// What tells this definition apart, as machines report it; none where this program does not understand it.
    pub(super) definition_version: Option<String>,
    pub(super) definition: Value,
}

/// How what is desired and what is reported go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Agreement {
    /// The machine has this definition.
    AsDesired,
    /// The machine has another one, and has not spoken about this one yet.
    Pending,
    /// The machine does not accept it.
    Refused,
    /// The machine's own file says otherwise, and stays in force.
    Conflict,
    /// The fleet wants none; the machine's own file does.
    NotDesired,
    /// The fleet wants it no more, and the machine still has it.
    ToBeEnded,
}

impl Agreement {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::AsDesired => "in force",
            Self::Pending => "pending",
            Self::Refused => "refused",
            Self::Conflict => "conflict",
            Self::NotDesired => "",
            Self::ToBeEnded => "no more",
        }
    }

    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::AsDesired => "the machine has this definition",
            Self::Pending => "the machine has not taken this definition yet",
            Self::Refused => "the machine does not accept what is desired",
            Self::Conflict => "the machine's own file says otherwise, and stays in force",
            Self::NotDesired => "nothing by the fleet",
            Self::ToBeEnded => "no more; the machine has not ended it yet",
        }
    }

    pub(super) fn paint(self) -> Paint {
        match self {
            Self::AsDesired => Paint::Good,
            Self::Pending | Self::ToBeEnded => Paint::Busy,
            Self::Refused => Paint::Bad,
            Self::Conflict => Paint::Warning,
            Self::NotDesired => Paint::Dim,
        }
    }
}

impl Line {
    pub(super) fn phase(&self) -> Option<WorkloadPhase> {
        self.reported.as_ref().map(|reported| reported.phase)
    }

    /// Whether it is as desired, and waiting longer is of no use.
    pub(super) fn has_failed(&self) -> bool {
        self.agreement == Agreement::AsDesired && self.phase() == Some(WorkloadPhase::Failed)
    }

    /// Whether it is desired and runs so, works if it is checked, or ended well; or is not desired, and gone.
    pub(super) fn is_as_desired(&self) -> bool {
        let Some(desired) = &self.desired else {
            return self.agreement == Agreement::NotDesired;
        };
        let is_checked = desired
            .definition
            .get("health")
            .is_some_and(|health| !health.is_null());
        let well = match self.phase() {
            Some(WorkloadPhase::Healthy) => true,
            Some(WorkloadPhase::Running) => !is_checked,
            // With a reason somebody at the machine stopped it.
            Some(WorkloadPhase::Stopped) => self.why.is_none(),
            Some(
                WorkloadPhase::Pending
                | WorkloadPhase::Starting
                | WorkloadPhase::Unhealthy
                | WorkloadPhase::Backoff
                | WorkloadPhase::Stopping
                | WorkloadPhase::Failed,
            )
            | None => false,
        };
        well && self.agreement == Agreement::AsDesired
    }
}

/// All workloads that are desired or reported, by name.
pub(super) fn lines(machine: &Machine, desired: &Desired) -> Result<Vec<Line>, OperatorError> {
    let wanted = entries(desired, SECTION)?;
    let section = section_of(desired, SECTION);
    let reported = machine.reported.workloads.as_deref();
    let reported = reported.map_or(&[][..], |reported| &reported.workloads);
    let names: BTreeSet<&str> = wanted
        .keys()
        .map(String::as_str)
        .chain(reported.iter().map(|workload| workload.name.as_str()))
        .collect();
    let line = |name: &str| {
        let reported = reported.iter().find(|workload| workload.name == name);
        let wanted = section.and_then(|section| Some(Wanted::of(section, wanted.get(name)?)));
        line(name, machine, desired, section, wanted, reported)
    };
    Ok(names.into_iter().map(line).collect())
}

impl Wanted {
    fn of(section: &DesiredSection, definition: &Value) -> Self {
        let read: Result<Workload, _> = serde_json::from_value(definition.clone());
        Self {
            version: section.version,
            changed_at: section.changed_at,
            issuer: section.issuer.clone(),
            reason: section.reason.clone(),
            definition_version: read.ok().map(|workload| workload.version()),
            definition: definition.clone(),
        }
    }
}

fn line(
    name: &str,
    machine: &Machine,
    desired: &Desired,
    section: Option<&DesiredSection>,
    wanted: Option<Wanted>,
    reported: Option<&WorkloadReport>,
) -> Line {
    let source = reported.map_or(WorkloadSource::Fleet, |reported| reported.source);
    let refused = section.is_some_and(|section| section.status == DesiredStatus::Refused);
    let agreement = match (&wanted, reported) {
        (None, _) if source == WorkloadSource::Machine => Agreement::NotDesired,
        (None, _) => Agreement::ToBeEnded,
        (Some(_), Some(reported)) if reported.conflict => Agreement::Conflict,
        (Some(wanted), Some(reported)) if wanted.definition_version.as_ref() == Some(&reported.version) => {
            Agreement::AsDesired
        }
        (Some(_), _) if refused => Agreement::Refused,
        (Some(_), _) => Agreement::Pending,
    };
    let said = reported.and_then(|reported| reported.reason.clone());
    let why = said.or_else(|| match agreement {
        Agreement::Refused => section.and_then(|section| section.status_reason.clone()),
        Agreement::Pending if desired.held_version < desired.version => {
            let presence = machine.summary.presence;
            let (held, wanted) = (desired.held_version, desired.version);
            Some(format!(
                "the machine is {presence}, and holds version {held} of {wanted}"
            ))
        }
        Agreement::Pending
        | Agreement::AsDesired
        | Agreement::Conflict
        | Agreement::NotDesired
        | Agreement::ToBeEnded => None,
    });
    Line {
        name: name.to_owned(),
        source,
        agreement,
        why,
        desired: wanted,
        reported: reported.cloned(),
    }
}
