//! Carries out what is decided, and says what came of it.

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use muster_model::Severity;
use muster_model::desired::{DesiredOutcome, DesiredStatus};
use muster_model::entry::JsonText;
use muster_model::workload::report::{WorkloadPhase, WorkloadsReport};
use muster_model::workload::{RunnerChoice, SECTION, Workload, WorkloadKind, WorkloadName};
use muster_protocol::link::{LogReport, WireLogLine};
use muster_reflex::state::Section;
use muster_reflex::workload::{Ask, Effect, Exit, Input, Instance, Wanted, Workloads, together};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::value::RawValue;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use super::report::{Since, Usage, clip, findings, report};
use super::runner::Runner;
use super::{LOOK_MS, Setup, desired_by_fleet};
use super::{checks, find};
use crate::keeper::files::{Directory, Launch, Refused, Started};
use crate::keeper::{began, cgroup, log};
use crate::message::{Finding, Payload, Source, event, section, some};
use crate::releases::{Releases, Run};
use crate::supervisor::NodeContext;

/// Outcomes that may wait: more actions cannot be under way, a few for each workload.
const OUTCOMES_MAX: usize = 256;
/// Stack of an action's thread.
const STACK_BYTES: usize = 256 * 1024;
/// Lines of one workload that are sent to the server for each look.
const LINES_MAX: usize = 20;
/// Between two readings of what is used, in looks.
const USAGE_EVERY: u64 = 5;
/// The node that keeps what the fleet wants says so at once; without it, this one goes on alone.
const INFORMED_WITHIN_MS: u64 = 10_000;
/// Longest event.
const EVENT_MAX_BYTES: usize = 1_000;

/// What came of an action.
#[derive(Debug)]
pub(super) enum Outcome {
    Started(Box<Launch>, Result<Started, Refused>),
    Concluded(WorkloadName, Instance, io::Result<Exit>),
    Checked(WorkloadName, Instance, Option<String>),
    Said(WorkloadName, io::Error),
}

/// An instance that may exist.
struct Kept {
    launch: Launch,
    runner: Arc<dyn Runner>,
    life: Life,
    tail: log::Tail,
    groups: Vec<std::path::PathBuf>,
    /// Processor time that was counted, and when.
    counted: Option<(u64, u64)>,
    usage: Usage,
}

/// How its end is noticed.
enum Life {
    /// It is being started, or its end is being looked into.
    Unwatched,
    /// The kernel tells.
    Told(AsyncFd<OwnedFd>),
    /// It has to be looked at.
    LookedAt,
}

/// The node at work.
pub(super) struct Work {
    setup: Arc<Setup>,
    workloads: Workloads,
    /// What the fleet wants is known.
    is_informed: bool,
    /// When it is not waited for any longer.
    informed_by_ms: u64,
    kept: BTreeMap<WorkloadName, Kept>,
    fleet: BTreeMap<WorkloadName, Workload>,
    refused: Option<String>,
    outcome: mpsc::Sender<Outcome>,
    look_ms: u64,
    looks: u64,
    since: Since,
    shown: WorkloadsReport,
    was_shown: bool,
    said: Vec<Finding>,
    /// The kernel's mark for this boot.
    boot: Option<String>,
}

impl Work {
    /// Goes on with what was found.
    pub(super) fn begin(
        context: &NodeContext,
        setup: Arc<Setup>,
        seen: Vec<find::Seen>,
    ) -> (Self, mpsc::Receiver<Outcome>) {
        let (outcome, outcomes) = mpsc::channel(OUTCOMES_MAX);
        let mut work = Self {
            setup,
            workloads: Workloads::default(),
            is_informed: false,
            informed_by_ms: context.clock().mono_ms() + INFORMED_WITHIN_MS,
            kept: BTreeMap::new(),
            fleet: BTreeMap::new(),
            refused: None,
            outcome,
            look_ms: context.clock().mono_ms() + LOOK_MS,
            looks: 0,
            since: Since::default(),
            shown: WorkloadsReport::default(),
            was_shown: false,
            said: Vec::new(),
            boot: find::boot(),
        };
        for seen in seen {
            work.found(context, seen);
        }
        (work, outcomes)
    }

    fn found(&mut self, context: &NodeContext, seen: find::Seen) {
        let find::Seen {
            found,
            launch,
            runner,
            started,
        } = seen;
        if found.exit.is_none() {
            tracing::info!(workload = %launch.name, instance = launch.instance, "runs since before: taken over");
            let path = self.setup.directory.join(launch.name.as_str());
            let kept = Kept {
                life: watched(&started),
                tail: log::Tail::from_the_end(&path),
                groups: started.groups,
                counted: None,
                usage: Usage::default(),
                launch,
                runner,
            };
            self.kept.insert(found.name.clone(), kept);
        }
        self.step(context, Input::Found(found));
    }

