//! Runs one `muster_brain::shard::Shard`: brings it what happens, and carries out what it decides.
//!
//! One task owns the shard; nothing else touches it. Whatever is at hand is stepped in one go, so that it makes one
//! batch for the log.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use muster_brain::Now;
use muster_brain::live::{About, Content, Published};
use muster_brain::shard::{
    CommandError, CommandIssued, CommandOrder, ConnectionId, DesiredChange, DesiredResult, Effect, Input,
    Placed, ProfileChange, ProfileError, RequestId, Shard, StopOrder, Ticket,
};
use muster_model::view::Profile;
use muster_model::{DesiredVersion, Entry, LogPosition, MachineEntry, MachineId, MachineView, StreamVersion};
use muster_protocol::link::{Envelope, MachineMessage, RefusedRecord, ServerMessage, encode};
use muster_runtime::{Clock, Shutdown};
use muster_store::{Append, Bus, EventLog, Expected, LocalBus, LogError, StreamName};
use tokio::sync::{mpsc, oneshot};

use super::shown::Shown;
use super::stops::{Replies, StopResults};
use super::table::{Row, Table};
use super::{Publications, now};
use crate::api::convert;
use crate::gateway::figures::Figures;
use crate::gateway::line::Line;
use crate::live::sequencer::Sequencer;
use crate::series::Series;

/// How often changed views are shown to readers while somebody listens.
const PUBLISH_EVERY: Duration = Duration::from_millis(50);
/// How often while nobody does: what is durable is shown as it is committed, and what was only heard may be so old.
const UNHEARD_PUBLISH_EVERY: Duration = Duration::from_millis(200);
/// Measurements and lines that wait to be told together; more do not wait.
const SOON_MAX: usize = 1_024;
/// Most views that are shown anew at once after a commit.
const SHOW_AT_COMMIT_MAX: usize = 256;
/// Rows that are put into the table under one lock: a reader waits for no more.
const SHOWN_UNDER_ONE_LOCK: usize = 64;
/// Most messages that are stepped before effects are carried out.
const STEPS_AT_ONCE: usize = 1_024;

/// What a shard is told.
pub enum ShardMessage {
    /// A connection of a machine of this shard stands.
    Open {
        /// Which one.
        connection: ConnectionId,
        /// The way to say something on it.
        line: Line,
    },
    /// A machine said this, all of it in one turn.
    Frames {
        /// On which connection.
        connection: ConnectionId,
        /// What, first.
        frame: Envelope<MachineMessage>,
        /// And then, in order: few.
        more: Vec<Envelope<MachineMessage>>,
    },
    /// A machine sent a durable message that is refused for what it holds.
    Refused {
        /// On which connection.
        connection: ConnectionId,
        /// What can be read of it.
        refused: RefusedRecord,
        /// Why, for a person.
        reason: String,
    },
    /// A machine said more than its limits allow.
    Flooded(ConnectionId),
    /// Something that is no message came over a connection.
    Heard(ConnectionId),
    /// A connection is gone.
    Closed {
        /// Which one.
        connection: ConnectionId,
        /// Why, for a person.
        reason: String,
    },
    /// A person changes a profile.
    ChangeProfile {
        /// Of which machine.
        machine: MachineId,
        /// What.
        change: ProfileChange,
        /// Only if this is the version that the person saw.
        expected: Option<StreamVersion>,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<Arc<Profile>, ProfileError>>,
    },
    /// A person changes what a machine should become.
    ChangeDesired {
        /// Which machine.
        machine: MachineId,
        /// What changes.
        change: DesiredChange,
        /// Only if this is the version that the person saw.
        expected: Option<DesiredVersion>,
        /// Where the answer goes.
        reply: oneshot::Sender<DesiredResult>,
    },
    /// A person asks machines to stop.
    Stop {
        /// Which machines of this shard, and how: at least one, and no more than are stepped in one go.
        orders: Vec<(MachineId, StopOrder)>,
        /// Where the answer goes, once all are answered for.
        reply: oneshot::Sender<StopResults>,
    },
    /// A person gives a machine another command.
    Command {
        /// Which machine.
        machine: MachineId,
        /// The command.
        order: CommandOrder,
        /// Where the answer goes.
        reply: CommandReply,
    },
    /// Fold nothing more in until it is known after which entry of the log the checkpoint is; then give the views that
    /// changed since the last time this was asked, as they are after that entry.
    Checkpoint {
        /// Told once nothing more is folded in.
        held: oneshot::Sender<()>,
        /// After which entry. Dropped unsent, nothing is asked any more.
        position: oneshot::Receiver<LogPosition>,
        /// Where the views go.
        reply: oneshot::Sender<Vec<MachineView>>,
    },
    /// Something that is not answered, such as what the server noticed itself.
    Step(Box<Input>),
    /// End every connection in order; answered when all that was accepted is on disk.
    Drain {
        /// When machines may come back.
        retry_after_ms: u32,
        /// Where the answer goes.
        reply: oneshot::Sender<()>,
    },
}

