//! What a machine keeps on disk: records for the server, commands taken, its identity, its last state.
//!
//! One SQLite file serves one machine or many; a thread of its own writes it, many changes in one commit. Begin with
//! [`Store::open`], then [`Store::machine`] for each machine. A record counts as kept only after its commit is on disk
//! (WAL, synchronous FULL); then [`Progress`] says so. When a commit fails nothing is acknowledged any more: SQLite
//! would go on after a failed fsync, we do not. A full disk is waited out.

mod directory;
mod error;
mod record;
mod schema;
mod writer;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use muster_model::{BootId, MachineId, RecordNumber, ReportedState, SessionNumber, Timestamp};
use muster_reflex::link::{Kept, Remembered, StoredRecord};
use muster_reflex::safety;
use tokio::sync::{mpsc, oneshot, watch};

pub use error::StoreError;
use record::Row;
use writer::{Job, Writer};

/// The name under which the desired state is kept.
pub const DESIRED: &str = "desired";
/// The name under which calibrations are kept.
pub const CALIBRATION: &str = "calibration";

/// The name under which it is kept how far assignments of releases were dealt with.
pub const UPDATES: &str = "updates";

/// Changes that may wait for the writer.
const QUEUE_MAX: usize = 1_024;
/// Page cache of SQLite, unless told otherwise.
const CACHE_KIB: u32 = 256;

/// How the store behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// SQLite's page cache. More pays only with very many machines.
    pub cache_kib: u32,
    /// How long to wait before trying a full disk again.
    pub full_retry_ms: u64,
    /// How long changes that nobody waits for (what need not be kept any more) may wait for company.
    pub lazy_ms: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            cache_kib: CACHE_KIB,
            full_retry_ms: 2_000,
            lazy_ms: 10_000,
        }
    }
}

/// The store of one data directory. Cheap to clone; the writer ends with the last clone.
#[derive(Clone, Debug)]
pub struct Store {
    jobs: mpsc::Sender<Job>,
    /// Changes that somebody waits for, handed in and not carried out yet.
    waiting: Arc<AtomicUsize>,
    health: watch::Receiver<Option<Arc<StoreError>>>,
}

/// How far one machine's records are on disk.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Everything up to this record is.
    pub persisted: RecordNumber,
    /// Why it does not go on.
    pub trouble: Option<Trouble>,
}

/// Why records do not reach the disk.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// The disk is full; it is tried again.
    Full(String),
    /// A commit failed: nothing will be written any more.
    Failed(Arc<StoreError>),
}

/// What was known of a machine when it was opened.
#[derive(Clone, Debug)]
pub struct Opened {
    /// What the link needs of it.
    pub kept: Kept,
    /// The boot in which the runtime ran last; none if it never ran.
    pub last_boot: Option<BootId>,
    /// Whether it was ended in order then.
    pub ended_in_order: bool,
    /// Its state as it was last kept.
    pub last_state: Option<Box<ReportedState>>,
}

/// One machine's part of the store. A newer handle of the same machine takes over: what an older one still sends is
/// ignored.
#[derive(Debug)]
pub struct MachineStore {
    jobs: mpsc::Sender<Job>,
    waiting: Arc<AtomicUsize>,
    tenant: Tenant,
}

/// Which machine, and which of its handles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tenant {
    slot: i64,
    epoch: u64,
}

/// A change that is ready to be handed to the writer.
#[derive(Debug)]
pub struct Change(Job);

impl Store {
    /// Opens or makes the store in a directory, and locks the directory for this process. Blocks shortly.
    pub fn open(directory: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        let (sender, jobs) = mpsc::channel(QUEUE_MAX);
        let waiting = Arc::default();
        let health = Writer::start(directory, options, jobs, Arc::clone(&waiting))?;
        Ok(Self {
            jobs: sender,
            waiting,
            health,
        })
    }