    fn want(&mut self, context: &NodeContext) {
        self.is_informed = true;
        let releases = &self.setup.releases;
        let wanted = together(
            &releases.resolve(&self.setup.machine),
            &releases.resolve(&self.fleet),
        );
        self.step(context, Input::Wanted(wanted));
    }

    /// Of some product another version is in use: what runs of it is another definition now.
    pub(super) fn another_version(&mut self, context: &NodeContext) {
        if self.is_informed {
            self.want(context);
        }
    }

    /// Nobody says what the fleet wants: the machine's own workloads run all the same, and what runs stays.
    fn want_without_fleet(&mut self, context: &NodeContext) {
        tracing::warn!("nobody says what the fleet wants: what runs stays as it is");
        for kept in self.kept.values() {
            if !self.setup.machine.contains_key(&kept.launch.name) {
                self.fleet
                    .insert(kept.launch.name.clone(), kept.launch.workload.clone());
            }
        }
        self.want(context);
    }

    /// The fleet wants this. What cannot be meant changes nothing, and is said.
    pub(super) fn hear(&mut self, context: &NodeContext, payload: &Payload) {
        let Payload::Desired(held) = payload else { return };
        let (version, accepted) = desired_by_fleet(held);
        let (status, reason) = match accepted {
            Ok(fleet) => {
                self.refused = None;
                self.fleet = fleet;
                self.want(context);
                self.conflicts()
            }
            Err(mut why) => {
                clip(&mut why, EVENT_MAX_BYTES / 2);
                self.refused = Some(why.clone());
                if !self.is_informed {
                    self.want_without_fleet(context);
                }
                (DesiredStatus::Refused, Some(why))
            }
        };
        if let Some(version) = version {
            context.publish(Payload::Outcome(Box::new(DesiredOutcome {
                section: SECTION.to_owned(),
                version,
                status,
                reason,
            })));
        }
    }

    fn conflicts(&self) -> (DesiredStatus, Option<String>) {
        let conflicts = self.workloads.standing().filter(|standing| standing.conflict);
        let names: Vec<_> = conflicts.map(|standing| standing.name.to_string()).collect();
        if names.is_empty() {
            return (DesiredStatus::Applied, None);
        }
        let reason = format!("the machine's own file says otherwise of: {}", names.join(", "));
        (DesiredStatus::Conflict, Some(reason))
    }

    /// When it has to look by itself.
    pub(super) fn due_ms(&self, context: &NodeContext) -> u64 {
        let look = if self.kept.is_empty() {
            u64::MAX
        } else {
            self.look_ms
        };
        if !self.is_informed {
            return self.informed_by_ms.min(look);
        }
        let quiet = context.clock().mono_ms() + 60 * LOOK_MS;
        self.workloads
            .next_step_at()
            .unwrap_or(u64::MAX)
            .min(look)
            .min(quiet)
    }

    pub(super) fn look(&mut self, context: &NodeContext) {
        let now_ms = context.clock().mono_ms();
        if !self.is_informed && self.informed_by_ms <= now_ms {
            self.want_without_fleet(context);
        }
        if self.look_ms <= now_ms {
            self.look_ms = now_ms + LOOK_MS;
            self.looks += 1;
            self.look_at_what_runs(context, now_ms);
        }
        self.step(context, Input::Time);
    }

    fn look_at_what_runs(&mut self, context: &NodeContext, now_ms: u64) {
        let mut over = Vec::new();
        for (name, kept) in &mut self.kept {
            let files = Directory::new(self.setup.directory.join(name.as_str()));
            forward(context, kept, &files);
            if self.looks.is_multiple_of(USAGE_EVERY) {
                kept.count(now_ms);
            }
            // Rare: the kernel tells of all whose keeper it could name.
            if matches!(kept.life, Life::LookedAt) && !kept.runner.lives(&files, &kept.launch).unwrap_or(true)
            {
                over.push(name.clone());
            }
        }
        for name in over {
            self.conclude(&name);
        }
    }

    pub(super) fn asked(&mut self, context: &NodeContext, name: WorkloadName, ask: Ask) {
        tracing::info!(workload = %name, ?ask, "asked for by somebody at the machine");
        self.step(context, Input::Asked { name, ask });
    }

