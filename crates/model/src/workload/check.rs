//! What of a definition cannot be meant.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    HealthKind, PATHS_MAX, RunnerChoice, WORD_MAX_BYTES, WORDS_MAX, WORKLOADS_MAX, Workload, WorkloadKind,
    WorkloadName,
};

/// Why a definition is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkloadError {
    /// No name for a workload.
    #[error("{0:?} is no name for a workload: 1 to 40 lower-case letters, digits and dashes, no dash first")]
    Name(String),
    /// Something of it cannot be meant.
    #[error("workload {name}: {key}: {problem}")]
    Workload {
        /// Which workload.
        name: WorkloadName,
        /// Which key: `limits.memory_mib` …
        key: &'static str,
        /// What is wrong, and what is accepted.
        problem: String,
    },
    /// Too many of them.
    #[error("{0} workloads, {WORKLOADS_MAX} are accepted")]
    TooMany(usize),
    /// Each would wait for the other.
    #[error("workloads wait for each other: {0}")]
    Circle(String),
}

/// Whether all of one source can be meant: each for itself, and together.
pub fn check_all(workloads: &BTreeMap<WorkloadName, Workload>) -> Result<(), WorkloadError> {
    if workloads.len() > WORKLOADS_MAX {
        return Err(WorkloadError::TooMany(workloads.len()));
    }
    for (name, workload) in workloads {
        workload.check(name)?;
    }
    circle(workloads)
}

/// Takes away, again and again, whoever waits for nobody that is left; a circle remains.
fn circle(workloads: &BTreeMap<WorkloadName, Workload>) -> Result<(), WorkloadError> {
    let mut left: BTreeSet<&WorkloadName> = workloads.keys().collect();
    loop {
        let free: Vec<_> = left
            .iter()
            .copied()
            .filter(|name| !workloads[*name].after.iter().any(|other| left.contains(other)))
            .collect();
        if free.is_empty() {
            break;
        }
        for name in free {
            left.remove(name);
        }
    }
    if left.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = left.into_iter().map(WorkloadName::as_str).collect();
    Err(WorkloadError::Circle(names.join(", ")))
}

