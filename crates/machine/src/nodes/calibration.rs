//! Which calibration of each device is in force: kept, applied without a restart, rolled back, and told.
//!
//! Every decision is [`muster_reflex::calibration::Book`]'s; this node changes it in a copy, waits until the disk holds the copy, and only then
//! lets it count. Whoever needs calibrated values has [`Calibrator::in_force`]; whoever is beside the machine asks by
//! [`Calibrator::ask`]; what the server desires comes as [`Payload::Desired`].

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use muster_model::calibration::{CalibrationSource, SECTION};
use muster_model::desired::{DesiredOutcome, DesiredStatus, HeldDesired, SectionContent};
use muster_model::{MachineId, Severity};
use muster_reflex::calibration::{
    Book, Calibrations, DesiredCalibrations, Limits, Profile, Record, Refused, outcome,
};
use muster_reflex::state::Section;
use muster_runtime::errors::chain;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot, watch};

use crate::message::{Finding, Payload, Source, event, section, topics};
use crate::store::{CALIBRATION, Store, StoreError};
use crate::supervisor::{NodeContext, NodeError, NodeSpec, Wake};

/// What people beside the machine may ask for at the same time.
const ASKS_MAX: usize = 16;

/// The calibrations of one machine, for everybody on it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Calibrator {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    limits: Limits,
    in_force: watch::Sender<Arc<Calibrations>>,
    /// As it is on disk.
    book: Mutex<Arc<Book>>,
    asks: Mutex<VecDeque<Ask>>,
    asked: Notify,
}

/// What somebody at the machine wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// This profile, as a new version.
    Apply(Box<Profile>),
    /// An earlier version, none (0), or what was in force before.
    RollBack(Option<u32>),
    /// What the server desires, from now on.
    Follow,
}

#[derive(Debug)]
struct Ask {
    device: String,
    act: Act,
    reason: String,
    reply: oneshot::Sender<Result<u32, Refused>>,
}

impl Calibrator {
    /// Of devices with these limits.
    pub fn new(limits: Limits) -> Self {
        let shared = Shared {
            limits,
            ..Shared::default()
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// What is in force, now and whenever it changes.
    pub fn in_force(&self) -> watch::Receiver<Arc<Calibrations>> {
        self.shared.in_force.subscribe()
    }

    /// All that is kept.
    pub fn book(&self) -> Arc<Book> {
        self.shared.book.lock().clone()
    }

    /// The limits of the devices.
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// Somebody at the machine wants this; answered with the version in force when it is on disk.
    pub async fn ask(&self, device: String, act: Act, reason: String) -> Result<u32, Refused> {
        let (reply, answer) = oneshot::channel();
        {
            let mut asks = self.shared.asks.lock();
            if asks.len() >= ASKS_MAX {
                return Err(Refused::Cannot("too many ask for something at once".to_owned()));
            }
            asks.push_back(Ask {
                device,
                act,
                reason,
                reply,
            });
        }
        self.shared.asked.notify_one();
        let gone = || {
            Err(Refused::Cannot(
                "the machine is ending, or its disk is".to_owned(),
            ))
        };
        answer.await.unwrap_or_else(|_| gone())
    }

    fn next(&self) -> Option<Ask> {
        self.shared.asks.lock().pop_front()
    }
}

/// What the node works with.
#[derive(Debug)]
pub struct Setup {
    /// Whose calibrations they are.
    pub machine_id: MachineId,
    /// Where they are kept.
    pub store: Store,
    /// Where they are handed out.
    pub calibrator: Calibrator,
}

/// The calibration node.
pub fn spec(setup: Arc<Setup>) -> NodeSpec {
    NodeSpec::new("calibration", &[topics::DESIRED], move |context| {
        run(context, setup.clone())
    })
}

async fn run(mut context: NodeContext, setup: Arc<Setup>) -> Result<(), NodeError> {
    let reading = setup.store.document(setup.machine_id, CALIBRATION);
    let Some(kept) = context.while_waiting(reading).await else {
        return Ok(());
    };
    let kept = kept.map_err(|error| broken(&error))?;
    let (book, unreadable) = match kept.as_deref().map(serde_json::from_str::<Book>) {
        None => (Book::default(), None),
        Some(Ok(book)) => (book, None),
        Some(Err(error)) => {
            tracing::error!(%error, "the calibrations that were kept cannot be read: values are taken as they are");
            (Book::default(), Some(error.to_string()))
        }
    };
    let mut node = Node {
        setup: &setup,
        book: Arc::new(book),
        desired: None,
        unreadable,
        found: Vec::new(),
    };
    node.hand_out(&context);
    loop {
        while let Some(ask) = setup.calibrator.next() {
            if !node.asked(&mut context, ask).await? {
                return Ok(());
            }
        }
        let asked = setup.calibrator.shared.asked.notified();
        tokio::select! {
            wake = context.next(None) => match wake {
                Wake::Stop => return Ok(()),
                Wake::Due => {}
                Wake::Message(delivery) => if let Payload::Desired(held) = &delivery.message.payload
                    && !node.desired(&mut context, held).await?
                {
                    return Ok(());
                },
            },
            () = asked => {}
        }
    }
}

fn broken(error: &StoreError) -> NodeError {
    NodeError(chain(error))
}

struct Node<'a> {
    setup: &'a Setup,
    book: Arc<Book>,
    /// What the server desires, as it is held.
    desired: Option<SectionContent>,
    unreadable: Option<String>,
    found: Vec<Finding>,
}

impl Node<'_> {
    /// Somebody at the machine asks. False: the node is to stop.
    async fn asked(&mut self, context: &mut NodeContext, ask: Ask) -> Result<bool, NodeError> {
        let Ask {
            device,
            act,
            reason,
            reply,
        } = ask;
        let mut book = Book::clone(&self.book);
        let (now, limits) = (context.now().wall, self.setup.calibrator.limits());
        let result = match act {
            Act::Apply(profile) => book.apply(now, &device, *profile, &reason, limits),
            Act::RollBack(to) => book.roll_back(now, &device, to, limits),
            Act::Follow => book.follow(now, &device, limits),
        };
        if result.is_ok() {
            if !self.keep(context, book, &reason).await? {
                return Ok(false);
            }
            // What the server desires may stand otherwise now.
            if !self.look_at_desired(context).await? {
                return Ok(false);
            }
        }
        // Who asked may be gone.
        let _ = reply.send(result);
        Ok(true)
    }