/// Where the answer to a command goes.
type CommandReply = oneshot::Sender<Result<CommandIssued, CommandError>>;
type Receipts = FuturesOrdered<BoxFuture<'static, (Ticket, Result<Vec<muster_store::Placed>, LogError>)>>;

/// What a shard works with.
pub struct ShardParts {
    /// What time it is.
    pub clock: Clock,
    /// Where its entries go.
    pub log: Arc<dyn EventLog>,
    /// Where measurements and log lines go.
    pub series: Series,
    /// Where its views are shown.
    pub table: Arc<Table>,
    /// Where what happens is told.
    pub bus: LocalBus<Publications>,
    /// What puts events of all shards into order.
    pub sequencer: Sequencer,
    /// Where it says up to which entry its views are shown.
    pub shown: Shown,
    /// What is counted for every message.
    pub figures: Figures,
}

/// While this is there, what the log answers is not folded in: a view that is ahead of the checkpoint's position would
/// show the future to whoever looks at the past.
struct Hold {
    position: oneshot::Receiver<LogPosition>,
    reply: oneshot::Sender<Vec<MachineView>>,
}

/// One shard with all that it needs.
pub struct ShardTask {
    shard: Shard,
    clock: Clock,
    inbox: mpsc::Receiver<ShardMessage>,
    log: Arc<dyn EventLog>,
    series: Series,
    table: Arc<Table>,
    bus: LocalBus<Publications>,
    sequencer: Sequencer,
    shown: Shown,
    /// Runs of entries, first to last, that are folded in and not shown yet.
    unshown: Vec<(LogPosition, LogPosition)>,
    figures: Figures,
    lines: HashMap<ConnectionId, Line>,
    in_flight: Receipts,
    requests: BTreeMap<RequestId, oneshot::Sender<Result<Arc<Profile>, ProfileError>>>,
    stops: Replies,
    desired: super::desired::Replies,
    commands: BTreeMap<RequestId, CommandReply>,
    next_request: u64,
    /// Machines that changed since the last checkpoint.
    unsaved: BTreeSet<MachineId>,
    hold: Option<Hold>,
    barrier: Option<(LogPosition, oneshot::Sender<Vec<MachineView>>)>,
    drained: Option<oneshot::Sender<()>>,
    /// What subscribers are told with the next views that are shown.
    soon: Vec<Published>,
    /// When changed views are shown next.
    show_at_ms: u64,
    counted: muster_brain::shard::Figures,
}

impl ShardTask {
    /// A shard that takes its messages from `inbox` and shows its views in the table.
    pub fn new(shard: Shard, inbox: mpsc::Receiver<ShardMessage>, parts: ShardParts) -> Self {
        let ShardParts {
            clock,
            log,
            series,
            table,
            bus,
            sequencer,
            shown,
            figures,
        } = parts;
        let mut rows = table.write();
        for view in shard.views() {
            rows.put(view);
        }
        drop(rows);
        Self {
            shard,
            clock,
            inbox,
            log,
            series,
            table,
            bus,
            sequencer,
            shown,
            unshown: Vec::new(),
            figures,
            lines: HashMap::new(),
            in_flight: FuturesOrdered::new(),
            requests: BTreeMap::new(),
            stops: Replies::default(),
            desired: BTreeMap::new(),
            commands: BTreeMap::new(),
            next_request: 0,
            unsaved: BTreeSet::new(),
            hold: None,
            barrier: None,
            drained: None,
            soon: Vec::new(),
            show_at_ms: 0,
            counted: Default::default(),
        }
    }

