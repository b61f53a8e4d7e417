//! The machine as people beside it meet it: they press, take over, drive, and see how it stands.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use std::time::Duration;

use muster_model::gate::GateReport;
use muster_model::safety::SafetyReport;
use muster_model::state::Operation;
use muster_model::vocabulary::Authority;
use muster_reflex::safety::Asks;
use tokio::sync::{Notify, oneshot, watch};

use super::control::{Asked, Driven, NotDriven, Requests};

/// How long the safety node may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

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

    /// Waits until somebody presses.
    pub(super) async fn pressed(&self) {
        self.pressed.notified().await;
    }

    pub(super) fn counted(&self) -> Asks {
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
    /// How its safety is set up; nothing before that is known.
    pub safety: Option<Arc<SafetyReport>>,
    /// What its gate did not let through; nothing where there is nothing to move.
    pub gate: Option<Arc<GateReport>>,
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
    requests: Arc<Requests>,
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

    /// Claims to move the machine in this capacity, for so long (at most a minute); with `Authority::None` lets go. Gives back
    /// who moves it now: a higher claim stays in force.
    pub async fn claim(&self, authority: Authority, lasts: Duration) -> Result<Authority, NotDriven> {
        let (answer, answered) = oneshot::channel();
        let asked = Asked::Claim {
            authority,
            lasts,
            answer,
        };
        self.ask(asked, answered).await
    }

    /// Has the actuator in this place do this, in its unit, for so long. The gate answers.
    pub async fn drive(&self, place: usize, authority: Authority, value: f64, lasts: Duration) -> Driven {
        let (answer, answered) = oneshot::channel();
        let asked = Asked::Drive {
            place,
            authority,
            value,
            lasts,
            answer,
        };
        self.ask(asked, answered).await?
    }

    async fn ask<T>(&self, asked: Asked, answered: oneshot::Receiver<T>) -> Result<T, NotDriven> {
        if !self.requests.push(asked) {
            return Err(NotDriven::NotHeard);
        }
        match tokio::time::timeout(ANSWER_WITHIN, answered).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err(NotDriven::NotHeard),
        }
    }

    pub(super) fn requests(&self) -> &Requests {
        &self.requests
    }

    /// Shows people beside the machine how it stands, and what of their presses is in that.
    pub(super) fn show(
        &self,
        operation: Option<&Operation>,
        safety: Option<&Arc<SafetyReport>>,
        gate: Option<&Arc<GateReport>>,
        heard: Asks,
        kept: bool,
    ) {
        let shown = Shown {
            operation: operation.cloned(),
            safety: safety.cloned(),
            gate: gate.cloned(),
            kept,
            heard,
        };
        self.shown.send_if_modified(|before| {
            let is_news = *before != shown;
            *before = shown;
            is_news
        });
    }
}
