//! Records what is said on the bus, and has kept what was said around a moment that matters.
//!
//! The files belong to a thread of their own ([`Recorder`]); this node hands it what was said, tells how it fares, and sees
//! when something went wrong: the safety region latches, or an event is an error.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use muster_model::recording::{FAILED_MAX, FailedUpload, Recordings};
use muster_model::state::StatePatch;
use muster_model::vocabulary::Safety as Region;
use muster_model::{Severity, Timestamp};
use muster_reflex::state::Section;
use parking_lot::Mutex;

use crate::bus::Delivery;
use crate::message::{Finding, Message, Payload, Source, event, section};
use crate::recording::recorder::{Moment, News, Order, Recorder};
use crate::recording::{About, Options};
use crate::supervisor::{NodeContext, NodeError, NodeSpec, Wake};

/// What is said is handed over after so long, together.
const GATHER_MS: u64 = 20;
/// Messages that are handed over at once.
const BATCH_MAX: usize = 1_024;
/// How often it is looked how the thread fares.
const LOOK_EVERY_MS: u64 = 1_000;
/// How often it is said how much rolls.
const REPORT_EVERY_MS: u64 = 60_000;
/// How long the thread may take to finish its file when the machine ends.
const LAST_WRITE: Duration = Duration::from_millis(600);
/// Messages that were dropped are a problem for so long.
const DROPPED_FOR_MS: u64 = 60_000;
/// What begins like this is about recording itself, or said of the region as well, which tells a new latch from one that was
/// there at the start.
const NOT_THESE: [&str; 2] = ["recording.", "safety."];

/// What the node works with.
pub struct Setup {
    /// How it records.
    pub options: Options,
    /// What stands in every file.
    pub about: About,
    /// Where others find the recorder.
    pub desk: Desk,
}

/// Where a recorder is found while there is one.
#[derive(Clone, Debug, Default)]
pub struct Desk {
    here: Arc<Mutex<Option<Arc<Recorder>>>>,
    failed: Arc<Mutex<VecDeque<FailedUpload>>>,
}

impl Desk {
    /// The recorder, while there is one.
    pub fn recorder(&self) -> Option<Arc<Recorder>> {
        self.here.lock().clone()
    }

    /// A recording could not be brought to the server: it is said together with what there is.
    pub fn failed(&self, upload: FailedUpload) {
        let mut failed = self.failed.lock();
        failed.push_front(upload);
        failed.truncate(FAILED_MAX);
    }
}

/// The recorder node.
pub fn spec(setup: Arc<Setup>) -> NodeSpec {
    NodeSpec::new("recorder", &[">"], move |context| run(context, setup.clone()))
}

async fn run(context: NodeContext, setup: Arc<Setup>) -> Result<(), NodeError> {
    let recorder = Recorder::start(setup.options.clone(), setup.about.clone(), *context.clock())
        .map_err(|error| NodeError(format!("the thread that records cannot be started: {error}")))?;
    let recorder = Arc::new(recorder);
    *setup.desk.here.lock() = Some(recorder.clone());
    let mut node = Node {
        setup: &setup,
        context,
        recorder,
        batch: Vec::new(),
        region: None,
        told: Told::default(),
    };
    node.work().await;
    *setup.desk.here.lock() = None;
    if tokio::time::timeout(LAST_WRITE, node.recorder.end())
        .await
        .is_err()
    {
        tracing::warn!("the last recording is not finished: it is read at the next start");
    }
    Ok(())
}

struct Node<'a> {
    setup: &'a Setup,
    context: NodeContext,
    recorder: Arc<Recorder>,
    batch: Vec<Arc<Message>>,
    /// Where the machine stood when it was last said.
    region: Option<Region>,
    told: Told,
}

/// What was told of the thread.
#[derive(Default)]
struct Told {
    dropped: u64,
    dropped_ms: Option<u64>,
    findings: Option<Vec<Finding>>,
    report: Option<Recordings>,
    report_ms: u64,
}

