//! Carries out what is decided, one effect of a product at a time, and says what came of it.

use std::collections::BTreeMap;
use std::future::pending;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use muster_model::StatePatch;
use muster_model::desired::HeldDesired;
use muster_model::release::{ProductName, UpdatesReport};
use muster_reflex::state::Section;
use muster_reflex::update::{Effect, Input, Readings, Stage, Step, Taken, Trouble, Updates};
use muster_release::slots::{Slot, Step as SlotStep};
use muster_release::{BlobError, Manifest, SlotError};
use muster_runtime::errors::chain;

use super::fetch::{Progress, Source, fetch};
use super::readings::Book;
use super::{Setup, commands, desired_by_fleet};
use crate::dial::Dial;
use crate::message::{self, Payload, event, section, some};
use crate::releases::Releases;
use crate::store::UPDATES;
use crate::supervisor::NodeContext;

/// Between two looks while something is under way.
const LOOK_MS: u64 = 1_000;
/// Between two looks while nothing is.
const REST_MS: u64 = 10_000;
/// Between two words about how much came.
const PROGRESS_MS: u64 = 2_000;

type Doing = Pin<Box<dyn Future<Output = Step> + Send>>;

/// The node at work.
pub(super) struct Work<D> {
    setup: Arc<Setup<D>>,
    source: Arc<Source<D>>,
    updates: Updates,
    taken: BTreeMap<ProductName, Taken>,
    readings: Book,
    /// What was fetched, or lies in the slot in use, of products that change.
    manifests: BTreeMap<ProductName, Arc<Manifest>>,
    /// What is being done, one thing for each product.
    doing: BTreeMap<ProductName, (Doing, Option<Arc<Progress>>)>,
    /// A manifest that a fetch that succeeded left.
    fetched: Arc<parking_lot::Mutex<BTreeMap<ProductName, Arc<Manifest>>>>,
    told_progress_ms: u64,
    shown: Option<UpdatesReport>,
}

impl<D: Dial> Work<D> {
    /// Begins with what the disk says.
    pub(super) fn begin(
        context: &NodeContext,
        setup: Arc<Setup<D>>,
        taken: BTreeMap<ProductName, Taken>,
    ) -> Self {
        let source = Arc::new(Source {
            dial: setup.dial.clone(),
            server: setup.server.clone(),
            connect_timeout: setup.connect_timeout,
            machine: setup.machine_id,
            kind: setup.kind.clone(),
            releases: setup.releases.clone(),
            clock: *context.clock(),
            root: setup.root(),
            bytes_per_s: setup.options.bytes_per_s,
        });
        let mut products = setup.releases.products();
        products.extend(taken.keys().cloned());
        let mut work = Self {
            setup,
            source,
            updates: Updates::new(taken.clone()),
            taken,
            readings: Book::default(),
            manifests: BTreeMap::new(),
            doing: BTreeMap::new(),
            fetched: Arc::default(),
            told_progress_ms: 0,
            shown: None,
        };
        for product in products {
            work.tell_slots(context, &product);
        }
        work
    }

    pub(super) fn due_ms(&self, context: &NodeContext) -> u64 {
        let now = context.now();
        let usual = if self.is_busy() { LOOK_MS } else { REST_MS };
        let due = self.updates.due_ms(now).unwrap_or(u64::MAX);
        due.min(now.mono_ms + usual).max(now.mono_ms + 10)
    }

    fn is_busy(&self) -> bool {
        let report = self.updates.report();
        !self.doing.is_empty()
            || report
                .products
                .iter()
                .filter_map(|product| product.update.as_ref())
                .any(|update| !update.phase.is_end())
    }

    /// What comes of the first thing that ends.
    pub(super) async fn came(&mut self) -> (ProductName, Step) {
        if self.doing.is_empty() {
            return pending().await;
        }
        let all = self.doing.iter_mut().map(|(product, (doing, _))| {
            let product = product.clone();
            Box::pin(async move { (product, doing.await) })
        });
        futures_util::future::select_all(all).await.0
    }

    pub(super) fn desired(&mut self, context: &NodeContext, held: &HeldDesired) {
        let (outcome, desired) = desired_by_fleet(held);
        if let Some(desired) = desired {
            // Slots that nobody looked at yet are looked at before anything is decided about them.
            for product in desired.products.keys() {
                if self.updates.report().product(product.as_str()).is_none() {
                    self.tell_slots(context, product);
                }
            }
            self.step(context, Input::Desired(desired));
        }
        if let Some(outcome) = outcome {
            context.publish(Payload::Outcome(Box::new(outcome)));
        }
    }