    /// The identity of the one real machine of this directory: `candidate`, unless it has one already.
    pub async fn identity(&self, candidate: MachineId) -> Result<MachineId, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Identity { candidate, reply }).await?;
        answer.await.map_err(|_| self.gone())
    }

    /// Opens one machine's part, and takes over from an earlier handle of the same machine.
    pub async fn machine(
        &self,
        id: MachineId,
    ) -> Result<(MachineStore, watch::Receiver<Progress>, Opened), StoreError> {
        let (reply, answer) = oneshot::channel();
        let (progress_sender, progress) = watch::channel(Progress::default());
        let job = Job::Open {
            id,
            progress: progress_sender,
            reply,
        };
        self.send(job).await?;
        let (tenant, opened) = answer.await.map_err(|_| self.gone())?;
        let store = MachineStore {
            jobs: self.jobs.clone(),
            waiting: Arc::clone(&self.waiting),
            tenant,
        };
        Ok((store, progress, opened))
    }

    /// What of a machine's safety region outlived its power; nothing if it never ran.
    pub async fn safety(&self, id: MachineId) -> Result<Option<safety::Kept>, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Safety { id, reply }).await?;
        answer.await.map_err(|_| self.gone())
    }

    /// Keeps it; it is on disk when this returns.
    pub async fn keep_safety(&self, id: MachineId, kept: safety::Kept) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::KeepSafety { id, kept, reply }).await?;
        answer.await.map_err(|_| self.gone())
    }

    /// A document of a machine that is kept under this name, if there is one.
    pub async fn document(&self, id: MachineId, name: &'static str) -> Result<Option<String>, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Document { id, name, reply }).await?;
        answer.await.map_err(|_| self.gone())
    }

    /// Keeps a document in the place of the one before; it is on disk when this returns.
    pub async fn keep_document(
        &self,
        id: MachineId,
        name: &'static str,
        text: String,
    ) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        let job = Job::KeepDocument {
            id,
            name,
            text,
            reply,
        };
        self.send(job).await?;
        answer.await.map_err(|_| self.gone())
    }

    /// How many changes that somebody waits for were handed in and are not carried out yet. It does not keep the store open: a
    /// simulation looks at it to let the disk, which lives in real time, keep up.
    pub fn waiting(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.waiting)
    }

    /// Waits until the store fails for good.
    pub async fn failed(&self) -> Arc<StoreError> {
        let mut health = self.health.clone();
        let failed = health.wait_for(Option::is_some).await;
        match failed.map(|error| error.clone()) {
            Ok(Some(error)) => error,
            Ok(None) | Err(_) => Arc::new(StoreError::Closed),
        }
    }

    /// Lets go of the store and waits until the directory is free, which needs every other handle to be gone.
    pub async fn close(self) {
        let Self { jobs, mut health, .. } = self;
        drop(jobs);
        while health.changed().await.is_ok() {}
    }

    async fn send(&self, job: Job) -> Result<(), StoreError> {
        let permit = self.jobs.reserve().await.map_err(|_| self.gone())?;
        hand_in(permit, job, &self.waiting);
        Ok(())
    }

    fn gone(&self) -> StoreError {
        let failed = self.health.borrow();
        failed
            .as_ref()
            .map_or(StoreError::Closed, |error| StoreError::Stopped(error.clone()))
    }
}

/// Counted before it is handed in: the writer may be quicker than this thread.
fn hand_in(room: mpsc::Permit<'_, Job>, job: Job, waiting: &AtomicUsize) {
    if !job.is_lazy() {
        waiting.fetch_add(1, Ordering::Relaxed);
    }
    room.send(job);
}

impl MachineStore {
    /// A record that is to be kept, and the command with it that must not be taken again.
    pub fn persist(&self, stored: &StoredRecord, remember: Option<Remembered>) -> Result<Change, StoreError> {
        let row = Row::of(stored)?;
        Ok(Change(Job::Persist {
            tenant: self.tenant,
            row,
            remember,
        }))
    }

    /// Records that need not be kept any more.
    pub fn trim(&self, record: RecordNumber) -> Change {
        Change(Job::Trim {
            tenant: self.tenant,
            record,
        })
    }

    /// The session's number.
    pub fn keep_session(&self, session: SessionNumber) -> Change {
        Change(Job::Session {
            tenant: self.tenant,
            session,
        })
    }

    /// The boot in which the runtime runs now; it has not ended in order until [`ended`](Self::ended) says so.
    pub fn began(&self, boot_id: BootId) -> Change {
        Change(Job::Began {
            tenant: self.tenant,
            boot_id,
        })
    }

    /// The state as it is now, for whoever comes after this start.
    pub fn keep_state(&self, state: &ReportedState, at: Timestamp) -> Result<Change, StoreError> {
        let state = serde_json::to_string(state).map_err(StoreError::Encode)?;
        Ok(Change(Job::State {
            tenant: self.tenant,
            state,
            at,
        }))
    }

    /// The runtime ends in order; the answer comes when everything before is on disk.
    pub fn ended(&self) -> (Change, oneshot::Receiver<()>) {
        let (reply, answer) = oneshot::channel();
        let tenant = self.tenant;
        (Change(Job::Ended { tenant, reply }), answer)
    }

    /// Asks for records from one on; the answer comes in order with all other changes.
    pub fn load(&self, from: RecordNumber, limit: usize) -> (Change, oneshot::Receiver<Vec<StoredRecord>>) {
        let (reply, answer) = oneshot::channel();
        let job = Job::Load {
            tenant: self.tenant,
            from,
            limit,
            reply,
        };
        (Change(job), answer)
    }

    /// Hands a change to the writer, if its queue has room; otherwise gives it back.
    pub fn try_send(&self, change: Change) -> Result<(), Change> {
        let Ok(permit) = self.jobs.try_reserve() else {
            return Err(change);
        };
        hand_in(permit, change.0, &self.waiting);
        Ok(())
    }

    /// Waits until the writer's queue has room.
    pub async fn room(&self) {
        // A writer that is gone has no room, and says why by `Progress`.
        match self.jobs.reserve().await {
            Ok(_) => {}
            Err(_) => std::future::pending().await,
        }
    }
}