    /// Runs until the server ends and everything accepted is on disk.
    pub async fn run(mut self, shutdown: Shutdown) -> Result<(), std::convert::Infallible> {
        let mut publish = tokio::time::interval(PUBLISH_EVERY);
        publish.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut messages = Vec::with_capacity(64);
        loop {
            tokio::select! {
                biased;
                position = released(&mut self.hold) => {
                    // Without a position the checkpoint was given up.
                    self.barrier = self.hold.take().zip(position).map(|(hold, position)| (position, hold.reply));
                }
                Some((ticket, result)) = self.in_flight.next(), if !self.in_flight.is_empty() && self.hold.is_none() => {
                    self.written(ticket, result);
                }
                count = gather(&mut self.inbox, &mut messages) => {
                    if count == 0 {
                        break;
                    }
                    let now = now(&self.clock);
                    for message in messages.drain(..) {
                        self.take(now, message);
                    }
                }
                _ = publish.tick() => {}
                () = shutdown.requested() => break,
            }
            // By the clock and not by the timer alone, which comes last while messages keep coming.
            let now = now(&self.clock);
            if now.mono_ms >= self.show_at_ms {
                if self.shard.next_tick_ms().is_some_and(|at| at <= now.mono_ms) {
                    self.shard.step(now, Input::Tick);
                }
                self.show_changes();
                // Ten thousand views take a while: showing them costs at most a tenth of the time.
                let took_ms = self.clock.mono_ms().saturating_sub(now.mono_ms);
                let every = if self.bus_is_heard() {
                    PUBLISH_EVERY
                } else {
                    UNHEARD_PUBLISH_EVERY
                };
                self.show_at_ms = now.mono_ms + (every.as_millis() as u64).max(10 * took_ms);
            }
            self.carry_out();
        }
        Ok(())
    }

    fn take(&mut self, now: Now, message: ShardMessage) {
        match message {
            ShardMessage::Open { connection, line } => {
                self.lines.insert(connection, line);
            }
            ShardMessage::Frames {
                connection,
                frame,
                more,
            } => {
                self.shard.step(now, Input::Frame { connection, frame });
                for frame in more {
                    self.shard.step(now, Input::Frame { connection, frame });
                }
            }
            ShardMessage::Refused {
                connection,
                refused,
                reason,
            } => {
                let refused = Input::Refused {
                    connection,
                    refused,
                    reason,
                };
                self.shard.step(now, refused);
            }
            ShardMessage::Flooded(connection) => self.shard.step(now, Input::Flooded(connection)),
            ShardMessage::Heard(connection) => self.shard.step(now, Input::Heard(connection)),
            ShardMessage::Closed { connection, reason } => {
                self.lines.remove(&connection);
                self.shard.step(now, Input::Closed { connection, reason });
            }
            ShardMessage::ChangeProfile {
                machine,
                change,
                expected,
                reply,
            } => {
                self.next_request += 1;
                let request = RequestId(self.next_request);
                self.requests.insert(request, reply);
                self.shard.step(
                    now,
                    Input::ChangeProfile {
                        request,
                        machine,
                        change,
                        expected,
                    },
                );
            }
            ShardMessage::ChangeDesired {
                machine,
                change,
                expected,
                reply,
            } => {
                self.next_request += 1;
                let request = RequestId(self.next_request);
                self.desired.insert(request, reply);
                let change = Input::ChangeDesired {
                    request,
                    machine,
                    change,
                    expected,
                };
                self.shard.step(now, change);
            }
            ShardMessage::Stop { orders, reply } => {
                self.next_request += 1;
                let request = RequestId(self.next_request);
                self.stops.expect(request, orders.len(), reply);
                for (machine, order) in orders {
                    let stop = Input::Stop {
                        request,
                        machine,
                        order,
                    };
                    self.shard.step(now, stop);
                }
            }
            ShardMessage::Command {
                machine,
                order,
                reply,
            } => {
                self.next_request += 1;
                let request = RequestId(self.next_request);
                self.commands.insert(request, reply);
                let command = Input::Command {
                    request,
                    machine,
                    order,
                };
                self.shard.step(now, command);
            }
            ShardMessage::Checkpoint {
                held,
                position,
                reply,
            } => {
                self.hold = Some(Hold { position, reply });
                // Who asked may be gone, and then gives no position either.
                let _ = held.send(());
            }
            ShardMessage::Step(input) => self.shard.step(now, *input),
            ShardMessage::Drain {
                retry_after_ms,
                reply,
            } => {
                self.shard.step(now, Input::Drain { retry_after_ms });
                self.drained = Some(reply);
            }
        }
    }

