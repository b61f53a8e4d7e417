//! Speaks with the server, and keeps what must reach it.
//!
//! What to say, keep and obey is decided by [`muster_reflex::link::Link`]; this node carries out its effects: a
//! [`socket`], the local store, the bus. Begin with [`Uplink::run`]. A server that is away is normal: it is said once
//! when it goes and once when it is back.

mod socket;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use muster_model::{BootId, MachineId, ReportedState, Severity, Timestamp};
use muster_protocol::link::{Decoder, Envelope, Limits, MachineMessage, compression, encode};
use muster_reflex::link::{
    Effect, Identity, Input, Kept, Link, LinkState, Options, Publication, StoredRecord,
};
use muster_runtime::clock;
use muster_runtime::errors::chain;
use tokio::sync::{oneshot, watch};

use crate::bus::Delivery;
use crate::dial::{Dial, Tcp};
use crate::message::{Finding, LinkReport, Payload, Source, event, topics};
use crate::options::ServerUrl;
use crate::store::{Change, MachineStore, Progress, Store, StoreError, Trouble};
use crate::supervisor::{NodeContext, NodeError, NodeSpec, OnFailed, Wake};
use socket::{Socket, SocketEvent};

/// Changes that wait for the store here; beyond it no more messages are taken from the bus.
const BACKLOG_MAX: usize = 64;
/// The state is kept on disk so often, for whoever comes after this start.
const KEEP_STATE_MS: u64 = 300_000;
/// How long the last records may take to reach the disk and the server.
const LAST_WORDS: Duration = Duration::from_millis(700);
/// How long the server may take to answer the close.
const GOODBYE: Duration = Duration::from_millis(500);

/// What the uplink needs to know.
#[derive(Debug)]
pub struct Setup<D = Tcp> {
    /// How the server is reached.
    pub dial: Arc<D>,
    /// Where the server is.
    pub server: ServerUrl,
    /// How long making a connection may take.
    pub connect_timeout: Duration,
    /// How the link behaves.
    pub link: Options,
    /// Who the machine is.
    pub machine_id: MachineId,
    /// This boot.
    pub boot_id: BootId,
    /// Where it keeps things.
    pub store: Store,
    /// The first connection is put off by so long.
    pub delay_ms: u64,
    /// Whether the start of the runtime was told: a node that is started again does not start the runtime.
    pub told_start: AtomicBool,
    /// Changes when there is a new certificate, where there is one: then it connects anew.
    pub renewals: Option<watch::Receiver<u64>>,
}

/// The uplink node.
pub fn spec<D: Dial>(setup: Arc<Setup<D>>) -> NodeSpec {
    let topics = &[
        topics::STATE,
        topics::EVENTS,
        topics::TELEMETRY,
        topics::LOG,
        topics::DESIRED,
    ];
    NodeSpec {
        needs_io: true,
        on_failed: OnFailed::EndMachine,
        ..NodeSpec::new("uplink", topics, move |context| run(context, setup.clone()))
    }
}

async fn run<D: Dial>(mut context: NodeContext, setup: Arc<Setup<D>>) -> Result<(), NodeError> {
    let broken = |error: StoreError| NodeError(chain(&error));
    let opening = setup.store.machine(setup.machine_id);
    tokio::pin!(opening);
    // A slow disk is no hang: signs of life go on while it is waited for.
    let (store, progress, opened) = loop {
        tokio::select! {
            opened = &mut opening => break opened.map_err(broken)?,
            wake = context.next_if(false, None) => match wake {
                Wake::Stop => return Ok(()),
                Wake::Due | Wake::Message(_) => {}
            },
        }
    };
    let mut uplink = Uplink::new(context, &setup, store, progress, opened.kept);
    uplink.began(&setup, opened.last_boot, opened.ended_in_order);
    uplink.run(setup.delay_ms).await
}

struct Uplink<D: Dial> {
    context: NodeContext,
    link: Link,
    store: MachineStore,
    progress: watch::Receiver<Progress>,
    socket: Socket<D>,
    /// Changes that the store's queue had no room for.
    backlog: VecDeque<Change>,
    loading: Option<oneshot::Receiver<Vec<StoredRecord>>>,
    wake_at_ms: Option<u64>,
    /// The state as it was last to be told, and when it was last kept.
    state: Option<ReportedState>,
    state_kept_ms: u64,
    /// Whether the last thing said about the server was that it is away.
    said_away: bool,
    disk_full: bool,
    /// The highest record handed to the store.
    highest: u64,
    renewals: Option<watch::Receiver<u64>>,
}

/// What happened, whatever it was.
enum Happened {
    Woke(Wake),
    Socket(SocketEvent),
    Progress,
    Loaded(Vec<StoredRecord>),
    Room,
    Renewed,
}

