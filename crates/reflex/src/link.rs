//! The machine's end of the link: one session after another with the server, and an outbox between them.
//!
//! Begin with [`Link::step`]. The link has a [`Phase`]; durable messages pass through the [`outbox`], which hands them
//! out only once they are on disk; the rest waits in [`queue`]s by priority; commands pass the [`ledger`], so that
//! each is taken once and none too late.
//!
//! It does not know what a socket is: it asks for a connection and for writes, and is told what came of them.

mod clock;
mod commands;
mod first;
mod fitting;
mod interface;
mod ledger;
mod outbox;
mod phase;
mod queue;

#[cfg(test)]
mod tests;

use muster_model::vocabulary::{Authority, Safety};
use muster_model::{
    DesiredVersion, RecordNumber, ReportedState, SequenceNumber, SessionNumber, StateVersion, Timestamp,
};
use muster_protocol::link::{
    Ack, Bye, ByeReason, EVENT_MESSAGE_MAX_CHARS, Envelope, Heartbeat, Hello, Limits, LinkQuality, MINOR,
    MachineMessage, OLDEST_VERSION, Priority, RecordRange, Resync, ServerMessage, StateReport, TokenBucket,
    VERSION, Welcome,
};

use crate::Now;
use clock::ServerClock;
use first::first_session;
use fitting::{fitting, stand_in};
pub use interface::{Effect, Figures, Identity, Input, Kept, Options, Publication};
use ledger::Ledger;
pub use ledger::Remembered;
use outbox::Outbox;
pub use outbox::StoredRecord;
pub use phase::LinkState;
use phase::{Phase, Session};
use queue::Queues;

/// The machine's end of the link.
#[derive(Debug)]
pub struct Link {
    options: Options,
    identity: Identity,
    phase: Phase,
    queues: Queues,
    outbox: Outbox,
    ledger: Ledger,
    clock: ServerClock,
    last_session: SessionNumber,
    /// The desired state that the machine's disk holds.
    desired_version: DesiredVersion,
    /// The state that was last turned into a record, and that record.
    told: Option<(StateVersion, ReportedState)>,
    /// The latest state a node published.
    current: Option<ReportedState>,
    /// Whether that state cannot be told, and this was said.
    state_unfit: bool,
    figures: Figures,
    started_ms: Option<u64>,
    effects: Vec<Effect>,
}

impl Link {
    /// A link that has not begun.
    pub fn new(options: Options, identity: Identity, kept: Kept) -> Self {
        let outbox = Outbox::new(kept.highest_record, kept.settled, options.window_max);
        let ledger = Ledger::new(kept.commands, options.ledger_max);
        let queues = Queues::new(options.queue_max);
        Self {
            options,
            identity,
            phase: Phase::Initializing,
            queues,
            outbox,
            ledger,
            clock: ServerClock::default(),
            last_session: kept.last_session,
            desired_version: kept.desired_version,
            told: None,
            current: None,
            state_unfit: false,
            figures: Figures::default(),
            started_ms: None,
            effects: Vec::new(),
        }
    }

    /// Takes in what happened and says what is to be done, in order.
    pub fn step(&mut self, now: Now, input: Input) -> Vec<Effect> {
        match input {
            Input::Start => self.start(now),
            Input::Opened => self.opened(now),
            Input::Closed { reason, entropy } => self.closed(now, &reason, entropy),
            Input::Frame(frame) => self.frame(now, frame),
            Input::Heard => self.heard(now),
            Input::Written => {
                if let Phase::Connected(session) = &mut self.phase {
                    session.writing = false;
                }
            }
            Input::Publish(publication) => self.publish(now, publication),
            Input::Persisted(record) => self.persisted(record),
            Input::DesiredKept(version) => self.desired_version = self.desired_version.max(version),
            Input::Loaded(records) => {
                if self.outbox.loaded(records) {
                    self.load_more();
                }
            }
            Input::Timer => self.timer(now),
            Input::Stop => self.stop(),
        }
        self.pump(now);
        self.wake(now);
        std::mem::take(&mut self.effects)
    }

