//! What may move, and why not: works the safety region, switches the power of what moves, and says how it stands.
//!
//! Every decision is [`muster_reflex::safety::Safety`]'s; [`turns`] feeds it and sets its outputs. Nothing on the bus can make
//! a machine move: what is heard there is the state of the link, what the machine does, and requests to stop. A reset or
//! a resume comes through [`Presses`] from whoever is at the machine.

pub(crate) mod bench;
mod conditions;
mod control;
mod panel;
mod report;
pub mod steps;
mod tape;
mod thread;
mod turns;
mod words;
mod works;

#[cfg(test)]
mod tests;

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use muster_model::gate::GateReport;
use muster_model::safety::SafetyReport;
use muster_model::state::Operation;
use muster_model::vocabulary::{Mission, Mode, Safety as Region};
use muster_model::{MachineId, Timestamp};
use muster_protocol::link::Command;
use muster_reflex::calibration::Calibrations;
use muster_reflex::link::LinkState;
use muster_reflex::safety::decisions::Decisions;
use muster_reflex::safety::{Asks, Condition, Config, Kept, Measured, Verdict};
use muster_reflex::state::Section;
use tokio::sync::watch;

use crate::message::{Payload, Source, event, section, topics};
use crate::store::{Store, StoreError};
use crate::supervisor::{NodeContext, NodeError, NodeSpec, OnFailed, Wake};
use conditions::{Conditions, Heard};
pub use control::{Driven, NotDriven};
pub use panel::{Panel, Press, Pressed, Presses, Shown};
pub use turns::Parts;
use turns::{Told, Turned, Turns};
pub use works::LoopClock;
use works::Works;

/// Without a sign of life for so long the node is replaced, and what moves has lost its power.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long an ending machine waits for its disk to hold that it ended in order.
const LAST_WRITE: Duration = Duration::from_millis(500);
/// The loop hears from its node at least so often, also when there is nothing to say.
const HEARTBEAT_MS: u64 = 1_000;
/// What did not change is said again after so long.
const SAY_AGAIN_MS: u64 = 10_000;
/// What the gate did not let through is said at most so often.
const GATE_EVERY_MS: u64 = 1_000;
/// For so long the loop believes that its node is well, and feeds the watchdog.
const ALIVE_FOR: Duration = Duration::from_secs(5);

/// What the node works with.
pub struct Setup {
    /// Whose safety it is.
    pub machine_id: MachineId,
    /// Where latches are kept.
    pub store: Store,
    /// What the loop works with.
    pub parts: Arc<Parts>,
    /// Whether hardware gets a thread of its own.
    pub threaded: bool,
    /// The time by which the loop goes.
    pub time: LoopClock,
    /// The actuators by their places, and the calibrations that turn what is asked of them into what they are told.
    pub actuators: Vec<String>,
    /// What is in force of them.
    pub calibrations: watch::Receiver<Arc<Calibrations>>,
    /// How often what the failsafe table may ask for is read.
    pub read_every: Duration,
}

/// The safety node.
pub fn spec(setup: Arc<Setup>) -> NodeSpec {
    let topics: &[&str] = if conditions::are_asked(&setup.parts.options) {
        conditions::TOPICS
    } else {
        &[topics::LINK, topics::MODE, topics::STOP, topics::MOTION]
    };
    NodeSpec {
        deadline: DEADLINE,
        on_failed: OnFailed::EndMachine,
        needs_io: setup.threaded,
        ..NodeSpec::new("safety", topics, move |context| run(context, setup.clone()))
    }
}

async fn run(context: NodeContext, setup: Arc<Setup>) -> Result<(), NodeError> {
    let kept_lost = |error: StoreError| NodeError(format!("what was kept cannot be read: {error}"));
    let found = setup.store.safety(setup.machine_id).await.map_err(kept_lost)?;
    let turns = Turns::new(&setup.parts, found)?;
    let config = *turns.config();
    let works = Works::start(&setup, turns, *context.clock())?;
    let mut node = Node {
        context,
        setup: &setup,
        config,
        told: Told::default(),
        control: control::Control::new(&setup),
        conditions: Conditions::new(&setup.parts.options, setup.read_every),
        mode: Mode::Idle,
        said: None,
        said_ms: 0,
        region: None,
        shown: (Asks::default(), u64::MAX),
        writing: None,
        set_up: None,
        gate: Gate::new(&config),
    };
    // Until the link says how it stands there is none, and the time it may be away begins.
    node.tell(Condition::LinkLost, true);
    for heard in node.conditions.at_first() {
        node.believe(heard);
    }
    node.work(works).await
}

type Writing<'a> = Pin<Box<dyn Future<Output = (u64, Result<(), StoreError>)> + Send + 'a>>;

