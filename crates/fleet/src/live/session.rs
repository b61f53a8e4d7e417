//! What one live client subscribed to, whichever way it came.
//!
//! Nothing is made before it can be sent: [`Session::next`] gives one message at a time, and between two of them a client
//! costs what waits in its subscriptions, bounded for all of them together, and a place to go on from.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use muster_brain::live::{
    About, Content, PIECE_MAX_BYTES, PIECE_MAX_ITEMS, Published, Subscription, WAITING_MAX_BYTES,
};
use muster_model::{LogPosition, MachineEntry, MachineId, MachineView, Timestamp};
use muster_protocol::api::Problem;
use muster_protocol::live::{Batch, ClientMessage, Item, SUBSCRIPTIONS_MAX, ServerMessage, Subscribe};
use serde_json::value::RawValue;

use super::summary;
use crate::access::caller::Eyes;
use crate::api::convert;
use crate::api::error::ApiError;
use crate::state::{Fleet, shard};

/// Rows that are looked at in one go.
const ROWS_AT_ONCE: usize = 128;
/// Entries of the log that are looked through for a client that resumes.
const RESUME_MAX: u64 = 200_000;

/// What one client subscribed to.
pub struct Session {
    fleet: Fleet,
    eyes: Eyes,
    entries: BTreeMap<String, Entry>,
    /// Answers that are made already: what one message of the client brought about.
    replies: VecDeque<ServerMessage>,
    /// Who was told last: the others come first.
    told: String,
    /// The last event that was published.
    position: LogPosition,
}

/// One subscription and how far it has come.
struct Entry {
    subscription: Subscription,
    /// Where the log ended when it began.
    position: LogPosition,
    /// The events behind this one are to come from the log first.
    resuming: Option<LogPosition>,
    walk: Option<Walk>,
}

/// On the way through all rows.
struct Walk {
    /// Whether this is the snapshot, or everything anew because it is not known what changed.
    is_snapshot: bool,
    shard: usize,
    after: Option<MachineId>,
}

impl Session {
    /// A client that has subscribed to nothing.
    pub fn new(fleet: Fleet, eyes: Eyes) -> Self {
        let position = fleet.position();
        Self {
            fleet,
            eyes,
            entries: BTreeMap::new(),
            replies: VecDeque::new(),
            told: String::new(),
            position,
        }
    }

    /// Takes in what the client says. What it is answered comes from [`next`](Self::next).
    pub fn take(&mut self, text: &str) {
        match serde_json::from_str::<ClientMessage>(text) {
            Ok(ClientMessage::Subscribe(subscribe)) => self.subscribe(subscribe),
            Ok(ClientMessage::Unsubscribe { id }) => {
                let answer = match self.entries.remove(&id) {
                    Some(_) => ServerMessage::Unsubscribed { id },
                    None => {
                        let detail = format!("there is no subscription {id:?} on this connection");
                        refusal(Some(id), &ApiError::bad_request("MST-A010", detail))
                    }
                };
                self.replies.push_back(answer);
            }
            Ok(ClientMessage::Ping { id }) => self.replies.push_back(ServerMessage::Pong {
                id,
                server_time: self.fleet.now().wall,
            }),
            Err(error) => {
                let detail = format!(
                    "{error}: accepted are subscribe, unsubscribe and ping, as the live API describes"
                );
                let answer = refusal(None, &ApiError::bad_request("MST-A011", detail));
                self.replies.push_back(answer);
            }
        }
    }

    /// Begins a subscription.
    pub fn subscribe(&mut self, subscribe: Subscribe) {
        let id = subscribe.id.clone();
        if self.entries.len() >= SUBSCRIPTIONS_MAX && !self.entries.contains_key(&id) {
            let detail = format!("a connection has at most {SUBSCRIPTIONS_MAX} subscriptions");
            let answer = refusal(Some(id), &ApiError::bad_request("MST-A012", detail));
            self.replies.push_back(answer);
            return;
        }
        // What is published from here on is offered; what was before comes from the log and the table.
        let position = self.fleet.position();
        let mut resuming = subscribe.resume_after.filter(|after| *after < position);
        let subscription = match Subscription::new(subscribe, position) {
            Ok(subscription) => subscription,
            Err(error) => {
                let error = ApiError::bad_request("MST-A012", error.to_string());
                self.replies.push_back(refusal(Some(id), &error));
                return;
            }
        };
        if let Some(after) = &mut resuming {
            let reachable = LogPosition(position.0.saturating_sub(RESUME_MAX));
            if *after < reachable {
                self.replies.push_back(ServerMessage::Lagged {
                    id: id.clone(),
                    dropped: reachable.0 - after.0,
                    resume_after: position,
                });
                *after = reachable;
            }
        }
        let walk = Some(Walk::new(true));
        let entry = Entry {
            subscription,
            position,
            resuming,
            walk,
        };
        self.entries.insert(id, entry);
    }

