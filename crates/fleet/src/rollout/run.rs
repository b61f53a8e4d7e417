//! The task: shows executors what machines report, appends what they decide, and has machines told.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use muster_brain::rollout::plan::late_joiners;
use muster_brain::rollout::{Effect, Executor, Input, Observation, Rollout};
use muster_brain::shard::{DesiredChange, RequestId};
use muster_model::desired::check_content;
use muster_model::release::{DesiredReleases, SECTION};
use muster_model::rollout::{LateJoiners, RolloutId, RolloutRecord, RolloutState};
use muster_model::{DesiredVersion, MachineId, Presence, StreamVersion};
use muster_runtime::Shutdown;
use muster_store::{Bus, Subscription};
use tokio::sync::oneshot;

use super::{KEPT_MAX, OPEN_MAX, Order, OrderError, Ordered, Orders, Rollouts, keep};
use crate::state::{Fleet, Publications};

/// Rollouts are looked at so often, whatever is heard.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After something was heard, so much is waited for company.
const GATHER: Duration = Duration::from_millis(100);
/// So often it is looked who joined late, in milliseconds.
const LATE_EVERY_MS: u64 = 30_000;
/// Machines that are told at the same time.
const TOLD_AT_ONCE: usize = 256;

/// A rollout that is not over.
struct Active {
    executor: Executor,
    /// What of each machine was seen last.
    seen: BTreeMap<MachineId, (StreamVersion, Presence)>,
    /// Who waits for an answer.
    asked: BTreeMap<RequestId, oneshot::Sender<Result<(), OrderError>>>,
    late_ms: u64,
    shown: u64,
}

impl Active {
    fn new(id: RolloutId, rollout: Rollout) -> Self {
        Self {
            executor: Executor::new(id, rollout),
            seen: BTreeMap::new(),
            asked: BTreeMap::new(),
            late_ms: 0,
            shown: 0,
        }
    }

    /// Whether machines and time matter to it now.
    fn is_awake(&self) -> bool {
        match self.executor.rollout().state {
            RolloutState::Draft | RolloutState::Planned | RolloutState::Approved => false,
            RolloutState::Running
            | RolloutState::Paused
            | RolloutState::RollingBack
            | RolloutState::Succeeded
            | RolloutState::RolledBack
            | RolloutState::Aborted => true,
        }
    }

    /// Shows it what changed with its machines.
    fn look(&mut self, fleet: &Fleet) {
        let now = fleet.now();
        let machines: Vec<MachineId> = self.executor.rollout().machines.keys().copied().collect();
        let product = self.executor.rollout().spec.product.clone();
        for machine in machines {
            let Some(view) = fleet.view(machine) else {
                continue;
            };
            let mark = (view.version, view.presence);
            // Figures that come by telemetry alone change no entry: whoever must pass a filter is looked at each time.
            if self.executor.healthy().is_empty() && self.seen.get(&machine) == Some(&mark) {
                continue;
            }
            self.seen.insert(machine, mark);
            let observation = Box::new(Observation::of(&view, &product, self.executor.healthy()));
            let input = Input::Seen { machine, observation };
            self.executor.step(now, input);
        }
    }
}

struct Running {
    rollouts: Rollouts,
    active: BTreeMap<RolloutId, Active>,
    next_request: u64,
}

/// Carries rollouts out until the server ends. What is under way then is found again in the log.
///
/// # Errors
///
/// None.
pub async fn run(
    rollouts: Rollouts,
    orders: Orders,
    found: Vec<keep::Found>,
    shutdown: Shutdown,
) -> Result<(), Infallible> {
    let Orders(mut orders) = orders;
    let active = found.into_iter().filter_map(|found| {
        let active = Active::new(found.id.clone(), found.rollout?);
        Some((found.id, active))
    });
    let mut running = Running {
        active: active.collect(),
        rollouts,
        next_request: 1,
    };
    let mut news: Option<Subscription<Publications>> = None;
    loop {
        let is_awake = running.active.values().any(Active::is_awake);
        // Who listens makes shards show their views sooner: only while it matters.
        if is_awake != news.is_some() {
            news = is_awake.then(|| running.rollouts.inner.fleet.bus().subscribe());
        }
        tokio::select! {
            order = orders.recv() => match order {
                Some(order) => running.order(order).await,
                None => return Ok(()),
            },
            () = heard(&mut news) => {
                tokio::select! {
                    () = tokio::time::sleep(GATHER) => {}
                    () = shutdown.requested() => return Ok(()),
                }
                if let Some(news) = &mut news {
                    while news.try_next().is_some() {}
                }
            }
            () = tokio::time::sleep(LOOK_EVERY), if is_awake => {}
            () = shutdown.requested() => return Ok(()),
        }
        running.turn().await;
    }
}

