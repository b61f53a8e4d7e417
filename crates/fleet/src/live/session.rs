//! What one live client subscribed to, whichever way it came.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use muster_brain::live::{About, Content, Due, Published, Subscription};
use muster_model::{LogPosition, MachineEntry, MachineId, MachineView, Timestamp};
use muster_protocol::api::Problem;
use muster_protocol::live::{Batch, ClientMessage, Item, SUBSCRIPTIONS_MAX, ServerMessage, Subscribe};
use serde_json::value::RawValue;

use super::summary;
use crate::api::convert;
use crate::api::error::ApiError;
use crate::state::{Fleet, shard};

/// Items in one message: a snapshot of many machines comes in several.
const ITEMS_AT_ONCE: usize = 500;
/// Bytes of items in one message, if there are several: what one machine says of itself must not make a message so long that
/// it can be sent to nobody.
const BYTES_AT_ONCE: usize = 256 * 1024;
/// Events that a client that resumes gets at once; the rest when it asks again.
const RESUMED_MAX: usize = 10_000;
/// Entries of the log that are looked through for a client that resumes.
const RESUME_MAX: u64 = 200_000;

/// What one client subscribed to.
pub struct Session {
    fleet: Fleet,
    subscriptions: BTreeMap<String, Subscription>,
    /// The last event that was published.
    position: LogPosition,
}

impl Session {
    /// A client that has subscribed to nothing.
    pub fn new(fleet: Fleet) -> Self {
        let position = fleet.position();
        Self {
            fleet,
            subscriptions: BTreeMap::new(),
            position,
        }
    }

    /// Takes in what the client says, and gives the answers.
    pub async fn take(&mut self, text: &str) -> Vec<ServerMessage> {
        match serde_json::from_str::<ClientMessage>(text) {
            Ok(ClientMessage::Subscribe(subscribe)) => self.subscribe(subscribe).await,
            Ok(ClientMessage::Unsubscribe { id }) => match self.subscriptions.remove(&id) {
                Some(_) => vec![ServerMessage::Unsubscribed { id }],
                None => {
                    let detail = format!("there is no subscription {id:?} on this connection");
                    vec![refusal(Some(id), &ApiError::bad_request("MST-A010", detail))]
                }
            },
            Ok(ClientMessage::Ping { id }) => {
                vec![ServerMessage::Pong {
                    id,
                    server_time: self.fleet.now().wall,
                }]
            }
            Err(error) => {
                let detail = format!(
                    "{error}: accepted are subscribe, unsubscribe and ping, as the live API describes"
                );
                vec![refusal(None, &ApiError::bad_request("MST-A011", detail))]
            }
        }
    }