    /// The link's state in one word.
    pub fn state(&self) -> LinkState {
        self.phase.state()
    }

    /// The compression dictionary that was agreed for this session: both ends may send binary frames. None: text only.
    pub fn dictionary(&self) -> Option<u32> {
        match &self.phase {
            Phase::Connected(session) => session.dictionary,
            Phase::Initializing
            | Phase::Connecting { .. }
            | Phase::Registering { .. }
            | Phase::Dismissed { .. }
            | Phase::Waiting { .. }
            | Phase::Stopped => None,
        }
    }

    /// Figures about the link.
    pub fn figures(&self) -> Figures {
        Figures {
            outbox: self.outbox.held(),
            dropped: self.queues.dropped(),
            records_dropped: self.outbox.dropped(),
            ..self.figures
        }
    }

    /// The server's time as well as the machine knows it; its own wall clock until it has heard of the server.
    pub fn server_time(&self, now: Now) -> Timestamp {
        self.clock.server_time(now)
    }

    /// The highest record that is settled: acknowledged, or dropped.
    pub fn settled(&self) -> RecordNumber {
        self.outbox.settled()
    }

    fn start(&mut self, now: Now) {
        if self.phase.state() == LinkState::Initializing {
            self.started_ms = Some(now.mono_ms);
            self.load_more();
            self.connect(0, false);
        }
    }

    fn connect(&mut self, attempt: u32, known: bool) {
        self.phase = Phase::Connecting { attempt, known };
        self.effects.push(Effect::Connect);
    }

    fn opened(&mut self, now: Now) {
        let Phase::Connecting { attempt, known } = self.phase else {
            return;
        };
        let hello = Hello {
            versions: (OLDEST_VERSION..=VERSION).collect(),
            minor: MINOR,
            agent_version: self.identity.agent_version.clone(),
            boot_id: self.identity.boot_id,
            capabilities: vec!["events".into(), "logs".into(), "state".into(), "telemetry".into()],
            dictionaries: self.options.dictionaries.clone(),
            commands: self.options.commands.iter().map(ToString::to_string).collect(),
            last_session: self.last_session,
            desired_version: self.desired_version.0,
            records: self
                .outbox
                .range()
                .map(|(first, last)| RecordRange { first, last }),
            highest_record: self.outbox.persisted(),
        };
        let envelope = Envelope {
            machine_id: self.identity.machine_id,
            session: None,
            sequence: SequenceNumber(1),
            record: None,
            timestamp: self.clock.server_time(now),
            traceparent: None,
            message: MachineMessage::Hello(Box::new(hello)),
        };
        let deadline_ms = now.mono_ms + self.options.register_within_ms;
        self.phase = Phase::Registering {
            attempt,
            known,
            said_hello_ms: now.mono_ms,
            deadline_ms,
        };
        self.effects.push(Effect::Write(vec![envelope]));
        self.changed("connection stands");
    }

    fn closed(&mut self, now: Now, reason: &str, entropy: u64) {
        let (attempt, known, wait_ms) = match &self.phase {
            Phase::Initializing | Phase::Waiting { .. } | Phase::Stopped => return,
            Phase::Connecting { attempt, known } | Phase::Registering { attempt, known, .. } => {
                (*attempt, *known, None)
            }
            // A session that ends as soon as it began is a failed attempt: the wait must grow, or one bad record would
            // have the machine knock twice a second for ever.
            Phase::Connected(session) if now.mono_ms < session.since_ms + self.options.settled_after_ms => {
                (session.attempt, true, None)
            }
            Phase::Connected(_) => (0, true, None),
            Phase::Dismissed {
                retry_after_ms: Some(wait),
                attempt,
            } => (*attempt, true, Some(*wait)),
            Phase::Dismissed {
                retry_after_ms: None, ..
            } => {
                self.phase = Phase::Stopped;
                self.changed(reason);
                return;
            }
        };
        // Full jitter: anywhere between now and the bound, so that ten thousand machines do not come back together.
        let bound = self
            .options
            .backoff_base_ms
            .saturating_mul(1 << attempt.min(16))
            .min(self.options.backoff_max_ms);
        let jitter = entropy % (bound + 1);
        let until_ms = now.mono_ms + wait_ms.unwrap_or(0) + jitter;
        self.phase = Phase::Waiting {
            until_ms,
            attempt: attempt + 1,
            known,
        };
        self.outbox.rewind();
        self.changed(reason);
    }