impl<D: Dial> Uplink<D> {
    fn new(
        context: NodeContext,
        setup: &Setup<D>,
        store: MachineStore,
        progress: watch::Receiver<Progress>,
        kept: Kept,
    ) -> Self {
        let identity = Identity {
            machine_id: setup.machine_id,
            boot_id: setup.boot_id,
            agent_version: crate::VERSION.to_owned(),
        };
        let highest = kept.highest_record.0;
        let state_kept_ms = context.clock().mono_ms();
        Self {
            context,
            link: Link::new(setup.link.clone(), identity, kept),
            store,
            progress,
            socket: Socket::new(setup.dial.clone(), setup.server.clone(), setup.connect_timeout),
            backlog: VecDeque::new(),
            loading: None,
            wake_at_ms: None,
            state: None,
            state_kept_ms,
            said_away: false,
            disk_full: false,
            highest,
            renewals: setup.renewals.clone(),
        }
    }

    /// Notes that the runtime runs, and says how it ended before.
    fn began(&mut self, setup: &Setup<D>, last_boot: Option<BootId>, ended_in_order: bool) {
        if setup.told_start.swap(true, Ordering::Relaxed) {
            return;
        }
        let (severity, message) = match last_boot {
            None => (Severity::Info, "The runtime started for the first time"),
            Some(_) if ended_in_order => (Severity::Info, "The runtime started"),
            Some(last) if last == setup.boot_id => (
                Severity::Warning,
                "The runtime started; before, it ended without order",
            ),
            Some(_) => (
                Severity::Warning,
                "The runtime started; before, the machine went down without order",
            ),
        };
        self.send(self.store.began(setup.boot_id));
        self.context.publish(event("runtime.started", severity, message));
    }

    async fn run(mut self, delay_ms: u64) -> Result<(), NodeError> {
        let start_ms = self.context.clock().mono_ms() + delay_ms;
        let mut started = false;
        loop {
            if !started && self.context.clock().mono_ms() >= start_ms {
                started = true;
                self.step(Input::Start)?;
            }
            if !started {
                self.wake_at_ms = Some(start_ms);
            }
            match self.happens().await {
                Happened::Woke(Wake::Stop) => break,
                happened => self.take(happened)?,
            }
        }
        self.stop().await
    }

    /// The next thing that happens. May be given up and asked again.
    async fn happens(&mut self) -> Happened {
        let room = self.backlog.len() < BACKLOG_MAX;
        tokio::select! {
            wake = self.context.next_if(room, self.wake_at_ms) => Happened::Woke(wake),
            event = self.socket.event() => Happened::Socket(event),
            Ok(()) = self.progress.changed() => Happened::Progress,
            loaded = answered(&mut self.loading) => Happened::Loaded(loaded),
            () = self.store.room(), if !self.backlog.is_empty() => Happened::Room,
            () = renewed(&mut self.renewals) => Happened::Renewed,
        }
    }

    fn take(&mut self, happened: Happened) -> Result<(), NodeError> {
        match happened {
            Happened::Woke(Wake::Stop) => Ok(()),
            Happened::Woke(Wake::Due) => {
                self.wake_at_ms = None;
                self.step(Input::Timer)
            }
            Happened::Woke(Wake::Message(delivery)) => self.said(&delivery),
            Happened::Socket(event) => self.heard(event),
            Happened::Progress => self.progressed(),
            Happened::Loaded(records) => {
                self.loading = None;
                self.step(Input::Loaded(records))
            }
            Happened::Room => {
                self.send_backlog();
                Ok(())
            }
            Happened::Renewed => {
                // The connection is bound to the certificate that it was made with.
                self.socket
                    .close(socket::NORMAL, "from here on with a new certificate");
                Ok(())
            }
        }
    }

    /// A node said something that is to be told.
    fn said(&mut self, delivery: &Delivery) -> Result<(), NodeError> {
        if delivery.lost > 0 {
            tracing::error!(
                lost = delivery.lost,
                "messages on their way to the server were lost: the inbox was full"
            );
            let text = format!("{} messages on their way to the server were lost", delivery.lost);
            self.tell("uplink.lagged", Severity::Error, &text)?;
        }
        let at = self.in_server_time(delivery.message.at);
        let publication = match &delivery.message.payload {
            Payload::State(state) => {
                self.state = Some((**state).clone());
                self.keep_state(false);
                Publication::State((**state).clone())
            }
            Payload::Event(event) => Publication::Event(event.clone()),
            Payload::Telemetry(telemetry) => Publication::Telemetry(telemetry.clone(), at),
            Payload::Log(log) => Publication::Log(log.clone(), at),
            Payload::Desired(held) => return self.step(Input::DesiredKept(held.version)),
            _ => return Ok(()),
        };
        self.step(Input::Publish(publication))
    }