struct Node<'a> {
    context: NodeContext,
    setup: &'a Setup,
    config: Config,
    /// What the loop is told.
    told: Told,
    /// What the failsafe table asks of others.
    conditions: Conditions,
    /// Who moves the machine from here.
    control: control::Control<'a>,
    mode: Mode,
    /// What was said last.
    said: Option<Operation>,
    /// When, in monotonic milliseconds.
    said_ms: u64,
    /// The region that was said last.
    region: Option<Region>,
    /// What had been pressed at the last turn, and the number of what should be on disk since.
    shown: (Asks, u64),
    /// What is on its way to the disk.
    writing: Option<Writing<'a>>,
    /// How safety is set up, once that was said.
    set_up: Option<Arc<SafetyReport>>,
    gate: Gate,
}

/// What the gate did not let through.
struct Gate {
    decisions: Decisions,
    /// Whether there is something that was not said.
    is_news: bool,
    due_ms: u64,
    said: Option<Arc<GateReport>>,
}

impl Gate {
    /// Where there is something to move, it is said also that nothing was refused yet.
    fn new(config: &Config) -> Self {
        Self {
            decisions: Decisions::default(),
            is_news: config.actuators().next().is_some(),
            due_ms: 0,
            said: None,
        }
    }
}

impl<'a> Node<'a> {
    async fn work(mut self, mut works: Works) -> Result<(), NodeError> {
        let mut came = Vec::new();
        loop {
            let now_us = self.setup.time.now_us();
            self.told.alive_until_us = now_us + u64::try_from(ALIVE_FOR.as_micros()).unwrap_or(u64::MAX);
            self.control.put(&mut self.told.sample);
            works.exchange(&self.told, &mut came)?;
            for turned in came.drain(..) {
                self.take(&turned);
            }
            self.tell_set_up(&works);
            self.tell_gate();
            self.show();
            self.complain();
            self.tell_steps(&mut works);
            let heartbeat_ms = self.context.clock().mono_ms() + HEARTBEAT_MS;
            tokio::select! {
                biased;
                (number, written) = done(&mut self.writing) => {
                    self.writing = None;
                    written.map_err(|error| NodeError(format!("latches cannot be kept: {error}")))?;
                    self.told.sample.kept = number;
                }
                () = works.due() => {}
                () = self.setup.parts.panel.presses().pressed() => {}
                asked = self.control.asked() => self.control.take(asked, now_us),
                wake = self.context.next(Some(heartbeat_ms)) => match wake {
                    Wake::Stop => return self.end(works).await,
                    Wake::Due => {}
                    Wake::Message(delivery) => self.hear(&delivery.message.payload),
                },
            }
        }
    }

    /// Takes what came of a turn.
    fn take(&mut self, turned: &Turned) {
        let verdict = &turned.verdict;
        self.control.answer(turned);
        let at = Timestamp::from_millis(self.context.clock().wall_ms());
        let is_news = self
            .gate
            .decisions
            .look(at, &self.config, &turned.sample, verdict);
        self.gate.is_news |= is_news;
        self.say(verdict);
        self.keep(verdict);
        self.shown = (turned.sample.asks, verdict.keep.number);
    }

    /// Shows people beside the machine how it stands. That a latch is on disk is news as well.
    fn show(&self) {
        let (heard, wanted) = self.shown;
        let kept = self.told.sample.kept >= wanted;
        let (safety, gate) = (self.set_up.as_ref(), self.gate.said.as_ref());
        self.setup
            .parts
            .panel
            .show(self.said.as_ref(), safety, gate, heard, kept);
    }

    /// Says how safety is set up, as soon as it is known what its loop was granted.
    fn tell_set_up(&mut self, works: &Works) {
        if self.set_up.is_some() {
            return;
        }
        let Ok(grants) = works.grants() else { return };
        let report = Arc::new(report::report(&self.config, &self.setup.parts.options, grants));
        self.set_up = Some(report.clone());
        let patch = section(Section::Safety(Some(report)));
        self.context
            .publish(Payload::Sections(Source::SafetySetup, patch));
    }

    /// Says what the gate did not let through, now and then: whoever commands sets no pace for what is told.
    fn tell_gate(&mut self) {
        let now_ms = self.context.clock().mono_ms();
        if !self.gate.is_news || now_ms < self.gate.due_ms {
            return;
        }
        self.gate.is_news = false;
        self.gate.due_ms = now_ms + GATE_EVERY_MS;
        let report = Arc::new(report::gate_report(&self.gate.decisions, &self.setup.actuators));
        self.gate.said = Some(report.clone());
        let patch = section(Section::Gate(Some(report)));
        self.context.publish(Payload::Sections(Source::Gate, patch));
    }

    /// An output that cannot be set is said by the node: the loop does not wait for a log.
    fn complain(&self) {
        if let Some(failure) = self.setup.parts.failure.lock().take() {
            tracing::error!(%failure, "an output of the safety loop failed");
        }
    }

    fn hear(&mut self, payload: &Payload) {
        match payload {
            Payload::Link(link) => {
                let lost = link.state != LinkState::Connected;
                self.tell(Condition::LinkLost, lost);
            }
            Payload::Mode(mode) => self.mode = *mode,
            Payload::Motion(motion) => {
                if let Some(place) = self.told.sample.motion.get_mut(motion.place) {
                    *place = Some(Measured {
                        value: motion.value,
                        at_us: motion.at_us,
                    });
                }
            }
            Payload::Command(command) => self.stop_from_afar(command),
            _ => {}
        }
        for heard in self.conditions.hear(payload) {
            self.believe(heard);
        }
    }