    /// The log answered for a batch.
    fn written(&mut self, ticket: Ticket, result: Result<Vec<muster_store::Placed>, LogError>) {
        let now = now(&self.clock);
        match result {
            Ok(placed) => {
                // A checkpoint speaks of the moment before the first entry behind its position.
                if let (Some((position, _)), Some(first)) = (&self.barrier, placed.first())
                    && first.position > *position
                {
                    self.pass_barrier();
                }
                let placed = placed.into_iter().map(|placed| Placed {
                    position: placed.position,
                    version: placed.version,
                    recorded_at: placed.recorded_at,
                });
                self.shard.step(
                    now,
                    Input::Persisted {
                        ticket,
                        placed: placed.collect(),
                    },
                );
                // What is acknowledged can be seen: the answers are written after this. Only where that is little, or a busy
                // fleet would be shown anew with every commit.
                if self.shard.changed() <= SHOW_AT_COMMIT_MAX {
                    self.show_changes();
                }
            }
            Err(error) => {
                tracing::error!(code = error.code(), %error, "the log did not take a batch");
                metrics::counter!("muster_log_refused_batches_total").increment(1);
                self.shard.step(
                    now,
                    Input::NotPersisted {
                        ticket,
                        reason: error.to_string(),
                    },
                );
            }
        }
    }

    /// Carries out what the shard decided.
    fn carry_out(&mut self) {
        let now = now(&self.clock);
        for effect in self.shard.take_effects(now) {
            match effect {
                Effect::Append {
                    ticket,
                    recorded_at,
                    entries,
                } => {
                    let batch = entries.iter().map(|append| Append {
                        stream: StreamName::machine(append.machine),
                        expected: Expected::Version(append.expected),
                        recorded_at,
                        // Entries are words, finite numbers and JSON that was read before.
                        body: Bytes::from(serde_json::to_vec(&*append.entry).unwrap_or_default()),
                    });
                    let receipt = self.log.append(batch.collect());
                    self.in_flight
                        .push_back(Box::pin(async move { (ticket, receipt.await) }));
                }
                Effect::Send { connection, frame } => match encode(&frame) {
                    Ok(text) => {
                        self.figures.sent(&frame.message);
                        let agreed = match &frame.message {
                            ServerMessage::Welcome(welcome) => welcome.dictionary.is_some(),
                            _ => false,
                        };
                        let say = if agreed { Line::agree } else { Line::say };
                        if let Some(line) = self.lines.get(&connection)
                            && !say(line, text)
                        {
                            metrics::counter!("muster_connections_not_reading_total").increment(1);
                        }
                    }
                    Err(error) => tracing::error!(%error, "a message cannot be written"),
                },
                Effect::Close {
                    connection,
                    code,
                    reason,
                } => {
                    if let Some(line) = self.lines.remove(&connection) {
                        line.close(code, reason);
                    }
                }
                Effect::Recorded(entries) => self.recorded(&entries),
                Effect::Telemetry {
                    machine,
                    at,
                    telemetry,
                } => {
                    if self.bus_is_heard() {
                        let topic = format!("machine.{machine}.telemetry").into();
                        let about = self.about(machine);
                        let content = Content::Samples(Series::shown(at, now.wall, &telemetry).into());
                        self.publish_soon([Published {
                            topic,
                            about,
                            content,
                        }]);
                    }
                    self.series.keep(machine, at, now.wall, telemetry);
                }
                Effect::Log { machine, at, log } => {
                    let lines = self.series.keep_lines(machine, at, now.wall, log);
                    if self.bus_is_heard() {
                        let topic: Arc<str> = format!("machine.{machine}.log").into();
                        let about = self.about(machine);
                        let published = lines.into_iter().filter_map(|line| {
                            let data = serde_json::value::to_raw_value(&line).ok()?.into();
                            let content = Content::Line {
                                severity: line.severity,
                                data,
                            };
                            Some(Published {
                                topic: topic.clone(),
                                about: about.clone(),
                                content,
                            })
                        });
                        self.publish_soon(published);
                    }
                }
                Effect::Answer { request, result } => {
                    // Whoever changed something sees it in the next answer.
                    self.show_changes();
                    if let Some(reply) = self.requests.remove(&request) {
                        // Who asked may be gone.
                        let _ = reply.send(result);
                    }
                }
                Effect::DesiredChanged { request, result } => {
                    self.show_changes();
                    if let Some(reply) = self.desired.remove(&request) {
                        // Who asked may be gone.
                        let _ = reply.send(result);
                    }
                }
                Effect::Stopped {
                    request,
                    machine,
                    result,
                } => {
                    self.show_changes();
                    self.stops.add(request, machine, result);
                }
                Effect::Commanded { request, result } => {
                    self.show_changes();
                    if let Some(reply) = self.commands.remove(&request) {
                        // Who asked may be gone.
                        let _ = reply.send(result);
                    }
                }
            }
        }
        if self.barrier.is_some() && self.in_flight.is_empty() {
            self.pass_barrier();
        }
        if self.drained.is_some() && self.in_flight.is_empty() && self.shard.is_settled() {
            self.show_changes();
            if let Some(reply) = self.drained.take() {
                let _ = reply.send(());
            }
        }
        self.count();
    }

