//! What people want to run on a machine.
//!
//! The same words stand in the machine's own file, in the fleet's desired state and in the API. [`Workload::check`] says what cannot be meant;
//! what the machine makes of it is in [`report`].

mod check;
pub mod report;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::release::ProductName;
use crate::vocabulary::words;

pub use check::{WorkloadError, check_all};

/// The section of the desired state that holds workloads by name.
pub const SECTION: &str = "workloads";
/// Workloads of one machine, from each of its sources.
pub const WORKLOADS_MAX: usize = 32;
/// Longest name of a workload.
pub const NAME_MAX: usize = 40;
/// Arguments, and variables of the environment, each.
pub const WORDS_MAX: usize = 128;
/// Longest argument, value, path or image.
pub const WORD_MAX_BYTES: usize = 4_096;
/// Writable paths, and capabilities.
pub const PATHS_MAX: usize = 32;

/// The workloads of one machine by name, as one source wants them.
pub type Workloads = BTreeMap<WorkloadName, Workload>;

/// Names a workload on its machine: 1 to 40 lower-case letters, digits and dashes, a letter or digit first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
#[serde(try_from = "String", into = "String")]
pub struct WorkloadName(String);

impl WorkloadName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WorkloadName {
    type Err = WorkloadError;

    fn from_str(text: &str) -> Result<Self, WorkloadError> {
        let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if (1..=NAME_MAX).contains(&text.len()) && text.bytes().all(fits) && !text.starts_with('-') {
            Ok(Self(text.to_owned()))
        } else {
            Err(WorkloadError::Name(text.chars().take(64).collect()))
        }
    }
}

impl TryFrom<String> for WorkloadName {
    type Error = WorkloadError;

    fn try_from(text: String) -> Result<Self, WorkloadError> {
        text.parse()
    }
}

impl From<WorkloadName> for String {
    fn from(name: WorkloadName) -> Self {
        name.0
    }
}

impl fmt::Display for WorkloadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for WorkloadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

words! {
    /// What a workload is.
    #[derive(Default)]
    WorkloadKind {
        /// A program of the machine.
        #[default]
        Native => "native",
        /// An image that Podman runs.
        Container => "container",
    }
}

words! {
    /// When a workload that ended is started again.
    #[derive(Default)]
    RestartPolicy {
        /// Never.
        Never => "never",
        /// When it ended with another status than 0, or by a signal, or was unhealthy.
        #[default]
        OnFailure => "on_failure",
        /// However it ended.
        Always => "always",
    }
}

words! {
    /// Which system calls are refused.
    #[derive(Default)]
    SeccompProfile {
        /// What administers a computer is refused: mounts, modules, clocks, namespaces, tracing.
        #[default]
        Default => "default",
        /// None.
        None => "none",
    }
}

words! {
    /// What keeps a native workload.
    #[derive(Default)]
    RunnerChoice {
        /// systemd where it runs, else the machine's runtime itself.
        #[default]
        Auto => "auto",
        /// The machine's runtime itself.
        Own => "own",
        /// A transient unit of systemd.
        Systemd => "systemd",
    }
}

words! {
    /// The signal by which a workload is asked to end.
    #[derive(Default)]
    StopSignal {
        /// SIGTERM.
        #[default]
        Term => "term",
        /// SIGINT.
        Int => "int",
        /// SIGQUIT.
        Quit => "quit",
        /// SIGHUP.
        Hup => "hup",
        /// SIGUSR1.
        Usr1 => "usr1",
        /// SIGUSR2.
        Usr2 => "usr2",
    }
}

macro_rules! part {
    ($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident: $type:ty = $default:expr),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
        #[serde(deny_unknown_fields, default)]
        pub struct $name { $($(#[$fdoc])* pub $field: $type),+ }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default),+ }
            }
        }
    };
}

