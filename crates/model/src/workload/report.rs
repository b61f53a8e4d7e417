//! What a machine says of its workloads.

use serde::{Deserialize, Serialize};

use super::WorkloadKind;
use crate::time::Timestamp;
use crate::vocabulary::words;

words! {
    /// How a workload fares.
    WorkloadPhase {
        /// It waits for something else: `reason` says what.
        Pending => "pending",
        /// It is being started.
        Starting => "starting",
        /// It runs.
        Running => "running",
        /// It runs, and its check says that it works.
        Healthy => "healthy",
        /// It runs, and its check says that it does not work.
        Unhealthy => "unhealthy",
        /// It ended, and is started again soon.
        Backoff => "backoff",
        /// It is asked to end.
        Stopping => "stopping",
        /// It ended, and is not started again.
        Stopped => "stopped",
        /// It cannot run: `reason` says why.
        Failed => "failed",
    }
}

words! {
    /// Who wants a workload.
    WorkloadSource {
        /// The machine's own file.
        Machine => "machine",
        /// The fleet's desired state.
        Fleet => "fleet",
    }
}

words! {
    /// What became of something that a workload asked for.
    GrantState {
        /// It is in force.
        Granted => "granted",
        /// The machine's kernel has it, and did not let the runtime.
        NotPermitted => "not_permitted",
        /// The machine has no such thing.
        NotPresent => "not_present",
    }
}

/// One thing that a workload asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
pub struct Grant {
    /// What: `memory`, `user`, `seccomp` …
    pub what: String,
    /// What became of it.
    pub state: GrantState,
    /// By what means, or what the kernel said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// How one workload fares.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
pub struct WorkloadReport {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: WorkloadKind,
    /// How it fares.
    pub phase: WorkloadPhase,
    /// Why, for a person, where that is not plain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub reason: Option<String>,
    /// Since when, by the machine's wall clock.
    pub since: Timestamp,
    /// How often it was started again since the runtime began.
    pub restarts: u32,
    /// How it ended last: `exit 1`, `signal 9 (out of memory)` …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub last_exit: Option<String>,
    /// Of which definition what runs is; of the wanted one, if nothing runs.
    pub version: String,
    /// Who wants it.
    pub source: WorkloadSource,
    /// The other source wants something else under this name, and did not get it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub conflict: bool,
    /// What keeps it: `own`, `systemd`, `podman`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub runner: Option<String>,
    /// Memory in use, where it is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub memory_bytes: Option<u64>,
    /// Processor time in hundredths of one processor, averaged since the reading before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub cpu_percent: Option<f64>,
    /// What it asked for, and what became of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub granted: Vec<Grant>,
}

/// The workloads of a machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = WorkloadsReport), schemars(rename = "WorkloadsReport"))]
pub struct WorkloadsReport {
    /// One line a workload, by name.
    pub workloads: Vec<WorkloadReport>,
    /// What the fleet wants and the machine does not accept, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub refused: Option<String>,
}