    /// Somebody says how a condition stands, and for how long that may be believed.
    fn believe(&mut self, heard: Heard) {
        let now_us = self.setup.time.now_us();
        let us = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.told.sample.conditions[heard.condition as usize] = muster_reflex::safety::Told {
            holds: heard.holds,
            until_us: heard
                .believed_for
                .map_or(u64::MAX, |believed| now_us.saturating_add(us(believed))),
        };
    }

    /// Somebody whose word holds until the next one says how a condition stands.
    fn tell(&mut self, condition: Condition, holds: bool) {
        self.told.sample.conditions[condition as usize] = muster_reflex::safety::Told {
            holds,
            until_us: u64::MAX,
        };
    }

    fn stop_from_afar(&mut self, command: &Command) {
        tracing::warn!(issuer = %command.issuer, reason = %command.reason, "asked to stop from afar");
        let remote = &mut self.told.sample.remote;
        remote.stop = remote.stop.wrapping_add(1);
        let mut text = format!("Asked to stop by {}: {}", command.issuer, command.reason);
        text.truncate(text.floor_char_boundary(1_000));
        if let Payload::Event(mut event) = event("safety.stop_received", words::STOP, text) {
            event.causation_id = Some(command.id.clone());
            self.context.publish(Payload::Event(event));
        }
    }

    /// Tells where the machine stands, if that is news.
    fn say(&mut self, verdict: &Verdict) {
        let stands = !matches!(verdict.region, Region::Operational | Region::Limited);
        let standing = self
            .config
            .rules()
            .filter(|(place, _)| verdict.standing & (1 << place) != 0);
        let standing: Vec<&'static str> = standing.map(|(_, rule)| rule.when.as_str()).collect();
        let operation = Operation {
            mode: self.mode,
            safety: verdict.region,
            held_by: words::held_by(verdict, &standing),
            // Whether it moves is news only where it should not.
            at_rest: verdict.still.filter(|_| stands),
            authority: verdict.holder,
            mission: Mission::Idle,
        };
        let now_ms = self.context.clock().mono_ms();
        if self.said.as_ref() == Some(&operation) {
            // Whoever needs it fresh can tell that it is.
            if now_ms >= self.said_ms + SAY_AGAIN_MS {
                let patch = section(Section::Operation(Some(Arc::new(operation))));
                self.context.publish(Payload::Sections(Source::Safety, patch));
                self.said_ms = now_ms;
            }
            return;
        }
        self.said_ms = now_ms;
        if let Some((kind, severity, text)) = words::event_of(self.region, verdict, &standing) {
            self.context.publish(event(kind, severity, text));
        }
        self.region = Some(verdict.region);
        let patch = section(Section::Operation(Some(Arc::new(operation.clone()))));
        self.context.publish(Payload::Sections(Source::Safety, patch));
        self.said = Some(operation);
    }

    /// Lets whoever records know what was decided of what.
    fn tell_steps(&mut self, works: &mut Works) {
        let now_ms = self.context.clock().mono_ms();
        let steps = works.steps();
        if steps.asks_at(now_ms) {
            steps.listen(self.context.bus().is_heard(topics::STEPS));
        }
        while let Some(pack) = works.steps().take() {
            self.context.publish(Payload::Steps(Arc::new(pack)));
        }
    }

    /// Has written what must outlive the power: one wish after the other, the newest first.
    fn keep(&mut self, verdict: &Verdict) {
        let keep = verdict.keep;
        if self.writing.is_none() && keep.number > self.told.sample.kept {
            let write = self.write(keep.kept);
            self.writing = Some(Box::pin(async move { (keep.number, write.await) }));
        }
    }

    fn write(&self, kept: Kept) -> impl Future<Output = Result<(), StoreError>> + Send + use<'a> {
        self.setup.store.keep_safety(self.setup.machine_id, kept)
    }

    /// Takes the power first, and then has written that the machine ended in order.
    async fn end(mut self, mut works: Works) -> Result<(), NodeError> {
        self.told.sample.ending = true;
        let mut came = Vec::new();
        works.end(&self.told, &mut came).await?;
        self.tell_steps(&mut works);
        drop(works);
        let Some(last) = came.last().copied() else {
            return Ok(());
        };
        let writing = async {
            if let Some(writing) = self.writing.take() {
                writing.await.1?;
            }
            self.write(last.verdict.keep.kept).await
        };
        // A disk that does not answer is no reason to stay: the next start will not know how this one ended.
        match tokio::time::timeout(LAST_WRITE, writing).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "that the machine ended in order is not on disk"),
            Err(_) => tracing::warn!("that the machine ended in order is not on disk: it takes too long"),
        }
        Ok(())
    }
}

async fn done(writing: &mut Option<Writing<'_>>) -> (u64, Result<(), StoreError>) {
    match writing {
        Some(writing) => writing.await,
        None => pending().await,
    }
}
