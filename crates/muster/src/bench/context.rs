//! What every scenario works with: the plan, the servers, the progress, and the report that figures go into.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use muster_runtime::Shutdown;

use super::enrolled::Enrolled;
use super::error::{BenchError, Result};
use super::host::{self, CoreWatch, Cores};
use super::load::{Load, Maker, Sent};
use super::options::Plan;
use super::process::Program;
use super::progress::{Progress, thousands};
use super::report::Report;
use super::servers::{Subject, Target};

/// Share of a core above which the generator, not the server, was the limit.
const GENERATOR_BUSY: f64 = 0.95;
/// Share of what was asked for below which a rate counts as not reached.
const RATE_REACHED: f64 = 0.97;
/// Share of the server's core that other programs may use before a figure says so.
const OTHERS_BUSY: f64 = 0.05;
/// Source addresses that one load may take up.
const SOURCES_PER_LOAD: u8 = 20;

/// What every scenario works with.
pub(super) struct Context {
    pub(super) plan: Plan,
    pub(super) cores: Cores,
    pub(super) stop: Shutdown,
    pub(super) progress: Progress,
    pub(super) report: Report,
    /// Everything that servers keep and say lies below it, and goes with it.
    directory: tempfile::TempDir,
    started: u32,
    source: u8,
    enrolled: Option<Rc<Enrolled>>,
}

impl Context {
    pub(super) fn new(
        plan: Plan,
        cores: Cores,
        stop: Shutdown,
        progress: Progress,
        report: Report,
    ) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("muster-bench-")
            .tempdir()
            .map_err(BenchError::system("no temporary directory can be made"))?;
        Ok(Self {
            plan,
            cores,
            stop,
            progress,
            report,
            directory,
            started: 0,
            source: 0,
            enrolled: None,
        })
    }

    /// An empty directory of its own for the next server.
    pub(super) fn fresh_directory(&mut self, name: &str) -> Result<PathBuf> {
        self.started += 1;
        let path = self.directory.path().join(format!("{}-{name}", self.started));
        std::fs::create_dir(&path).map_err(|source| BenchError::File {
            path: path.clone(),
            done: "made",
            source,
        })?;
        Ok(path)
    }

    /// Everybody who gets the same load.
    pub(super) fn subjects(&self) -> Vec<Subject> {
        let mut subjects = vec![Subject::Muster];
        for broker in &self.plan.vs {
            subjects.extend(Subject::of(*broker));
        }
        subjects
    }

    /// The same over TLS with certificates of machines. A client of nats' own port says nothing before it was spoken to in plain
    /// text: what is measured there would be another thing.
    pub(super) fn secured_subjects(&self) -> Vec<Subject> {
        let mut subjects = self.subjects();
        subjects.retain(|subject| *subject != Subject::NatsTcp);
        subjects
    }

    /// A fleet with certificates: the machines of the plan and one more. It is made once.
    pub(super) fn enrolled(&mut self) -> Result<Rc<Enrolled>> {
        if let Some(enrolled) = &self.enrolled {
            return Ok(enrolled.clone());
        }
        let (count, directory) = (self.plan.machines + 1, self.fresh_directory("enrolled")?);
        self.progress
            .step(&format!("{} machines enrol", thousands(count as u64)));
        let (progress, stop) = (&mut self.progress, &self.stop);
        let made = Enrolled::make(directory, count, &mut |index| {
            progress.go_on(|| {
                format!(
                    "{} of {} have enrolled",
                    thousands(index as u64),
                    thousands(count as u64)
                )
            });
            if stop.is_requested() {
                Err(BenchError::Stopped)
            } else {
                Ok(())
            }
        })?;
        Ok(self.enrolled.insert(Rc::new(made)).clone())
    }

    /// A load on a server; nobody is connected yet.
    pub(super) fn load(&mut self, target: &Target, acknowledged: bool) -> Result<Load> {
        // Ports of connections that just ended are not free at once: the next load comes from other addresses.
        self.source = self.source.wrapping_add(SOURCES_PER_LOAD);
        let make = target.speakers(acknowledged);
        let load = Load::new(target.address, self.source, make, self.stop.clone())?;
        Ok(match target.securer() {
            Some(secure) => load.secured(secure),
            None => load,
        })
    }

    /// The same, where every connection from this one on listens to all the others.
    pub(super) fn load_with_subscribers(&mut self, target: &Target, first: usize) -> Result<Load> {
        self.source = self.source.wrapping_add(SOURCES_PER_LOAD);
        let (senders, subject, host) = (target.speakers(false), target.subject, target.address.to_string());
        let make: Maker = Box::new(move |index| match index < first {
            true => senders(index),
            false => Target::subscriber(subject, &host, index),
        });
        let mut load = Load::new(target.address, self.source, make, self.stop.clone())?;
        load.limit_senders(first);
        Ok(load)
    }

    /// Fails if somebody ended the run.
    pub(super) fn check(&self) -> Result<()> {
        if self.stop.is_requested() {
            Err(BenchError::Stopped)
        } else {
            Ok(())
        }
    }

    /// Waits, unless the run is ended.
    pub(super) fn pause(&self, time: Duration) -> Result<()> {
        let began = Instant::now();
        while began.elapsed() < time {
            self.check()?;
            host::sleep(Duration::from_millis(5).min(time));
        }
        Ok(())
    }

    /// Begins to watch the processor.
    pub(super) fn watch(&self, program: &Program) -> Result<Watch> {
        Ok(Watch {
            cpu_at_start_s: program.cpu_s()?,
            server_core: CoreWatch::start(&[self.cores.server]),
            began: Instant::now(),
            generator_at_start_s: host::thread_cpu_s(),
            shared: self.cores.are_shared(),
        })
    }

    /// Removes what a server left.
    pub(super) fn remove(&self, path: &Path) {
        // What is left goes with the whole directory.
        let _ = std::fs::remove_dir_all(path);
    }
}