    fn frame(&mut self, now: Now, frame: Envelope<ServerMessage>) {
        self.heard(now);
        if frame.machine_id != self.identity.machine_id {
            self.give_up("the server spoke to another machine");
            return;
        }
        match (&mut self.phase, frame.message) {
            (Phase::Registering { .. }, ServerMessage::Welcome(welcome)) => {
                self.welcomed(now, &welcome, frame.sequence);
            }
            (Phase::Registering { .. } | Phase::Connected(_), ServerMessage::Bye(bye)) => {
                self.dismissed(&bye);
            }
            (Phase::Registering { .. }, _) => self.give_up("the server spoke before its welcome"),
            (Phase::Connected(session), message) => {
                if frame.session != Some(session.number) || frame.sequence <= session.heard_sequence {
                    return; // of an older session, or said before
                }
                if frame.sequence != session.heard_sequence.next() {
                    self.give_up("a message of the server is missing");
                    return;
                }
                session.heard_sequence = frame.sequence;
                self.connected_frame(now, message, frame.timestamp);
            }
            (
                Phase::Initializing
                | Phase::Connecting { .. }
                | Phase::Waiting { .. }
                | Phase::Dismissed { .. }
                | Phase::Stopped,
                _,
            ) => {}
        }
    }

    fn connected_frame(&mut self, now: Now, message: ServerMessage, said_at: Timestamp) {
        match message {
            ServerMessage::Ack(ack) => self.acknowledged(now, &ack, said_at),
            ServerMessage::Command(command) => self.commanded(now, *command),
            ServerMessage::Desired(desired) => self.effects.push(Effect::Desired(desired)),
            ServerMessage::Resync(resync) => self.resync(now, &resync),
            ServerMessage::Welcome(_) | ServerMessage::Bye(_) => self.give_up("a second welcome"),
        }
    }