    /// Takes in what was published.
    pub fn offer(&mut self, published: &[Published]) {
        for one in published {
            if let Content::Event { position, .. } = one.content {
                self.position = self.position.max(position);
            }
            let Some(one) = self.visible(one) else {
                continue;
            };
            let mut bytes = 0;
            for entry in self.entries.values_mut() {
                entry.subscription.offer(&one);
                bytes += entry.subscription.waiting_bytes();
            }
            if bytes > WAITING_MAX_BYTES {
                self.shed();
            }
        }
    }

    /// What they may see of it; how the fleet is as a whole is told to whoever sees only a part of it as it is for them.
    fn visible<'a>(&self, one: &'a Published) -> Option<Cow<'a, Published>> {
        if self.eyes.see_all() {
            return Some(Cow::Borrowed(one));
        }
        match &one.about {
            Some(about) => {
                let view = self.fleet.view(about.machine)?;
                self.eyes.see(&view).then_some(Cow::Borrowed(one))
            }
            None if *one.topic == *summary::TOPIC => Some(Cow::Owned(Published {
                content: Content::Changed,
                ..one.clone()
            })),
            None => None,
        }
    }

    /// Lets go of what waits where most of it does, until what is left is bounded.
    fn shed(&mut self) {
        loop {
            let bytes = |entry: &Entry| entry.subscription.waiting_bytes();
            if self.entries.values().map(bytes).sum::<usize>() <= WAITING_MAX_BYTES {
                return;
            }
            let most = self
                .entries
                .values_mut()
                .max_by_key(|entry| entry.subscription.sheddable_bytes());
            match most {
                Some(entry) if entry.subscription.sheddable_bytes() > 0 => entry.subscription.shed(),
                Some(_) | None => return,
            }
        }
    }

    /// So much was published that this client never came to see some of it.
    pub fn missed_some(&mut self, count: u64) {
        for entry in self.entries.values_mut() {
            entry.subscription.missed(count);
        }
    }

    /// When something is due, after [`next`](Self::next) had nothing more.
    pub fn due_at_ms(&self) -> Option<u64> {
        self.entries
            .values()
            .filter_map(|entry| entry.subscription.due_at_ms())
            .min()
    }

    /// The next message that is to be sent now.
    pub async fn next(&mut self) -> Option<ServerMessage> {
        loop {
            if let Some(reply) = self.replies.pop_front() {
                return Some(reply);
            }
            let (id, step) = self.whose_turn()?;
            self.told.clone_from(&id);
            match step {
                Step::Resume(after) => self.resume(&id, after).await,
                Step::Walk => self.walk(&id),
                Step::Tell => self.tell(&id),
            }
        }
    }

    /// Whoever has something to be told, beginning behind the one that was told last. What comes from the log goes first.
    fn whose_turn(&self) -> Option<(String, Step)> {
        let now_ms = self.fleet.now().mono_ms;
        let behind = (Bound::Excluded(self.told.clone()), Bound::Unbounded);
        let until = (Bound::Unbounded, Bound::Included(self.told.clone()));
        let all = self
            .entries
            .range::<String, _>(behind)
            .chain(self.entries.range::<String, _>(until));
        for (id, entry) in all {
            let step = match (entry.resuming, &entry.walk) {
                (Some(after), _) => Step::Resume(after),
                // What is being handed out comes first: the walk follows from it.
                (None, Some(walk)) if walk.is_snapshot || !entry.subscription.is_telling() => Step::Walk,
                (None, _) if entry.subscription.due_at_ms().is_some_and(|due| due <= now_ms) => Step::Tell,
                (None, _) => continue,
            };
            return Some((id.clone(), step));
        }
        None
    }

    /// A piece of the events that were missed.
    async fn resume(&mut self, id: &str, after: LogPosition) {
        let Some(entry) = self.entries.get_mut(id) else {
            return;
        };
        let to = entry.position;
        let asked = entry.subscription.asked().clone();
        match missed(&self.fleet, &self.eyes, asked, after, to).await {
            Ok(missed) => {
                entry.resuming = Some(missed.reached).filter(|reached| *reached < to);
                if !missed.items.is_empty() {
                    let batch = batch(&self.fleet, id, missed.reached, missed.items, false);
                    self.replies.push_back(ServerMessage::Update(batch));
                }
            }
            Err(error) => {
                self.entries.remove(id);
                self.replies.push_back(refusal(Some(id.to_owned()), &error));
            }
        }
    }

    /// A piece of how things stand.
    fn walk(&mut self, id: &str) {
        let Some(entry) = self.entries.get_mut(id) else {
            return;
        };
        let Some(walk) = &mut entry.walk else {
            return;
        };
        let is_snapshot = walk.is_snapshot;
        let items = walk.piece(&self.fleet, &self.eyes, &entry.subscription);
        let more = walk.shard < self.fleet.shards().len();
        if !more {
            entry.walk = None;
        }
        if is_snapshot {
            let batch = batch(&self.fleet, id, entry.position, items, more);
            self.replies.push_back(ServerMessage::Snapshot(batch));
        } else if !items.is_empty() {
            // The client knows no more events than before.
            let batch = batch(&self.fleet, id, entry.subscription.handed_out(), items, false);
            self.replies.push_back(ServerMessage::Update(batch));
        }
    }

    /// A piece of what is due.
    fn tell(&mut self, id: &str) {
        let Some(entry) = self.entries.get_mut(id) else {
            return;
        };
        let (fleet, eyes, now_ms) = (&self.fleet, &self.eyes, self.fleet.now().mono_ms);
        let due = entry
            .subscription
            .take_due(now_ms, self.position, &mut |topic, machine| {
                look_up(fleet, eyes, topic, machine)
            });
        let Some(due) = due else {
            return;
        };
        if due.renew {
            metrics::counter!("muster_live_renewed_total").increment(1);
            entry.walk = Some(Walk::new(false));
        }
        if due.dropped > 0 {
            metrics::counter!("muster_live_dropped_total").increment(due.dropped);
            self.replies.push_back(ServerMessage::Lagged {
                id: id.to_owned(),
                dropped: due.dropped,
                resume_after: due.resume_after,
            });
        }
        if !due.items.is_empty() {
            // Only after the last piece does the client have all events up to the newest.
            let position = if due.more { due.resume_after } else { due.reached };
            let batch = batch(&self.fleet, id, position, due.items, false);
            self.replies.push_back(ServerMessage::Update(batch));
        }
    }
}