    /// Entries are in the log: note what changed, and tell subscribers of events.
    fn recorded(&mut self, entries: &[Entry]) {
        self.unsaved.extend(entries.iter().map(|entry| entry.machine));
        metrics::counter!("muster_log_entries_total").increment(entries.len() as u64);
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            return;
        };
        self.unshown.push((first.position, last.position));
        let heard = self.bus_is_heard();
        let published = entries.iter().filter(|_| heard).filter_map(|entry| {
            let event = entry.body.as_event(entry.recorded_at)?;
            let about = self.about(entry.machine);
            let name = self
                .shard
                .view(entry.machine)
                .map(MachineView::name)
                .unwrap_or_default();
            let (kind, severity): (Arc<str>, _) = (event.kind.as_str().into(), event.severity);
            let topic = format!("machine.{}.event.{kind}", entry.machine).into();
            let shown = convert::event(entry.position, entry.machine, name, entry.recorded_at, event);
            let data = serde_json::value::to_raw_value(&shown).ok()?.into();
            Some(Published {
                topic,
                about,
                content: Content::Event {
                    position: entry.position,
                    kind,
                    severity,
                    data,
                },
            })
        });
        self.sequencer
            .recorded(first.position, last.position, published.collect());
        if entries
            .iter()
            .any(|entry| matches!(*entry.body, MachineEntry::Registered))
        {
            // Who is welcomed can be asked for from then on: the welcome goes out after this.
            self.show_changes();
        }
    }

    /// Shows changed views to readers and tells subscribers.
    fn show_changes(&mut self) {
        let heard = self.bus_is_heard();
        let mut published = std::mem::take(&mut self.soon);
        while self.shard.changed() > 0 {
            let mut rows = self.table.write();
            self.shard.show_changed(SHOWN_UNDER_ONE_LOCK, |view| {
                let row = rows.put(view);
                if heard {
                    published.extend(changes(row));
                }
            });
        }
        if !self.unshown.is_empty() {
            self.shown.add(self.unshown.drain(..));
        }
        self.publish(published);
    }

    /// Answers a checkpoint with what changed since the one before.
    fn pass_barrier(&mut self) {
        let Some((_, reply)) = self.barrier.take() else {
            return;
        };
        let changed = std::mem::take(&mut self.unsaved);
        let views = changed
            .iter()
            .filter_map(|machine| self.shard.view(*machine).cloned());
        let _ = reply.send(views.collect());
    }

    fn bus_is_heard(&self) -> bool {
        self.bus.subscribers() > 0
    }

    /// Tells of it with the next views that are shown. Each message on the bus wakes everybody who listens, also those whom
    /// it does not concern; so measurements of all machines go together.
    fn publish_soon(&mut self, published: impl IntoIterator<Item = Published>) {
        self.soon.extend(published);
        if self.soon.len() >= SOON_MAX {
            let published = std::mem::take(&mut self.soon);
            self.publish(published);
        }
    }

    fn publish(&self, published: Vec<Published>) {
        if !published.is_empty() {
            self.bus.publish(Arc::new(published));
        }
    }

    fn about(&self, machine: MachineId) -> Option<About> {
        self.shard.view(machine).map(about)
    }

    /// Adds what the shard counted since last time to the metrics.
    fn count(&mut self) {
        let figures = self.shard.figures();
        if figures == self.counted {
            return;
        }
        let since = std::mem::replace(&mut self.counted, figures);
        metrics::counter!("muster_duplicates_total").increment(figures.duplicates - since.duplicates);
        metrics::counter!("muster_resyncs_total").increment(figures.resyncs - since.resyncs);
        metrics::counter!("muster_stale_messages_total").increment(figures.stale - since.stale);
        metrics::counter!("muster_connections_fenced_total").increment(figures.fenced - since.fenced);
        metrics::counter!("muster_samples_unbelievable_total")
            .increment(figures.unbelievable - since.unbelievable);
        metrics::counter!("muster_connections_refused_total").increment(figures.refused - since.refused);
        metrics::counter!("muster_machines_refused_full_total")
            .increment(figures.machines_refused - since.machines_refused);
        metrics::counter!("muster_records_refused_total")
            .increment(figures.records_refused - since.records_refused);
        metrics::counter!("muster_sessions_refused_total")
            .increment(figures.sessions_refused - since.sessions_refused);
        metrics::counter!("muster_floods_refused_total")
            .increment(figures.floods_refused - since.floods_refused);
        metrics::counter!("muster_desired_said_at_welcome_total")
            .increment(figures.desired_said_at_welcome - since.desired_said_at_welcome);
        metrics::counter!("muster_stops_issued_total").increment(figures.stops_issued - since.stops_issued);
        metrics::counter!("muster_stops_said_at_welcome_total")
            .increment(figures.stops_said_at_welcome - since.stops_said_at_welcome);
        metrics::counter!("muster_stops_without_record_total")
            .increment(figures.stops_without_record - since.stops_without_record);
        metrics::counter!("muster_commands_issued_total")
            .increment(figures.commands_issued - since.commands_issued);
        metrics::counter!("muster_commands_said_at_welcome_total")
            .increment(figures.commands_said_at_welcome - since.commands_said_at_welcome);
    }
}

