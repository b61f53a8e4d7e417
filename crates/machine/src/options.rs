//! How a machine behaves. Every bound is here or in the options of a part.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use muster_metal::wiring::Wiring;
use muster_model::service::Watch;
use muster_model::workload::Workloads;
use muster_model::{BootId, MachineId};
use muster_protocol::link::compression::DICTIONARY_ID;
use muster_protocol::link::{CommandKind, PATH};
use muster_reflex::fence::Fence;
use muster_reflex::safety::Condition;
use muster_reflex::safety::config::{Action, Clears, Rule, Start};
use muster_reflex::{link, state};
use serde::{Deserialize, Serialize};

use crate::identity::Identity;
use crate::logging::LogTap;
use crate::nodes::watch::Places;
use crate::nodes::workloads::Systemd;
use crate::recording::{self, About};
use crate::supervisor::RestartPolicy;

/// How one machine behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the server is.
    pub server: ServerUrl,
    /// Who the machine is to a server that wants to know.
    pub identity: Option<Identity>,
    /// What people call the machine.
    pub name: String,
    /// What kind of machine it is.
    pub kind: String,
    /// Where it belongs.
    pub region: Option<String>,
    /// Its id; none: the data directory's own, made at the first start.
    pub machine_id: Option<MachineId>,
    /// When it reads and tells.
    pub telemetry: TelemetryOptions,
    /// From where on a reading is a problem.
    pub thresholds: Thresholds,
    /// The link's own options. The commands and dictionaries are set by the runtime.
    pub link: link::Options,
    /// Whether messages are compressed.
    pub compression: Compression,
    /// The state's own options.
    pub state: state::Options,
    /// How long making a connection may take.
    pub connect_timeout: Duration,
    /// What is connected to the machine, and what it is for.
    pub wiring: Wiring,
    /// How the safety region behaves.
    pub safety: SafetyOptions,
    /// When nodes are started again.
    pub restart: RestartPolicy,
    /// Messages that may wait for each node.
    pub inbox_max: usize,
    /// The start is put off by up to so long, so that many machines in one process do not start together.
    pub start_jitter: Duration,
    /// What the machine runs for people by its own file.
    pub workloads: WorkloadOptions,
    /// What it watches.
    pub watch: Watch,
    /// Where it looks at what it watches.
    pub watch_places: Places,
    /// Log lines that are sent to the server; none: none are.
    pub log_tap: Option<LogTap>,
    /// What it believes about releases, and how it fetches them.
    pub releases: ReleaseOptions,
    /// How the machine records what is said; none: it does not.
    pub recording: Option<recording::Options>,
    /// Where Foxglove's app finds the machine's bus; none: nowhere.
    pub foxglove: Option<SocketAddr>,
}

/// What a machine believes about releases, and how it fetches them.
#[derive(Clone, Debug, Default)]
pub struct ReleaseOptions {
    /// Where the root of trust is that came with the machine; none: `root.json` in the folder of releases. Without one there, no release is
    /// taken.
    pub root: Option<PathBuf>,
    /// Most bytes a second that are fetched; zero: as many as go.
    pub bytes_per_s: u64,
}

/// What a machine runs for people.
#[derive(Clone, Debug)]
pub struct WorkloadOptions {
    /// What its own file wants.
    pub machine: Workloads,
    /// The executable that becomes a keeper: the runtime itself, unless it is part of another.
    pub keeper: PathBuf,
    /// Where systemd is asked, where it runs.
    pub systemd: Option<Systemd>,
}

impl Default for WorkloadOptions {
    fn default() -> Self {
        Self {
            machine: Workloads::new(),
            keeper: "/proc/self/exe".into(),
            systemd: Systemd::find(),
        }
    }
}

/// Whether messages are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Where the server wants it, too: those that get shorter.
    #[default]
    Auto,
    /// Never.
    Off,
}

