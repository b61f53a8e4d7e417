//! Rollouts, carried out: kept in the log, found again after a restart, and brought to machines by their desired state.
//!
//! Begin with [`Rollouts`], the handle. One task ([`run`]) owns an `Executor` of `muster_brain::rollout` for each rollout that is not over:
//! it shows it what machines report, appends what it decides, and changes the section `release` of machines as it says, by the same path as people
//! do. Nothing is decided here, and nothing is remembered that the log does not have: [`keep`] finds all of it again.
//!
//! Which releases there are, a [`Catalogue`] says. [`stopping`] stops all updates of machines at once.

pub mod catalogue;
pub mod keep;
mod run;
pub mod stopping;

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_brain::rollout::plan::entries;
use muster_brain::rollout::{ActError, Plan, Question, Rollout, plan};
use muster_model::release::ProductName;
use muster_model::rollout::{
    MachineStage, ReleaseFacts, RolloutAct, RolloutEntry, RolloutError, RolloutId, RolloutRecord, RolloutSpec,
};
use muster_model::{MachineView, Timestamp};
use muster_store::{Documents, LogError};
use parking_lot::RwLock;
use tokio::sync::{mpsc, oneshot};

pub use catalogue::{Catalogue, CatalogueError};
pub use keep::{KeepError, Summary};
pub use run::run;

use crate::state::{Fleet, Stopping};

/// Rollouts that are not over, at most.
pub const OPEN_MAX: usize = 64;
/// Rollouts that are kept, at most.
pub const KEPT_MAX: usize = 10_000;
/// Orders that wait.
const ORDERS_MAX: usize = 64;
/// Updates of which the typical duration is made.
const TYPICAL_OF: usize = 200;

/// Whether somebody, by name, may deploy to a machine now: for machines that join a rollout late.
pub type Reach = Arc<dyn Fn(&str, &MachineView) -> bool + Send + Sync>;

/// All rollouts. Cheap to clone.
#[derive(Clone)]
pub struct Rollouts {
    inner: Arc<Inner>,
}

struct Inner {
    fleet: Fleet,
    documents: Arc<dyn Documents>,
    catalogue: Arc<dyn Catalogue>,
    reach: Reach,
    known: RwLock<BTreeMap<RolloutId, Known>>,
    orders: mpsc::Sender<Order>,
}

/// A rollout as readers see it.
#[derive(Clone)]
struct Known {
    summary: Arc<Summary>,
    /// Of one that is not over; of others it is folded when it is asked for.
    rollout: Option<Arc<Rollout>>,
}

/// What the task is asked for.
struct Order {
    id: RolloutId,
    what: Ordered,
    reply: oneshot::Sender<Result<(), OrderError>>,
}

enum Ordered {
    Create(Vec<RolloutRecord>),
    Replan(Vec<RolloutEntry>),
    Act {
        act: RolloutAct,
        by: String,
        reason: String,
    },
}

