//! What a subscriber is told, how often, and what is left out when it reads too slowly.
//!
//! Begin with [`Subscription`]: what is published is offered to it, and now and then it is asked what is due. Between
//! two answers it keeps one thing per topic and measurement, and a bounded number of events: a slow reader costs a
//! bounded amount of memory, and is told what it missed.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use muster_model::view::Profile;
use muster_model::vocabulary::Quality;
use muster_model::{LogPosition, MachineId, Severity, Timestamp};
use muster_protocol::live::{
    FILTER_MACHINES_MAX, Item, RATE_MAX_PER_S, SUBSCRIPTION_ID_MAX_BYTES, Strategy, Subscribe, TOPICS_MAX,
};
use serde_json::value::RawValue;

#[cfg(test)]
mod tests;

/// Most events that wait for one subscription.
pub const EVENTS_WAITING_MAX: usize = 1_000;
/// Most bytes of events that wait for one subscription.
pub const EVENTS_WAITING_MAX_BYTES: usize = 512 * 1024;

/// Most measurements, by machine and metric, that wait for one subscription.
pub const SAMPLES_WAITING_MAX: usize = 20_000;
/// Most kinds, labels and kinds of events in one filter, each.
pub const FILTER_WORDS_MAX: usize = 64;

/// Something that was published.
#[derive(Clone, Debug)]
pub struct Published {
    /// Under which topic.
    pub topic: Arc<str>,
    /// About which machine, where it is about one.
    pub about: Option<About>,
    /// What.
    pub content: Content,
}

/// The machine that something is about: what filters look at.
#[derive(Clone, Debug)]
pub struct About {
    /// Which one.
    pub machine: MachineId,
    /// Its kind.
    pub kind: Arc<str>,
    /// Its labels.
    pub profile: Arc<Profile>,
}

/// What was published.
#[derive(Clone, Debug)]
pub enum Content {
    /// How something is: a newer one replaces an older one.
    Latest(Arc<RawValue>),
    /// Something is different now; how it is, is looked up when it is told. So a slow reader holds on to a name, not to
    /// everything that it was meant to be told.
    Changed,
    /// Something that happened: none replaces another.
    Event {
        /// Its place in the log.
        position: LogPosition,
        /// Its kind.
        kind: Arc<str>,
        /// How much it matters.
        severity: Severity,
        /// The event as people see it.
        data: Arc<RawValue>,
    },
    /// A line of a log: none replaces another.
    Line {
        /// How much it matters.
        severity: Severity,
        /// The line as people see it.
        data: Arc<RawValue>,
    },
    /// Measurements.
    Samples(Arc<[LiveSample]>),
}

/// A measurement as subscribers see it. Where several were aggregated, `value` is the mean.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct LiveSample {
    /// Of what.
    pub metric: Cow<'static, str>,
    /// The value.
    pub value: f64,
    /// Its unit.
    pub unit: Cow<'static, str>,
    /// How far it can be trusted.
    pub quality: Quality,
    /// When it was measured, the latest where several were aggregated.
    pub at: Timestamp,
    /// The least, where several were aggregated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The greatest, where several were aggregated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// How many it stands for, where several were aggregated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
}

/// Why a subscription is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SubscribeError {
    /// The id.
    #[error("a subscription's id has 1 to {SUBSCRIPTION_ID_MAX_BYTES} bytes")]
    Id,
    /// The topics.
    #[error("a subscription has 1 to {TOPICS_MAX} topics")]
    Topics,
    /// The machines.
    #[error("a filter names at most {FILTER_MACHINES_MAX} machines")]
    Machines,
    /// Kinds, labels or kinds of events.
    #[error("a filter names at most {FILTER_WORDS_MAX} kinds, labels and event types each")]
    Words,
    /// The rate.
    #[error("{given} updates a second: more than 0 and at most {RATE_MAX_PER_S} are accepted")]
    Rate {
        /// What was asked for.
        given: f64,
    },
}

/// What is due for a subscription.
#[derive(Clone, Debug, Default)]
pub struct Due {
    /// The items, in order.
    pub items: Vec<Item>,
    /// How many events or lines were left out since last time.
    pub dropped: u64,
    /// The last event that was handed out or left out before the first gap: where to resume.
    pub resume_after: LogPosition,
    /// The last event that is known to the subscriber once it has the items.
    pub reached: LogPosition,
}

