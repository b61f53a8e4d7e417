//! What a subscriber is told, how often, and what is left out when it reads too slowly.
//!
//! Begin with [`Subscription`]: what is published is offered to it, and now and then it is asked what is due, a piece at a
//! time. Between two answers it keeps one thing per topic and measurement, and events. Each knows how many bytes wait for it
//! and can be asked to [`shed`](Subscription::shed) some: whoever holds several for one reader keeps them all within
//! [`WAITING_MAX_BYTES`], and the reader is told what it missed.

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
/// Most bytes that wait for one reader, in all its subscriptions.
pub const WAITING_MAX_BYTES: usize = 256 * 1024;
/// Most items in one piece.
pub const PIECE_MAX_ITEMS: usize = 500;
/// Bytes of items in one piece, if there are several: what waits is handed out as it is read, and not copied before.
pub const PIECE_MAX_BYTES: usize = 64 * 1024;
/// What an entry of a list or map costs beside what it points to, in bytes.
const ENTRY_BYTES: usize = 64;

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

/// Says how something is that was only said to have changed, by its topic and its machine, where it is about one; none where it is
/// not known any more.
pub type LookUp<'a> = dyn FnMut(&str, Option<MachineId>) -> Option<Arc<RawValue>> + 'a;

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

/// A piece of what is due for a subscription.
#[derive(Clone, Debug, Default)]
pub struct Due {
    /// The items, in order.
    pub items: Vec<Item>,
    /// How many events, lines or measurements were left out since last time.
    pub dropped: u64,
    /// The last event that was handed out or left out before the first gap: where to resume.
    pub resume_after: LogPosition,
    /// The last event that is known to the subscriber once it has the items of this piece and of all that follow it.
    pub reached: LogPosition,
    /// More is due at once: this was not the last piece.
    pub more: bool,
    /// So much changed that it was forgotten what: everything that stands is to be told anew.
    pub renew: bool,
}

/// A subscription and what waits for it.
#[derive(Debug)]
pub struct Subscription {
    subscribe: Subscribe,
    interval_ms: u64,
    due_ms: u64,
    waiting: Waiting,
    /// What is being handed out, piece by piece.
    turn: Option<Turn>,
    dropped: u64,
    renew: bool,
    /// The last event that was handed out, or will be with the turn.
    handed_out: LogPosition,
    newest: LogPosition,
}

/// What waits, with its bytes.
#[derive(Debug, Default)]
struct Waiting {
    happened: VecDeque<Item>,
    happened_bytes: usize,
    latest: BTreeMap<Arc<str>, Latest>,
    latest_bytes: usize,
    /// By topic, then sorted by metric.
    samples: BTreeMap<Arc<str>, Vec<Gathered>>,
    samples_bytes: usize,
}

#[derive(Debug)]
struct Turn {
    waiting: Waiting,
    resume_after: LogPosition,
    reached: LogPosition,
}

/// What waits under a topic where only one thing does.
#[derive(Debug)]
enum Latest {
    Data(Arc<RawValue>),
    /// Of this machine, where it is about one.
    Changed(Option<MachineId>),
}