    /// Begins a subscription, and gives the snapshot.
    pub async fn subscribe(&mut self, subscribe: Subscribe) -> Vec<ServerMessage> {
        let id = subscribe.id.clone();
        if self.subscriptions.len() >= SUBSCRIPTIONS_MAX && !self.subscriptions.contains_key(&id) {
            let detail = format!("a connection has at most {SUBSCRIPTIONS_MAX} subscriptions");
            return vec![refusal(Some(id), &ApiError::bad_request("MST-A012", detail))];
        }
        let resume_after = subscribe.resume_after;
        // What is published from here on is offered; what was before comes from the log and the table.
        let position = self.fleet.position();
        let subscription = match Subscription::new(subscribe, position) {
            Ok(subscription) => subscription,
            Err(error) => {
                return vec![refusal(
                    Some(id),
                    &ApiError::bad_request("MST-A012", error.to_string()),
                )];
            }
        };
        let mut answers = Vec::new();
        let (mut resumed, mut left) = (Vec::new(), 0);
        if let Some(after) = resume_after {
            match self.missed(&subscription, after, position).await {
                Ok(missed) => {
                    if missed.out_of_reach > 0 {
                        let (id, dropped) = (id.clone(), missed.out_of_reach);
                        answers.push(ServerMessage::Lagged {
                            id,
                            dropped,
                            resume_after: position,
                        });
                    }
                    left = missed.left;
                    resumed = missed.events;
                }
                Err(error) => return vec![refusal(Some(id), &error)],
            }
        }
        // Events that were missed come in pieces that each know how far they reach: a client that is cut off between two
        // of them goes on behind the first.
        let last = resumed.last().map_or(position, |(position, _)| *position);
        for piece in pieces(resumed, |(_, item)| item) {
            let reaches = piece.last().map_or(position, |(position, _)| *position);
            let items = piece.into_iter().map(|(_, item)| item).collect();
            answers.push(ServerMessage::Update(self.batch(&id, reaches, items)));
        }
        if left > 0 {
            // The oldest came first, so nothing is lost: the rest is there for whoever asks again from here.
            answers.push(ServerMessage::Lagged {
                id: id.clone(),
                dropped: left,
                resume_after: last,
            });
        }
        let items = self.standing(&subscription);
        self.subscriptions.insert(id.clone(), subscription);
        let mut pieces = pieces(items, |item| item).into_iter();
        let first = pieces.next().unwrap_or_default();
        answers.push(ServerMessage::Snapshot(self.batch(&id, position, first)));
        answers.extend(pieces.map(|piece| ServerMessage::Update(self.batch(&id, position, piece))));
        answers
    }

    /// Takes in what was published.
    pub fn offer(&mut self, published: &[Published]) {
        for one in published {
            if let Content::Event { position, .. } = one.content {
                self.position = self.position.max(position);
            }
            for subscription in self.subscriptions.values_mut() {
                subscription.offer(one);
            }
        }
    }

    /// So much was published that this client never came to see some of it.
    pub fn missed_some(&mut self, count: u64) {
        for subscription in self.subscriptions.values_mut() {
            subscription.missed(count);
        }
    }

    /// When something is due.
    pub fn due_at_ms(&self) -> Option<u64> {
        self.subscriptions
            .values()
            .filter_map(Subscription::due_at_ms)
            .min()
    }

    /// What is due now.
    pub fn take_due(&mut self) -> Vec<ServerMessage> {
        let now_ms = self.fleet.now().mono_ms;
        let mut answers = Vec::new();
        let mut due: Vec<(String, Due)> = Vec::new();
        for (id, subscription) in &mut self.subscriptions {
            let fleet = &self.fleet;
            due.extend(
                subscription
                    .take_due(now_ms, &mut |topic| look_up(fleet, topic))
                    .map(|due| (id.clone(), due)),
            );
        }
        for (id, due) in due {
            if due.dropped > 0 {
                metrics::counter!("muster_live_dropped_total").increment(due.dropped);
                let (id, dropped, resume_after) = (id.clone(), due.dropped, due.resume_after);
                answers.push(ServerMessage::Lagged {
                    id,
                    dropped,
                    resume_after,
                });
            }
            // A subscription that began with what it had missed may be ahead of what was published since.
            let reached = self.position.max(due.reached);
            let mut pieces = pieces(due.items, |item| item).into_iter().peekable();
            while let Some(piece) = pieces.next() {
                // Only after the last piece does the client have all events up to the newest.
                let more = pieces.peek().is_some();
                let position = if more { due.resume_after } else { reached };
                answers.push(ServerMessage::Update(self.batch(&id, position, piece)));
            }
        }
        answers
    }

    fn batch(&self, id: &str, position: LogPosition, items: Vec<Item>) -> Batch {
        Batch {
            id: id.to_owned(),
            position,
            server_time: self.fleet.now().wall,
            items,
        }
    }

