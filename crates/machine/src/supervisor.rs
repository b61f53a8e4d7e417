//! Keeps the nodes of one machine going: each is started again alone.
//!
//! A node is a name and a factory ([`NodeSpec`]). It ends by an error, by a panic, or by giving no sign of life within
//! its deadline; then it is started again after a wait, unless that happened too often. What becomes of it is said on
//! the bus, in the state's `nodes` section and as events. Begin with [`Supervisor::run`].
//!
//! It does not know what nodes do.

mod context;
mod placement;
mod policy;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use muster_model::Severity;
use muster_model::state::{NodeReport, Nodes};
use muster_model::vocabulary::NodeStatus;
use muster_reflex::state::Section;
use muster_runtime::{Clock, Shutdown, clock};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::bus::{Bus, INBOX_MAX, Mailbox};
use crate::error::MachineError;
use crate::message::{Finding, Payload, Source, event, section, some};

pub use context::{NodeContext, NodeError, NodeFuture, Wake};
pub use placement::Placement;
pub use policy::RestartPolicy;
use policy::{History, Verdict};

/// How long one node may take to end in order.
const NODE_STOP: Duration = Duration::from_millis(700);
/// How long the node that is stopped last, the uplink, may take: it has something to say yet.
const LAST_NODE_STOP: Duration = Duration::from_millis(2_500);

/// What a node is.
pub struct NodeSpec {
    /// Its name: one token of a topic.
    pub name: &'static str,
    /// The topics it listens to.
    pub listens_to: &'static [&'static str],
    /// Messages that may wait for it.
    pub inbox_max: usize,
    /// It is hung when it gives no sign of life for so long.
    pub deadline: Duration,
    /// What it means when it failed for good.
    pub on_failed: OnFailed,
    /// Whether it needs sockets; on a thread of its own that costs a poller.
    pub needs_io: bool,
    /// Makes it.
    pub start: Box<dyn Fn(NodeContext) -> NodeFuture + Send + Sync>,
}

/// What it means when a node failed too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailed {
    /// The machine goes on without it, and says so.
    GoOn,
    /// The machine is of no use without it: the runtime ends, for whoever started it to start it again.
    EndMachine,
}

impl NodeSpec {
    /// A node with the usual bounds.
    pub fn new<F>(
        name: &'static str,
        listens_to: &'static [&'static str],
        start: impl Fn(NodeContext) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), NodeError>> + Send + 'static,
    {
        Self {
            name,
            listens_to,
            inbox_max: INBOX_MAX,
            deadline: Duration::from_secs(30),
            on_failed: OnFailed::GoOn,
            needs_io: false,
            start: Box::new(move |context| Box::pin(start(context))),
        }
    }
}

/// What the supervisor needs of its surroundings.
pub struct Options {
    /// Where the nodes run.
    pub placement: Placement,
    /// When they are started again, and when no more.
    pub policy: RestartPolicy,
}

/// Keeps the nodes of one machine going.
pub struct Supervisor {
    options: Options,
    bus: Bus,
    clock: Clock,
    nodes: Vec<Node>,
    ended_sender: mpsc::Sender<Ended>,
    ended: mpsc::Receiver<Ended>,
    /// Threads that were left behind because their node hung.
    abandoned_threads: u32,
}

/// A node's end, as its place reports it.
struct Ended {
    index: usize,
    generation: u64,
    failure: Option<String>,
}

struct Node {
    spec: Arc<NodeSpec>,
    mailbox: Mailbox,
    shutdown: Shutdown,
    history: History,
    generation: u64,
    restarts: u32,
    last_failure: Option<String>,
    phase: Phase,
}

enum Phase {
    Waiting { until_ms: u64 },
    Running(Arc<Life>),
    Ended,
    Failed,
}

/// What a running node and its supervisor share: signs of life, and the request to be gone.
#[derive(Debug, Default)]
pub(crate) struct Life {
    alive_ms: AtomicU64,
    abandoned: CancellationToken,
}

impl Life {
    pub(crate) fn sign(&self, now_ms: u64) {
        self.alive_ms.store(now_ms, Ordering::Relaxed);
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.is_cancelled()
    }
}

impl Supervisor {
    /// Takes the nodes in the order they are started; they are stopped the other way round.
    pub fn new(options: Options, bus: Bus, clock: Clock, specs: Vec<NodeSpec>) -> Self {
        let (ended_sender, ended) = mpsc::channel(specs.len() * 4 + 4);
        let nodes = specs.into_iter().map(|spec| Node::new(spec, &bus)).collect();
        Self {
            options,
            bus,
            clock,
            nodes,
            ended_sender,
            ended,
            abandoned_threads: 0,
        }
    }

