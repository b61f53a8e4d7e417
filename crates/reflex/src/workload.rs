//! Which workloads run: started, checked, started again, ended.
//!
//! [`Workloads::step`] takes in what is wanted, what happened and what was asked for, and says what to do. It looks at where each
//! workload should be rather than remembering how it got there: after every input [`Workloads::settle`] compares. What it promises:
//! at most one instance of a workload exists; what is not wanted is ended; a restart limit is kept.
//!
//! It knows nothing of processes.

mod interface;
mod phase;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_model::Severity;
use muster_model::workload::report::{Grant, WorkloadSource};
use muster_model::workload::{RestartPolicy, Workload, WorkloadName};

pub use interface::{Ask, Effect, Exit, Found, Input, Instance, Rest, Standing, Wanted, together};
use phase::{Health, Phase};

/// A kill that changes nothing is repeated after so long.
const KILL_AGAIN_MS: u64 = 2_000;

/// All workloads of one machine.
#[derive(Debug, Default)]
pub struct Workloads {
    entries: BTreeMap<WorkloadName, Entry>,
    /// What is wanted is known: before, nothing is started or ended.
    informed: bool,
    effects: Vec<Effect>,
}

#[derive(Debug)]
struct Entry {
    wanted: Option<Wanted>,
    /// What runs, or ran last, is of this definition.
    running: Option<Running>,
    phase: Phase,
    since_ms: u64,
    /// Somebody beside the machine stopped it.
    held: bool,
    /// It is to be ended and started anew.
    anew: bool,
    /// It ended well by itself: once may be enough.
    done: bool,
    /// The highest number that an instance had.
    instances: Instance,
    /// When it was started again, within the window.
    starts_again_ms: Vec<u64>,
    restarts: u32,
    last_exit: Option<Exit>,
}

#[derive(Debug)]
struct Running {
    workload: Arc<Workload>,
    version: String,
    runner: Option<String>,
    granted: Vec<Grant>,
}

impl Workloads {
    /// Takes in what happened and says what to do.
    pub fn step(&mut self, now_ms: u64, input: Input) -> Vec<Effect> {
        match input {
            Input::Time => {}
            Input::Wanted(wanted) => self.want(now_ms, wanted),
            Input::Found(found) => self.found(now_ms, found),
            Input::Started {
                name,
                instance,
                runner,
                granted,
            } => {
                self.started(now_ms, &name, instance, runner, granted);
            }
            Input::NotStarted {
                name,
                instance,
                why,
                for_good,
                granted,
            } => {
                self.not_started(now_ms, &name, instance, &why, for_good, granted);
            }
            Input::Exited { name, instance, exit } => self.exited(now_ms, &name, instance, exit),
            Input::Checked {
                name,
                instance,
                problem,
            } => self.checked(now_ms, &name, instance, problem),
            Input::Asked { name, ask } => self.asked(now_ms, &name, ask),
        }
        if self.informed {
            self.settle(now_ms);
        }
        std::mem::take(&mut self.effects)
    }

    /// When time alone brings something about.
    pub fn next_step_at(&self) -> Option<u64> {
        let due = self.entries.values().filter_map(|entry| match &entry.phase {
            Phase::Backoff { until_ms } => Some(*until_ms),
            Phase::Stopping { kill_ms, .. } => Some(*kill_ms),
            Phase::Running { health, .. } if entry.is_checked() && !health.asked => Some(health.next_ms),
            Phase::Pending { .. }
            | Phase::Starting { .. }
            | Phase::Running { .. }
            | Phase::Stopped { .. }
            | Phase::Failed { .. } => None,
        });
        due.min()
    }

    /// Whether there is such a workload.
    pub fn knows(&self, name: &WorkloadName) -> bool {
        self.entries.contains_key(name)
    }

