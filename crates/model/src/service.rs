//! Services of a machine that are watched, not run: systemd units, processes, ROS nodes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;
use crate::vocabulary::words;
use crate::workload::{WORD_MAX_BYTES, WorkloadName};

/// Services that one machine watches.
pub const SERVICES_MAX: usize = 64;

words! {
    /// What a watched service is.
    ServiceKind {
        /// A unit of systemd.
        Systemd => "systemd",
        /// A process, by its command's name or a file with its number.
        Process => "process",
        /// A ROS node, asked for through rosbridge.
        Ros => "ros",
    }
}

words! {
    /// How a watched service fares.
    ServiceState {
        /// It is there.
        Running => "running",
        /// It is coming, or going.
        Changing => "changing",
        /// It is known, and not running.
        Stopped => "stopped",
        /// It ended with an error.
        Failed => "failed",
        /// There is no such thing.
        Missing => "missing",
        /// Nobody can be asked.
        Unknown => "unknown",
    }
}

/// What is watched on a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Watch {
    /// Between two looks, in seconds.
    pub interval_s: u32,
    /// Where rosbridge is asked for nodes.
    pub rosbridge: String,
    /// What is watched, by the name it is shown under.
    pub services: BTreeMap<WorkloadName, WatchedService>,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            interval_s: 5,
            rosbridge: "ws://127.0.0.1:9090".to_owned(),
            services: BTreeMap::new(),
        }
    }
}

/// One watched service: exactly one of `unit`, `command`, `pidfile` and `node` says which.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct WatchedService {
    /// A unit of systemd: `ssh.service`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// A process by its command's name, as the kernel has it: at most 15 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// A process by a file that holds its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pidfile: Option<String>,
    /// A ROS node: `/camera`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Whether something is wrong with the machine when it is not there.
    pub required: bool,
}

/// Why something cannot be watched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// Too many of them.
    #[error("{0} services, {SERVICES_MAX} are accepted")]
    TooMany(usize),
    /// Something of the watch cannot be meant.
    #[error("{key}: {problem}")]
    Watch {
        /// Which key.
        key: &'static str,
        /// What is accepted.
        problem: &'static str,
    },
    /// Something of a service cannot be meant.
    #[error("service {name}: {problem}")]
    Service {
        /// Which one.
        name: WorkloadName,
        /// What is wrong, and what is accepted.
        problem: &'static str,
    },
}

impl Watch {
    /// Whether it can be meant.
    pub fn check(&self) -> Result<(), WatchError> {
        let refuse = |key, problem| Err(WatchError::Watch { key, problem });
        if self.services.len() > SERVICES_MAX {
            return Err(WatchError::TooMany(self.services.len()));
        }
        if !(1..=3_600).contains(&self.interval_s) {
            return refuse("interval_s", "1 to 3600");
        }
        if !self.rosbridge.starts_with("ws://") || self.rosbridge.len() > WORD_MAX_BYTES {
            return refuse("rosbridge", "an address like ws://127.0.0.1:9090");
        }
        for (name, service) in &self.services {
            if let Some(problem) = service.problem() {
                return Err(WatchError::Service {
                    name: name.clone(),
                    problem,
                });
            }
        }
        Ok(())
    }
}

impl WatchedService {
    /// What it is.
    pub const fn kind(&self) -> ServiceKind {
        match (&self.unit, &self.node) {
            (Some(_), _) => ServiceKind::Systemd,
            (None, Some(_)) => ServiceKind::Ros,
            (None, None) => ServiceKind::Process,
        }
    }

    fn problem(&self) -> Option<&'static str> {
        let named = [&self.unit, &self.command, &self.pidfile, &self.node];
        if named.iter().filter(|text| text.is_some()).count() != 1 {
            return Some("exactly one of unit, command, pidfile and node says which");
        }
        let plain = |text: &str, most: usize| {
            !text.is_empty() && text.len() <= most && !text.bytes().any(|byte| byte.is_ascii_control())
        };
        if let Some(unit) = &self.unit
            && (!plain(unit, 255)
                || unit.starts_with('-')
                || !unit.contains('.')
                || unit.contains(['/', ' ']))
        {
            return Some("unit: the full name of a unit, such as ssh.service");
        }
        if let Some(command) = &self.command
            && (!plain(command, 15) || command.contains('/'))
        {
            return Some("command: 1 to 15 bytes, as in /proc/PID/comm, without a path");
        }
        if let Some(pidfile) = &self.pidfile
            && (!plain(pidfile, WORD_MAX_BYTES) || !pidfile.starts_with('/'))
        {
            return Some("pidfile: an absolute path");
        }
        if let Some(node) = &self.node
            && (!plain(node, 255) || !node.starts_with('/'))
        {
            return Some("node: the full name of a node, such as /camera");
        }
        None
    }
}

/// How one watched service fares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
pub struct ServiceReport {
    /// The name it is shown under.
    pub name: String,
    /// What it is.
    pub kind: ServiceKind,
    /// How it fares.
    pub state: ServiceState,
    /// Since when, as far as the machine saw it, by its wall clock.
    pub since: Timestamp,
    /// Whether something is wrong with the machine when it is not there.
    pub required: bool,
    /// What else is known: the unit's own words, the process's number, why nobody can be asked.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// The watched services of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
pub struct Services {
    /// One line a service, by name.
    pub services: Vec<ServiceReport>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        let watch: Result<Watch, _> = serde_json::from_str(text);
        match watch {
            Err(error) => error.to_string(),
            Ok(watch) => watch
                .check()
                .err()
                .map_or_else(String::new, |error| error.to_string()),
        }
    }

    #[test]
    fn what_cannot_be_meant_is_said() {
        for (text, part) in [
            (
                r#"{"services": {"ssh": {"unit": "ssh.service", "required": true}}}"#,
                "",
            ),
            (
                r#"{"services": {"x": {"command": "sshd"}, "y": {"pidfile": "/run/y"}, "z": {"node": "/z"}}}"#,
                "",
            ),
            (r#"{"service": {}}"#, "unknown field `service`"),
            (r#"{"interval_s": 0}"#, "interval_s: 1 to 3600"),
            (r#"{"rosbridge": "http://x"}"#, "rosbridge: an address"),
            (r#"{"services": {"x": {}}}"#, "service x: exactly one"),
            (
                r#"{"services": {"x": {"unit": "a.service", "node": "/n"}}}"#,
                "exactly one",
            ),
            (r#"{"services": {"x": {"unit": "ssh"}}}"#, "unit: the full name"),
            (
                r#"{"services": {"x": {"unit": "--help.service"}}}"#,
                "unit: the full name",
            ),
            (
                r#"{"services": {"x": {"command": "sixteen-bytes-16"}}}"#,
                "command: 1 to 15",
            ),
            (
                r#"{"services": {"x": {"pidfile": "run/x"}}}"#,
                "pidfile: an absolute",
            ),
            (
                r#"{"services": {"x": {"node": "camera"}}}"#,
                "node: the full name",
            ),
        ] {
            let said = said(text);
            assert!(
                said.contains(part) && part.is_empty() == said.is_empty(),
                "{text}: {said:?}"
            );
        }
    }
}
