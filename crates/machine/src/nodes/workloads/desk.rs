//! The workloads as people beside the machine meet them.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use muster_model::workload::WorkloadName;
use muster_model::workload::report::{WorkloadReport, WorkloadsReport};
use muster_model::{Severity, Timestamp};
use muster_reflex::workload::Ask;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};

use crate::keeper::log;

/// Requests that may wait for the node.
const ASKS_MAX: usize = 64;
/// How long a request may take to show.
const SHOWN_WITHIN: Duration = Duration::from_millis(1_500);
/// Lines that are shown at most.
pub(super) const LINES_MAX: usize = 1_000;

/// How people beside the machine reach its workloads. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Desk {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    directory: PathBuf,
    asks: Mutex<VecDeque<(WorkloadName, Ask)>>,
    arrived: Notify,
    shown: watch::Sender<WorkloadsReport>,
}

/// Why nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeskError {
    /// There is no such workload.
    #[error("no workload here is called {0:?}")]
    Unknown(String),
    /// Too many requests wait.
    #[error("the machine is busy with what it was asked before")]
    Busy,
    /// The log cannot be read.
    #[error("the log cannot be read: {0}")]
    Log(String),
}

/// A line that a workload printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When.
    pub at: Option<Timestamp>,
    /// `error` for what came over standard error.
    pub severity: Severity,
    /// What.
    pub message: String,
}

impl Desk {
    /// For the workloads whose directories lie here.
    pub fn new(directory: PathBuf) -> Self {
        let shared = Shared {
            directory,
            ..Shared::default()
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// How all workloads fare.
    pub fn shown(&self) -> WorkloadsReport {
        self.shared.shown.borrow().clone()
    }

    /// How one fares.
    pub fn one(&self, name: &str) -> Result<WorkloadReport, DeskError> {
        let shown = self.shared.shown.borrow();
        let one = shown.workloads.iter().find(|workload| workload.name == name);
        one.cloned().ok_or_else(|| DeskError::Unknown(name.to_owned()))
    }

    /// Asks, and says how it fares when that shows.
    pub async fn ask(&self, name: &str, ask: Ask) -> Result<WorkloadReport, DeskError> {
        self.one(name)?;
        let parsed = name.parse().map_err(|_| DeskError::Unknown(name.to_owned()))?;
        let mut shown = self.shared.shown.subscribe();
        {
            let mut asks = self.shared.asks.lock();
            if asks.len() >= ASKS_MAX {
                return Err(DeskError::Busy);
            }
            asks.push_back((parsed, ask));
        }
        self.shared.arrived.notify_one();
        // What changes nothing is answered as well.
        let _ = tokio::time::timeout(SHOWN_WITHIN, shown.changed()).await;
        self.one(name)
    }

    /// What it printed last.
    pub fn log(&self, name: &str, most: usize) -> Result<Vec<LogLine>, DeskError> {
        self.one(name)?;
        let lines = log::last(&self.shared.directory.join(name), most.min(LINES_MAX));
        let lines = lines.map_err(|error| DeskError::Log(error.to_string()))?;
        Ok(lines
            .into_iter()
            .map(|line| LogLine {
                at: line.at,
                severity: if line.is_error {
                    Severity::Error
                } else {
                    Severity::Info
                },
                message: line.text,
            })
            .collect())
    }

    pub(super) async fn asked(&self) -> (WorkloadName, Ask) {
        loop {
            if let Some(ask) = self.shared.asks.lock().pop_front() {
                return ask;
            }
            self.shared.arrived.notified().await;
        }
    }

    pub(super) fn show(&self, report: &WorkloadsReport) {
        self.shared.shown.send_replace(report.clone());
    }
}