    /// Runs the nodes until asked to end, and then ends them in order and within a time.
    pub async fn run(mut self, shutdown: Shutdown) -> Result<(), MachineError> {
        for index in 0..self.nodes.len() {
            self.start(index);
        }
        let result = loop {
            let wake = self.wake_at();
            tokio::select! {
                () = shutdown.requested() => break Ok(()),
                Some(ended) = self.ended.recv() => {
                    if let Err(error) = self.ended(ended) {
                        break Err(error);
                    }
                }
                () = sleep_until(&self.clock, wake) => {
                    if let Err(error) = self.look_after() {
                        break Err(error);
                    }
                }
            }
        };
        self.stop().await;
        result
    }

    fn start(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        node.generation += 1;
        let life = Arc::new(Life::default());
        life.sign(self.clock.mono_ms());
        let context = NodeContext::new(
            node.spec.name,
            node.spec.deadline,
            self.bus.clone(),
            node.mailbox.open(),
            self.clock,
            node.shutdown.clone(),
            life.clone(),
        );
        let (generation, sender, abandoned) =
            (node.generation, self.ended_sender.clone(), life.abandoned.clone());
        let report = move |failure| {
            // Full only if the supervisor itself is gone or stuck; then nobody is there to be told.
            let _ = sender.try_send(Ended {
                index,
                generation,
                failure,
            });
        };
        node.phase = Phase::Running(life);
        let spec = node.spec.clone();
        if let Err(error) = self.options.placement.place(spec, context, abandoned, report) {
            self.failed(index, format!("cannot be started: {error}"));
        } else {
            self.tell(index);
        }
    }

    fn ended(&mut self, ended: Ended) -> Result<(), MachineError> {
        let node = &mut self.nodes[ended.index];
        if node.generation != ended.generation || !matches!(node.phase, Phase::Running(_)) {
            return Ok(()); // of one that was replaced
        }
        if ended.failure.is_none() && node.shutdown.is_requested() {
            node.phase = Phase::Ended;
            return Ok(());
        }
        let unasked = || "ended although nobody asked it to".to_owned();
        self.failed(ended.index, ended.failure.unwrap_or_else(unasked));
        self.essential(ended.index)
    }

    /// Starts what is due, and replaces what hangs.
    fn look_after(&mut self) -> Result<(), MachineError> {
        let now = self.clock.mono_ms();
        for index in 0..self.nodes.len() {
            let node = &self.nodes[index];
            match &node.phase {
                Phase::Waiting { until_ms } if *until_ms <= now => self.start(index),
                Phase::Running(life) if life.alive_ms.load(Ordering::Relaxed) + node.deadline_ms() <= now => {
                    life.abandoned.cancel();
                    if self.options.placement.leaves_threads_behind() {
                        self.abandoned_threads += 1;
                    }
                    let deadline_ms = node.deadline_ms();
                    tracing::error!(
                        node = node.spec.name,
                        abandoned_threads = self.abandoned_threads,
                        "hung: it is abandoned and replaced"
                    );
                    self.failed(index, format!("hung: no sign of life for {deadline_ms} ms"));
                    self.essential(index)?;
                }
                Phase::Waiting { .. } | Phase::Running(_) | Phase::Ended | Phase::Failed => {}
            }
        }
        Ok(())
    }

    fn failed(&mut self, index: usize, failure: String) {
        let now = self.clock.mono_ms();
        // Without randomness the wait has no jitter; that is no reason to leave the node stopped.
        let entropy = clock::entropy().unwrap_or(0);
        let node = &mut self.nodes[index];
        let name = node.spec.name;
        node.last_failure = Some(failure.chars().take(500).collect());
        match node.history.judge(&self.options.policy, now, entropy) {
            Verdict::Again { wait_ms } => {
                node.restarts += 1;
                node.phase = Phase::Waiting {
                    until_ms: now + wait_ms,
                };
                tracing::warn!(node = name, %failure, wait_ms, "node ended: it is started again");
                let text = format!("The node {name} is started again: {failure}");
                self.bus
                    .publish(event("node.restarted", Severity::Warning, clip(text)));
            }
            Verdict::Enough => {
                node.phase = Phase::Failed;
                tracing::error!(node = name, %failure, "node failed too often: it stays stopped");
                let text = format!("The node {name} failed too often and stays stopped: {failure}");
                self.bus
                    .publish(event("node.failed", Severity::Error, clip(text)));
            }
        }
        self.tell(index);
    }