impl Workload {
    /// Whether it can be meant.
    pub fn check(&self, name: &WorkloadName) -> Result<(), WorkloadError> {
        let refuse = |key: &'static str, problem: &str| {
            Err(WorkloadError::Workload {
                name: name.clone(),
                key,
                problem: problem.to_owned(),
            })
        };
        match self.kind {
            WorkloadKind::Native => {
                match (&self.program, &self.product) {
                    (None, None) => return refuse("program", "a native workload needs one, or a product"),
                    (Some(_), Some(_)) => return refuse("product", "a workload has a program or a product"),
                    (Some(program), None) if !absolute(program) => return refuse("program", ABSOLUTE),
                    (Some(_), None) | (None, Some(_)) => {}
                }
                if self.image.is_some() {
                    return refuse("image", "only a container has one: kind: container");
                }
            }
            WorkloadKind::Container => {
                if self.product.is_some() {
                    return refuse("product", "only a native workload has one");
                }
                match &self.image {
                    None => return refuse("image", "a container needs one"),
                    Some(image) if !word(image) || image.is_empty() || image.starts_with('-') => {
                        return refuse("image", "the name of an image, such as registry/name:tag");
                    }
                    Some(_) => {}
                }
                if self.runner != RunnerChoice::Auto {
                    return refuse("runner", "containers are Podman's: leave it out");
                }
                if self
                    .program
                    .as_ref()
                    .is_some_and(|program| !word(program) || program.is_empty())
                {
                    return refuse("program", WORD);
                }
            }
        }
        self.check_words(name)?;
        self.check_figures(name)
    }

    fn check_words(&self, name: &WorkloadName) -> Result<(), WorkloadError> {
        let variable = |key: &String| {
            !key.is_empty()
                && !key.starts_with(|c: char| c.is_ascii_digit())
                && key
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let problems = [
            (self.arguments.len() > WORDS_MAX, "arguments", "at most 128"),
            (!self.arguments.iter().all(|text| word(text)), "arguments", WORD),
            (
                self.environment.len() > WORDS_MAX,
                "environment",
                "at most 128 variables",
            ),
            (
                !self.environment.keys().all(variable),
                "environment",
                "names are letters, digits and underscores, no digit first",
            ),
            (
                !self.environment.values().all(|text| word(text)),
                "environment",
                WORD,
            ),
            (
                self.directory.as_ref().is_some_and(|path| !absolute(path)),
                "directory",
                ABSOLUTE,
            ),
            (
                self.user.as_ref().is_some_and(|user| !is_user(user)),
                "user",
                "a name, a number, or user:group",
            ),
            (
                self.filesystem.writable.len() > PATHS_MAX,
                "filesystem.writable",
                "at most 32 paths",
            ),
            (
                !self.filesystem.writable.iter().all(|path| absolute(path)),
                "filesystem.writable",
                ABSOLUTE,
            ),
            (
                !self.filesystem.writable.is_empty() && !self.filesystem.read_only,
                "filesystem.writable",
                "means something only with filesystem.read_only: true",
            ),
            (self.capabilities.len() > PATHS_MAX, "capabilities", "at most 32"),
            (
                !self.capabilities.is_empty() && self.user.is_some(),
                "capabilities",
                "only a workload of root can keep some: leave user out",
            ),
            (self.after.len() > WORKLOADS_MAX, "after", "at most 32 names"),
            (self.after.contains(name), "after", "it cannot wait for itself"),
        ];
        find(name, &problems)
    }

    fn check_figures(&self, name: &WorkloadName) -> Result<(), WorkloadError> {
        let outside = |value: Option<u64>, least: u64, most: u64| {
            value.is_some_and(|value| !(least..=most).contains(&value))
        };
        let limits = &self.limits;
        let restart = &self.restart;
        let mut problems = vec![
            (
                outside(limits.memory_mib, 4, 1 << 20),
                "limits.memory_mib",
                "4 to 1048576",
            ),
            (
                outside(limits.cpu_percent.map(u64::from), 1, 100_000),
                "limits.cpu_percent",
                "1 to 100000",
            ),
            (
                outside(limits.cpu_weight.map(u64::from), 1, 10_000),
                "limits.cpu_weight",
                "1 to 10000",
            ),
            (
                outside(limits.processes.map(u64::from), 1, 1 << 20),
                "limits.processes",
                "1 to 1048576",
            ),
            (
                outside(limits.open_files.map(u64::from), 16, 1 << 20),
                "limits.open_files",
                "16 to 1048576",
            ),
            (
                outside(Some(restart.backoff_ms), 10, 3_600_000),
                "restart.backoff_ms",
                "10 to 3600000",
            ),
            (
                outside(Some(restart.backoff_max_ms), restart.backoff_ms, 3_600_000),
                "restart.backoff_max_ms",
                "restart.backoff_ms to 3600000",
            ),
            (
                outside(Some(restart.limit.into()), 0, 1_000),
                "restart.limit",
                "0 to 1000",
            ),
            (
                outside(Some(restart.window_s), 1, 86_400),
                "restart.window_s",
                "1 to 86400",
            ),
            (
                outside(Some(self.stop.timeout_s.into()), 0, 3_600),
                "stop.timeout_s",
                "0 to 3600",
            ),
        ];
        if let Some(health) = &self.health {
            let command = health.kind == HealthKind::Command;
            let http = health.kind == HealthKind::Http;
            problems.extend([
                (
                    command == health.command.is_empty(),
                    "health.command",
                    "for kind: command, and only there",
                ),
                (
                    health.command.len() > WORDS_MAX,
                    "health.command",
                    "at most 128 words",
                ),
                (
                    !health.command.iter().all(|text| word(text)),
                    "health.command",
                    WORD,
                ),
                (
                    http != health.port.is_some(),
                    "health.port",
                    "for kind: http, and only there",
                ),
                (http && !self.network, "health.kind", "http needs network: true"),
                (health.port == Some(0), "health.port", "1 to 65535"),
                (
                    !word(&health.path)
                        || !health.path.starts_with('/')
                        || health.path.bytes().any(|byte| !byte.is_ascii_graphic()),
                    "health.path",
                    "a path such as /health",
                ),
                (
                    outside(Some(health.interval_s.into()), 1, 86_400),
                    "health.interval_s",
                    "1 to 86400",
                ),
                (
                    outside(Some(health.timeout_s.into()), 1, 600),
                    "health.timeout_s",
                    "1 to 600",
                ),
                (
                    outside(Some(health.retries.into()), 1, 100),
                    "health.retries",
                    "1 to 100",
                ),
            ]);
        }
        find(name, &problems)
    }
}

const WORD: &str = "at most 4096 bytes, none of them 0";
const ABSOLUTE: &str = "an absolute path without .., at most 4096 bytes";

fn find(name: &WorkloadName, problems: &[(bool, &'static str, &str)]) -> Result<(), WorkloadError> {
    match problems.iter().find(|(wrong, ..)| *wrong) {
        None => Ok(()),
        Some((_, key, problem)) => Err(WorkloadError::Workload {
            name: name.clone(),
            key,
            problem: (*problem).to_owned(),
        }),
    }
}

fn word(text: &str) -> bool {
    text.len() <= WORD_MAX_BYTES && !text.contains('\0')
}

fn absolute(path: &str) -> bool {
    word(path) && path.starts_with('/') && path.split('/').all(|part| part != "..")
}

fn is_user(text: &str) -> bool {
    let fits = |part: &str| {
        (1..=64).contains(&part.len())
            && !part.starts_with('-')
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    match text.split_once(':') {
        None => fits(text),
        Some((user, group)) => fits(user) && fits(group),
    }
}
