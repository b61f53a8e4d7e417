//! Where a workload is.

use muster_model::workload::Workload;
use muster_model::workload::report::WorkloadPhase;

use super::Instance;

#[derive(Debug, PartialEq)]
pub(super) enum Phase {
    /// It is to be started as soon as what it waits for is there.
    Pending {
        waits_for: Option<String>,
    },
    Starting {
        instance: Instance,
    },
    Running {
        instance: Instance,
        health: Health,
    },
    Backoff {
        until_ms: u64,
    },
    Stopping {
        instance: Instance,
        kill_ms: u64,
        killed: bool,
        why: String,
        unhealthy: bool,
    },
    /// It ended and rests; `well`: whoever waits for it may start.
    Stopped {
        well: bool,
    },
    Failed {
        why: String,
    },
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct Health {
    /// What the checks say so far.
    pub(super) verdict: Option<bool>,
    pub(super) failures: u32,
    pub(super) next_ms: u64,
    /// A check is under way.
    pub(super) asked: bool,
    pub(super) problem: Option<String>,
}

impl Phase {
    /// The instance that may exist.
    pub(super) fn instance(&self) -> Option<Instance> {
        match self {
            Self::Starting { instance }
            | Self::Running { instance, .. }
            | Self::Stopping { instance, .. } => Some(*instance),
            Self::Pending { .. } | Self::Backoff { .. } | Self::Stopped { .. } | Self::Failed { .. } => None,
        }
    }

    /// Whether nothing comes of it by itself.
    pub(super) fn rests(&self) -> bool {
        matches!(
            self,
            Self::Stopped { .. } | Self::Failed { .. } | Self::Backoff { .. }
        )
    }

    pub(super) fn words(&self, held: bool) -> (WorkloadPhase, Option<&str>) {
        match self {
            Self::Pending { waits_for } => (WorkloadPhase::Pending, waits_for.as_deref()),
            Self::Starting { .. } => (WorkloadPhase::Starting, None),
            Self::Running { health, .. } => match health.verdict {
                None => (WorkloadPhase::Running, health.problem.as_deref()),
                Some(true) => (WorkloadPhase::Healthy, None),
                Some(false) => (WorkloadPhase::Unhealthy, health.problem.as_deref()),
            },
            Self::Backoff { .. } => (WorkloadPhase::Backoff, None),
            Self::Stopping { why, .. } => (WorkloadPhase::Stopping, Some(why)),
            Self::Stopped { .. } => {
                let reason = held.then_some("stopped by somebody beside the machine");
                (WorkloadPhase::Stopped, reason)
            }
            Self::Failed { why } => (WorkloadPhase::Failed, Some(why)),
        }
    }
}

impl Health {
    pub(super) fn first(now_ms: u64, workload: &Workload) -> Self {
        let interval_s = workload.health.as_ref().map_or(0, |check| check.interval_s);
        Self {
            next_ms: now_ms + u64::from(interval_s) * 1_000,
            ..Self::default()
        }
    }
}
