//! What may move, and why not: works the safety region, switches the power of what moves, and says how it stands.
//!
//! Every decision is [`muster_reflex::safety::Safety`]'s; [`turns`] feeds it and sets its outputs. Nothing on the bus can make
//! a machine move: what is heard there is the state of the link, what the machine does, and requests to stop. A reset or
//! a resume comes through [`Presses`] from whoever is at the machine.

mod turns;
mod words;

#[cfg(test)]
mod tests;

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use muster_metal::Protection;
use muster_model::MachineId;
use muster_model::state::Operation;
use muster_model::vocabulary::{Mission, Mode, Safety as Region};
use muster_protocol::link::Command;
use muster_reflex::link::LinkState;
use muster_reflex::safety::{Asks, Condition, Kept, Told, Verdict};
use muster_reflex::state::Section;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::message::{Payload, Source, event, section, topics};
use crate::options::SafetyOptions;
use crate::store::{Store, StoreError};
use crate::supervisor::{NodeContext, NodeError, NodeSpec, OnFailed, Wake};
use turns::Turns;

/// Without a sign of life for so long the node is replaced, and what moves has lost its power.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long an ending machine waits for its disk to hold that it ended in order.
const LAST_WRITE: Duration = Duration::from_millis(500);

/// What people at the machine press.
#[derive(Debug, Default)]
pub struct Presses {
    estop: AtomicU32,
    stop: AtomicU32,
    reset: AtomicU32,
    resume: AtomicU32,
    pressed: Notify,
}

/// One of the things to press.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Press {
    /// Emergency stop: latched.
    Estop,
    /// Stop.
    Stop,
    /// Latches may be cleared; the machine stands until it is resumed.
    Reset,
    /// The machine may move again.
    Resume,
}

impl Presses {
    /// Somebody at the machine presses this. [`Shown::answers`] tells when it was heard.
    pub fn press(&self, press: Press) -> Pressed {
        let count = match press {
            Press::Estop => &self.estop,
            Press::Stop => &self.stop,
            Press::Reset => &self.reset,
            Press::Resume => &self.resume,
        };
        let count = count.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        self.pressed.notify_one();
        Pressed { press, count }
    }

    fn counted(&self) -> Asks {
        Asks {
            estop: self.estop.load(Ordering::Relaxed),
            stop: self.stop.load(Ordering::Relaxed),
            reset: self.reset.load(Ordering::Relaxed),
            resume: self.resume.load(Ordering::Relaxed),
        }
    }
}

/// One press, to be recognised when it was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pressed {
    press: Press,
    /// How often this was pressed, this one included.
    count: u32,
}

/// How the machine stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shown {
    /// Its regions; nothing before it knows itself.
    pub operation: Option<Operation>,
    /// Whether what must outlive the power is on disk.
    pub kept: bool,
    /// What had been pressed when this was decided.
    heard: Asks,
}

impl Shown {
    /// Whether it was decided with this press, and nothing of it could be lost with the power any more.
    pub fn answers(&self, pressed: Pressed) -> bool {
        let heard = match pressed.press {
            Press::Estop => self.heard.estop,
            Press::Stop => self.heard.stop,
            Press::Reset => self.heard.reset,
            Press::Resume => self.heard.resume,
        };
        // Counters go round: half of what there is lies ahead.
        self.kept && heard.wrapping_sub(pressed.count) < u32::MAX / 2
    }
}

/// The machine as people beside it meet it: they press, and see how it stands.
#[derive(Clone, Debug, Default)]
pub struct Panel {
    presses: Arc<Presses>,
    shown: Arc<watch::Sender<Shown>>,
}

impl Panel {
    /// What can be pressed.
    pub fn presses(&self) -> &Presses {
        &self.presses
    }

    /// How the machine stands.
    pub fn shown(&self) -> watch::Receiver<Shown> {
        self.shown.subscribe()
    }
}

/// What the node works with.
pub struct Setup {
    /// Whose safety it is.
    pub machine_id: MachineId,
    /// Where latches are kept.
    pub store: Store,
    /// How it behaves.
    pub options: SafetyOptions,
    /// How people at the machine reach it.
    pub panel: Panel,
    /// The hardware, which the next node gets when this one ends.
    pub protection: Home,
    /// What was pressed and heard, for the node that takes over.
    pub heard: Mutex<Asks>,
}

/// Where the hardware is while no node has it.
#[derive(Default)]
pub struct Home {
    exists: bool,
    here: Mutex<Option<Box<dyn Protection>>>,
}

impl Home {
    /// Of this hardware, or of none.
    pub fn new(protection: Option<Box<dyn Protection>>) -> Self {
        Self {
            exists: protection.is_some(),
            here: Mutex::new(protection),
        }
    }
}

/// The safety node.
pub fn spec(setup: Arc<Setup>) -> NodeSpec {
    let topics = &[topics::LINK, topics::MODE, topics::STOP];
    NodeSpec {
        deadline: DEADLINE,
        on_failed: OnFailed::EndMachine,
        ..NodeSpec::new("safety", topics, move |context| run(context, setup.clone()))
    }
}