/// What subscribers are told of a row that changed.
fn changes(row: &Row) -> impl Iterator<Item = Published> {
    let about = Some(about(&row.view));
    let heard = serde_json::json!({ "last_seen": row.view.last_seen, "presence": row.view.presence });
    let heartbeat = serde_json::value::to_raw_value(&heard)
        .ok()
        .map(|data| Published {
            topic: format!("machine.{}.heartbeat", row.view.id).into(),
            about: about.clone(),
            content: Content::Latest(data.into()),
        });
    let changed = Published {
        topic: row.topic.clone(),
        about,
        content: Content::Changed,
    };
    heartbeat.into_iter().chain([changed])
}

/// Waits for messages, and takes all that are at hand: zero only once there is nobody left to send any.
///
/// Whoever sends the first one wakes this task, often at once and before others that are ready have said theirs. So it
/// lets them go first: what comes together is stepped together, and the cost of a turn is shared.
async fn gather(inbox: &mut mpsc::Receiver<ShardMessage>, messages: &mut Vec<ShardMessage>) -> usize {
    if messages.is_empty() {
        if inbox.recv_many(messages, STEPS_AT_ONCE).await == 0 {
            return 0;
        }
        // Nothing is lost where something else comes first here: what was taken waits for the next turn.
        tokio::task::yield_now().await;
    }
    while messages.len() < STEPS_AT_ONCE
        && let Ok(message) = inbox.try_recv()
    {
        messages.push(message);
    }
    messages.len()
}

/// Waits for the position of the checkpoint that the shard is held for; none if it was given up.
async fn released(hold: &mut Option<Hold>) -> Option<LogPosition> {
    match hold {
        Some(hold) => (&mut hold.position).await.ok(),
        None => std::future::pending().await,
    }
}

/// What filters look at.
pub fn about(view: &MachineView) -> About {
    About {
        machine: view.id,
        kind: view.kind().into(),
        profile: view.profile.clone(),
    }
}
