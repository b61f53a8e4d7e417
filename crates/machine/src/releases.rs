//! The releases on this machine: where each product lies, what of it is in use, and who runs it.
//!
//! [`Releases`] is shared by two nodes. `updates` changes what lies in the slots ([`Releases::with`], on a thread that may block); `workloads`
//! asks what to start ([`Releases::resolve`]), counts each start before it happens ([`Releases::count_start`]) and says what runs
//! ([`Releases::runs`]). The slots themselves are [`muster_release::Slots`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use muster_model::Timestamp;
use muster_model::release::{ManifestDigest, ProductName, ReleaseName};
use muster_model::workload::{WorkloadName, Workloads};
use muster_reflex::update;
use muster_release::manifest::Payload;
use muster_release::slots::{Held, Slot, Start, Step};
use muster_release::{Blobs, Disk, Files, Manifest, SlotError, Slots};
use muster_runtime::errors::chain;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::error::MachineError;
use facts::facts;

pub(crate) use facts::{against, facts as facts_of};

mod facts;

/// The folder in the data directory.
pub const FOLDER: &str = "releases";
/// Within it: a directory for each product.
const SLOTS: &str = "slots";
/// Within it: what was fetched.
const BLOBS: &str = "blobs";

/// All releases of one machine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Releases {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    files: Arc<dyn Files>,
    blobs: Blobs,
    /// One at a time changes the slots of a product.
    slots: Mutex<BTreeMap<ProductName, Arc<Mutex<Slots>>>>,
    /// What is in use, readable while slots are being filled.
    known: RwLock<BTreeMap<ProductName, Known>>,
    /// What runs of it.
    runs: RwLock<BTreeMap<WorkloadName, Run>>,
    changes: watch::Sender<u64>,
}

/// What is known of a product.
#[derive(Clone, Debug, Default)]
struct Known {
    /// What is started: an absolute path into the slot in use.
    program: Option<PathBuf>,
    /// It is on probation, so its starts have to be counted.
    on_probation: bool,
    seen: update::Slots,
}

/// What a workload runs of a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Of which.
    pub product: ProductName,
    /// What was started.
    pub program: Option<PathBuf>,
    /// When, while it runs.
    pub since: Option<Timestamp>,
    /// Why it does not run, or is not well, where that is known.
    pub problem: Option<String>,
}

impl Releases {
    /// Opens what is there, and makes the directory where it is not.
    ///
    /// # Errors
    ///
    /// [`MachineError`] if the directory cannot be used. Slots of one product that are damaged are said and left alone.
    pub fn open(directory: &Path) -> Result<Self, MachineError> {
        let failed = |error: &dyn std::error::Error| {
            MachineError::Releases(format!("{}: {}", directory.display(), chain(error)))
        };
        std::fs::create_dir_all(directory).map_err(|error| failed(&error))?;
        let root = std::path::absolute(directory).map_err(|error| failed(&error))?;
        let files: Arc<dyn Files> = Arc::new(Disk::open(&root).map_err(|error| failed(&error))?);
        let blobs = Blobs::open(Arc::clone(&files), Path::new(BLOBS)).map_err(|error| failed(&error))?;
        let (changes, _) = watch::channel(0);
        let releases = Self {
            shared: Arc::new(Shared {
                root,
                files,
                blobs,
                slots: Mutex::default(),
                known: RwLock::default(),
                runs: RwLock::default(),
                changes,
            }),
        };
        for name in releases.there() {
            // Whoever asks for it hears why.
            if let Err(error) = releases.with(&name, |_, _| Ok(())) {
                tracing::error!(product = %name, error = %chain(&error), "the slots of this product cannot be used");
            }
        }
        Ok(releases)
    }

    /// Products that have a directory.
    fn there(&self) -> Vec<ProductName> {
        let Ok(entries) = std::fs::read_dir(self.shared.root.join(SLOTS)) else {
            return Vec::new();
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()?.parse().ok());
        names.collect()
    }

    /// Products of which something is known.
    pub fn products(&self) -> Vec<ProductName> {
        self.shared.known.read().keys().cloned().collect()
    }

    /// What was fetched.
    pub fn blobs(&self) -> &Blobs {
        &self.shared.blobs
    }

    /// Where the files of the machine's releases lie.
    pub fn root(&self) -> &Path {
        &self.shared.root
    }

    /// Does something with the slots of a product. May take long: never on a thread that others wait for.
    ///
    /// # Errors
    ///
    /// What opening them says, and what is done.
    pub fn with<T>(
        &self,
        product: &ProductName,
        act: impl FnOnce(&mut Slots, &Blobs) -> Result<T, SlotError>,
    ) -> Result<T, SlotError> {
        let slots = self.slots(product)?;
        let mut slots = slots.lock();
        let done = act(&mut slots, &self.shared.blobs);
        if done.is_err() {
            // The disk may have failed in the middle: only what is found there counts.
            if let Ok(found) = Slots::open(Arc::clone(&self.shared.files), Path::new(SLOTS), product.as_str())
            {
                *slots = found;
            }
        }
        self.note(product, &slots);
        done
    }

    fn slots(&self, product: &ProductName) -> Result<Arc<Mutex<Slots>>, SlotError> {
        let mut all = self.shared.slots.lock();
        if let Some(slots) = all.get(product) {
            return Ok(Arc::clone(slots));
        }
        let found = Slots::open(Arc::clone(&self.shared.files), Path::new(SLOTS), product.as_str())?;
        let slots = Arc::new(Mutex::new(found));
        all.insert(product.clone(), Arc::clone(&slots));
        Ok(slots)
    }

