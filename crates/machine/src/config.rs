//! What people set: flags, then `MUSTER__SECTION__KEY`, then a YAML file, then defaults.
//!
//! Every key stands once in [`keys`], with what is accepted for it. A key that does not exist or a value that is not
//! accepted is refused before anything starts, with its place. Begin with [`Config::load`].

mod file;
mod keys;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use muster_runtime::logging::Format;
use tracing::Level;

use crate::options::{Options, ServerUrl, TelemetryOptions, Thresholds};
use keys::{KEYS, Key};

/// The beginning of every environment variable that sets a key.
pub const ENV_PREFIX: &str = "MUSTER__";

/// Everything that can be set, as it is in the end.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the server is.
    pub server: ServerUrl,
    /// Where the machine keeps things.
    pub data: PathBuf,
    /// What people call it; none: its host name.
    pub name: Option<String>,
    /// What kind of machine it is.
    pub kind: String,
    /// Where it belongs.
    pub region: Option<String>,
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
}

impl Default for Settings {
    fn default() -> Self {
        let link = muster_reflex::link::Options::default();
        Self {
            server: "ws://127.0.0.1:7700"
                .parse()
                .expect("the default server is well-formed"),
            data: "/var/lib/muster-machine".into(),
            name: None,
            kind: "host".into(),
            region: None,
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
        }
    }
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A line of a file.
    File {
        /// Which file.
        path: PathBuf,
        /// Which line, the first is 1.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A flag on the command line.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Flag(name) => write!(f, "--{name}"),
        }
    }
}

/// Why a configuration is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration {} cannot be read", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The file is no YAML.
    #[error("{}:{line}: this is no YAML: {message}", path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Which line, the first is 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// There is no such key.
    #[error("{origin}: there is no key {key:?}{}; accepted are {accepted}", match suggestion { Some(suggestion) => format!(" (did you mean {suggestion:?}?)"), None => String::new() })]
    UnknownKey {
        /// Where it stands.
        origin: Origin,
        /// What was written.
        key: String,
        /// What may have been meant.
        suggestion: Option<&'static str>,
        /// What is accepted there.
        accepted: String,
    },
    /// A value that is not accepted.
    #[error("{origin}: {key}: {given:?} is not accepted: {accepted}")]
    Value {
        /// Where it stands.
        origin: Origin,
        /// The key.
        key: &'static str,
        /// What was written.
        given: String,
        /// What is accepted.
        accepted: String,
    },
}

/// A value for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    key: &'static Key,
    value: String,
    origin: Origin,
}

/// A configuration that is accepted, and where each value comes from.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The values.
    pub settings: Settings,
    given: Vec<Given>,
    /// Variables with our prefix that set nothing here: another program's, or misspelt.
    pub strange_variables: Vec<String>,
}

impl Config {
    /// Reads everything and checks it. Flags are pairs of a key and its value.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        if let Some(path) = file {
            for given in file::read(path)? {
                config.set(given)?;
            }
        }
        for (name, value) in environment {
            let Some(rest) = name.strip_prefix(ENV_PREFIX) else {
                continue;
            };
            let path = rest.to_ascii_lowercase().replace("__", ".");
            let origin = Origin::Environment(name.clone());
            match keys::find(&path) {
                Some(key) => config.set(Given { key, value, origin })?,
                None => config.strange_variables.push(name),
            }
        }
        for (path, value) in flags {
            let origin = Origin::Flag(path.rsplit('.').next().unwrap_or(path).replace('_', "-"));
            let origin = match path {
                "log.level" | "log.format" => Origin::Flag(path.replace('.', "-")),
                _ => origin,
            };
            let key = keys::find(path).expect("every flag has a key");
            config.set(Given { key, value, origin })?;
        }
        config.check_together()?;
        Ok(config)
    }

    fn set(&mut self, given: Given) -> Result<(), ConfigError> {
        (given.key.set)(&mut self.settings, &given.value).map_err(|better| ConfigError::Value {
            origin: given.origin.clone(),
            key: given.key.path,
            given: given.value.chars().take(128).collect(),
            accepted: better.unwrap_or_else(|| given.key.accepted.to_owned()),
        })?;
        self.given.retain(|earlier| earlier.key.path != given.key.path);
        self.given.push(given);
        Ok(())
    }

    /// What only makes sense together.
    fn check_together(&self) -> Result<(), ConfigError> {
        let limits = &self.settings.thresholds;
        let telemetry = &self.settings.telemetry;
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
        match pairs.into_iter().find(|(holds, ..)| !holds) {
            None => Ok(()),
            Some((_, key, accepted)) => {
                let (given, origin) = self.value_of(key);
                Err(ConfigError::Value {
                    origin,
                    key,
                    given,
                    accepted: accepted.to_owned(),
                })
            }
        }
    }

    fn value_of(&self, path: &str) -> (String, Origin) {
        let value = keys::find(path).and_then(|key| (key.get)(&self.settings));
        let given = self.given.iter().find(|given| given.key.path == path);
        let origin = given.map_or(Origin::Default, |given| given.origin.clone());
        (value.unwrap_or_default(), origin)
    }

    /// What is in force, as a YAML file, with where each value comes from.
    pub fn show(&self) -> String {
        let mut text = String::new();
        let mut section = "";
        for key in KEYS {
            let (value, origin) = self.value_of(key.path);
            let (head, name) = key.path.split_once('.').unwrap_or(("", key.path));
            if head != section {
                section = head;
                text.push_str(&format!("{head}:\n"));
            }
            let indent = if head.is_empty() { "" } else { "  " };
            let value = if value.is_empty() {
                "null".to_owned()
            } else {
                value
            };
            text.push_str(&format!("{indent}{name}: {value}  # {origin}\n"));
        }
        text
    }

    /// The machine's options, but for what only the process knows: its host name and its log.
    pub fn options(&self, hostname: &str) -> Options {
        let settings = &self.settings;
        let name = settings.name.clone().unwrap_or_else(|| hostname.to_owned());
        let mut options = Options::new(settings.server.clone(), name, settings.kind.clone());
        options.region.clone_from(&settings.region);
        options.telemetry = settings.telemetry;
        options.thresholds = settings.thresholds;
        options.inbox_max = settings.inbox_messages;
        options.connect_timeout = settings.connect_timeout;
        options.link.queue_max = settings.queue_messages;
        options.link.outbox_max = settings.outbox_records;
        options
    }
}
