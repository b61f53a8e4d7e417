//! Watches what others run on the machine: systemd units, processes, ROS nodes. It starts and ends nothing.
//!
//! It looks every few seconds, tells what changed as events, and what is required and not there as findings. Who cannot be asked makes
//! its services unknown; nothing is made up for them.

mod process;
mod ros;
mod systemd;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use muster_model::service::{ServiceKind, ServiceReport, ServiceState, Services, Watch, WatchedService};
use muster_model::workload::WorkloadName;
use muster_model::{Severity, Timestamp};
use muster_reflex::state::Section;
use tokio::sync::watch;

use crate::message::{Finding, Payload, Source, event, section, some};
use crate::supervisor::{NodeContext, NodeError, NodeSpec, Wake};

/// Where the node looks.
#[derive(Clone, Debug)]
pub struct Places {
    /// The kernel's tree of processes.
    pub proc: PathBuf,
    /// Where systemd shows that it runs. Source: sd_booted(3).
    pub systemd: PathBuf,
    /// The command that asks systemd.
    pub systemctl: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            proc: "/proc".into(),
            systemd: "/run/systemd/system".into(),
            systemctl: "systemctl".into(),
        }
    }
}

/// What the node works with.
#[derive(Debug)]
pub struct Setup {
    /// What is watched.
    pub watch: Watch,
    /// Where it looks.
    pub places: Places,
    /// Who shows it at the machine.
    pub shown: watch::Sender<Services>,
}

/// How something was found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    state: ServiceState,
    detail: String,
}

impl Seen {
    fn new(state: ServiceState, detail: impl Into<String>) -> Self {
        let mut detail: String = detail.into();
        detail.truncate(detail.floor_char_boundary(200));
        Self { state, detail }
    }

    fn unknown(why: impl Into<String>) -> Self {
        Self::new(ServiceState::Unknown, why)
    }
}

/// The watch node.
pub fn spec(setup: Arc<Setup>) -> NodeSpec {
    NodeSpec {
        needs_io: true,
        ..NodeSpec::new("watch", &[], move |context| run(context, setup.clone()))
    }
}

async fn run(mut context: NodeContext, setup: Arc<Setup>) -> Result<(), NodeError> {
    let every_ms = u64::from(setup.watch.interval_s) * 1_000;
    let mut book = Book::default();
    let mut due_ms = 0;
    loop {
        match context.next(Some(due_ms)).await {
            Wake::Stop => return Ok(()),
            Wake::Message(_) => continue,
            Wake::Due => {}
        }
        let Some(seen) = context.while_waiting(look(&setup)).await else {
            return Ok(());
        };
        book.take(&context, &setup, &seen);
        due_ms = context.clock().mono_ms() + every_ms;
    }
}

/// How everything is found just now.
async fn look(setup: &Setup) -> BTreeMap<WorkloadName, Seen> {
    let all = &setup.watch.services;
    let of = |kind: ServiceKind| all.iter().filter(move |(_, service)| service.kind() == kind);
    let mut seen = BTreeMap::new();
    let units: Vec<_> = of(ServiceKind::Systemd)
        .filter_map(|(name, service)| Some((name, service.unit.as_deref()?)))
        .collect();
    if !units.is_empty() {
        seen.extend(systemd::look(&setup.places, &units).await);
    }
    let processes: Vec<_> = of(ServiceKind::Process).collect();
    if !processes.is_empty() {
        seen.extend(process::look(&setup.places.proc, &processes));
    }
    let nodes: Vec<_> = of(ServiceKind::Ros)
        .filter_map(|(name, service)| Some((name, service.node.as_deref()?)))
        .collect();
    if !nodes.is_empty() {
        seen.extend(ros::look(&setup.watch.rosbridge, &nodes).await);
    }
    seen
}

/// What was told so far.
#[derive(Default)]
struct Book {
    known: BTreeMap<WorkloadName, (Seen, Timestamp)>,
    told: Option<Services>,
    found: Vec<Finding>,
}

impl Book {
    fn take(&mut self, context: &NodeContext, setup: &Setup, seen: &BTreeMap<WorkloadName, Seen>) {
        let now = context.now().wall;
        for (name, service) in &setup.watch.services {
            let Some(fresh) = seen.get(name) else { continue };
            let before = self.known.get(name);
            if before.is_none_or(|(before, _)| before.state != fresh.state) {
                // That all is well is no news at the start.
                if before.is_some() || fresh.state != ServiceState::Running {
                    context.publish(told(name, service, before.map(|(before, _)| before.state), fresh));
                }
                self.known.insert(name.clone(), (fresh.clone(), now));
            } else if let Some((known, _)) = self.known.get_mut(name) {
                known.detail.clone_from(&fresh.detail);
            }
        }
        let report = self.report(&setup.watch);
        if self.told.as_ref() != Some(&report) {
            setup.shown.send_replace(report.clone());
            let shown = section(Section::Services(some(report.clone())));
            context.publish(Payload::Sections(Source::Watch, shown));
            self.told = Some(report);
        }
        let found = self.findings(&setup.watch);
        if found != self.found {
            context.publish(Payload::Findings(Source::Watch, found.clone()));
            self.found = found;
        }
    }

    fn report(&self, watch: &Watch) -> Services {
        let lines = watch.services.iter().filter_map(|(name, service)| {
            let (seen, since) = self.known.get(name)?;
            Some(ServiceReport {
                name: name.to_string(),
                kind: service.kind(),
                state: seen.state,
                since: *since,
                required: service.required,
                detail: seen.detail.clone(),
            })
        });
        Services {
            services: lines.collect(),
        }
    }

    fn findings(&self, watch: &Watch) -> Vec<Finding> {
        let required = watch.services.iter().filter(|(_, service)| service.required);
        let missing = required.filter_map(|(name, _)| {
            let (seen, _) = self.known.get(name)?;
            let is_wrong = match seen.state {
                ServiceState::Running | ServiceState::Changing => false,
                ServiceState::Stopped
                | ServiceState::Failed
                | ServiceState::Missing
                | ServiceState::Unknown => true,
            };
            is_wrong.then(|| Finding {
                kind: "service.missing".to_owned(),
                subject: name.to_string(),
                severity: Severity::Error,
                message: format!(
                    "The service {name} is needed and {}: {}",
                    words(seen.state),
                    seen.detail
                ),
            })
        });
        missing.collect()
    }
}

const fn words(state: ServiceState) -> &'static str {
    match state {
        ServiceState::Running => "running",
        ServiceState::Changing => "coming or going",
        ServiceState::Stopped => "stopped",
        ServiceState::Failed => "failed",
        ServiceState::Missing => "not there",
        ServiceState::Unknown => "unknown",
    }
}

fn told(name: &WorkloadName, service: &WatchedService, before: Option<ServiceState>, seen: &Seen) -> Payload {
    let severity = match seen.state {
        ServiceState::Running | ServiceState::Changing => Severity::Info,
        ServiceState::Stopped | ServiceState::Failed | ServiceState::Missing | ServiceState::Unknown => {
            if service.required {
                Severity::Error
            } else {
                Severity::Warning
            }
        }
    };
    let was = before.map_or(String::new(), |before| format!(", before: {}", words(before)));
    let detail = if seen.detail.is_empty() {
        String::new()
    } else {
        format!(" ({})", seen.detail)
    };
    let message = format!("Service {name} is {}{detail}{was}", words(seen.state));
    event(&format!("service.{}", seen.state), severity, message)
}