    fn welcomed(&mut self, now: Now, welcome: &Welcome, sequence: SequenceNumber) {
        let Phase::Registering {
            said_hello_ms,
            attempt,
            ..
        } = self.phase
        else {
            return;
        };
        if let Some(dictionary) = welcome.dictionary
            && !self.options.dictionaries.contains(&dictionary)
        {
            self.give_up("the server chose a dictionary that was not offered");
            return;
        }
        self.clock.observe(
            now,
            welcome.server_time,
            now.mono_ms.saturating_sub(said_hello_ms),
        );
        self.figures.connects += 1;
        // A disk that remembers no session knows nothing of what the server holds.
        let fresh = self.last_session == SessionNumber::ZERO;
        self.last_session = welcome.session;
        self.phase = Phase::Connected(Box::new(Session {
            number: welcome.session,
            said_sequence: SequenceNumber(1),
            heard_sequence: sequence,
            heard_ms: now.mono_ms,
            heartbeat_interval_ms: u64::from(welcome.heartbeat_interval_ms).max(1_000),
            next_heartbeat_ms: now.mono_ms,
            heartbeat_sent: None,
            limits: welcome.limits,
            dictionary: welcome.dictionary,
            // A tenth below the limits: two clocks are never quite equal.
            bucket: TokenBucket::new(
                (welcome.limits.messages_per_s * 9 / 10).max(1),
                (welcome.limits.messages_burst * 9 / 10).max(1),
                now.mono_ms,
            ),
            writing: false,
            flush: true,
            wait_until_ms: None,
            since_ms: now.mono_ms,
            attempt,
        }));
        let unknown = fresh && welcome.highest_record > RecordNumber::ZERO;
        if unknown || welcome.highest_record > self.outbox.highest() {
            // A number is left out, so that a crash in the middle leaves a hole between the old records and the new.
            self.adopt(now, welcome.highest_record.max(self.outbox.highest().next()));
        }
        self.effects.push(Effect::KeepSession(welcome.session));
        self.trim(welcome.highest_record);
        self.outbox.rewind();
        self.load_more();
        // A server that lost its memory, or never had one, needs the whole state; so does one whose version is not ours.
        let known = self.told.as_ref().is_some_and(|(version, _)| {
            *version == welcome.state_version || RecordNumber(version.0) > welcome.highest_record
        });
        // Nothing is said in a disk's first session before the session is on it: after a crash, what was said would
        // look like what the server never heard. The disk works in order, so a record behind the session proves it.
        let prove = fresh && self.outbox.held() > 0;
        match self.current.clone() {
            Some(state) if !known || prove => self.tell_state(now, state, true),
            // No state is known yet to be that record.
            None if prove => {
                self.store(now, first_session(), None);
            }
            Some(_) | None => {}
        }
        if prove {
            self.outbox.hold_until_persisted(self.outbox.highest());
        }
        self.changed("welcomed");
    }

    /// The server holds records of this machine that the machine does not remember: its disk was lost. It goes on
    /// behind them, and gives what it has not sent yet new numbers.
    ///
    /// The new ones are kept before the old ones are forgotten, and the session after both: a crash in between begins
    /// again, and loses nothing.
    fn adopt(&mut self, now: Now, highest: RecordNumber) {
        let unsent = self.outbox.adopt(highest);
        self.told = None;
        for message in unsent {
            // The state is told anew, as a whole.
            if !matches!(message, MachineMessage::State(_)) {
                self.store(now, message, None);
            }
        }
        self.effects.push(Effect::Trim(highest));
    }

    fn dismissed(&mut self, bye: &Bye) {
        let attempt = match &self.phase {
            Phase::Registering { attempt, .. } => *attempt,
            _ => 0,
        };
        let retry_after_ms = match (bye.retry_after_ms, bye.reason) {
            (Some(wait), _) => Some(u64::from(wait)),
            (None, ByeReason::Drain | ByeReason::Overloaded | ByeReason::Violation) => {
                Some(self.options.dismissed_wait_ms)
            }
            (None, ByeReason::Fenced | ByeReason::Revoked | ByeReason::UnsupportedVersion) => None,
        };
        self.phase = Phase::Dismissed {
            retry_after_ms,
            attempt,
        };
        self.effects.push(Effect::Disconnect {
            reason: format!("the server said bye: {}", bye.message),
        });
    }

    fn acknowledged(&mut self, now: Now, ack: &Ack, said_at: Timestamp) {
        if let Phase::Connected(session) = &mut self.phase
            && let (Some(answered), Some((sent, sent_ms))) = (ack.heartbeat, session.heartbeat_sent)
            && answered == sent
        {
            let round_trip_ms = now.mono_ms.saturating_sub(sent_ms);
            session.heartbeat_sent = None;
            self.figures.round_trip_ms = Some(u32::try_from(round_trip_ms).unwrap_or(u32::MAX));
            self.clock.observe(now, said_at, round_trip_ms);
        }
        self.trim(ack.record);
    }

    fn trim(&mut self, record: RecordNumber) {
        if self.outbox.settle(record) {
            self.effects.push(Effect::Trim(self.outbox.settled()));
            self.load_more();
        }
    }

    fn load_more(&mut self) {
        if let Some((from, limit)) = self.outbox.wants() {
            self.effects.push(Effect::Load { from, limit });
        }
    }