    /// How all of them stand, by name.
    pub fn standing(&self) -> impl Iterator<Item = Standing<'_>> {
        self.entries
            .iter()
            .filter_map(|(name, entry)| entry.standing(name))
    }

    fn want(&mut self, now_ms: u64, mut wanted: BTreeMap<WorkloadName, Wanted>) {
        self.informed = true;
        for (name, entry) in &mut self.entries {
            let next = wanted.remove(name);
            // Before anything was wanted there is what was found.
            let before = entry.wanted.as_ref().map(|before| &before.version);
            let before = before.or(entry.running.as_ref().map(|found| &found.version));
            let changed = next.as_ref().map(|next| &next.version) != before;
            entry.wanted = next;
            // Another definition is another attempt.
            if changed && entry.wanted.is_some() && entry.phase.rests() && !entry.has_done() {
                entry.begin_afresh(now_ms);
            }
        }
        for (name, wanted) in wanted {
            self.entries.insert(name, Entry::new(now_ms, wanted));
        }
    }

    fn found(&mut self, now_ms: u64, found: Found) {
        if self.informed || self.entries.contains_key(&found.name) {
            return;
        }
        let noted = found.rest.is_some();
        let once = found.workload.restart.policy == RestartPolicy::Never;
        let (phase, done) = match (&found.exit, found.rest.and_then(|rest| rest.failed)) {
            (None, _) => {
                let health = Health::first(now_ms, &found.workload);
                let instance = found.instance;
                (Phase::Running { instance, health }, false)
            }
            (Some(_), Some(why)) => (Phase::Failed { why }, false),
            (Some(exit), None) => {
                let well = exit.is_success();
                // A computer that is shut down asks all to end, and nobody looks any more.
                (
                    Phase::Stopped { well },
                    well && (once || noted || !found.rebooted),
                )
            }
        };
        let gave_up = match (&phase, &found.exit) {
            (Phase::Stopped { .. }, Some(exit)) if once && !exit.is_success() => Some(exit.words()),
            _ => None,
        };
        let name = found.name.clone();
        let entry = Entry {
            wanted: None,
            running: Some(Running {
                workload: found.workload,
                version: found.version,
                runner: Some(found.runner),
                granted: found.granted,
            }),
            phase,
            since_ms: now_ms,
            held: found.held,
            anew: false,
            done,
            instances: found.instance,
            starts_again_ms: Vec::new(),
            restarts: 0,
            last_exit: found.exit,
        };
        self.entries.insert(found.name, entry);
        if let Some(words) = gave_up {
            self.fail(
                now_ms,
                &name,
                words.clone(),
                format!("ended ({words}) and is not started again"),
            );
        }
    }

    /// It is given up, and stays so until another definition comes or somebody starts it.
    fn fail(&mut self, now_ms: u64, name: &WorkloadName, why: String, message: String) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        let rest = Rest {
            instance: entry.instances,
            failed: Some(why.clone()),
        };
        entry.enter(now_ms, Phase::Failed { why });
        self.note(name, Some(rest));
        let message = format!("Workload {name} {message}");
        self.tell(name, "workload.failed", Severity::Error, message);
    }

    fn note(&mut self, name: &WorkloadName, rest: Option<Rest>) {
        let name = name.clone();
        self.effects.push(Effect::Rest { name, rest });
    }

    fn started(
        &mut self,
        now_ms: u64,
        name: &WorkloadName,
        instance: Instance,
        runner: String,
        granted: Vec<Grant>,
    ) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        if entry.phase.instance() != Some(instance) {
            return;
        }
        let words = format!("Workload {name} started");
        if let Some(running) = &mut entry.running {
            running.granted = granted;
            running.runner = Some(runner);
            if matches!(entry.phase, Phase::Starting { .. }) {
                let health = Health::first(now_ms, &running.workload);
                entry.enter(now_ms, Phase::Running { instance, health });
            }
        }
        self.tell(name, "workload.started", Severity::Info, words);
    }

    fn not_started(
        &mut self,
        now_ms: u64,
        name: &WorkloadName,
        instance: Instance,
        why: &str,
        for_good: bool,
        granted: Vec<Grant>,
    ) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        if entry.phase.instance() != Some(instance) {
            return;
        }
        if let Some(running) = &mut entry.running {
            running.granted = granted;
        }
        if for_good && !entry.differs() {
            self.fail(now_ms, name, why.to_owned(), format!("cannot run: {why}"));
        } else {
            self.ended(now_ms, name, Some(why), false);
        }
    }

    fn exited(&mut self, now_ms: u64, name: &WorkloadName, instance: Instance, exit: Exit) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        if entry.phase.instance() != Some(instance) {
            return;
        }
        let (well, words) = (exit.is_success(), exit.words());
        let asked = match &entry.phase {
            Phase::Stopping { unhealthy, .. } => !unhealthy,
            _ => false,
        };
        entry.last_exit = Some(exit);
        let severity = if well || asked {
            Severity::Info
        } else {
            Severity::Warning
        };
        self.tell(
            name,
            "workload.exited",
            severity,
            format!("Workload {name} ended: {words}"),
        );
        self.ended(now_ms, name, (!well).then_some(words.as_str()), asked);
    }

    /// Nothing of it runs any more: what comes next, if it is wanted.
    fn ended(&mut self, now_ms: u64, name: &WorkloadName, failure: Option<&str>, asked: bool) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        let unhealthy = matches!(entry.phase, Phase::Stopping { unhealthy: true, .. });
        // What was being started when something else was wanted: how it ended says nothing about that.
        if asked || entry.differs() {
            entry.enter(
                now_ms,
                Phase::Stopped {
                    well: failure.is_none(),
                },
            );
            return;
        }
        let Some(workload) = entry.running.as_ref().map(|running| running.workload.clone()) else {
            return;
        };
        let restart = &workload.restart;
        let again = match restart.policy {
            RestartPolicy::Never => false,
            RestartPolicy::OnFailure => failure.is_some() || unhealthy,
            RestartPolicy::Always => true,
        };
        if !again {
            if failure.is_some() || unhealthy {
                let words = failure.unwrap_or("unhealthy");
                let message = format!("ended ({words}) and is not started again");
                self.fail(now_ms, name, words.to_owned(), message);
            } else {
                entry.enter(now_ms, Phase::Stopped { well: true });
                entry.done = true;
                let rest = Rest {
                    instance: entry.instances,
                    failed: None,
                };
                self.note(name, Some(rest));
            }
            return;
        }
        let since = now_ms.saturating_sub(restart.window_s * 1_000);
        entry.starts_again_ms.retain(|at| *at >= since && *at <= now_ms);
        let before = u32::try_from(entry.starts_again_ms.len()).unwrap_or(u32::MAX);
        if before >= restart.limit {
            let last = failure.unwrap_or("exit 0");
            let why = format!(
                "started again {before} times within {} s, last: {last}",
                restart.window_s
            );
            let message = format!("failed for good: {why}");
            self.fail(now_ms, name, why, message);
            return;
        }
        let wait_ms = restart
            .backoff_ms
            .saturating_mul(1 << before.min(30))
            .min(restart.backoff_max_ms);
        entry.starts_again_ms.push(now_ms);
        entry.restarts = entry.restarts.saturating_add(1);
        entry.enter(
            now_ms,
            Phase::Backoff {
                until_ms: now_ms + wait_ms,
            },
        );
        let words = format!("Workload {name} is started again in {wait_ms} ms");
        self.tell(name, "workload.restarted", Severity::Info, words);
    }

    fn checked(&mut self, now_ms: u64, name: &WorkloadName, instance: Instance, problem: Option<String>) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        let Some(check) = entry
            .running
            .as_ref()
            .and_then(|running| running.workload.health.clone())
        else {
            return;
        };
        let Phase::Running {
            instance: runs,
            health,
        } = &mut entry.phase
        else {
            return;
        };
        if *runs != instance || !health.asked {
            return;
        }
        health.asked = false;
        health.next_ms = now_ms + u64::from(check.interval_s) * 1_000;
        match problem {
            None => {
                health.failures = 0;
                if health.verdict != Some(true) {
                    (health.verdict, health.problem) = (Some(true), None);
                    entry.since_ms = now_ms;
                    self.tell(
                        name,
                        "workload.healthy",
                        Severity::Info,
                        format!("Workload {name} works"),
                    );
                }
            }
            Some(problem) => {
                health.failures = health.failures.saturating_add(1);
                health.problem = Some(problem.clone());
                if health.failures < check.retries || health.verdict == Some(false) {
                    return;
                }
                health.verdict = Some(false);
                entry.since_ms = now_ms;
                if check.restart {
                    entry.end(
                        now_ms,
                        name,
                        &format!("unhealthy: {problem}"),
                        true,
                        &mut self.effects,
                    );
                }
                let words = format!("Workload {name} does not work: {problem}");
                self.tell(name, "workload.unhealthy", Severity::Warning, words);
            }
        }
    }

    fn asked(&mut self, now_ms: u64, name: &WorkloadName, ask: Ask) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        let held = ask == Ask::Stop;
        if entry.held != held {
            entry.held = held;
            self.effects.push(Effect::Hold {
                name: name.clone(),
                held,
            });
        }
        let noted = entry.done || matches!(entry.phase, Phase::Failed { .. });
        match ask {
            Ask::Stop => return,
            Ask::Start if entry.phase.rests() => entry.begin_afresh(now_ms),
            Ask::Start => {}
            Ask::Restart if entry.phase.instance().is_some() => entry.anew = true,
            Ask::Restart => entry.begin_afresh(now_ms),
        }
        if noted {
            self.note(name, None);
        }
    }

    /// Brings each workload a step nearer to where it should be.
    fn settle(&mut self, now_ms: u64) {
        let names: Vec<_> = self.entries.keys().cloned().collect();
        for name in &names {
            // Taken out, so that it can be compared with the others.
            let Some(mut entry) = self.entries.remove(name) else {
                continue;
            };
            entry.settle(now_ms, name, &self.entries, &mut self.effects);
            if entry.wanted.is_none() && entry.phase.instance().is_none() {
                self.effects.push(Effect::Forget(name.clone()));
            } else {
                self.entries.insert(name.clone(), entry);
            }
        }
    }

    fn tell(&mut self, name: &WorkloadName, kind: &'static str, severity: Severity, message: String) {
        self.effects.push(Effect::Tell {
            name: name.clone(),
            kind,
            severity,
            message,
        });
    }
}