    /// Which instance ended; waits until one did.
    pub(super) async fn ended(&self) -> WorkloadName {
        let told = self.kept.iter().filter_map(|(name, kept)| match &kept.life {
            Life::Told(pidfd) => Some(Box::pin(async move {
                // An error cannot be waited out: the end is looked into, which finds out.
                let _ = pidfd.readable().await;
                name.clone()
            })),
            Life::Unwatched | Life::LookedAt => None,
        });
        let told: Vec<_> = told.collect();
        if told.is_empty() {
            return pending().await;
        }
        futures_util::future::select_all(told).await.0
    }

    /// Looks into how an instance ended.
    pub(super) fn conclude(&mut self, name: &WorkloadName) {
        let Some(kept) = self.kept.get_mut(name) else {
            return;
        };
        kept.life = Life::Unwatched;
        let (runner, launch) = (kept.runner.clone(), kept.launch.clone());
        self.act(name.clone(), move |files| {
            let exit = runner.conclude(files, &launch);
            Some(Outcome::Concluded(launch.name, launch.instance, exit))
        });
    }

    pub(super) fn came_about(&mut self, context: &NodeContext, outcome: Outcome) {
        let input = match outcome {
            Outcome::Started(launch, Ok(started)) => {
                let name = launch.name.clone();
                if let Some(kept) = self.kept.get_mut(&name) {
                    kept.life = watched(&started);
                    kept.groups = started.groups;
                }
                Input::Started {
                    name,
                    instance: launch.instance,
                    runner: launch.runner,
                    granted: started.granted,
                }
            }
            Outcome::Started(launch, Err(refused)) => {
                self.last_lines(context, &launch.name);
                self.kept.remove(&launch.name);
                Input::NotStarted {
                    name: launch.name,
                    instance: launch.instance,
                    why: refused.why,
                    for_good: refused.for_good,
                    granted: refused.granted,
                }
            }
            Outcome::Concluded(name, instance, Ok(exit)) => {
                self.last_lines(context, &name);
                self.kept.remove(&name);
                Input::Exited { name, instance, exit }
            }
            Outcome::Concluded(name, _, Err(error)) => {
                tracing::warn!(workload = %name, %error, "how it ended cannot be told yet");
                if let Some(kept) = self.kept.get_mut(&name) {
                    kept.life = Life::LookedAt;
                }
                Input::Time
            }
            Outcome::Checked(name, instance, problem) => Input::Checked {
                name,
                instance,
                problem,
            },
            Outcome::Said(name, error) => {
                tracing::warn!(workload = %name, %error, "could not be reached");
                Input::Time
            }
        };
        self.step(context, input);
    }

    fn last_lines(&mut self, context: &NodeContext, name: &WorkloadName) {
        let files = Directory::new(self.setup.directory.join(name.as_str()));
        if let Some(kept) = self.kept.get_mut(name) {
            forward(context, kept, &files);
        }
    }

    fn step(&mut self, context: &NodeContext, input: Input) {
        let now_ms = context.clock().mono_ms();
        for effect in self.workloads.step(now_ms, input) {
            self.carry_out(context, effect);
        }
    }

    fn carry_out(&mut self, context: &NodeContext, effect: Effect) {
        match effect {
            Effect::Start {
                name,
                instance,
                wanted,
            } => self.start(name, instance, &wanted),
            Effect::Signal { name, signal, .. } => self.end(&name, Some(signal)),
            Effect::Kill { name, .. } => self.end(&name, None),
            Effect::Check {
                name,
                instance,
                check,
            } => {
                let Some(kept) = self.kept.get(&name) else { return };
                let (runner, launch) = (kept.runner.clone(), kept.launch.clone());
                self.act(name.clone(), move |files| {
                    let problem = checks::check(&*runner, files, &launch, &check);
                    Some(Outcome::Checked(name, instance, problem))
                });
            }
            Effect::Hold { name, held } => {
                let files = Directory::new(self.setup.directory.join(name.as_str()));
                let kept = make(&files.path).and_then(|()| files.hold(held));
                if let Err(error) = kept {
                    tracing::error!(workload = %name, %error, "whether it is stopped is lost with a restart");
                }
            }
            Effect::Rest { name, rest } => {
                let files = Directory::new(self.setup.directory.join(name.as_str()));
                let kept = make(&files.path).and_then(|()| files.write_rest(rest.as_ref()));
                if let Err(error) = kept {
                    tracing::error!(workload = %name, %error, "that it is not started again is lost with a restart");
                }
            }
            Effect::Forget(name) => forget(&self.setup.directory.join(name.as_str())),
            Effect::Tell {
                kind,
                severity,
                mut message,
                ..
            } => {
                clip(&mut message, EVENT_MAX_BYTES);
                context.publish(event(kind, severity, message));
            }
        }
    }