/// Measurements of one metric, taken together.
#[derive(Debug)]
struct Gathered {
    metric: Cow<'static, str>,
    unit: Cow<'static, str>,
    value: f64,
    at: Timestamp,
    sum: f64,
    min: f64,
    max: f64,
    count: u32,
    quality: Quality,
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
            waiting: Waiting::default(),
            turn: None,
            dropped: 0,
            renew: false,
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
        let waiting = &mut self.waiting;
        match (&published.content, self.subscribe.throttle.strategy) {
            (Content::Latest(data), Strategy::Sample) => {
                if !waiting.latest.contains_key(topic) {
                    waiting.put(topic, data);
                }
            }
            (Content::Latest(data), Strategy::Latest | Strategy::Aggregate) => waiting.put(topic, data),
            // Everything will be told anyway.
            (Content::Changed, _) if self.renew => {}
            (Content::Changed, _) => {
                let bytes = &mut waiting.latest_bytes;
                waiting.latest.entry(topic.clone()).or_insert_with(|| {
                    *bytes += ENTRY_BYTES;
                    Latest::Changed(published.about.as_ref().map(|about| about.machine))
                });
            }
            (Content::Samples(samples), strategy) => {
                let gathered = waiting.samples.entry(topic.clone()).or_insert_with(|| {
                    waiting.samples_bytes += ENTRY_BYTES + topic.len();
                    // Those of one machine come together, again and again the same.
                    Vec::with_capacity(samples.len())
                });
                for sample in samples.iter() {
                    match gathered.binary_search_by(|known| known.metric.cmp(&sample.metric)) {
                        Ok(_) if strategy == Strategy::Sample => {}
                        Ok(at) => gathered[at].add(sample),
                        Err(at) => {
                            let sample = Gathered::of(sample);
                            waiting.samples_bytes += sample.bytes();
                            gathered.insert(at, sample);
                        }
                    }
                }
            }
            (Content::Event { data, position, .. }, _) => {
                self.newest = self.newest.max(*position);
                self.queue(topic, data);
            }
            (Content::Line { data, .. }, _) => self.queue(topic, data),
        }
    }

    fn queue(&mut self, topic: &Arc<str>, data: &Arc<RawValue>) {
        let item = Item {
            topic: topic.clone(),
            data: data.clone(),
        };
        self.waiting.happened_bytes += size_of_item(&item);
        self.waiting.happened.push_back(item);
        if self.waiting.happened.len() > EVENTS_WAITING_MAX {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.waiting.happened.pop_front() {
            self.waiting.happened_bytes -= size_of_item(&oldest);
            self.dropped += 1;
        }
    }

    /// Whether some of a turn is handed out and some not.
    pub fn is_telling(&self) -> bool {
        self.turn.is_some()
    }

    /// The last event that was handed out, or will be with the turn.
    pub fn handed_out(&self) -> LogPosition {
        self.handed_out
    }

    /// How many bytes wait, those that are being handed out among them.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting.bytes() + self.turn.as_ref().map_or(0, |turn| turn.waiting.bytes())
    }

    /// How many bytes [`shed`](Self::shed) can take away.
    pub fn sheddable_bytes(&self) -> usize {
        self.waiting.bytes()
    }

    /// Lets go of something that waits: the oldest event, measurements of one machine, or what changed. What is being handed
    /// out stays.
    pub fn shed(&mut self) {
        let waiting = &mut self.waiting;
        let (happened, latest, samples) = (
            waiting.happened_bytes,
            waiting.latest_bytes,
            waiting.samples_bytes,
        );
        if happened >= latest.max(samples) {
            self.drop_oldest();
        } else if samples >= latest {
            if let Some((topic, gathered)) = waiting.samples.pop_first() {
                waiting.samples_bytes -= bytes_of_samples(&topic, &gathered);
                self.dropped += gathered.len() as u64;
            }
        } else {
            let before = waiting.latest.len();
            waiting
                .latest
                .retain(|_, latest| matches!(latest, Latest::Data(_)));
            let changed = before - waiting.latest.len();
            waiting.latest_bytes -= changed * ENTRY_BYTES;
            if changed > 0 {
                self.renew = true;
            } else if let Some((topic, Latest::Data(data))) = waiting.latest.pop_first() {
                waiting.latest_bytes -= bytes_of_data(&topic, &data);
                self.dropped += 1;
            }
        }
    }

    /// The reader was so slow that so much never came as far as this subscription.
    pub fn missed(&mut self, count: u64) {
        self.dropped += count;
    }

    /// When something is due; none while nothing waits.
    pub fn due_at_ms(&self) -> Option<u64> {
        if self.turn.is_some() {
            return Some(0);
        }
        let waits = !self.waiting.is_empty() || self.dropped > 0 || self.renew;
        waits.then_some(self.due_ms)
    }

    /// A piece of what is due now, if anything. `published` is the last event that was published to anybody; `look_up` says
    /// how things are that were only said to have changed, and what it does not know any more is left out. The pieces of
    /// one turn count as one telling.
    pub fn take_due(&mut self, now_ms: u64, published: LogPosition, look_up: &mut LookUp<'_>) -> Option<Due> {
        let mut due = Due::default();
        let mut turn = match self.turn.take() {
            Some(turn) => turn,
            None => {
                if self.due_at_ms().is_none_or(|due| due > now_ms) {
                    return None;
                }
                self.due_ms = now_ms + self.interval_ms;
                due.dropped = std::mem::take(&mut self.dropped);
                due.renew = std::mem::take(&mut self.renew);
                // What is published later has a later position.
                let reached = self.newest.max(published);
                let resume_after = std::mem::replace(&mut self.handed_out, reached);
                Turn {
                    waiting: std::mem::take(&mut self.waiting),
                    resume_after,
                    reached,
                }
            }
        };
        due.resume_after = turn.resume_after;
        due.reached = turn.reached;
        let aggregate = self.subscribe.throttle.strategy == Strategy::Aggregate;
        let mut bytes = 0;
        while due.items.len() < PIECE_MAX_ITEMS && bytes < PIECE_MAX_BYTES {
            let room = PIECE_MAX_BYTES - bytes;
            match turn.waiting.next(look_up, aggregate, room, due.items.is_empty()) {
                Next::Item(item) => {
                    bytes += size_of_item(&item);
                    due.items.push(item);
                }
                Next::Unknown => {}
                Next::TooLarge | Next::Nothing => break,
            }
        }
        due.more = !turn.waiting.is_empty();
        if due.more {
            self.turn = Some(turn);
        }
        Some(due)
    }
}