    /// How things stand, for the topics that stand for something.
    fn standing(&self, subscription: &Subscription) -> Vec<Item> {
        let mut items = Vec::new();
        for shard in self.fleet.shards() {
            for row in shard.table.rows() {
                let about = Some(shard::about(&row.view));
                let published = Published {
                    topic: row.topic.clone(),
                    about,
                    content: Content::Changed,
                };
                if subscription.wants(&published) {
                    items.push(Item {
                        topic: row.topic.clone(),
                        data: row.json().clone(),
                    });
                }
            }
        }
        let published = Published {
            topic: summary::TOPIC.into(),
            about: None,
            content: Content::Changed,
        };
        if subscription.wants(&published)
            && let Some(data) = look_up(&self.fleet, summary::TOPIC)
        {
            items.push(Item {
                topic: summary::TOPIC.into(),
                data,
            });
        }
        items
    }

    /// The events after a position that the subscription wants, and how many of them are too many.
    async fn missed(
        &self,
        subscription: &Subscription,
        after: LogPosition,
        to: LogPosition,
    ) -> Result<Missed, ApiError> {
        let from = LogPosition(after.0.max(to.0.saturating_sub(RESUME_MAX))).next();
        let (log, asked) = (self.fleet.log().clone(), subscription.asked().clone());
        let views = self.fleet.clone();
        let position = LogPosition(after.0);
        let found = self.fleet.searches().run(move || {
            // A subscription of its own, because this one must not be borrowed on another thread.
            let wanted = Subscription::new(asked, position).ok();
            let mut found = Vec::new();
            log.scan(from, to, &mut |event| {
                if let (Some(machine), Some(wanted)) = (event.stream.as_machine(), &wanted)
                    && let Some(published) =
                        published(&views, machine, event.position, event.recorded_at, event.body)
                    && wanted.wants(&published)
                    && let Content::Event { data, .. } = published.content
                {
                    found.push((
                        event.position,
                        Item {
                            topic: published.topic,
                            data,
                        },
                    ));
                }
                ControlFlow::Continue(())
            })?;
            Ok::<_, muster_store::LogError>(found)
        });
        let mut found = found.await?.map_err(|error| ApiError::log(&error))?;
        let left = found.len().saturating_sub(RESUMED_MAX);
        found.truncate(RESUMED_MAX);
        let out_of_reach = from.0.saturating_sub(after.next().0);
        Ok(Missed {
            events: found,
            left: left as u64,
            out_of_reach,
        })
    }
}

/// What a client that resumes has missed.
struct Missed {
    /// The oldest of it, in order.
    events: Vec<(LogPosition, Item)>,
    /// How many more there are.
    left: u64,
    /// Entries that are too old to be looked through.
    out_of_reach: u64,
}

/// Splits what is sent into messages.
fn pieces<T>(items: Vec<T>, item: impl Fn(&T) -> &Item) -> Vec<Vec<T>> {
    let mut pieces = Vec::new();
    let (mut piece, mut bytes) = (Vec::new(), 0);
    for one in items {
        let size = item(&one).topic.len() + item(&one).data.get().len();
        if !piece.is_empty() && (piece.len() >= ITEMS_AT_ONCE || bytes + size > BYTES_AT_ONCE) {
            pieces.push(std::mem::take(&mut piece));
            bytes = 0;
        }
        bytes += size;
        piece.push(one);
    }
    if !piece.is_empty() {
        pieces.push(piece);
    }
    pieces
}

fn published(
    fleet: &Fleet,
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
fn look_up(fleet: &Fleet, topic: &str) -> Option<Arc<RawValue>> {
    if topic == summary::TOPIC {
        return serde_json::value::to_raw_value(&summary::now(fleet))
            .ok()
            .map(Into::into);
    }
    let machine: MachineId = topic
        .strip_prefix("machine.")?
        .strip_suffix(".state")?
        .parse()
        .ok()?;
    fleet
        .shard_of(machine)
        .table
        .get(machine)
        .map(|row| row.json().clone())
}

fn refusal(id: Option<String>, error: &ApiError) -> ServerMessage {
    let problem: Problem = error.problem();
    ServerMessage::Error { id, problem }
}