/// What comes next for a subscription.
enum Step {
    Resume(LogPosition),
    Walk,
    Tell,
}

impl Walk {
    fn new(is_snapshot: bool) -> Self {
        Self {
            is_snapshot,
            shard: 0,
            after: None,
        }
    }

    /// The next rows that the subscription wants; at the end, how the fleet is as a whole.
    fn piece(&mut self, fleet: &Fleet, eyes: &Eyes, subscription: &Subscription) -> Vec<Item> {
        let (mut items, mut bytes) = (Vec::new(), 0);
        while let Some(shard) = fleet.shards().get(self.shard) {
            let rows = shard.table.rows_after(self.after, ROWS_AT_ONCE);
            if rows.is_empty() {
                self.shard += 1;
                self.after = None;
                continue;
            }
            for row in rows {
                let published = Published {
                    topic: row.topic.clone(),
                    about: Some(shard::about(&row.view)),
                    content: Content::Changed,
                };
                if eyes.see(&row.view) && subscription.wants(&published) {
                    let size = row.topic.len() + row.json().get().len();
                    if !items.is_empty() && (items.len() >= PIECE_MAX_ITEMS || bytes + size > PIECE_MAX_BYTES)
                    {
                        return items;
                    }
                    bytes += size;
                    items.push(Item {
                        topic: row.topic.clone(),
                        data: row.json().clone(),
                    });
                }
                self.after = Some(row.view.id);
            }
        }
        let published = Published {
            topic: summary::TOPIC.into(),
            about: None,
            content: Content::Changed,
        };
        if subscription.wants(&published)
            && let Some(data) = look_up(fleet, eyes, summary::TOPIC, None)
        {
            let topic = published.topic;
            items.push(Item { topic, data });
        }
        items
    }
}