    /// Ends the machine where it is of no use without a node that failed for good.
    fn essential(&self, index: usize) -> Result<(), MachineError> {
        let node = &self.nodes[index];
        match (&node.phase, node.spec.on_failed) {
            (Phase::Failed, OnFailed::EndMachine) => Err(MachineError::NodeFailed {
                node: node.spec.name,
                failure: node.last_failure.clone().unwrap_or_default(),
            }),
            (Phase::Failed, OnFailed::GoOn)
            | (Phase::Waiting { .. } | Phase::Running(_) | Phase::Ended, _) => Ok(()),
        }
    }

    /// Says how a node fares, and what that means for the whole.
    fn tell(&self, index: usize) {
        self.bus.publish(Payload::Node(self.nodes[index].report()));
        let nodes = self.nodes.iter().map(Node::report).collect();
        let sections = section(Section::Nodes(some(Nodes { nodes })));
        self.bus.publish(Payload::Sections(Source::Nodes, sections));
        let failed = self
            .nodes
            .iter()
            .filter(|node| matches!(node.phase, Phase::Failed));
        let findings = failed.map(|node| Finding {
            kind: "node.failed".into(),
            subject: node.spec.name.into(),
            severity: Severity::Error,
            message: format!("The node {} failed too often and stays stopped", node.spec.name),
        });
        self.bus
            .publish(Payload::Findings(Source::Nodes, findings.collect()));
        let node = &self.nodes[index];
        if node.spec.name == crate::nodes::HEALTH && matches!(node.phase, Phase::Failed) {
            // Nobody judges it any more, and what nobody judges is unknown.
            let unknown = section(Section::Health(None));
            self.bus.publish(Payload::Sections(Source::Health, unknown));
        }
    }

    fn wake_at(&self) -> u64 {
        let due = self.nodes.iter().filter_map(|node| match &node.phase {
            Phase::Waiting { until_ms } => Some(*until_ms),
            Phase::Running(life) => Some(life.alive_ms.load(Ordering::Relaxed) + node.deadline_ms()),
            Phase::Ended | Phase::Failed => None,
        });
        due.min().unwrap_or(u64::MAX)
    }

    /// Ends the nodes, the last started first.
    async fn stop(&mut self) {
        for index in (0..self.nodes.len()).rev() {
            let node = &self.nodes[index];
            node.shutdown.request("the runtime is being stopped");
            if !matches!(node.phase, Phase::Running(_)) {
                continue;
            }
            let grace = if index == 0 { LAST_NODE_STOP } else { NODE_STOP };
            let ended = async {
                while let Some(ended) = self.ended.recv().await {
                    let known = ended.generation == self.nodes[ended.index].generation;
                    if known {
                        self.nodes[ended.index].phase = Phase::Ended;
                    }
                    if known && ended.index == index {
                        break;
                    }
                }
            };
            if tokio::time::timeout(grace, ended).await.is_err() {
                let node = &self.nodes[index];
                tracing::warn!(node = node.spec.name, "did not end in time and is left behind");
                if let Phase::Running(life) = &node.phase {
                    life.abandoned.cancel();
                }
            }
        }
    }
}

impl Node {
    fn new(spec: NodeSpec, bus: &Bus) -> Self {
        let patterns = spec.listens_to.iter().map(|text| {
            text.parse()
                .expect("the patterns that nodes listen to are well-formed")
        });
        let mailbox = bus.mailbox(patterns.collect::<Vec<_>>(), spec.inbox_max);
        Self {
            mailbox,
            spec: Arc::new(spec),
            shutdown: Shutdown::new(),
            history: History::default(),
            generation: 0,
            restarts: 0,
            last_failure: None,
            phase: Phase::Ended,
        }
    }

    fn report(&self) -> NodeReport {
        let status = match self.phase {
            Phase::Running(_) => NodeStatus::Running,
            Phase::Waiting { .. } => NodeStatus::Restarting,
            Phase::Ended => NodeStatus::Starting,
            Phase::Failed => NodeStatus::Failed,
        };
        NodeReport {
            name: self.spec.name.to_owned(),
            status,
            restarts: self.restarts,
            last_failure: self.last_failure.clone(),
        }
    }

    fn deadline_ms(&self) -> u64 {
        u64::try_from(self.spec.deadline.as_millis()).unwrap_or(u64::MAX / 2)
    }
}

/// Sleeps until a monotonic time; for ever at the end of time.
pub(crate) async fn sleep_until(clock: &Clock, at_ms: u64) {
    if at_ms >= u64::MAX / 4 {
        std::future::pending::<()>().await;
    } else {
        tokio::time::sleep_until(clock.instant_at(at_ms)).await;
    }
}

/// An event's message has a limit.
fn clip(text: String) -> String {
    text.chars().take(1_000).collect()
}