/// Why something about a rollout was not done.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// There is none of that name.
    #[error("there is no rollout of that name")]
    Unknown,
    /// There are too many.
    #[error("{OPEN_MAX} rollouts are not over: end one first")]
    TooMany,
    /// It cannot be decided so.
    #[error(transparent)]
    Act(#[from] ActError),
    /// It cannot be meant so.
    #[error(transparent)]
    Spec(#[from] RolloutError),
    /// The release is not there.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// It could not be kept or found.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// The log did not take it.
    #[error("the log did not take it")]
    Log(#[from] LogError),
    /// The server ends.
    #[error(transparent)]
    Stopping(#[from] Stopping),
    /// The operating system gave no randomness.
    #[error(transparent)]
    Entropy(#[from] muster_runtime::clock::NoEntropy),
}

/// The end of the line at which the task listens.
pub struct Orders(mpsc::Receiver<Order>);

/// What is to be rolled out, and for whom.
pub struct Wish {
    /// What people ask for.
    pub spec: RolloutSpec,
    /// The machines that whoever asks may deploy to.
    pub machines: Vec<Arc<MachineView>>,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

impl Rollouts {
    /// With what was found on the disk.
    pub fn new(
        fleet: Fleet,
        documents: Arc<dyn Documents>,
        catalogue: Arc<dyn Catalogue>,
        reach: Reach,
        found: &[keep::Found],
    ) -> (Self, Orders) {
        let (sender, receiver) = mpsc::channel(ORDERS_MAX);
        let known = found.iter().map(|found| {
            let known = Known {
                summary: Arc::new(found.summary.clone()),
                rollout: found.rollout.clone().map(Arc::new),
            };
            (found.id.clone(), known)
        });
        let inner = Inner {
            fleet,
            documents,
            catalogue,
            reach,
            known: RwLock::new(known.collect()),
            orders: sender,
        };
        let rollouts = Self {
            inner: Arc::new(inner),
        };
        (rollouts, Orders(receiver))
    }

    /// All of them in short, the newest first.
    pub fn all(&self) -> Vec<(RolloutId, Arc<Summary>)> {
        let known = self.inner.known.read();
        let mut all: Vec<_> = known
            .iter()
            .map(|(id, known)| (id.clone(), known.summary.clone()))
            .collect();
        all.sort_by(|(a_id, a), (b_id, b)| (b.created_at, b_id).cmp(&(a.created_at, a_id)));
        all
    }

    /// One of them in short.
    pub fn summary(&self, id: &RolloutId) -> Option<Arc<Summary>> {
        self.inner.known.read().get(id).map(|known| known.summary.clone())
    }

    /// One of them, as the log has it.
    ///
    /// # Errors
    ///
    /// There is none, or the log cannot be read.
    pub async fn get(&self, id: &RolloutId) -> Result<Arc<Rollout>, OrderError> {
        let known = self.inner.known.read().get(id).cloned();
        match known.ok_or(OrderError::Unknown)?.rollout {
            Some(rollout) => Ok(rollout),
            None => {
                let records = self.records(id).await?;
                Ok(Arc::new(Rollout::fold(&records).ok_or(OrderError::Unknown)?))
            }
        }
    }

    /// All that the log has of one, the first first.
    ///
    /// # Errors
    ///
    /// There is none, or the log cannot be read.
    pub async fn records(&self, id: &RolloutId) -> Result<Vec<RolloutRecord>, OrderError> {
        if !self.inner.known.read().contains_key(id) {
            return Err(OrderError::Unknown);
        }
        let (log, id) = (self.inner.fleet.log().clone(), id.clone());
        let read = tokio::task::spawn_blocking(move || keep::records(&*log, &id)).await;
        Ok(read.map_err(|_| Stopping)??)
    }

    /// What would happen. Nothing is kept.
    ///
    /// # Errors
    ///
    /// It cannot be meant so, or the release is not there.
    pub async fn plan(&self, wish: &Wish) -> Result<(ReleaseFacts, Plan), OrderError> {
        let id = "preview".parse()?;
        self.planned(&id, wish).await
    }

    /// Writes a rollout down, with its plan.
    ///
    /// # Errors
    ///
    /// It cannot be meant so, the release is not there, there are too many, or it cannot be kept.
    pub async fn create(&self, wish: Wish) -> Result<(RolloutId, Plan), OrderError> {
        let bits = self.inner.fleet.new_id()?;
        // The last bytes of it are random.
        let id: RolloutId = bits.simple().to_string()[20..].parse()?;
        let (release, plan) = self.planned(&id, &wish).await?;
        let Wish { spec, by, reason, .. } = wish;
        let now = self.inner.fleet.now().wall;
        let created = RolloutEntry::Created {
            spec: Box::new(spec),
            release: Box::new(release),
            by: by.clone(),
            reason,
        };
        let all = std::iter::once(created).chain(entries(&plan, &by));
        let records = all.map(|entry| RolloutRecord { at: now, entry }).collect();
        self.order(&id, Ordered::Create(records)).await?;
        Ok((id, plan))
    }

    /// Plans one anew that nobody approved yet, with the machines as they are now.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create); it is past that.
    pub async fn replan(
        &self,
        id: &RolloutId,
        machines: Vec<Arc<MachineView>>,
        by: String,
    ) -> Result<Plan, OrderError> {
        let rollout = self.get(id).await?;
        let wish = Wish {
            spec: (*rollout.spec).clone(),
            machines,
            by: by.clone(),
            reason: String::new(),
        };
        let plan = self.plan_of(id, &wish, &rollout.release)?;
        self.order(id, Ordered::Replan(entries(&plan, &by))).await?;
        Ok(plan)
    }

    /// Somebody decides something about one. Answered when the log has it.
    ///
    /// # Errors
    ///
    /// It cannot be decided now, or cannot be kept.
    pub async fn act(
        &self,
        id: &RolloutId,
        act: RolloutAct,
        by: String,
        reason: String,
    ) -> Result<(), OrderError> {
        self.order(id, Ordered::Act { act, by, reason }).await
    }

    async fn order(&self, id: &RolloutId, what: Ordered) -> Result<(), OrderError> {
        let (reply, answer) = oneshot::channel();
        let id = id.clone();
        let order = Order { id, what, reply };
        self.inner.orders.send(order).await.map_err(|_| Stopping)?;
        answer.await.map_err(|_| Stopping)?
    }

    async fn planned(&self, id: &RolloutId, wish: &Wish) -> Result<(ReleaseFacts, Plan), OrderError> {
        wish.spec.check()?;
        let release = self.release(&wish.spec.product, &wish.spec.version).await?;
        let plan = self.plan_of(id, wish, &release)?;
        Ok((release, plan))
    }

    fn plan_of(&self, id: &RolloutId, wish: &Wish, release: &ReleaseFacts) -> Result<Plan, OrderError> {
        let question = Question {
            id,
            spec: &wish.spec,
            release,
            now: self.inner.fleet.now().wall,
            bytes: &|view| self.inner.catalogue.bytes(release, view),
            typical_ms: self.typical_ms(&wish.spec.product),
        };
        Ok(plan(&question, wish.machines.iter().map(|view| &**view))?)
    }

    async fn release(&self, product: &ProductName, version: &str) -> Result<ReleaseFacts, OrderError> {
        let (catalogue, product, version) =
            (self.inner.catalogue.clone(), product.clone(), version.to_owned());
        let asked = tokio::task::spawn_blocking(move || catalogue.release(&product, &version)).await;
        Ok(asked.map_err(|_| Stopping)??)
    }

    /// How long a machine typically takes, from its place to its proof, by the last updates of the product that are in memory.
    fn typical_ms(&self, product: &ProductName) -> Option<u64> {
        let known = self.inner.known.read();
        let rollouts = known.values().filter_map(|known| known.rollout.as_ref());
        let mut took: Vec<(Timestamp, i64)> = Vec::new();
        for rollout in rollouts.filter(|rollout| rollout.spec.product == *product) {
            let lease_ms = i64::from(rollout.spec.pace.lease_s) * 1_000;
            let succeeded = rollout.machines.values();
            let succeeded = succeeded.filter(|progress| progress.stage == MachineStage::Succeeded);
            took.extend(succeeded.filter_map(|progress| {
                let began = progress.offer?.lease_until.plus_millis(-lease_ms);
                Some((progress.since, progress.since.millis_since(began)))
            }));
        }
        let typical: Vec<u64> = known
            .values()
            .filter(|known| known.rollout.is_none() && known.summary.product == product.as_str())
            .filter_map(|known| known.summary.typical_ms)
            .collect();
        drop(known);
        took.sort_unstable();
        let newest = took.into_iter().rev().take(TYPICAL_OF);
        let mut all: Vec<u64> = newest.filter_map(|(_, ms)| u64::try_from(ms).ok()).collect();
        if all.is_empty() {
            all = typical;
        }
        all.sort_unstable();
        all.get(all.len() / 2).copied()
    }

    /// Shows readers how a rollout stands.
    fn show(&self, id: &RolloutId, rollout: Arc<Rollout>, is_over: bool) {
        let summary = Arc::new(Summary::of(&rollout, is_over));
        let rollout = (!is_over).then_some(rollout);
        self.inner
            .known
            .write()
            .insert(id.clone(), Known { summary, rollout });
    }
}