    pub(super) fn hear(&mut self, context: &NodeContext, patch: &StatePatch) {
        self.readings.hear(context.clock().mono_ms(), patch);
    }

    /// Time went by.
    pub(super) fn look(&mut self, context: &NodeContext) {
        let readings = Readings {
            all: self.readings.all.clone(),
            run: self.setup.releases.run().into_iter().collect(),
        };
        self.step(context, Input::Readings(readings));
        self.tell_progress(context);
    }

    fn tell_progress(&mut self, context: &NodeContext) {
        let now_ms = context.clock().mono_ms();
        if now_ms < self.told_progress_ms + PROGRESS_MS {
            return;
        }
        self.told_progress_ms = now_ms;
        let figures: Vec<_> = self
            .doing
            .iter()
            .filter_map(|(product, (_, progress))| Some((product.clone(), step_of(progress.as_ref()?))))
            .collect();
        for (product, step) in figures {
            self.step(context, Input::Of(product, step));
        }
    }

    /// Something was done.
    pub(super) fn answer(&mut self, context: &NodeContext, product: ProductName, step: Step) {
        let progress = self.doing.remove(&product).and_then(|(_, progress)| progress);
        if let Some(progress) = progress {
            self.step(context, Input::Of(product.clone(), step_of(&progress)));
        }
        let fetched = self.fetched.lock().remove(&product);
        if let Some(manifest) = fetched {
            self.manifests.insert(product.clone(), manifest);
        }
        // What is decided next builds on what lies there now.
        self.tell_slots(context, &product);
        // Fresh readings: the next step may change something.
        self.look(context);
        self.step(context, Input::Of(product, step));
    }

    fn tell_slots(&mut self, context: &NodeContext, product: &ProductName) {
        let slots = self.setup.releases.seen(product);
        self.step(context, Input::Of(product.clone(), Step::Slots(slots)));
    }

    fn step(&mut self, context: &NodeContext, input: Input) {
        for effect in self.updates.step(context.now(), input) {
            self.carry_out(context, effect);
        }
    }

    fn carry_out(&mut self, context: &NodeContext, effect: Effect) {
        match effect {
            Effect::Note(product, taken) => self.note(product, taken),
            Effect::Fetch(product, assignment) => {
                let progress = Arc::new(Progress::default());
                let (source, shared, fetched) = (self.source.clone(), progress.clone(), self.fetched.clone());
                let name = product.clone();
                let doing: Doing = Box::pin(async move {
                    match fetch(source, name.to_string(), assignment, shared).await {
                        Ok(manifest) => {
                            let facts = crate::releases::facts_of(&manifest);
                            fetched.lock().insert(name, manifest);
                            Step::Fetched(Box::new(facts))
                        }
                        Err(trouble) => Step::NotFetched(trouble),
                    }
                });
                self.doing.insert(product, (doing, Some(progress)));
            }
            Effect::LeaveOff(product) => drop(self.doing.remove(&product)),
            Effect::Install(product) => match self.manifests.get(&product).cloned() {
                None => self.ready(
                    product,
                    Step::NotInstalled(Trouble::Later("its manifest has to be read again".to_owned())),
                ),
                Some(manifest) => self.act(product, move |product, releases| {
                    match releases.with(product, |slots, blobs| slots.install(&manifest, blobs)) {
                        Ok(_) => Step::Installed,
                        Err(error) => Step::NotInstalled(trouble(&error)),
                    }
                }),
            },
            Effect::RunHooks(product, stage) => self.act(product, move |product, releases| {
                match hooks(product, releases, stage) {
                    Ok(()) => Step::HooksRan(stage),
                    Err(why) => Step::HookFailed(stage, why),
                }
            }),
            Effect::Activate(product) => self.act(product, |product, releases| {
                match releases.with(product, |slots, _| slots.activate()) {
                    Ok(_) => Step::Activated,
                    Err(error) => Step::NotActivated(chain(&error)),
                }
            }),
            Effect::Start(product) => self.act(product, start),
            Effect::Check(product) => self.act(product, |product, releases| {
                Step::Checked(check(product, releases))
            }),
            Effect::Confirm(product) => self.act(product, |product, releases| {
                match releases.with(product, |slots, _| slots.confirm()) {
                    Ok(()) => Step::Confirmed,
                    Err(error) => Step::NotConfirmed(chain(&error)),
                }
            }),
            Effect::GoBack(product, why) => self.act(product, move |product, releases| {
                let went = releases.with(product, |slots, _| match slots.state().step {
                    SlotStep::Probation(_) => slots.roll_back(&why),
                    _ => slots.return_to_other(&why),
                });
                match went {
                    Ok(()) => Step::WentBack,
                    Err(error) => Step::NotWentBack {
                        for_good: !matches!(error, SlotError::Disk(_)),
                        why: chain(&error),
                    },
                }
            }),
            Effect::Tell {
                kind,
                severity,
                message,
                ..
            } => context.publish(event(kind, severity, message)),
        }
    }