    /// Tells of an event itself, past the bus.
    fn tell(&mut self, kind: &str, severity: Severity, text: &str) -> Result<(), NodeError> {
        match event(kind, severity, text) {
            Payload::Event(event) => self.step(Input::Publish(Publication::Event(event))),
            _ => Ok(()),
        }
    }

    /// A moment by the machine's wall clock, as the server would have it.
    fn in_server_time(&self, at: Timestamp) -> Timestamp {
        let now = self.context.now();
        at.plus_millis(self.link.server_time(now).millis_since(now.wall))
    }

    /// Something happened on the socket.
    fn heard(&mut self, event: SocketEvent) -> Result<(), NodeError> {
        match event {
            SocketEvent::Opened => self.step(Input::Opened),
            SocketEvent::Written => self.step(Input::Written),
            SocketEvent::Heard => self.step(Input::Heard),
            SocketEvent::Closed(reason) => {
                let entropy = clock::entropy().map_err(|error| NodeError(chain(&error)))?;
                self.step(Input::Closed { reason, entropy })
            }
            SocketEvent::Text(text) => self.heard_text(text.as_str()),
            SocketEvent::Binary(_) if self.link.dictionary().is_none() => {
                // Nothing can be meant by it.
                let reason = "the server sent a binary frame, which was not agreed";
                tracing::warn!(reason);
                self.socket.close(socket::UNSUPPORTED, reason);
                Ok(())
            }
            SocketEvent::Binary(bytes) => match compression::unpack(&bytes, &Limits::default()) {
                Ok(text) => self.heard_text(&text),
                Err(error) => {
                    tracing::warn!(%error, "the server sent a binary frame that holds no message");
                    self.socket.close(error.close_code(), &error.to_string());
                    Ok(())
                }
            },
        }
    }

    fn heard_text(&mut self, text: &str) -> Result<(), NodeError> {
        match Decoder::default().server(text) {
            Ok(frame) => self.step(Input::Frame(frame)),
            Err(error) => {
                tracing::warn!(%error, "the server said what is no message");
                self.socket.close(error.close_code(), &error.to_string());
                Ok(())
            }
        }
    }

    /// The store tells how far it is.
    fn progressed(&mut self) -> Result<(), NodeError> {
        let progress = self.progress.borrow_and_update().clone();
        let full = match &progress.trouble {
            None => false,
            Some(Trouble::Full(_)) => true,
            // The machine ends; nothing is acknowledged until then.
            Some(Trouble::Failed(_)) => return Ok(()),
        };
        if full != self.disk_full {
            self.disk_full = full;
            let finding = full.then(|| Finding {
                kind: "store.full".into(),
                subject: String::new(),
                severity: Severity::Error,
                message: "The disk of the data directory is full: records wait in memory".into(),
            });
            let findings = finding.into_iter().collect();
            self.context.publish(Payload::Findings(Source::Store, findings));
        }
        self.step(Input::Persisted(progress.persisted))
    }

    fn step(&mut self, input: Input) -> Result<(), NodeError> {
        let now = self.context.now();
        for effect in self.link.step(now, input) {
            self.carry_out(effect)?;
        }
        Ok(())
    }

    fn carry_out(&mut self, effect: Effect) -> Result<(), NodeError> {
        let unwritable = |error: StoreError| NodeError(chain(&error));
        match effect {
            Effect::Connect => self.socket.connect(),
            Effect::Disconnect { reason } => self.socket.close(socket::NORMAL, &reason),
            Effect::Write(messages) => self.write(&messages)?,
            Effect::Persist { stored, remember } => {
                self.highest = stored.record.0;
                let change = self.store.persist(&stored, remember).map_err(unwritable)?;
                self.send(change);
            }
            Effect::Trim(record) => self.send(self.store.trim(record)),
            Effect::Load { from, limit } => {
                let (change, answer) = self.store.load(from, limit);
                self.loading = Some(answer);
                self.send(change);
            }
            Effect::KeepSession(session) => self.send(self.store.keep_session(session)),
            Effect::WakeAt(at_ms) => self.wake_at_ms = Some(at_ms),
            Effect::Command(command) => self.context.publish(Payload::Command(command)),
            Effect::Desired(desired) => self.context.publish(Payload::Offered(desired)),
            Effect::StateChanged { state, reason } => self.changed(state, reason),
        }
        Ok(())
    }

    fn write(&mut self, messages: &[Envelope<MachineMessage>]) -> Result<(), NodeError> {
        let agreed = self.link.dictionary().is_some();
        for message in messages {
            let text =
                encode(message).map_err(|error| NodeError(format!("a message has no JSON: {error}")))?;
            match agreed.then(|| compression::pack(&text)).flatten() {
                Some(frame) => self.socket.write_binary(frame),
                None => self.socket.write_text(text),
            }
        }
        Ok(())
    }