    fn start(&mut self, name: WorkloadName, instance: Instance, wanted: &Wanted) {
        let runner = self.runner_for(&wanted.workload);
        let launch = Launch {
            name: name.clone(),
            instance,
            version: wanted.version.clone(),
            workload: Workload::clone(&wanted.workload),
            runner: runner.name().to_owned(),
            group: format!("muster-{:08x}-{name}", mark(&self.setup.directory)),
            boot: self.boot.clone(),
        };
        let path = self.setup.directory.join(name.as_str());
        let kept = Kept {
            launch: launch.clone(),
            runner: runner.clone(),
            life: Life::Unwatched,
            tail: log::Tail::from_the_end(&path),
            groups: Vec::new(),
            counted: None,
            usage: Usage::default(),
        };
        self.kept.insert(name.clone(), kept);
        let releases = self.setup.releases.clone();
        self.act(name, move |files| {
            let begun = make(&files.path)
                .and_then(|()| files.write_launch(&launch))
                .map_err(|error| error.to_string())
                // On the disk before the start: a version on probation gets so many, and no more.
                .and_then(|()| counted(&releases, &launch.workload));
            let started = match begun {
                Ok(()) => runner.start(files, &launch),
                Err(why) => Err(Refused {
                    why,
                    for_good: false,
                    granted: Vec::new(),
                }),
            };
            Some(Outcome::Started(Box::new(launch), started))
        });
    }

    fn end(&self, name: &WorkloadName, signal: Option<muster_model::workload::StopSignal>) {
        let Some(kept) = self.kept.get(name) else { return };
        let (runner, launch) = (kept.runner.clone(), kept.launch.clone());
        self.act(name.clone(), move |files| {
            let asked = runner.end(files, &launch, signal);
            asked.err().map(|error| Outcome::Said(launch.name, error))
        });
    }

    /// Does something on a thread of its own.
    fn act(&self, name: WorkloadName, action: impl FnOnce(&Directory) -> Option<Outcome> + Send + 'static) {
        let files = Directory::new(self.setup.directory.join(name.as_str()));
        let outcome = self.outcome.clone();
        let thread = std::thread::Builder::new()
            .name("workload".to_owned())
            .stack_size(STACK_BYTES);
        let begun = thread.spawn(move || {
            if let Some(came) = action(&files) {
                // A node that ended does not need to know: the next one looks itself.
                let _ = outcome.blocking_send(came);
            }
        });
        if let Err(error) = begun {
            tracing::error!(workload = %name, %error, "no thread to act on");
        }
    }

    fn runner_for(&self, workload: &Workload) -> Arc<dyn Runner> {
        match (workload.kind, workload.runner) {
            (WorkloadKind::Container, _) => self.setup.runner_of("podman"),
            (WorkloadKind::Native, RunnerChoice::Own) => self.setup.runner_of("own"),
            (WorkloadKind::Native, RunnerChoice::Systemd) => self.setup.runner_of("systemd"),
            (WorkloadKind::Native, RunnerChoice::Auto) => {
                self.setup.runner_of(if self.setup.systemd.is_some() {
                    "systemd"
                } else {
                    "own"
                })
            }
        }
    }

    /// Says how all of them fare, if that is news.
    pub(super) fn show(&mut self, context: &NodeContext) {
        let now = context.now();
        let usage = |name: &WorkloadName| self.kept.get(name).map_or_else(Usage::default, |kept| kept.usage);
        let times = (now.mono_ms, now.wall.as_millis());
        let report = report(
            &self.workloads,
            usage,
            &mut self.since,
            times,
            self.refused.clone(),
        );
        self.tell_releases(&report);
        let is_empty = report == WorkloadsReport::default();
        if report == self.shown && (self.was_shown || is_empty) {
            return;
        }
        self.was_shown = true;
        let found = findings(&report);
        if found != self.said {
            context.publish(Payload::Findings(Source::Workloads, found.clone()));
            self.said = found;
        }
        self.setup.desk.show(&report);
        let shown = if is_empty { None } else { some(report.clone()) };
        context.publish(Payload::Sections(
            Source::Workloads,
            section(Section::Workloads(shown)),
        ));
        self.shown = report;
    }
}