    /// The desired state changed, maybe here.
    async fn desired(&mut self, context: &mut NodeContext, held: &HeldDesired) -> Result<bool, NodeError> {
        self.desired = held.document.0.get(SECTION).cloned();
        self.look_at_desired(context).await
    }

    async fn look_at_desired(&mut self, context: &mut NodeContext) -> Result<bool, NodeError> {
        let wanted = match &self.desired {
            None => Ok(DesiredCalibrations::default()),
            Some(section) => serde_json::from_str(section.content.0.get()),
        };
        let (status, reason) = match wanted {
            Ok(wanted) => {
                let mut book = Book::clone(&self.book);
                let limits = self.setup.calibrator.limits();
                let verdicts = book.desire(context.now().wall, &wanted, limits);
                if !self.keep(context, book, "nothing is desired any more").await? {
                    return Ok(false);
                }
                outcome(&verdicts)
            }
            Err(error) => (
                DesiredStatus::Refused,
                Some(format!("it holds no profiles by device: {error}")),
            ),
        };
        if let Some(section) = &self.desired {
            context.publish(Payload::Outcome(Box::new(DesiredOutcome {
                section: SECTION.to_owned(),
                version: section.version,
                status,
                reason,
            })));
        }
        Ok(true)
    }

    /// Puts a changed book on disk, and then lets it count. False: the node is to stop.
    async fn keep(&mut self, context: &mut NodeContext, book: Book, why: &str) -> Result<bool, NodeError> {
        if book == *self.book {
            return Ok(true);
        }
        let text = serde_json::to_string(&book)
            .map_err(|error| NodeError(format!("the calibrations have no JSON: {error}")))?;
        let keeping = self
            .setup
            .store
            .keep_document(self.setup.machine_id, CALIBRATION, text);
        let Some(kept) = context.while_waiting(keeping).await else {
            return Ok(false);
        };
        kept.map_err(|error| broken(&error))?;
        self.unreadable = None;
        let before = std::mem::replace(&mut self.book, Arc::new(book));
        self.hand_out(context);
        self.tell_changes(context, &before, why);
        Ok(true)
    }

    /// Everybody sees what is in force.
    fn hand_out(&mut self, context: &NodeContext) {
        let shared = &self.setup.calibrator.shared;
        let (in_force, unfit) = self.book.in_force(&shared.limits);
        *shared.book.lock() = self.book.clone();
        shared.in_force.send_if_modified(|current| {
            let changes = **current != in_force;
            if changes {
                *current = Arc::new(in_force);
            }
            changes
        });
        let report = self.book.report();
        if report.is_some() {
            let told = Section::Calibration(report.map(Arc::new));
            context.publish(Payload::Sections(Source::Calibration, section(told)));
        }
        let unfit = unfit.into_iter().map(|(device, why)| Finding {
            kind: "calibration.unfit".to_owned(),
            message: format!(
                "The calibration of {device} does not fit it any more and is not applied: {why}"
            ),
            subject: device,
            severity: Severity::Warning,
        });
        let unreadable = self.unreadable.iter().map(|why| Finding {
            kind: "calibration.unreadable".to_owned(),
            subject: String::new(),
            severity: Severity::Error,
            message: format!(
                "The calibrations that were kept cannot be read, values are taken as they are: {why}"
            ),
        });
        let found: Vec<_> = unfit.chain(unreadable).collect();
        if found != self.found {
            context.publish(Payload::Findings(Source::Calibration, found.clone()));
            self.found = found;
        }
    }

    /// Tells of every device that is calibrated otherwise than before.
    fn tell_changes(&self, context: &NodeContext, before: &Book, why: &str) {
        let devices = |book: &Book| -> BTreeSet<String> {
            let report = book.report().unwrap_or_default();
            report.devices.into_iter().map(|device| device.device).collect()
        };
        for device in devices(&self.book).union(&devices(before)) {
            let in_force = |book: &Book| book.of(device).map_or(0, Record::in_force);
            let (old, new) = (in_force(before), in_force(&self.book));
            if old == new {
                continue;
            }
            let of = |version: u32| match version {
                0 => "no calibration".to_owned(),
                version => format!("version {version}"),
            };
            let who = match self.book.of(device).map(Record::source) {
                Some(CalibrationSource::Local) | None => format!("decided at the machine: {why}"),
                Some(CalibrationSource::Desired) => "as the server desires".to_owned(),
            };
            let text = format!("{device}: {} in place of {}, {who}", of(new), of(old));
            let text: String = text.chars().take(1_000).collect();
            tracing::info!(%device, version = new, before = old, "calibrated otherwise");
            context.publish(event("calibration.changed", Severity::Info, text));
        }
    }
}