    fn note(&mut self, product: ProductName, taken: Taken) {
        self.taken.insert(product.clone(), taken);
        let text = serde_json::to_string(&self.taken);
        let (store, machine) = (self.setup.store.clone(), self.setup.machine_id);
        let doing: Doing = Box::pin(async move {
            let text = match text {
                Ok(text) => text,
                Err(error) => return Step::NotNoted(error.to_string()),
            };
            match store.keep_document(machine, UPDATES, text).await {
                Ok(()) => Step::Noted,
                Err(error) => Step::NotNoted(chain(&error)),
            }
        });
        self.doing.insert(product, (doing, None));
    }

    fn ready(&mut self, product: ProductName, step: Step) {
        self.doing
            .insert(product, (Box::pin(std::future::ready(step)), None));
    }

    /// Does something on a thread that may block.
    fn act(
        &mut self,
        product: ProductName,
        act: impl FnOnce(&ProductName, &Releases) -> Step + Send + 'static,
    ) {
        let releases = self.setup.releases.clone();
        let name = product.clone();
        let doing: Doing = Box::pin(async move {
            let done = tokio::task::spawn_blocking(move || act(&name, &releases)).await;
            // It panicked, or the runtime ends: what lies there is looked at anew.
            done.unwrap_or_else(|error| Step::NotActivated(error.to_string()))
        });
        self.doing.insert(product, (doing, None));
    }

    /// Says how far everything is, if that is news.
    pub(super) fn show(&mut self, context: &NodeContext) {
        let report = self.updates.report();
        let is_nothing = report == UpdatesReport::default();
        if self.shown.as_ref() == Some(&report) || (is_nothing && self.shown.is_none()) {
            return;
        }
        let patch = section(Section::Updates(some(report.clone())));
        context.publish(Payload::Sections(message::Source::Updates, patch));
        self.shown = Some(report);
    }
}

fn step_of(progress: &Arc<Progress>) -> Step {
    Step::Progress {
        fetched_bytes: progress.fetched_bytes.load(Ordering::Relaxed),
        to_fetch_bytes: progress.to_fetch_bytes.load(Ordering::Relaxed),
    }
}

/// Whether it may be another time: a disk comes round, a release does not.
fn trouble(error: &SlotError) -> Trouble {
    match error {
        SlotError::Disk(_)
        | SlotError::Blob(BlobError::Missing { .. } | BlobError::Disk(_))
        | SlotError::NotWhole { .. } => Trouble::Later(chain(error)),
        _ => Trouble::Never(chain(error)),
    }
}

/// The directory of the version that changes, and its manifest: before the change it lies in the other slot.
fn place(product: &ProductName, releases: &Releases, stage: Stage) -> Result<(PathBuf, Manifest), String> {
    let found = releases.with(product, |slots, _| {
        let slot = match (slots.current(), stage) {
            (Some(current), Stage::After) => current,
            (Some(current), Stage::Before) => current.other(),
            (None, _) => Slot::A,
        };
        Ok((releases.root().join(slots.path(slot)), slots.manifest(slot)?))
    });
    found.map_err(|error| chain(&error))
}

fn hooks(product: &ProductName, releases: &Releases, stage: Stage) -> Result<(), String> {
    let (directory, manifest) = place(product, releases, stage)?;
    let hooks = match stage {
        Stage::Before => &manifest.hooks.before,
        Stage::After => &manifest.hooks.after,
    };
    commands::run_all(&manifest, &directory, hooks)
}

/// What is a program is started by its workload, which hears of the change; anything else is in use from now on.
fn start(product: &ProductName, releases: &Releases) -> Step {
    if releases.seen(product).facts.is_started {
        return Step::Started;
    }
    match releases.with(product, |slots, _| slots.count_start()) {
        Ok(_) => Step::Started,
        Err(error) => Step::NotStarted(chain(&error)),
    }
}

fn check(product: &ProductName, releases: &Releases) -> Vec<String> {
    let processes = releases.problems_of_processes(product);
    match place(product, releases, Stage::After) {
        Ok((directory, manifest)) => commands::check(&manifest, &directory, processes),
        Err(why) => vec![why],
    }
}