impl Entry {
    fn new(now_ms: u64, wanted: Wanted) -> Self {
        Self {
            wanted: Some(wanted),
            running: None,
            phase: Phase::Pending { waits_for: None },
            since_ms: now_ms,
            held: false,
            anew: false,
            done: false,
            instances: 0,
            starts_again_ms: Vec::new(),
            restarts: 0,
            last_exit: None,
        }
    }

    fn enter(&mut self, now_ms: u64, phase: Phase) {
        self.phase = phase;
        self.since_ms = now_ms;
    }

    fn begin_afresh(&mut self, now_ms: u64) {
        self.starts_again_ms.clear();
        self.anew = false;
        self.done = false;
        self.enter(now_ms, Phase::Pending { waits_for: None });
    }

    /// What runs is not, or not any more, what is wanted.
    fn differs(&self) -> bool {
        match (&self.wanted, &self.running) {
            (Some(wanted), Some(running)) => wanted.version != running.version,
            (None, _) => true,
            (Some(_), None) => false,
        }
    }

    /// It ended well, is wanted as it was, and once was enough: a restarted runtime does not do it again.
    fn has_done(&self) -> bool {
        let policy = self.wanted.as_ref().map(|wanted| wanted.workload.restart.policy);
        self.done && policy != Some(RestartPolicy::Always) && !self.differs()
    }