impl Work {
    /// What runs of releases: the node that changes them asks.
    fn tell_releases(&self, report: &WorkloadsReport) {
        let lines = self.workloads.standing().zip(&report.workloads);
        let runs = lines.filter_map(|(standing, line)| {
            let product = standing.workload.product.clone()?;
            let is_up = matches!(line.phase, WorkloadPhase::Running | WorkloadPhase::Healthy);
            let run = Run {
                product,
                program: standing.workload.program.as_ref().map(Into::into),
                since: is_up.then_some(line.since),
                problem: (!is_up).then(|| {
                    let why = line.reason.as_deref().or(line.last_exit.as_deref());
                    why.map_or_else(|| line.phase.to_string(), |why| format!("{}: {why}", line.phase))
                }),
            };
            Some((standing.name.clone(), run))
        });
        self.setup.releases.runs(runs.collect());
    }
}

/// Counts the start of what comes with a release.
fn counted(releases: &Releases, workload: &Workload) -> Result<(), String> {
    let Some(product) = &workload.product else {
        return Ok(());
    };
    match &workload.program {
        Some(program) => releases.count_start(product, program),
        None => Err(format!("no release of {product} is on this machine yet")),
    }
}

impl Kept {
    fn count(&mut self, now_ms: u64) {
        let (memory_bytes, cpu_us) = cgroup::usage(&self.groups);
        let before = self.counted;
        self.counted = cpu_us.map(|cpu_us| (cpu_us, now_ms));
        let cpu_percent = match (before, self.counted) {
            (Some((before_us, before_ms)), Some((cpu_us, _))) if now_ms > before_ms => {
                let share = cpu_us.saturating_sub(before_us) as f64 / ((now_ms - before_ms) as f64 * 10.0);
                // More digits than anybody reads are only traffic.
                Some((share * 10.0).round() / 10.0)
            }
            _ => None,
        };
        self.usage = Usage {
            memory_bytes,
            cpu_percent,
        };
    }
}

/// Sends what it printed since the last look, up to a bound; all of it stays in its files.
fn forward(context: &NodeContext, kept: &mut Kept, files: &Directory) {
    let (lines, left_out) = match kept.tail.read(&files.path, LINES_MAX) {
        Ok(read) => read,
        Err(error) => {
            tracing::debug!(workload = %kept.launch.name, %error, "its log cannot be read");
            return;
        }
    };
    if lines.is_empty() && left_out == 0 {
        return;
    }
    let now_ms = context.clock().wall_ms();
    let target = format!("workload.{}", kept.launch.name);
    let fields = |is_error: bool| {
        let fields = if is_error {
            r#"{"stream":"stderr"}"#
        } else {
            r#"{"stream":"stdout"}"#
        };
        RawValue::from_string(fields.to_owned()).ok().map(JsonText)
    };
    let mut lines: Vec<_> = lines
        .into_iter()
        .map(|line| WireLogLine {
            severity: Severity::Info,
            target: target.clone(),
            offset_ms: line
                .at
                .map_or(0, |at| i32::try_from(at.as_millis() - now_ms).unwrap_or(0)),
            fields: fields(line.is_error),
            message: line.text,
        })
        .collect();
    if left_out > 0 {
        lines.push(WireLogLine {
            severity: Severity::Warning,
            target,
            message: format!("{left_out} lines or more were left out here; the machine has them"),
            fields: None,
            offset_ms: 0,
        });
    }
    context.publish(Payload::Log(LogReport { lines }));
}

#[expect(
    deprecated,
    reason = "unsound only for types that change their descriptor, which OwnedFd does not; its successor needs unsafe code"
)]
fn told_by(pidfd: OwnedFd) -> Option<AsyncFd<OwnedFd>> {
    AsyncFd::new(pidfd).ok()
}

/// The kernel tells when the keeper ends, if it is still the one that was noted.
fn watched(started: &Started) -> Life {
    let watch = || {
        let pid = Pid::from_raw(started.keeper)?;
        let pidfd = pidfd_open(pid, PidfdFlags::NONBLOCK).ok()?;
        let process = Path::new("/proc").join(started.keeper.to_string());
        // Looked at after the descriptor is there: a number that went to another process shows.
        let same = began(&process).is_ok_and(|began| began == started.keeper_began);
        same.then(|| told_by(pidfd))?
    };
    watch().map_or(Life::LookedAt, Life::Told)
}

/// A directory that only its owner enters.
fn make(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

fn forget(path: &Path) {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(directory = %path.display(), %error, "what is left of a workload stays");
        }
        Ok(()) | Err(_) => {}
    }
}

/// Tells machines on one computer apart.
fn mark(directory: &Path) -> u32 {
    let path = std::fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    path.as_os_str()
        .as_encoded_bytes()
        .iter()
        .fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
        })
}