/// A subscription and what waits for it.
#[derive(Debug)]
pub struct Subscription {
    subscribe: Subscribe,
    interval_ms: u64,
    due_ms: u64,
    latest: BTreeMap<Arc<str>, Waiting>,
    samples: BTreeMap<Arc<str>, BTreeMap<Cow<'static, str>, Gathered>>,
    happened: VecDeque<Item>,
    waiting_bytes: usize,
    samples_waiting: usize,
    dropped: u64,
    /// The last event that was handed out.
    handed_out: LogPosition,
    newest: LogPosition,
}

/// What waits under a topic where only one thing does.
#[derive(Debug)]
enum Waiting {
    Data(Arc<RawValue>),
    Changed,
}

#[derive(Debug)]
struct Gathered {
    last: LiveSample,
    sum: f64,
    min: f64,
    max: f64,
    count: u32,
}

impl Subscription {
    /// Checks what was asked for. Events up to `position` are taken as known.
    pub fn new(mut subscribe: Subscribe, position: LogPosition) -> Result<Self, SubscribeError> {
        if !(1..=SUBSCRIPTION_ID_MAX_BYTES).contains(&subscribe.id.len()) {
            return Err(SubscribeError::Id);
        }
        if !(1..=TOPICS_MAX).contains(&subscribe.topics.len()) {
            return Err(SubscribeError::Topics);
        }
        if subscribe.filters.machines.len() > FILTER_MACHINES_MAX {
            return Err(SubscribeError::Machines);
        }
        let filters = &mut subscribe.filters;
        if [
            filters.kinds.len(),
            filters.labels.len(),
            filters.event_types.len(),
        ]
        .iter()
        .any(|count| *count > FILTER_WORDS_MAX)
        {
            return Err(SubscribeError::Words);
        }
        // Looked at for everything that is published.
        filters.machines.sort_unstable();
        let rate = subscribe.throttle.rate_per_s;
        if !(rate > 0.0 && rate <= RATE_MAX_PER_S) {
            return Err(SubscribeError::Rate { given: rate });
        }
        Ok(Self {
            interval_ms: (1_000.0 / rate).ceil().min(86_400_000.0) as u64,
            subscribe,
            due_ms: 0,
            latest: BTreeMap::new(),
            samples: BTreeMap::new(),
            happened: VecDeque::new(),
            waiting_bytes: 0,
            samples_waiting: 0,
            dropped: 0,
            handed_out: position,
            newest: position,
        })
    }

    /// What was asked for.
    pub fn asked(&self) -> &Subscribe {
        &self.subscribe
    }

    /// Whether something published is of interest.
    pub fn wants(&self, published: &Published) -> bool {
        let filters = &self.subscribe.filters;
        let about = match &published.about {
            Some(about) => self.wants_machine(about),
            None => true,
        };
        let severe = |severity: Severity| filters.severity.is_none_or(|least| severity >= least);
        let of_content = match &published.content {
            Content::Event { kind, severity, .. } => severe(*severity) && self.wants_event_type(kind),
            Content::Line { severity, .. } => severe(*severity),
            Content::Latest(_) | Content::Changed | Content::Samples(_) => true,
        };
        about
            && of_content
            && self
                .subscribe
                .topics
                .iter()
                .any(|pattern| pattern.matches(&published.topic))
    }

    /// Whether a machine passes the filters.
    pub fn wants_machine(&self, about: &About) -> bool {
        let filters = &self.subscribe.filters;
        let held = &about.profile.labels;
        (filters.machines.is_empty() || filters.machines.binary_search(&about.machine).is_ok())
            && (filters.kinds.is_empty() || filters.kinds.iter().any(|kind| **kind == *about.kind))
            && filters
                .labels
                .iter()
                .all(|(key, value)| held.get(key) == Some(value))
    }