    fn is_checked(&self) -> bool {
        self.running
            .as_ref()
            .is_some_and(|running| running.workload.health.is_some())
    }

    /// Asks what runs to end.
    fn end(
        &mut self,
        now_ms: u64,
        name: &WorkloadName,
        why: &str,
        unhealthy: bool,
        effects: &mut Vec<Effect>,
    ) {
        let (Some(instance), Some(running)) = (self.phase.instance(), &self.running) else {
            return;
        };
        let stop = running.workload.stop.clone();
        effects.push(Effect::Signal {
            name: name.clone(),
            instance,
            signal: stop.signal,
        });
        let kill_ms = now_ms + u64::from(stop.timeout_s) * 1_000;
        self.enter(
            now_ms,
            Phase::Stopping {
                instance,
                kill_ms,
                killed: false,
                why: why.to_owned(),
                unhealthy,
            },
        );
    }

    fn settle(
        &mut self,
        now_ms: u64,
        name: &WorkloadName,
        others: &BTreeMap<WorkloadName, Self>,
        effects: &mut Vec<Effect>,
    ) {
        let why = if self.wanted.is_none() {
            Some("no longer wanted")
        } else if self.held {
            Some("stopped by somebody beside the machine")
        } else if self.differs() {
            Some("another definition is wanted")
        } else if self.anew {
            Some("to be started anew")
        } else {
            None
        };
        let done = self.has_done();
        match (&mut self.phase, why) {
            // What is being started is ended when it has come so far: there is nothing yet to send a signal to.
            (Phase::Starting { .. }, _) => {}
            (Phase::Running { .. }, Some(why)) => self.end(now_ms, name, why, false, effects),
            (Phase::Running { instance, health }, None) => {
                let check = self
                    .running
                    .as_ref()
                    .and_then(|running| running.workload.health.clone());
                if let Some(check) = check
                    && !health.asked
                    && health.next_ms <= now_ms
                {
                    health.asked = true;
                    effects.push(Effect::Check {
                        name: name.clone(),
                        instance: *instance,
                        check,
                    });
                }
            }
            (
                Phase::Stopping {
                    instance,
                    kill_ms,
                    killed,
                    unhealthy,
                    ..
                },
                why,
            ) => {
                if why.is_none() && !*unhealthy {
                    // It was to end, and is wanted after all: how it ends says nothing about it.
                    self.anew = true;
                }
                // What was unhealthy and is not wanted any more is not started again for that.
                *unhealthy = *unhealthy && why.is_none();
                if *kill_ms <= now_ms {
                    (*killed, *kill_ms) = (true, now_ms + KILL_AGAIN_MS);
                    effects.push(Effect::Kill {
                        name: name.clone(),
                        instance: *instance,
                    });
                }
            }
            (Phase::Pending { .. } | Phase::Backoff { .. }, Some(_))
                if self.wanted.is_none() || self.held =>
            {
                self.enter(now_ms, Phase::Stopped { well: false });
            }
            (Phase::Backoff { until_ms }, None) if now_ms < *until_ms => {}
            (Phase::Pending { .. } | Phase::Backoff { .. }, _) => self.start(now_ms, name, others, effects),
            (Phase::Stopped { .. }, _) if self.wanted.is_none() || self.held => {}
            (Phase::Stopped { .. }, Some(_)) => {
                self.begin_afresh(now_ms);
                self.start(now_ms, name, others, effects);
            }
            (Phase::Stopped { .. }, None) if !done => {
                self.enter(now_ms, Phase::Pending { waits_for: None });
                self.start(now_ms, name, others, effects);
            }
            (Phase::Stopped { .. } | Phase::Failed { .. }, _) => {}
        }
    }