part! {
    /// One thing to run.
    Workload {
        /// What it is.
        kind: WorkloadKind = WorkloadKind::default(),
        /// A native workload's program: an absolute path. In a container, what runs instead of the image's own.
        #[serde(skip_serializing_if = "Option::is_none")]
        program: Option<String> = None,
        /// Instead of `program`: a product whose release is on the machine. What is started is the entry of the version in use.
        #[serde(skip_serializing_if = "Option::is_none")]
        product: Option<ProductName> = None,
        /// What the program is given.
        arguments: Vec<String> = Vec::new(),
        /// A container's image.
        #[serde(skip_serializing_if = "Option::is_none")]
        image: Option<String> = None,
        /// Its environment, beside `PATH` and `MUSTER_WORKLOAD`; nothing of the runtime's own is passed on.
        environment: BTreeMap<String, String> = BTreeMap::new(),
        /// Where it starts: an absolute path; none: `/`, or the image's own.
        #[serde(skip_serializing_if = "Option::is_none")]
        directory: Option<String> = None,
        /// Who it runs as: a name, a number, or `user:group`; none: as the runtime, or the image's own.
        #[serde(skip_serializing_if = "Option::is_none")]
        user: Option<String> = None,
        /// Capabilities that a workload of root keeps: `net_bind_service` …; all others are dropped.
        capabilities: Vec<String> = Vec::new(),
        /// What it may use.
        limits: Limits = Limits::default(),
        /// What it may write.
        filesystem: Filesystem = Filesystem::default(),
        /// Whether it has the machine's network; without it, it has none at all.
        network: bool = true,
        /// Which system calls are refused.
        seccomp: SeccompProfile = SeccompProfile::default(),
        /// When it is started again.
        restart: Restart = Restart::default(),
        /// How it is told that it works.
        #[serde(skip_serializing_if = "Option::is_none")]
        health: Option<HealthCheck> = None,
        /// How it is ended.
        stop: Stop = Stop::default(),
        /// It is started after these run, and are healthy if they are checked, or ended well.
        after: Vec<WorkloadName> = Vec::new(),
        /// What keeps it.
        runner: RunnerChoice = RunnerChoice::default(),
        /// It runs even where something of what it asks for cannot be granted; what was, is reported.
        best_effort: bool = false,
    }
}

part! {
    /// What a workload may use; what is absent is not limited.
    Limits {
        /// Memory; beyond it, it is killed.
        #[serde(skip_serializing_if = "Option::is_none")]
        memory_mib: Option<u64> = None,
        /// Processor time, in hundredths of one processor.
        #[serde(skip_serializing_if = "Option::is_none")]
        cpu_percent: Option<u32> = None,
        /// Its share where processors are short: 1 to 10000, others have 100.
        #[serde(skip_serializing_if = "Option::is_none")]
        cpu_weight: Option<u32> = None,
        /// Processes and threads.
        #[serde(skip_serializing_if = "Option::is_none")]
        processes: Option<u32> = None,
        /// Open files of each process.
        #[serde(skip_serializing_if = "Option::is_none")]
        open_files: Option<u32> = None,
    }
}

part! {
    /// What a workload may write.
    Filesystem {
        /// Nothing may be written but what `writable` names.
        read_only: bool = false,
        /// Absolute paths that may be written where the rest is read-only.
        writable: Vec<String> = Vec::new(),
    }
}

part! {
    /// When a workload is started again.
    Restart {
        /// After which ends.
        policy: RestartPolicy = RestartPolicy::default(),
        /// The wait before the first time; it doubles with each.
        backoff_ms: u64 = 1_000,
        /// The longest wait.
        backoff_max_ms: u64 = 60_000,
        /// So many times within the window, and no more: then it has failed for good.
        limit: u32 = 5,
        /// The window.
        window_s: u64 = 600,
    }
}

part! {
    /// How a workload is ended.
    Stop {
        /// How it is asked to.
        signal: StopSignal = StopSignal::default(),
        /// How long it may take; then it is killed.
        timeout_s: u32 = 10,
    }
}

words! {
    /// What says that a workload works.
    #[derive(Default)]
    HealthKind {
        /// Its process exists.
        #[default]
        Alive => "alive",
        /// A command, run as the workload, ends with 0.
        Command => "command",
        /// An HTTP request on the loopback address is answered with a status from 200 to 399.
        Http => "http",
    }
}

part! {
    /// How a workload is told that it works.
    HealthCheck {
        /// What says so.
        kind: HealthKind = HealthKind::default(),
        /// The command and its arguments.
        command: Vec<String> = Vec::new(),
        /// The port of the HTTP request, on 127.0.0.1.
        #[serde(skip_serializing_if = "Option::is_none")]
        port: Option<u16> = None,
        /// The path of the HTTP request.
        path: String = "/".to_owned(),
        /// Between two checks; the first is after so long.
        interval_s: u32 = 10,
        /// How long one may take.
        timeout_s: u32 = 5,
        /// So many in a row must fail.
        retries: u32 = 3,
        /// Whether it is ended then, which its restart policy may answer; else it is only said.
        restart: bool = true,
    }
}

impl Workload {
    /// What tells two definitions apart: 16 hexadecimal digits. It is no proof against somebody who wants two to be the same.
    pub fn version(&self) -> String {
        // A definition is made of texts, numbers and maps with text keys, which JSON has.
        let text = serde_json::to_string(self).unwrap_or_default();
        let fnv = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        format!("{fnv:016x}")
    }
}