    fn wants_event_type(&self, kind: &str) -> bool {
        let types = &self.subscribe.filters.event_types;
        let under = |wanted: &String| {
            kind.strip_prefix(wanted.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        types.is_empty() || types.iter().any(under)
    }

    /// Takes in something published, if it is of interest.
    pub fn offer(&mut self, published: &Published) {
        if let Content::Event { position, .. } = &published.content {
            // Sent already, from the log, when the subscription began.
            if *position <= self.handed_out {
                return;
            }
        }
        if !self.wants(published) {
            return;
        }
        let topic = &published.topic;
        match (&published.content, self.subscribe.throttle.strategy) {
            (Content::Latest(data), Strategy::Sample) => {
                self.latest
                    .entry(topic.clone())
                    .or_insert_with(|| Waiting::Data(data.clone()));
            }
            (Content::Changed, _) => {
                self.latest.entry(topic.clone()).or_insert(Waiting::Changed);
            }
            (Content::Latest(data), Strategy::Latest | Strategy::Aggregate) => {
                self.latest.insert(topic.clone(), Waiting::Data(data.clone()));
            }
            (Content::Samples(samples), strategy) => {
                let gathered = self.samples.entry(topic.clone()).or_default();
                for sample in samples.iter() {
                    match gathered.get_mut(&sample.metric) {
                        // A machine can make up as many metrics as it likes.
                        None if self.samples_waiting >= SAMPLES_WAITING_MAX => self.dropped += 1,
                        None => {
                            self.samples_waiting += 1;
                            gathered.insert(sample.metric.clone(), Gathered::of(sample));
                        }
                        Some(_) if strategy == Strategy::Sample => {}
                        Some(known) => known.add(sample),
                    }
                }
            }
            (Content::Event { data, position, .. }, _) => {
                self.newest = self.newest.max(*position);
                self.queue(Item {
                    topic: topic.clone(),
                    data: data.clone(),
                });
            }
            (Content::Line { data, .. }, _) => self.queue(Item {
                topic: topic.clone(),
                data: data.clone(),
            }),
        }
    }

    fn queue(&mut self, item: Item) {
        self.waiting_bytes += size_of_item(&item);
        self.happened.push_back(item);
        while self.happened.len() > EVENTS_WAITING_MAX || self.waiting_bytes > EVENTS_WAITING_MAX_BYTES {
            let Some(oldest) = self.happened.pop_front() else {
                break;
            };
            self.waiting_bytes -= size_of_item(&oldest);
            self.dropped += 1;
        }
    }

    /// The reader was so slow that so much never came as far as this subscription.
    pub fn missed(&mut self, count: u64) {
        self.dropped += count;
    }

    /// When something is due; none while nothing waits.
    pub fn due_at_ms(&self) -> Option<u64> {
        let waits = !(self.latest.is_empty()
            && self.samples.is_empty()
            && self.happened.is_empty()
            && self.dropped == 0);
        waits.then_some(self.due_ms)
    }

    /// What is due now, if anything. `look_up` says how things are that were only said to have changed; what it does not
    /// know any more is left out.
    pub fn take_due(
        &mut self,
        now_ms: u64,
        look_up: &mut dyn FnMut(&str) -> Option<Arc<RawValue>>,
    ) -> Option<Due> {
        if self.due_at_ms().is_none_or(|due| due > now_ms) {
            return None;
        }
        self.due_ms = now_ms + self.interval_ms;
        self.waiting_bytes = 0;
        self.samples_waiting = 0;
        let mut items: Vec<Item> = self.happened.drain(..).collect();
        items.extend(
            std::mem::take(&mut self.latest)
                .into_iter()
                .filter_map(|(topic, waiting)| {
                    let data = match waiting {
                        Waiting::Data(data) => data,
                        Waiting::Changed => look_up(&topic)?,
                    };
                    Some(Item { topic, data })
                }),
        );
        let aggregate = self.subscribe.throttle.strategy == Strategy::Aggregate;
        for (topic, gathered) in std::mem::take(&mut self.samples) {
            let samples: Vec<LiveSample> = gathered
                .into_values()
                .map(|known| known.finish(aggregate))
                .collect();
            #[derive(serde::Serialize)]
            struct Samples {
                samples: Vec<LiveSample>,
            }
            // Samples are finite numbers and words: they can always be written.
            if let Ok(data) = serde_json::value::to_raw_value(&Samples { samples }) {
                items.push(Item {
                    topic,
                    data: data.into(),
                });
            }
        }
        let resume_after = self.handed_out;
        self.handed_out = self.newest;
        Some(Due {
            items,
            dropped: std::mem::take(&mut self.dropped),
            resume_after,
            reached: self.handed_out,
        })
    }
}

fn size_of_item(item: &Item) -> usize {
    item.topic.len() + item.data.get().len()
}

impl Gathered {
    fn of(sample: &LiveSample) -> Self {
        Self {
            last: sample.clone(),
            sum: sample.value,
            min: sample.value,
            max: sample.value,
            count: 1,
        }
    }

    fn add(&mut self, sample: &LiveSample) {
        self.sum += sample.value;
        self.min = self.min.min(sample.value);
        self.max = self.max.max(sample.value);
        self.count += 1;
        self.last = sample.clone();
    }

    fn finish(self, aggregate: bool) -> LiveSample {
        if aggregate {
            let value = self.sum / f64::from(self.count);
            LiveSample {
                value,
                min: Some(self.min),
                max: Some(self.max),
                count: Some(self.count),
                ..self.last
            }
        } else {
            self.last
        }
    }
}