    fn resync(&mut self, now: Now, resync: &Resync) {
        if resync.next_record <= self.outbox.settled() {
            // Only hello can say which records will never come.
            self.give_up("the server lacks records that are no longer held here");
            return;
        }
        self.outbox.rewind_to(resync.next_record);
        if let Some(state) = self.current.clone() {
            self.tell_state(now, state, true);
        }
    }

    fn publish(&mut self, now: Now, publication: Publication) {
        match publication {
            Publication::State(state) => self.tell_state(now, state, false),
            Publication::Event(mut event) => {
                shorten(&mut event.message, EVENT_MESSAGE_MAX_CHARS);
                let kind: String = event.kind.chars().take(64).collect();
                let message = match self.fitting(MachineMessage::Event(event)) {
                    Ok(message) => message,
                    Err(why) => stand_in("event", Some(&kind), &why),
                };
                self.store(now, message, None);
            }
            Publication::Telemetry(telemetry, at) => {
                self.queues.push(now, MachineMessage::Telemetry(telemetry), at);
            }
            Publication::Log(mut log, at) => {
                for line in &mut log.lines {
                    shorten(&mut line.message, EVENT_MESSAGE_MAX_CHARS);
                }
                self.queues.push(now, MachineMessage::Log(log), at);
            }
        }
    }

    fn tell_state(&mut self, now: Now, state: ReportedState, whole: bool) {
        self.current = Some(state.clone());
        let report = match &self.told {
            Some((base, told)) if !whole => {
                let sections = told.difference(&state);
                if sections.is_empty() {
                    return;
                }
                StateReport::Patch {
                    base: *base,
                    sections: Box::new(sections),
                }
            }
            Some(_) | None => StateReport::Full(Box::new(state.clone())),
        };
        let whole = matches!(report, StateReport::Full(_));
        let message = match self.fitting(MachineMessage::State(report)) {
            Ok(message) => message,
            Err(why) => {
                // Once is enough: it is the same with each change, until it fits again.
                if !std::mem::replace(&mut self.state_unfit, true) {
                    self.store(now, stand_in("state", None, &why), None);
                }
                return;
            }
        };
        self.state_unfit = false;
        let record = self.store(now, message, None);
        // Where room had to be made, what a patch is based on may be gone.
        if whole || self.told.is_some() {
            self.told = Some((StateVersion(record.0), state));
        }
    }

    /// Whether the server will take this.
    fn fitting(&mut self, message: MachineMessage) -> Result<MachineMessage, String> {
        // What is kept now may be sent in any session to come: what this one allows beyond the usual does not count.
        let usual = Limits::default();
        let limits = match &self.phase {
            Phase::Connected(session) => usual.narrower(&session.limits),
            Phase::Initializing
            | Phase::Connecting { .. }
            | Phase::Registering { .. }
            | Phase::Waiting { .. }
            | Phase::Dismissed { .. }
            | Phase::Stopped => usual,
        };
        let fits = fitting(self.identity.machine_id, limits, message);
        self.figures.records_unfit += u64::from(fits.is_err());
        fits
    }

    /// Gives a durable message its record number and asks for it to be kept.
    fn store(&mut self, now: Now, message: MachineMessage, remember: Option<Remembered>) -> RecordNumber {
        let at = self.clock.server_time(now);
        let stored = self.outbox.push(now.mono_ms, at, message);
        let record = stored.record;
        self.effects.push(Effect::Persist { stored, remember });
        if self.outbox.held() > self.options.outbox_max {
            // Dropping one by one would tell the disk each time: make room for a while.
            let sent = self.outbox.sent();
            let dropped = self.outbox.drop_oldest(self.options.outbox_max / 16 + 1);
            self.effects.push(Effect::Trim(dropped));
            self.load_more();
            self.told = None;
            if dropped > sent && self.phase.state() == LinkState::Connected {
                // The server waits for what will never come, and may have asked for it already: only hello can say so.
                self.give_up("records were dropped that the server has not heard");
            }
        }
        record
    }

