//! What goes into the decision about workloads, and what comes out.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_model::Severity;
use muster_model::workload::report::{Grant, WorkloadPhase, WorkloadSource};
use muster_model::workload::{HealthCheck, StopSignal, Workload, WorkloadName};
use serde::{Deserialize, Serialize};

/// A workload that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// How.
    pub workload: Arc<Workload>,
    /// What tells this definition apart.
    pub version: String,
    /// By whom.
    pub source: WorkloadSource,
    /// Whether the other source wants something else under this name.
    pub conflict: bool,
}

/// What the machine's file and the fleet want, together. A name that both have differently stays the machine's own.
pub fn together(
    machine: &BTreeMap<WorkloadName, Workload>,
    fleet: &BTreeMap<WorkloadName, Workload>,
) -> BTreeMap<WorkloadName, Wanted> {
    let wanted = |workload: &Workload, source, conflict| Wanted {
        workload: Arc::new(workload.clone()),
        version: workload.version(),
        source,
        conflict,
    };
    let mut all: BTreeMap<_, _> = fleet
        .iter()
        .map(|(name, workload)| (name.clone(), wanted(workload, WorkloadSource::Fleet, false)))
        .collect();
    for (name, workload) in machine {
        let conflict = fleet.get(name).is_some_and(|other| other != workload);
        all.insert(name.clone(), wanted(workload, WorkloadSource::Machine, conflict));
    }
    all
}

/// The number of an instance: each start of a workload has a higher one.
pub type Instance = u64;

/// How an instance ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The status it ended with.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Whether it was killed for want of memory.
    pub out_of_memory: bool,
    /// Somebody else asked it to end, such as systemd when the computer is shut down: it says nothing of the program.
    pub by_others: bool,
}

/// What came of an instance after which nothing is started by itself; it outlives the runtime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rest {
    /// Which instance.
    pub instance: Instance,
    /// Why it failed for good; none: it ended well, and that was all.
    pub failed: Option<String>,
}

impl Exit {
    /// Nobody knows how: its keeper was killed, or the computer lost power.
    pub const UNKNOWN: Self = Self {
        code: None,
        signal: None,
        out_of_memory: false,
        by_others: false,
    };

    /// Whether it ended well, by itself.
    pub fn is_success(&self) -> bool {
        self.code == Some(0) && !self.by_others
    }

    /// For a person.
    pub fn words(&self) -> String {
        let mut words = match (self.code, self.signal) {
            (Some(code), _) => format!("exit {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "ended, nobody knows how".to_owned(),
        };
        if self.out_of_memory {
            words.push_str(" (out of memory)");
        }
        if self.by_others {
            words.push_str(" (asked to end by others)");
        }
        words
    }
}

/// What was found of a workload when the runtime began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which.
    pub name: WorkloadName,
    /// Its newest instance.
    pub instance: Instance,
    /// Of which definition it is.
    pub version: String,
    /// Its definition, to end it as it wants to be ended.
    pub workload: Arc<Workload>,
    /// How it ended; none: it runs.
    pub exit: Option<Exit>,
    /// What keeps it.
    pub runner: String,
    /// What it was granted.
    pub granted: Vec<Grant>,
    /// Somebody beside the machine stopped it and did not start it since.
    pub held: bool,
    /// What was noted of this instance when it ended.
    pub rest: Option<Rest>,
    /// The computer was started since this instance was: its end may have been the computer's.
    pub rebooted: bool,
}

/// What somebody beside the machine asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Start it, also if it failed for good or was stopped.
    Start,
    /// Stop it, until it is asked to start.
    Stop,
    /// End it and start it anew.
    Restart,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Nothing but time.
    Time,
    /// What is wanted from now on; nothing is started before this came once.
    Wanted(BTreeMap<WorkloadName, Wanted>),
    /// What of one workload was found; before the first `Wanted`.
    Found(Found),
    /// An instance runs.
    Started {
        /// Whose.
        name: WorkloadName,
        /// Which.
        instance: Instance,
        /// What keeps it.
        runner: String,
        /// What it was granted.
        granted: Vec<Grant>,
    },
    /// An instance could not be started, and nothing of it is left.
    NotStarted {
        /// Whose.
        name: WorkloadName,
        /// Which.
        instance: Instance,
        /// Why, for a person.
        why: String,
        /// Whether trying again is of no use.
        for_good: bool,
        /// What it would have been granted.
        granted: Vec<Grant>,
    },
    /// An instance ended, and nothing of it is left.
    Exited {
        /// Whose.
        name: WorkloadName,
        /// Which.
        instance: Instance,
        /// How.
        exit: Exit,
    },
    /// A check came back.
    Checked {
        /// Whose.
        name: WorkloadName,
        /// Of which instance.
        instance: Instance,
        /// Nothing, or what is wrong.
        problem: Option<String>,
    },
    /// Somebody beside the machine asks.
    Asked {
        /// About which.
        name: WorkloadName,
        /// For what.
        ask: Ask,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Start an instance; it is answered by `Started` or `NotStarted`.
    Start {
        /// Whose.
        name: WorkloadName,
        /// Which.
        instance: Instance,
        /// How.
        wanted: Wanted,
    },
    /// Ask an instance to end.
    Signal {
        /// Whose.
        name: WorkloadName,
        /// Which.
        instance: Instance,
        /// By which signal.
        signal: StopSignal,
    },
    /// End an instance and everything in it.
    Kill {
        /// Whose.
        name: WorkloadName,
        /// Which.
        instance: Instance,
    },
    /// Check an instance; it is answered by `Checked`.
    Check {
        /// Whose.
        name: WorkloadName,
        /// Which.
        instance: Instance,
        /// How.
        check: HealthCheck,
    },
    /// Keep in mind, beyond a restart, whether somebody stopped it.
    Hold {
        /// Which.
        name: WorkloadName,
        /// Whether.
        held: bool,
    },
    /// Keep in mind, beyond a restart, that it is not started again, or, with none, that it may be.
    Rest {
        /// Which.
        name: WorkloadName,
        /// What came of it.
        rest: Option<Rest>,
    },
    /// Nothing of it is wanted or runs: what is kept of it may go.
    Forget(WorkloadName),
    /// To be told.
    Tell {
        /// Of which.
        name: WorkloadName,
        /// The event's kind: `workload.started` …
        kind: &'static str,
        /// How much it matters.
        severity: Severity,
        /// For a person.
        message: String,
    },
}

/// How a workload stands, for whoever shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing<'a> {
    /// Which.
    pub name: &'a WorkloadName,
    /// Its definition: of what runs, or of what is wanted.
    pub workload: &'a Workload,
    /// What tells that definition apart.
    pub version: &'a str,
    /// Who wants it.
    pub source: WorkloadSource,
    /// Whether the other source wants something else.
    pub conflict: bool,
    /// How it fares.
    pub phase: WorkloadPhase,
    /// Why.
    pub reason: Option<&'a str>,
    /// Since when, in monotonic milliseconds.
    pub since_ms: u64,
    /// How often it was started again.
    pub restarts: u32,
    /// How it ended last.
    pub last_exit: Option<&'a Exit>,
    /// What keeps it.
    pub runner: Option<&'a str>,
    /// What it was granted.
    pub granted: &'a [Grant],
    /// The instance that may exist.
    pub instance: Option<Instance>,
}