async fn run(context: NodeContext, setup: Arc<Setup>) -> Result<(), NodeError> {
    let kept_lost = |error: StoreError| NodeError(format!("what was kept cannot be read: {error}"));
    let found = setup.store.safety(setup.machine_id).await.map_err(kept_lost)?;
    let mut turns = Turns::new(&setup, found)?;
    // Until the link says how it stands there is none, and the time it may be away begins.
    turns.tell(Condition::LinkLost, true);
    let node = Node {
        context,
        setup: &setup,
        turns,
        mode: Mode::Idle,
        told: None,
        region: None,
        writing: None,
    };
    node.work().await
}

type Writing<'a> = Pin<Box<dyn Future<Output = (u64, Result<(), StoreError>)> + Send + 'a>>;

struct Node<'a> {
    context: NodeContext,
    setup: &'a Setup,
    turns: Turns<'a>,
    mode: Mode,
    /// What was said last.
    told: Option<Operation>,
    /// The region that was said last.
    region: Option<Region>,
    /// What is on its way to the disk.
    writing: Option<Writing<'a>>,
}

impl<'a> Node<'a> {
    async fn work(mut self) -> Result<(), NodeError> {
        loop {
            let now_ms = self.context.clock().mono_ms();
            let asks = self.setup.panel.presses.counted();
            self.turns.sample.asks = asks;
            let verdict = self.turns.turn(Duration::from_millis(now_ms));
            *self.setup.heard.lock() = asks;
            self.say(&verdict);
            self.keep(&verdict);
            self.show(asks, &verdict);
            let due_ms = now_ms + self.turns.period_ms();
            tokio::select! {
                biased;
                (number, written) = done(&mut self.writing) => {
                    self.writing = None;
                    written.map_err(|error| NodeError(format!("latches cannot be kept: {error}")))?;
                    self.turns.sample.kept = number;
                }
                () = self.setup.panel.presses.pressed.notified() => {}
                wake = self.context.next(Some(due_ms)) => match wake {
                    Wake::Stop => return self.end().await,
                    Wake::Due => {}
                    Wake::Message(delivery) => self.hear(&delivery.message.payload),
                },
            }
        }
    }

    fn hear(&mut self, payload: &Payload) {
        match payload {
            Payload::Link(link) => {
                let lost = link.state != LinkState::Connected;
                self.turns.tell(Condition::LinkLost, lost);
            }
            Payload::Mode(mode) => self.mode = *mode,
            Payload::Command(command) => self.stop_from_afar(command),
            _ => {}
        }
    }

    fn stop_from_afar(&mut self, command: &Command) {
        tracing::warn!(issuer = %command.issuer, reason = %command.reason, "asked to stop from afar");
        self.turns.sample.remote.stop = self.turns.sample.remote.stop.wrapping_add(1);
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
        let operation = Operation {
            mode: self.mode,
            safety: verdict.region,
            held_by: words::held_by(verdict, &self.turns.standing()),
            // Whether it moves is news only where it should not.
            at_rest: verdict.still.filter(|_| stands),
            authority: verdict.holder,
            mission: Mission::Idle,
        };
        if self.told.as_ref() == Some(&operation) {
            return;
        }
        if let Some((kind, severity, text)) = words::event_of(self.region, verdict, &self.turns.standing()) {
            self.context.publish(event(kind, severity, text));
        }
        self.region = Some(verdict.region);
        let patch = section(Section::Operation(Some(Arc::new(operation.clone()))));
        self.context.publish(Payload::Sections(Source::Safety, patch));
        self.told = Some(operation);
    }

    /// Shows people beside the machine how it stands, and what of their presses is in that.
    fn show(&self, heard: Asks, verdict: &Verdict) {
        let shown = Shown {
            operation: self.told.clone(),
            kept: self.turns.sample.kept >= verdict.keep.number,
            heard,
        };
        self.setup.panel.shown.send_if_modified(|before| {
            let is_news = *before != shown;
            *before = shown;
            is_news
        });
    }

    /// Has written what must outlive the power: one wish after the other, the newest first.
    fn keep(&mut self, verdict: &Verdict) {
        let keep = verdict.keep;
        if self.writing.is_none() && keep.number > self.turns.sample.kept {
            let write = self.write(keep.kept);
            self.writing = Some(Box::pin(async move { (keep.number, write.await) }));
        }
    }

    fn write(&self, kept: Kept) -> impl Future<Output = Result<(), StoreError>> + Send + use<'a> {
        self.setup.store.keep_safety(self.setup.machine_id, kept)
    }

    /// Takes the power first, and then has written that the machine ended in order.
    async fn end(mut self) -> Result<(), NodeError> {
        self.turns.sample.ending = true;
        let now = Duration::from_millis(self.context.clock().mono_ms());
        let verdict = self.turns.turn(now);
        let last = async {
            if let Some(writing) = self.writing.take() {
                writing.await.1?;
            }
            self.write(verdict.keep.kept).await
        };
        // A disk that does not answer is no reason to stay: the next start will not know how this one ended.
        match tokio::time::timeout(LAST_WRITE, last).await {
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

impl Turns<'_> {
    /// Somebody whose word holds until the next one says how a condition stands.
    fn tell(&mut self, condition: Condition, holds: bool) {
        self.sample.conditions[condition as usize] = Told {
            holds,
            until_us: u64::MAX,
        };
    }
}