    fn persisted(&mut self, record: RecordNumber) {
        self.outbox.persisted_to(record);
        self.load_more();
        for command in self.ledger.due(record) {
            self.effects.push(Effect::Command(Box::new(command)));
        }
    }

    fn heard(&mut self, now: Now) {
        if let Phase::Connected(session) = &mut self.phase {
            session.heard_ms = now.mono_ms;
        }
    }

    fn timer(&mut self, now: Now) {
        match &self.phase {
            Phase::Waiting {
                until_ms,
                attempt,
                known,
            } if *until_ms <= now.mono_ms => {
                let (attempt, known) = (*attempt, *known);
                self.connect(attempt, known);
            }
            Phase::Registering { deadline_ms, .. } if *deadline_ms <= now.mono_ms => {
                self.give_up("no welcome in time");
            }
            Phase::Connected(session) if session.heard_ms + self.options.silence_max_ms <= now.mono_ms => {
                self.give_up("nothing heard of the server for too long");
            }
            Phase::Initializing
            | Phase::Connecting { .. }
            | Phase::Registering { .. }
            | Phase::Connected(_)
            | Phase::Waiting { .. }
            | Phase::Dismissed { .. }
            | Phase::Stopped => {}
        }
    }

    fn stop(&mut self) {
        match self.phase {
            Phase::Connecting { .. }
            | Phase::Registering { .. }
            | Phase::Connected(_)
            | Phase::Dismissed { .. } => {
                self.effects.push(Effect::Disconnect {
                    reason: "the runtime is being stopped".into(),
                });
            }
            Phase::Initializing | Phase::Waiting { .. } | Phase::Stopped => {}
        }
        self.phase = Phase::Stopped;
        self.changed("stopped");
    }

    fn give_up(&mut self, reason: &str) {
        // Whatever the server says from here on belongs to a connection that is over.
        let (attempt, known) = match &self.phase {
            Phase::Registering { attempt, known, .. } => (*attempt, *known),
            Phase::Connected(session)
                if session.heard_ms < session.since_ms + self.options.settled_after_ms =>
            {
                (session.attempt, true)
            }
            _ => (0, true),
        };
        self.phase = Phase::Connecting { attempt, known };
        self.effects.push(Effect::Disconnect {
            reason: reason.to_owned(),
        });
    }

    fn changed(&mut self, reason: &str) {
        self.effects.push(Effect::StateChanged {
            state: self.phase.state(),
            reason: reason.to_owned(),
        });
    }

    /// Writes what is due: urgent things at once, the rest when it has gathered or waited long enough.
    fn pump(&mut self, now: Now) {
        self.queues.expire(now);
        let Phase::Connected(session) = &mut self.phase else {
            return;
        };
        let beat = session.next_heartbeat_ms <= now.mono_ms;
        let paced = session.wait_until_ms.is_some_and(|until| until > now.mono_ms);
        let flush = session.flush;
        let writing = session.writing;
        if writing || !(beat || (!paced && (flush || self.due(now)))) {
            return;
        }
        let mut messages = Vec::new();
        if beat {
            messages.push(self.heartbeat(now));
        }
        let mut room = self.options.write_max_bytes;
        let Phase::Connected(session) = &mut self.phase else {
            return;
        };
        while room > 0
            && self.outbox.has_to_send()
            && session.bucket.take(now.mono_ms)
            && let Some((record, at, message)) = self.outbox.next_to_send()
        {
            room = room.saturating_sub(queue::size_of(&message));
            messages.push((Some(record), at, message));
        }
        while room > 0
            && !self.queues.is_empty()
            && session.bucket.take(now.mono_ms)
            && let Some((at, message)) = self.queues.pop(session.limits.samples_max)
        {
            room = room.saturating_sub(queue::size_of(&message));
            messages.push((None, at, message));
        }
        let more = self.outbox.has_to_send() || !self.queues.is_empty();
        let wait_ms = session.bucket.wait_ms(now.mono_ms);
        session.flush = more && room == 0 && wait_ms == 0;
        session.wait_until_ms = (more && wait_ms > 0).then_some(now.mono_ms + wait_ms);
        if messages.is_empty() {
            return;
        }
        let machine_id = self.identity.machine_id;
        let write = messages.into_iter().map(|(record, timestamp, message)| {
            session.said_sequence = session.said_sequence.next();
            if matches!(message, MachineMessage::Heartbeat(_)) {
                session.heartbeat_sent = Some((session.said_sequence, now.mono_ms));
            }
            let (sequence, number) = (session.said_sequence, session.number);
            Envelope {
                machine_id,
                session: Some(number),
                sequence,
                record,
                timestamp,
                traceparent: None,
                message,
            }
        });
        self.effects.push(Effect::Write(write.collect()));
        session.writing = true;
        self.load_more();
    }