    fn start(
        &mut self,
        now_ms: u64,
        name: &WorkloadName,
        others: &BTreeMap<WorkloadName, Self>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(wanted) = self.wanted.clone() else { return };
        let missing = wanted
            .workload
            .after
            .iter()
            .find_map(|other| match others.get(other) {
                None => Some(format!("waits for {other}, which is not there")),
                Some(entry) if entry.is_there() => None,
                Some(_) => Some(format!("waits for {other}")),
            });
        if let Some(missing) = missing {
            let waits = Phase::Pending {
                waits_for: Some(missing),
            };
            if self.phase != waits {
                self.enter(now_ms, waits);
            }
            return;
        }
        self.instances += 1;
        self.anew = false;
        self.done = false;
        let instance = self.instances;
        self.running = Some(Running {
            workload: wanted.workload.clone(),
            version: wanted.version.clone(),
            runner: None,
            granted: Vec::new(),
        });
        self.enter(now_ms, Phase::Starting { instance });
        effects.push(Effect::Start {
            name: name.clone(),
            instance,
            wanted,
        });
    }

    /// Whether what waits for it may start.
    fn is_there(&self) -> bool {
        match &self.phase {
            Phase::Running { health, .. } => !self.is_checked() || health.verdict == Some(true),
            Phase::Stopped { well } => *well && !self.held,
            Phase::Pending { .. }
            | Phase::Starting { .. }
            | Phase::Backoff { .. }
            | Phase::Stopping { .. }
            | Phase::Failed { .. } => false,
        }
    }

    fn standing<'a>(&'a self, name: &'a WorkloadName) -> Option<Standing<'a>> {
        let exists = self.phase.instance().is_some();
        let (workload, version) = match (&self.running, &self.wanted) {
            (Some(running), _) if exists => (&running.workload, &running.version),
            (_, Some(wanted)) => (&wanted.workload, &wanted.version),
            (Some(running), None) => (&running.workload, &running.version),
            (None, None) => return None,
        };
        let (phase, reason) = self.phase.words(self.held);
        Some(Standing {
            name,
            workload,
            version,
            source: self
                .wanted
                .as_ref()
                .map_or(WorkloadSource::Machine, |wanted| wanted.source),
            conflict: self.wanted.as_ref().is_some_and(|wanted| wanted.conflict),
            phase,
            reason,
            since_ms: self.since_ms,
            restarts: self.restarts,
            last_exit: self.last_exit.as_ref(),
            runner: self
                .running
                .as_ref()
                .and_then(|running| running.runner.as_deref()),
            granted: self.running.as_ref().map_or(&[], |running| &running.granted),
            instance: self.phase.instance(),
        })
    }
}