    fn changed(&mut self, state: LinkState, reason: String) {
        match state {
            LinkState::Connected => {
                self.said_away = false;
                tracing::info!("in session with the server");
            }
            LinkState::Retrying | LinkState::Reconnecting if !self.said_away => {
                self.said_away = true;
                tracing::warn!(%reason, "the server is away: going on without it, and trying again");
            }
            LinkState::Disconnected => tracing::info!(%reason, "the link has ended"),
            LinkState::Initializing
            | LinkState::Registering
            | LinkState::Retrying
            | LinkState::Reconnecting => tracing::debug!(state = state.as_str(), %reason, "link"),
        }
        self.context.publish(Payload::Link(LinkReport { state, reason }));
    }

    /// Keeps the state on disk, if it is time for it.
    fn keep_state(&mut self, now: bool) {
        let now_ms = self.context.clock().mono_ms();
        if !now && now_ms < self.state_kept_ms + KEEP_STATE_MS {
            return;
        }
        let Some(state) = &self.state else { return };
        match self.store.keep_state(state, self.context.now().wall) {
            Ok(change) => {
                self.state_kept_ms = now_ms;
                self.send(change);
            }
            Err(error) => tracing::error!(error = %chain(&error), "the state cannot be kept"),
        }
    }

    /// Hands a change to the store, in order behind those that wait.
    fn send(&mut self, change: Change) {
        self.backlog.push_back(change);
        self.send_backlog();
    }

    fn send_backlog(&mut self) {
        while let Some(change) = self.backlog.pop_front() {
            if let Err(change) = self.store.try_send(change) {
                self.backlog.push_front(change);
                return;
            }
        }
        self.backlog.shrink_to(8);
    }

    /// Says the last words, keeps them, and closes the connection in order.
    async fn stop(mut self) -> Result<(), NodeError> {
        while let Some(delivery) = self.context.try_next() {
            self.said(&delivery)?;
        }
        self.tell(
            "runtime.stopped",
            Severity::Info,
            "The runtime was stopped in order",
        )?;
        self.keep_state(true);
        let highest = self.highest;
        // The last record is on disk, and on its way where there is a connection.
        self.until(LAST_WORDS, |uplink| {
            let kept = uplink.progress.borrow().persisted.0 >= highest;
            let connected = uplink.link.state() == LinkState::Connected;
            kept && (!connected || uplink.link.settled().0 >= highest)
        })
        .await?;
        self.step(Input::Stop)?;
        self.until(GOODBYE, |uplink| uplink.socket.is_idle()).await?;
        let (change, mut answer) = self.store.ended();
        self.send(change);
        // Without an answer the next start says that there was no order, which is then true.
        let _ = tokio::time::timeout(LAST_WORDS, async {
            loop {
                tokio::select! {
                    _ = &mut answer => break,
                    () = self.store.room(), if !self.backlog.is_empty() => self.send_backlog(),
                }
            }
        })
        .await;
        Ok(())
    }

    /// Goes on until something holds, at most so long, without listening to the bus.
    async fn until(&mut self, most: Duration, holds: impl Fn(&Self) -> bool) -> Result<(), NodeError> {
        let deadline = tokio::time::Instant::now() + most;
        while !holds(self) {
            let timer_at = self
                .wake_at_ms
                .map(|at_ms| self.context.clock().instant_at(at_ms));
            let happened = tokio::select! {
                () = tokio::time::sleep_until(deadline) => return Ok(()),
                () = tokio::time::sleep_until(timer_at.unwrap_or(deadline)), if timer_at.is_some() => {
                    Happened::Woke(Wake::Due)
                }
                event = self.socket.event() => Happened::Socket(event),
                Ok(()) = self.progress.changed() => Happened::Progress,
                loaded = answered(&mut self.loading) => Happened::Loaded(loaded),
                () = self.store.room(), if !self.backlog.is_empty() => Happened::Room,
            };
            self.context.alive();
            self.take(happened)?;
        }
        Ok(())
    }
}

/// The answer to a question that may not have been asked. Never comes when the store is gone.
async fn answered<T>(question: &mut Option<oneshot::Receiver<T>>) -> T {
    if let Some(answer) = question
        && let Ok(answer) = answer.await
    {
        return answer;
    }
    *question = None;
    std::future::pending().await
}

/// When there is a new certificate. Never, where there is none.
async fn renewed(renewals: &mut Option<watch::Receiver<u64>>) {
    if let Some(changes) = renewals
        && changes.changed().await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}