/// What the processor did during a measurement.
#[derive(Debug)]
pub(super) struct Watch {
    cpu_at_start_s: f64,
    server_core: CoreWatch,
    began: Instant,
    generator_at_start_s: f64,
    shared: bool,
}

/// What the processor had done when a measurement ended.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    /// Processor time of the server.
    pub(super) cpu_s: f64,
    /// How much of a core the generator used; it is one thread, so that a core is all it can have.
    pub(super) generator: f64,
    /// How busy others kept the server's core.
    pub(super) others: f64,
    /// How long was watched.
    pub(super) seconds: f64,
}

impl Watch {
    pub(super) fn finish(&self, program: &Program) -> Result<Watched> {
        let cpu_s = program.cpu_s()? - self.cpu_at_start_s;
        let used_s = self.server_core.used_s();
        let others = if self.shared || used_s <= 0.0 {
            0.0
        } else {
            (self.server_core.load() * (1.0 - cpu_s / used_s)).max(0.0)
        };
        let seconds = self.began.elapsed().as_secs_f64().max(1e-6);
        Ok(Watched {
            cpu_s,
            generator: (host::thread_cpu_s() - self.generator_at_start_s) / seconds,
            others,
            seconds,
        })
    }
}

impl Watched {
    /// How much of a core the server used.
    pub(super) fn server(&self) -> f64 {
        self.cpu_s / self.seconds
    }

    /// What kept the figure from being the server's own; none where nothing did.
    pub(super) fn limit(&self, asked: Option<(f64, &Sent)>) -> Option<String> {
        let mut limits = Vec::new();
        if self.generator >= GENERATOR_BUSY {
            limits.push(format!(
                "the generator had {:.0} % of a core",
                self.generator * 100.0
            ));
        }
        if let Some((asked, sent)) = asked
            && sent.per_second() < asked * RATE_REACHED
        {
            limits.push(format!(
                "{:.0} of {asked:.0} messages a second were sent",
                sent.per_second()
            ));
        }
        if self.others > OTHERS_BUSY {
            limits.push(format!(
                "others used {:.0} % of the server's core",
                self.others * 100.0
            ));
        }
        (!limits.is_empty()).then(|| limits.join("; "))
    }
}