fn batch(fleet: &Fleet, id: &str, position: LogPosition, items: Vec<Item>, more: bool) -> Batch {
    Batch {
        id: id.to_owned(),
        position,
        server_time: fleet.now().wall,
        items,
        more,
    }
}

/// Events that a client that resumes has missed: a piece of them.
struct Missed {
    /// In order.
    items: Vec<Item>,
    /// How far this goes.
    reached: LogPosition,
}

/// The events behind `after` and up to `to` that are asked for, as many as make one piece.
async fn missed(
    fleet: &Fleet,
    eyes: &Eyes,
    asked: Subscribe,
    after: LogPosition,
    to: LogPosition,
) -> Result<Missed, ApiError> {
    let (log, views, eyes) = (fleet.log().clone(), fleet.clone(), eyes.clone());
    let found = fleet.searches().run(move || {
        // A subscription of its own, because that of the session must not be borrowed on another thread.
        let wanted = Subscription::new(asked, after).ok();
        let (mut items, mut bytes, mut reached) = (Vec::new(), 0, to);
        log.scan(after.next(), to, &mut |event| {
            if let (Some(machine), Some(wanted)) = (event.stream.as_machine(), &wanted)
                && let Some(published) = published(
                    &views,
                    &eyes,
                    machine,
                    event.position,
                    event.recorded_at,
                    event.body,
                )
                && wanted.wants(&published)
                && let Content::Event { data, .. } = published.content
            {
                let topic = published.topic;
                bytes += topic.len() + data.get().len();
                items.push(Item { topic, data });
                if items.len() >= PIECE_MAX_ITEMS || bytes >= PIECE_MAX_BYTES {
                    reached = event.position;
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })?;
        Ok::<_, muster_store::LogError>(Missed { items, reached })
    });
    found.await?.map_err(|error| ApiError::log(&error))
}

fn published(
    fleet: &Fleet,
    eyes: &Eyes,
    machine: MachineId,
    position: LogPosition,
    recorded_at: Timestamp,
    body: &[u8],
) -> Option<Published> {
    let entry: MachineEntry = serde_json::from_slice(body).ok()?;
    let event = entry.as_event(recorded_at)?;
    // A machine that joined a moment ago may not be shown yet; what it told of is no less true.
    let view = fleet
        .view(machine)
        .unwrap_or_else(|| Arc::new(MachineView::new(machine, recorded_at)));
    if !eyes.see(&view) {
        return None;
    }
    let (kind, severity): (Arc<str>, _) = (event.kind.as_str().into(), event.severity);
    let topic = format!("machine.{machine}.event.{kind}").into();
    let about: Option<About> = Some(shard::about(&view));
    let shown = convert::event(position, machine, view.name(), recorded_at, event);
    let data = serde_json::value::to_raw_value(&shown).ok()?.into();
    Some(Published {
        topic,
        about,
        content: Content::Event {
            position,
            kind,
            severity,
            data,
        },
    })
}

/// How something is that was said to have changed.
fn look_up(fleet: &Fleet, eyes: &Eyes, topic: &str, machine: Option<MachineId>) -> Option<Arc<RawValue>> {
    match machine {
        Some(machine) => {
            let row = fleet.shard_of(machine).table.get(machine)?;
            (*row.topic == *topic && eyes.see(&row.view)).then(|| row.json().clone())
        }
        None if topic == summary::TOPIC => serde_json::value::to_raw_value(&summary::now(fleet, eyes))
            .ok()
            .map(Into::into),
        None => None,
    }
}

fn refusal(id: Option<String>, error: &ApiError) -> ServerMessage {
    let problem: Problem = error.problem();
    ServerMessage::Error { id, problem }
}