/// How the safety region of a machine behaves; what it has for it, its hardware says.
#[derive(Clone, Debug, PartialEq)]
pub struct SafetyOptions {
    /// Whether somebody at the machine must resume it after an ordinary start.
    pub start: Start,
    /// Whether somebody must resume it when nobody knows how it ended.
    pub after_power_cut: Start,
    /// What an emergency stop does: `PowerOff` or `ControlledStop`.
    pub on_estop: Action,
    /// How long a machine may take to come to rest, power or not.
    pub stop_within: Duration,
    /// Slower than this is rest, in the unit of the measurement.
    pub still_below: f64,
    /// What of the limits is left while the machine is limited: 0 to 1.
    pub limited_to: f64,
    /// A safety loop that comes so late does not know what happened meanwhile: the machine stands.
    pub late_after: Duration,
    /// How far ahead the deadline of a command may be.
    pub horizon: Duration,
    /// The failsafe table: at most `RULES_MAX` rows.
    pub rules: Vec<Rule>,
    /// Below this the battery is low; where a row asks for it.
    pub battery_low_percent: Option<f64>,
    /// Above this something is too hot; where a row asks for it.
    pub too_hot_celsius: Option<f64>,
    /// Where it may be; where a row asks for it.
    pub fence: Option<Fence>,
}

impl Default for SafetyOptions {
    fn default() -> Self {
        Self {
            start: Start::Explicit,
            after_power_cut: Start::Explicit,
            on_estop: Action::PowerOff,
            stop_within: Duration::from_secs(15),
            still_below: 0.05,
            limited_to: 0.25,
            late_after: Duration::from_millis(50),
            horizon: Duration::from_millis(500),
            rules: Vec::new(),
            battery_low_percent: None,
            too_hot_celsius: None,
            fence: None,
        }
    }
}

impl SafetyOptions {
    /// A row of the failsafe table: what is done without a link after so long, until it is back.
    pub fn without_link(after: Duration, action: Action) -> Rule {
        Rule {
            when: Condition::LinkLost,
            after_us: u64::try_from(after.as_micros()).unwrap_or(u64::MAX),
            action,
            clears: Clears::WithCondition,
        }
    }
}

/// When a machine reads and tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TelemetryOptions {
    /// Between two readings of what is cheap to read.
    pub interval_ms: u64,
    /// What does not move is told after so long all the same.
    pub at_latest_ms: u64,
}

impl Default for TelemetryOptions {
    fn default() -> Self {
        Self {
            interval_ms: 5_000,
            at_latest_ms: 30_000,
        }
    }
}

/// From where on a reading is a problem. Each ends a little below where it began.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Thresholds {
    /// `thermal.high`, warning.
    pub thermal_warning_celsius: f64,
    /// `thermal.high`, critical.
    pub thermal_critical_celsius: f64,
    /// `disk.nearly_full`, warning.
    pub disk_warning_percent: f64,
    /// `disk.nearly_full`, error.
    pub disk_error_percent: f64,
    /// `power.low`, warning, when not charging.
    pub battery_warning_percent: f64,
    /// `power.low`, error, when not charging.
    pub battery_error_percent: f64,
    /// `memory.high`, warning.
    pub memory_warning_percent: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            thermal_warning_celsius: 80.0,
            thermal_critical_celsius: 90.0,
            disk_warning_percent: 90.0,
            disk_error_percent: 95.0,
            battery_warning_percent: 20.0,
            battery_error_percent: 10.0,
            memory_warning_percent: 90.0,
        }
    }
}

impl Options {
    /// The usual behaviour for a machine of this name and kind.
    pub fn new(server: ServerUrl, name: impl Into<String>, kind: impl Into<String>) -> Self {
        Self {
            server,
            identity: None,
            name: name.into(),
            kind: kind.into(),
            region: None,
            machine_id: None,
            telemetry: TelemetryOptions::default(),
            thresholds: Thresholds::default(),
            link: link::Options::default(),
            compression: Compression::default(),
            state: state::Options::default(),
            connect_timeout: Duration::from_secs(10),
            safety: SafetyOptions::default(),
            wiring: Wiring::default(),
            restart: RestartPolicy::default(),
            inbox_max: crate::bus::INBOX_MAX,
            start_jitter: Duration::ZERO,
            workloads: WorkloadOptions::default(),
            watch: Watch::default(),
            watch_places: Places::default(),
            log_tap: None,
            releases: ReleaseOptions::default(),
            recording: None,
            foxglove: None,
        }
    }