    fn heartbeat(&mut self, now: Now) -> (Option<RecordNumber>, Timestamp, MachineMessage) {
        let figures = self.figures();
        let operation = self.current.as_ref().and_then(|state| state.operation.as_ref());
        let heartbeat = Heartbeat {
            uptime_s: self
                .started_ms
                .map_or(0, |started| now.mono_ms.saturating_sub(started) / 1_000),
            link: LinkQuality {
                round_trip_ms: figures.round_trip_ms,
                connects: figures.connects,
                outbox: figures.outbox,
                dropped: figures.dropped,
            },
            safety: operation.map_or(Safety::Init, |operation| operation.safety),
            authority: operation.map_or(Authority::None, |operation| operation.authority),
            clock: self.clock.estimate(now),
        };
        if let Phase::Connected(session) = &mut self.phase {
            session.next_heartbeat_ms = now.mono_ms + session.heartbeat_interval_ms;
        }
        (
            None,
            self.clock.server_time(now),
            MachineMessage::Heartbeat(heartbeat),
        )
    }

    fn due(&self, now: Now) -> bool {
        self.due_at().is_some_and(|at| at <= now.mono_ms)
    }

    /// When the next write is due, apart from the heartbeat.
    fn due_at(&self) -> Option<u64> {
        let wait = |priority: Priority| match priority {
            Priority::Critical | Priority::High => 0,
            Priority::Normal => self.options.gather_ms,
            Priority::Low => self.options.gather_low_ms,
        };
        let queued = self.queues.due_at(wait);
        [queued, self.outbox.due_at(wait)].into_iter().flatten().min()
    }

    /// Asks to be woken when the next thing is due.
    fn wake(&mut self, now: Now) {
        let at = match &self.phase {
            Phase::Initializing | Phase::Connecting { .. } | Phase::Dismissed { .. } | Phase::Stopped => {
                return;
            }
            Phase::Registering { deadline_ms, .. } => *deadline_ms,
            Phase::Waiting { until_ms, .. } => *until_ms,
            Phase::Connected(session) => {
                let silence = session.heard_ms + self.options.silence_max_ms;
                // While a write is out nothing else is due: its end is an input of its own.
                let due = if session.writing { None } else { self.due_at() };
                let due = due.map(|due| due.max(session.wait_until_ms.unwrap_or(0)));
                let beat = if session.writing {
                    silence
                } else {
                    session.next_heartbeat_ms
                };
                silence.min(beat).min(due.unwrap_or(u64::MAX))
            }
        };
        self.effects.push(Effect::WakeAt(at.max(now.mono_ms)));
    }
}

/// What is too long would be refused, and a durable message that is refused once is refused for ever.
fn shorten(text: &mut String, most_chars: usize) {
    if let Some((end, _)) = text.char_indices().nth(most_chars) {
        text.truncate(end);
    }
}