impl Node<'_> {
    async fn work(&mut self) {
        let mut look_ms = 0;
        loop {
            let now_ms = self.context.clock().mono_ms();
            if now_ms >= look_ms {
                look_ms = now_ms + LOOK_EVERY_MS;
                self.look(now_ms);
            }
            match self.context.next(Some(look_ms)).await {
                Wake::Stop => break,
                Wake::Due => continue,
                Wake::Message(delivery) => self.take(&delivery),
            }
            // What comes now is handed over together: waking a thread for each message costs more than writing it.
            let due_ms = self.context.clock().mono_ms() + GATHER_MS;
            let stops = matches!(self.context.next_if(false, Some(due_ms)).await, Wake::Stop);
            self.gather();
            if stops {
                break;
            }
        }
        // What was said until now is recorded as well.
        self.gather();
    }

    fn gather(&mut self) {
        while let Some(delivery) = self.context.try_next() {
            self.take(&delivery);
            if self.batch.len() >= BATCH_MAX {
                self.hand_over();
            }
        }
        self.hand_over();
    }

    fn hand_over(&mut self) {
        if !self.batch.is_empty() {
            let batch = std::mem::take(&mut self.batch);
            self.recorder.order(Order::Messages(batch));
        }
    }

    fn take(&mut self, delivery: &Delivery) {
        if delivery.lost > 0 {
            self.recorder.lost(delivery.lost);
        }
        let message = &delivery.message;
        if let Some(moment) = self.moment(message) {
            self.recorder.order(Order::Keep(moment));
        }
        if self.setup.options.wants(message.topic.as_str()) {
            self.batch.push(message.clone());
        }
    }

    /// Whether this is a moment that matters.
    fn moment(&mut self, message: &Message) -> Option<Moment> {
        let moment = |why: &str, text: &str, at: Timestamp| Moment {
            why: why.to_owned(),
            text: text.to_owned(),
            at,
            pinned: false,
        };
        match &message.payload {
            Payload::Event(event)
                if event.severity >= Severity::Error
                    && !NOT_THESE.iter().any(|start| event.kind.starts_with(start)) =>
            {
                Some(moment(&event.kind, &event.message, message.at))
            }
            Payload::Sections(Source::Safety, patch) => {
                let (region, held_by) = region_of(patch)?;
                let before = self.region.replace(region);
                let latched = |region| matches!(region, Region::EstopLatched | Region::FaultLatched);
                let news = latched(region) && before.is_some_and(|before| before != region);
                news.then(|| moment(region.as_str(), &held_by, message.at))
            }
            _ => None,
        }
    }

    /// Tells how recording fares.
    fn look(&mut self, now_ms: u64) {
        for news in self.recorder.news() {
            self.context.publish(event_of(&news));
        }
        let dropped = self.recorder.dropped();
        if dropped > self.told.dropped {
            self.told.dropped = dropped;
            self.told.dropped_ms = Some(now_ms);
        }
        let dropping = self
            .told
            .dropped_ms
            .is_some_and(|at| at + DROPPED_FOR_MS > now_ms);
        let findings = findings(self.recorder.paused(), dropping);
        self.report(now_ms);
        if self.told.findings.as_ref() != Some(&findings) {
            self.told.findings = Some(findings.clone());
            self.context
                .publish(Payload::Findings(Source::Recorder, findings));
        }
    }
}

impl Node<'_> {
    /// Says what there is, when that changed. What rolls changes all the time, and is said from time to time.
    fn report(&mut self, now_ms: u64) {
        let mut report = self.recorder.report();
        report.failed = self.setup.desk.failed.lock().iter().cloned().collect();
        let steady = |report: &Recordings| Recordings {
            rolling_s: 0,
            rolling_bytes: 0,
            ..report.clone()
        };
        let same = self.told.report.as_ref().map(steady) == Some(steady(&report));
        if same && now_ms < self.told.report_ms + REPORT_EVERY_MS {
            return;
        }
        self.told.report = Some(report.clone());
        self.told.report_ms = now_ms;
        let report = section(Section::Recordings(Some(Arc::new(report))));
        self.context.publish(Payload::Sections(Source::Recorder, report));
    }
}

fn region_of(patch: &StatePatch) -> Option<(Region, String)> {
    let operation = patch.operation.as_ref()?.as_ref()?;
    let held_by: Vec<_> = operation
        .held_by
        .iter()
        .map(|cause| cause.replace('_', " "))
        .collect();
    Some((operation.safety, format!("Held by {}", held_by.join(", "))))
}

fn findings(paused: Option<String>, dropping: bool) -> Vec<Finding> {
    let finding = |kind: &str, message: String| Finding {
        kind: kind.to_owned(),
        subject: String::new(),
        severity: Severity::Warning,
        message,
    };
    let paused = paused.map(|why| finding("recording.paused", format!("Nothing is recorded: {why}")));
    let incomplete = (dropping && paused.is_none()).then(|| {
        finding(
            "recording.incomplete",
            "Not everything is recorded: more is said than the disk takes".to_owned(),
        )
    });
    paused.into_iter().chain(incomplete).collect()
}

fn event_of(news: &News) -> Payload {
    match news {
        News::Recovered(recovered) => {
            let file = recovered.file.as_deref().unwrap_or("nothing");
            let text = format!(
                "A recording that was not finished was read: {} messages, now {file} ({})",
                recovered.messages, recovered.why
            );
            event("recording.recovered", Severity::Info, text)
        }
        News::Kept { file, wish } => {
            let text = format!(
                "Recording {file} is kept for what happened at {}: {}",
                wish.at, wish.text
            );
            event("recording.kept", Severity::Info, text)
        }
    }
}