    /// What a recording of the machine says of it, and of what its nodes decide by.
    pub(crate) fn about(&self, machine_id: MachineId, boot_id: BootId) -> About {
        let text = |pairs: Vec<(&str, String)>| {
            let pairs = pairs.into_iter().map(|(name, value)| (name.to_owned(), value));
            pairs.collect::<BTreeMap<_, _>>()
        };
        // These are plain structs: they can always be written.
        let json = |options: Result<String, serde_json::Error>| options.unwrap_or_default();
        About {
            machine: text(vec![
                ("machine_id", machine_id.to_string()),
                ("boot_id", boot_id.to_string()),
                ("name", self.name.clone()),
                ("kind", self.kind.clone()),
                ("version", crate::VERSION.to_owned()),
            ]),
            settings: text(vec![
                ("thresholds", json(serde_json::to_string(&self.thresholds))),
                ("telemetry", json(serde_json::to_string(&self.telemetry))),
                ("state", json(serde_json::to_string(&self.state))),
            ]),
        }
    }

    /// The link's options with what this runtime can be commanded to do, and the dictionaries it wants to use.
    pub(crate) fn link_options(&self, is_simulated: bool) -> link::Options {
        let mut commands = vec![CommandKind::Identify, CommandKind::Stop];
        if is_simulated {
            commands.push(CommandKind::Fault);
        }
        if self.recording.is_some() {
            commands.extend([CommandKind::RecordMark, CommandKind::RecordUpload]);
        }
        link::Options {
            commands,
            dictionaries: match self.compression {
                Compression::Auto => vec![DICTIONARY_ID],
                Compression::Off => Vec::new(),
            },
            ..self.link.clone()
        }
    }
}

/// Where the server is: `ws://host:port` or `wss://host:port`, with `/machine` unless a path is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    uri: http::Uri,
    host: String,
    port: u16,
    secure: bool,
}

/// Why a text is no server's address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerUrlError {
    /// Not a WebSocket address.
    #[error("{0:?} is not an address like wss://fleet.example:7702 or ws://127.0.0.1:7700")]
    Malformed(String),
}

impl ServerUrl {
    /// The address with its path.
    pub fn uri(&self) -> &http::Uri {
        &self.uri
    }

    /// The host's name or address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the connection is encrypted, and the machine proves who it is.
    pub fn is_secure(&self) -> bool {
        self.secure
    }
}

impl FromStr for ServerUrl {
    type Err = ServerUrlError;

    fn from_str(text: &str) -> Result<Self, ServerUrlError> {
        let malformed = || ServerUrlError::Malformed(text.chars().take(128).collect());
        let uri: http::Uri = text.parse().map_err(|_| malformed())?;
        let (scheme, usual_port) = match uri.scheme_str() {
            Some("ws") => ("ws", 80),
            Some("wss") => ("wss", 443),
            Some(_) | None => return Err(malformed()),
        };
        let authority = uri
            .authority()
            .filter(|authority| !authority.as_str().contains('@'));
        let authority = authority.ok_or_else(malformed)?.clone();
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        if host.is_empty() || uri.query().is_some() {
            return Err(malformed());
        }
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") | None => usual_port,
            Some(port) => port.trim_start_matches(':').parse().map_err(|_| malformed())?,
        };
        let path = if uri.path() == "/" { PATH } else { uri.path() };
        let uri = http::Uri::builder()
            .scheme(scheme)
            .authority(authority)
            .path_and_query(path)
            .build()
            .map_err(|_| malformed())?;
        let secure = scheme == "wss";
        Ok(Self {
            uri,
            host,
            port,
            secure,
        })
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uri.fmt(f)
    }
}