/// Comes back when something was published.
async fn heard(news: &mut Option<Subscription<Publications>>) {
    match news {
        Some(news) => {
            if news.next().await.is_none() {
                std::future::pending::<()>().await;
            }
        }
        None => std::future::pending().await,
    }
}

impl Running {
    fn fleet(&self) -> &Fleet {
        &self.rollouts.inner.fleet
    }

    async fn order(&mut self, order: Order) {
        let Order { id, what, reply } = order;
        match what {
            Ordered::Create(records) => {
                let result = self.create(&id, records).await;
                // Who asked may be gone.
                let _ = reply.send(result);
            }
            Ordered::Replan(entries) => match self.wake(&id).await {
                Ok(active) => {
                    active
                        .ask(reply, |request| Input::Replan { request, entries })
                        .await;
                }
                Err(error) => drop(reply.send(Err(error))),
            },
            Ordered::Act { act, by, reason } => match self.wake(&id).await {
                Ok(active) => {
                    let input = |request| Input::Act {
                        request,
                        act,
                        by,
                        reason,
                    };
                    active.ask(reply, input).await;
                }
                Err(error) => drop(reply.send(Err(error))),
            },
        }
    }

    async fn create(&mut self, id: &RolloutId, records: Vec<RolloutRecord>) -> Result<(), OrderError> {
        if self.active.len() >= OPEN_MAX || self.rollouts.inner.known.read().len() >= KEPT_MAX {
            return Err(OrderError::TooMany);
        }
        let Some(rollout) = Rollout::fold(&records) else {
            return Err(OrderError::Unknown);
        };
        let (documents, of) = (self.rollouts.inner.documents.clone(), id.clone());
        let now = self.fleet().now().wall;
        // Listed first: what is in the log and not listed would be found by nobody.
        let noted = tokio::task::spawn_blocking(move || keep::note(&*documents, &of, None, now)).await;
        noted.map_err(|_| crate::state::Stopping)??;
        self.fleet().log().append(keep::batch(id, 0, &records)?).await?;
        self.rollouts.show(id, Arc::new(rollout.clone()), false);
        let active = Active::new(id.clone(), rollout);
        self.active.insert(id.clone(), active);
        tracing::info!(rollout = %id, "a rollout was planned");
        Ok(())
    }

    /// The executor of a rollout, also of one that was over.
    async fn wake(&mut self, id: &RolloutId) -> Result<Awake<'_>, OrderError> {
        if !self.active.contains_key(id) {
            let rollout = self.rollouts.get(id).await?;
            if self.active.len() >= OPEN_MAX {
                return Err(OrderError::TooMany);
            }
            let active = Active::new(id.clone(), (*rollout).clone());
            self.active.insert(id.clone(), active);
        }
        let request = RequestId(self.next_request);
        self.next_request += 1;
        let rollouts = &self.rollouts;
        let active = self.active.get_mut(id).ok_or(OrderError::Unknown)?;
        Ok(Awake {
            rollouts,
            active,
            request,
        })
    }

    /// All of them see what there is to see, decide, and are carried out.
    async fn turn(&mut self) {
        let mut over = Vec::new();
        for (id, active) in &mut self.active {
            if active.is_awake() {
                active.turn(&self.rollouts).await;
                if active.executor.is_over() {
                    over.push(id.clone());
                }
            }
        }
        for id in over {
            self.end(&id).await;
        }
    }

    /// Puts one away that is over.
    async fn end(&mut self, id: &RolloutId) {
        let Some(active) = self.active.remove(id) else {
            return;
        };
        let rollout = Arc::new(active.executor.rollout().clone());
        self.rollouts.show(id, rollout, true);
        let summary = self.rollouts.summary(id);
        let (documents, of) = (self.rollouts.inner.documents.clone(), id.clone());
        let now = self.fleet().now().wall;
        let noted =
            tokio::task::spawn_blocking(move || keep::note(&*documents, &of, summary.as_deref(), now)).await;
        if let Ok(Err(error)) = noted {
            // It is folded at the next start, and found to be over.
            let error = muster_runtime::errors::chain(&error);
            tracing::warn!(rollout = %id, %error, "how a rollout ended could not be noted in the list");
        }
    }
}

/// A rollout, and the request that it is asked for.
struct Awake<'a> {
    rollouts: &'a Rollouts,
    active: &'a mut Active,
    request: RequestId,
}