enum Next {
    Item(Item),
    /// What changed is not there any more.
    Unknown,
    /// The next event does not fit into this piece.
    TooLarge,
    Nothing,
}

impl Waiting {
    fn bytes(&self) -> usize {
        self.happened_bytes + self.latest_bytes + self.samples_bytes
    }

    fn is_empty(&self) -> bool {
        self.happened.is_empty() && self.latest.is_empty() && self.samples.is_empty()
    }

    fn put(&mut self, topic: &Arc<str>, data: &Arc<RawValue>) {
        self.latest_bytes += bytes_of_data(topic, data);
        match self.latest.insert(topic.clone(), Latest::Data(data.clone())) {
            Some(Latest::Data(older)) => self.latest_bytes -= bytes_of_data(topic, &older),
            Some(Latest::Changed(_)) => self.latest_bytes -= ENTRY_BYTES,
            None => {}
        }
    }

    /// The next item: what happened, then what is the latest, then measurements.
    fn next(&mut self, look_up: &mut LookUp<'_>, aggregate: bool, room: usize, first: bool) -> Next {
        if let Some(item) = self.happened.front() {
            if !first && size_of_item(item) > room {
                return Next::TooLarge;
            }
            let Some(item) = self.happened.pop_front() else {
                return Next::Nothing;
            };
            self.happened_bytes -= size_of_item(&item);
            return Next::Item(item);
        }
        if let Some((topic, latest)) = self.latest.pop_first() {
            let data = match latest {
                Latest::Data(data) => {
                    self.latest_bytes -= bytes_of_data(&topic, &data);
                    Some(data)
                }
                Latest::Changed(machine) => {
                    self.latest_bytes -= ENTRY_BYTES;
                    look_up(&topic, machine)
                }
            };
            return data.map_or(Next::Unknown, |data| Next::Item(Item { topic, data }));
        }
        let Some((topic, gathered)) = self.samples.pop_first() else {
            return Next::Nothing;
        };
        self.samples_bytes -= bytes_of_samples(&topic, &gathered);
        let samples = gathered
            .into_iter()
            .map(|known| known.finish(aggregate))
            .collect();
        #[derive(serde::Serialize)]
        struct Samples {
            samples: Vec<LiveSample>,
        }
        // Samples are finite numbers and words: they can always be written.
        let data = serde_json::value::to_raw_value(&Samples { samples });
        data.map_or(Next::Unknown, |data| {
            Next::Item(Item {
                topic,
                data: data.into(),
            })
        })
    }
}

fn size_of_item(item: &Item) -> usize {
    ENTRY_BYTES + item.topic.len() + item.data.get().len()
}

fn bytes_of_data(topic: &str, data: &RawValue) -> usize {
    ENTRY_BYTES + topic.len() + data.get().len()
}

fn bytes_of_samples(topic: &str, gathered: &[Gathered]) -> usize {
    ENTRY_BYTES + topic.len() + gathered.iter().map(Gathered::bytes).sum::<usize>()
}

impl Gathered {
    fn of(sample: &LiveSample) -> Self {
        Self {
            metric: sample.metric.clone(),
            unit: sample.unit.clone(),
            value: sample.value,
            at: sample.at,
            sum: sample.value,
            min: sample.value,
            max: sample.value,
            count: 1,
            quality: sample.quality,
        }
    }

    /// What it takes, the names of metrics and units that are not ours among it.
    fn bytes(&self) -> usize {
        let owned = |word: &Cow<'_, str>| match word {
            Cow::Borrowed(_) => 0,
            // No block of memory is smaller than that.
            Cow::Owned(word) => word.capacity().max(32),
        };
        size_of::<Self>() + owned(&self.metric) + owned(&self.unit)
    }

    fn add(&mut self, sample: &LiveSample) {
        self.sum += sample.value;
        self.min = self.min.min(sample.value);
        self.max = self.max.max(sample.value);
        self.count += 1;
        self.value = sample.value;
        self.at = sample.at;
        self.quality = sample.quality;
    }

    fn finish(self, aggregate: bool) -> LiveSample {
        let several = aggregate.then_some(());
        LiveSample {
            metric: self.metric,
            value: several.map_or(self.value, |()| self.sum / f64::from(self.count)),
            unit: self.unit,
            quality: self.quality,
            at: self.at,
            min: several.map(|()| self.min),
            max: several.map(|()| self.max),
            count: several.map(|()| self.count),
        }
    }
}