    /// Keeps what others ask for, and tells them if it changed.
    fn note(&self, product: &ProductName, slots: &Slots) {
        let known = known(&self.shared.root, slots);
        let is_news = {
            let mut all = self.shared.known.write();
            let before = all.insert(product.clone(), known.clone());
            before.is_none_or(|before| before.program != known.program)
        };
        if is_news {
            self.shared.changes.send_modify(|changes| *changes += 1);
        }
    }

    /// Tells when another program is to be started for some product.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    /// What lies in the slots of a product, for the decision about it.
    pub fn seen(&self, product: &ProductName) -> update::Slots {
        let known = self.shared.known.read();
        let mut seen = known
            .get(product)
            .map(|known| known.seen.clone())
            .unwrap_or_default();
        drop(known);
        seen.started_at = self.run_of(product).and_then(|run| run.since);
        seen
    }

    /// The workloads with what they start: a product becomes the program that is in use of it.
    pub fn resolve(&self, workloads: &Workloads) -> Workloads {
        let known = self.shared.known.read();
        let mut resolved = workloads.clone();
        for workload in resolved.values_mut() {
            if let Some(product) = &workload.product {
                let program = known.get(product).and_then(|known| known.program.as_ref());
                workload.program = program.map(|program| program.to_string_lossy().into_owned());
            }
        }
        resolved
    }

    /// Counts a start of what is in use, before it happens: when this comes back, the count survives a power cut. May block.
    ///
    /// # Errors
    ///
    /// Why that program is not to be started now, for a person.
    pub fn count_start(&self, product: &ProductName, program: &str) -> Result<(), String> {
        let known = self.shared.known.read().get(product).cloned().unwrap_or_default();
        let is_in_use = |known: &Known| known.program.as_deref() == Some(Path::new(program));
        if !is_in_use(&known) {
            return Err("another version is in use by now".to_owned());
        }
        let slots = self.slots(product).map_err(|error| chain(&error))?;
        // What proved itself is not kept waiting while the other slot is being filled.
        let locked = if known.on_probation {
            Some(slots.lock())
        } else {
            slots.try_lock()
        };
        let Some(mut slots) = locked else { return Ok(()) };
        let start = slots.count_start();
        self.note(product, &slots);
        match start {
            Ok(Start::Confirmed(_) | Start::OnProbation(..)) => Ok(()),
            Ok(Start::RolledBack(_) | Start::Nothing) => Err(
                "the version on probation was started too often: the one before is in use again".to_owned(),
            ),
            Err(error) => Err(chain(&error)),
        }
    }

    /// What the workloads run of products, from now on.
    pub fn runs(&self, runs: BTreeMap<WorkloadName, Run>) {
        *self.shared.runs.write() = runs;
    }

    /// Products that some workload runs, or would.
    pub fn run(&self) -> Vec<ProductName> {
        self.shared
            .runs
            .read()
            .values()
            .map(|run| run.product.clone())
            .collect()
    }

    fn run_of(&self, product: &ProductName) -> Option<Run> {
        let runs = self.shared.runs.read();
        runs.values().find(|run| run.product == *product).cloned()
    }

    /// What is wrong with what runs of a product: each workload must run what is in use.
    pub fn problems_of_processes(&self, product: &ProductName) -> Vec<String> {
        let program = self
            .shared
            .known
            .read()
            .get(product)
            .and_then(|known| known.program.clone());
        let runs = self.shared.runs.read();
        let ours = runs.iter().filter(|(_, run)| run.product == *product);
        ours.filter_map(|(name, run)| match (&run.since, &run.problem) {
            (Some(_), None) if run.program == program => None,
            (_, Some(problem)) => Some(format!("workload {name}: {problem}")),
            (None, None) => Some(format!("workload {name} does not run yet")),
            (Some(_), None) => Some(format!("workload {name} still runs another version")),
        })
        .collect()
    }
}

fn known(root: &Path, slots: &Slots) -> Known {
    let state = slots.state();
    let current = slots.current();
    let manifest = current.and_then(|slot| slots.manifest(slot).ok());
    let facts = manifest.as_ref().map(facts).unwrap_or_default();
    let on_probation = matches!(state.step, Step::Probation(_));
    let last = state.last.as_ref();
    Known {
        program: current
            .zip(manifest.as_ref())
            .and_then(|(slot, manifest)| program(root, slots, slot, manifest)),
        on_probation,
        seen: update::Slots {
            running: slots.running().and_then(name),
            other: current
                .map(Slot::other)
                .and_then(|slot| state.held(slot))
                .and_then(name),
            on_probation,
            facts: Box::new(facts),
            starts: state.starts,
            started_at: None,
            taken_back: last.and_then(|last| Some((digest(&last.release)?, last.rolled_back.clone()?))),
        },
    }
}

fn program(root: &Path, slots: &Slots, slot: Slot, manifest: &Manifest) -> Option<PathBuf> {
    match &manifest.payload {
        Payload::Executable(started) => Some(root.join(slots.path(slot)).join(&started.entry)),
        Payload::Agent(_) | Payload::Image(_) | Payload::Tree => None,
    }
}

fn name(held: &Held) -> Option<ReleaseName> {
    Some(ReleaseName {
        version: held.version.clone(),
        counter: held.counter,
        manifest: digest(held)?,
    })
}

fn digest(held: &Held) -> Option<ManifestDigest> {
    held.manifest.to_string().parse().ok()
}