impl Awake<'_> {
    async fn ask(
        self,
        reply: oneshot::Sender<Result<(), OrderError>>,
        input: impl FnOnce(RequestId) -> Input,
    ) {
        let fleet = &self.rollouts.inner.fleet;
        self.active.look(fleet);
        self.active.asked.insert(self.request, reply);
        self.active.executor.step(fleet.now(), input(self.request));
        self.active.carry_out(self.rollouts).await;
    }
}

impl Active {
    async fn turn(&mut self, rollouts: &Rollouts) {
        let fleet = &rollouts.inner.fleet;
        self.look(fleet);
        let now = fleet.now();
        if self.takes_late_joiners() && now.mono_ms >= self.late_ms {
            self.late_ms = now.mono_ms + LATE_EVERY_MS;
            let rollout = self.executor.rollout();
            let views = fleet.views();
            let in_reach = views
                .iter()
                .filter(|view| (rollouts.inner.reach)(&rollout.by, view));
            let late = late_joiners(rollout, in_reach.map(|view| &**view));
            if !late.is_empty() {
                self.executor.step(now, Input::Late(late));
            }
        }
        self.executor.step(now, Input::Tick);
        self.carry_out(rollouts).await;
    }

    fn takes_late_joiners(&self) -> bool {
        let rollout = self.executor.rollout();
        let is_under_way = matches!(rollout.state, RolloutState::Running | RolloutState::Paused);
        is_under_way && rollout.spec.late_joiners != LateJoiners::Skip
    }

    /// Does what is to be done, until nothing is.
    async fn carry_out(&mut self, rollouts: &Rollouts) {
        let fleet = &rollouts.inner.fleet;
        loop {
            let effects = self.executor.take_effects();
            if effects.is_empty() {
                break;
            }
            let mut told = Vec::new();
            for effect in effects {
                match effect {
                    Effect::Append { ticket, records } => {
                        let result = self.append(fleet, &records).await;
                        let now = fleet.now();
                        match result {
                            Ok(()) => self.executor.step(now, Input::Persisted(ticket)),
                            Err(error) => {
                                let reason = muster_runtime::errors::chain(&error);
                                tracing::warn!(rollout = %self.executor.id(), %reason, "a rollout waits: the log did not take what was decided");
                                self.executor.step(now, Input::NotPersisted { ticket, reason });
                            }
                        }
                    }
                    Effect::Assign {
                        machine,
                        expected,
                        releases,
                        reason,
                    } => told.push((machine, expected, releases, reason)),
                    Effect::Answer { request, result } => {
                        if let Some(reply) = self.asked.remove(&request) {
                            // Who asked may be gone.
                            let _ = reply.send(result.map_err(OrderError::Act));
                        }
                    }
                }
            }
            self.show(rollouts);
            let issuer = format!("rollout {}", self.executor.id());
            for some in told.chunks(TOLD_AT_ONCE) {
                let told = some.iter().map(|(machine, expected, releases, reason)| {
                    assign(fleet, *machine, Some(*expected), releases, (&issuer, reason))
                });
                for result in join_all(told).await {
                    if let Err(error) = result {
                        // What is desired was changed by somebody else, or could not be stored: it is compared and said again.
                        tracing::debug!(rollout = %self.executor.id(), %error, "a machine is told again");
                    }
                }
            }
        }
        self.show(rollouts);
    }

    async fn append(&self, fleet: &Fleet, records: &[RolloutRecord]) -> Result<(), OrderError> {
        let entries = self.executor.rollout().entries;
        let batch = keep::batch(self.executor.id(), entries, records)?;
        fleet.log().append(batch).await?;
        metrics::counter!("muster_rollout_entries_total").increment(records.len() as u64);
        Ok(())
    }

    fn show(&mut self, rollouts: &Rollouts) {
        let rollout = self.executor.rollout();
        if rollout.entries != self.shown {
            self.shown = rollout.entries;
            rollouts.show(self.executor.id(), Arc::new(rollout.clone()), false);
        }
    }
}

/// Changes the section `release` of a machine, by the path of people.
pub(super) async fn assign(
    fleet: &Fleet,
    machine: MachineId,
    expected: Option<DesiredVersion>,
    releases: &DesiredReleases,
    (issuer, reason): (&str, &str),
) -> Result<(), String> {
    let content = if *releases == DesiredReleases::default() {
        None
    } else {
        let value = serde_json::to_value(releases).map_err(|error| error.to_string())?;
        Some(check_content(&value).map_err(|error| error.to_string())?)
    };
    let change = DesiredChange {
        section: SECTION.to_owned(),
        content,
        issuer: issuer.to_owned(),
        reason: reason.to_owned(),
    };
    match fleet.change_desired(machine, change, expected).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(stopping) => Err(stopping.to_string()),
    }
}
