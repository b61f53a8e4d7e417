//! What people set for a machine. How the layers work is `muster_runtime::config`; every flat key stands once in [`keys`],
//! every section with a structure once in [`sections`].
//!
//! A section is added by a [`Document`](muster_runtime::config::Document) in `sections`, with its place in [`Settings`], in
//! [`Settings::options`] and in `mistakes` or `oddities`, if there is anything that cannot be meant; CONTRIBUTING.md has the
//! checklist.

mod failsafe;
mod keys;
mod recording;
mod releases;
mod safety;
mod sections;
mod workloads;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use muster_metal::wiring::Wiring;
use muster_model::service::Watch;
use muster_model::workload::Workloads;
use muster_runtime::config::{Document, Key, Mistake, Settings as Layered};
use muster_runtime::logging::Format;
use tracing::Level;

use crate::identity::Identity;
use crate::options::{
    Compression, Options, ReleaseOptions, SafetyOptions, ServerUrl, TelemetryOptions, Thresholds,
};

pub use muster_runtime::config::{ConfigError, Origin};
pub use recording::Recording;

/// A machine's configuration, and where each value comes from.
pub type Config = muster_runtime::config::Config<Settings>;

/// Everything that can be set, as it is in the end.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the server is; none: where the machine enrolled, or on this computer.
    pub server: Option<ServerUrl>,
    /// Where the machine keeps things.
    pub data: PathBuf,
    /// What people call it; none: its host name.
    pub name: Option<String>,
    /// What kind of machine it is; none: what it enrolled as, or `host`.
    pub kind: Option<String>,
    /// Where it belongs.
    pub region: Option<String>,
    /// Whether messages are compressed.
    pub compression: Compression,
    /// When it reads and tells.
    pub telemetry: TelemetryOptions,
    /// Which lines are logged.
    pub log_level: String,
    /// How log lines look.
    pub log_format: Format,
    /// From which level on log lines are sent to the server; none: none are.
    pub log_forward: Option<Level>,
    /// From where on a reading is a problem.
    pub thresholds: Thresholds,
    /// Where the kernel's file trees are, if not where they always are.
    pub sysfs_root: Option<PathBuf>,
    /// Messages that may wait for each node.
    pub inbox_messages: usize,
    /// Messages that may wait in each queue of the link.
    pub queue_messages: usize,
    /// Records that are kept without acknowledgement.
    pub outbox_records: u64,
    /// How long making a connection may take.
    pub connect_timeout: Duration,
    /// What is connected, and what it is for.
    pub wiring: Wiring,
    /// How the safety region behaves, with the failsafe table.
    pub safety: SafetyOptions,
    /// Where Foxglove's app finds what is said, live; none: nowhere.
    pub foxglove: Option<SocketAddr>,
    /// Whether and how it records what is said.
    pub recording: Recording,
    /// What it believes about releases, and how it fetches them.
    pub releases: ReleaseOptions,
    /// What it runs for people.
    pub workloads: Workloads,
    /// What it watches.
    pub watch: Watch,
}

/// What kind of machine one is where nobody said.
const KIND: &str = "host";

/// The server on this computer.
fn local_server() -> ServerUrl {
    "ws://127.0.0.1:7700"
        .parse()
        .expect("the default server is well-formed")
}

impl Default for Settings {
    fn default() -> Self {
        let link = muster_reflex::link::Options::default();
        Self {
            server: None,
            data: "/var/lib/muster-machine".into(),
            name: None,
            kind: None,
            region: None,
            compression: Compression::default(),
            telemetry: TelemetryOptions::default(),
            log_level: "info".into(),
            log_format: Format::Text,
            log_forward: Some(Level::WARN),
            thresholds: Thresholds::default(),
            sysfs_root: None,
            inbox_messages: crate::bus::INBOX_MAX,
            queue_messages: link.queue_max,
            outbox_records: link.outbox_max,
            connect_timeout: Duration::from_secs(10),
            wiring: Wiring::default(),
            safety: SafetyOptions::default(),
            foxglove: None,
            recording: Recording::default(),
            releases: ReleaseOptions::default(),
            workloads: Workloads::new(),
            watch: Watch::default(),
        }
    }
}

impl Layered for Settings {
    const KEYS: &'static [Key<Self>] = keys::KEYS;
    const DOCUMENTS: &'static [Document<Self>] = sections::DOCUMENTS;

    fn disagreements(&self) -> Vec<(&'static str, &'static str)> {
        let limits = &self.thresholds;
        let telemetry = &self.telemetry;
        let pairs = [
            (
                limits.thermal_warning_celsius <= limits.thermal_critical_celsius,
                "thresholds.thermal_warning_celsius",
                "at most thresholds.thermal_critical_celsius",
            ),
            (
                limits.disk_warning_percent <= limits.disk_error_percent,
                "thresholds.disk_warning_percent",
                "at most thresholds.disk_error_percent",
            ),
            (
                limits.battery_warning_percent >= limits.battery_error_percent,
                "thresholds.battery_warning_percent",
                "at least thresholds.battery_error_percent",
            ),
            (
                telemetry.interval_ms <= telemetry.at_latest_ms,
                "telemetry.interval_s",
                "at most telemetry.at_latest_s",
            ),
        ];
        let disagreeing = pairs.into_iter().filter(|(holds, ..)| !holds);
        disagreeing.map(|(_, key, accepted)| (key, accepted)).collect()
    }

    fn mistakes(&self) -> Vec<Mistake> {
        sections::mistakes(self)
    }

    fn oddities(&self) -> Vec<Mistake> {
        sections::oddities(self)
    }
}

impl Settings {
    /// The machine's options, but for what only the process knows: its host name and its log. What is not set is as the machine
    /// enrolled.
    pub fn options(&self, hostname: &str, identity: Option<Identity>) -> Options {
        let settings = self;
        let name = settings.name.clone().unwrap_or_else(|| hostname.to_owned());
        let enrolled = identity.as_ref().map(Identity::document);
        let where_enrolled = || enrolled.as_ref()?.server.parse().ok();
        let server = settings.server.clone().or_else(where_enrolled);
        let server = server.unwrap_or_else(local_server);
        let as_enrolled = || enrolled.as_ref()?.kind.clone();
        let kind = settings.kind.clone().or_else(as_enrolled);
        let mut options = Options::new(server, name, kind.unwrap_or_else(|| KIND.to_owned()));
        options.identity = identity.filter(|_| options.server.is_secure());
        options.machine_id = options
            .identity
            .as_ref()
            .map(|identity| identity.document().machine_id);
        options.region.clone_from(&settings.region);
        options.compression = settings.compression;
        options.telemetry = settings.telemetry;
        options.thresholds = settings.thresholds;
        options.inbox_max = settings.inbox_messages;
        options.connect_timeout = settings.connect_timeout;
        options.wiring = settings.wiring.clone();
        options.safety = settings.safety.clone();
        options.workloads.machine = settings.workloads.clone();
        options.watch = settings.watch.clone();
        options.link.queue_max = settings.queue_messages;
        options.link.outbox_max = settings.outbox_records;
        options.foxglove = settings.foxglove;
        options.recording = settings.recording.options(&settings.data);
        options.releases = settings.releases.clone();
        options
    }
}
