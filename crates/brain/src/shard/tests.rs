//! The shard, step by step: a small bench with a log of its own, and what a machine says to it.

mod commands;
mod desired;
mod greeting;
mod log;
mod people;
mod presence;
mod records;
mod stop;

use muster_model::state::{Location, Power, StatePatch};
use muster_model::{BootId, LogPosition, Presence, ReportedState, Severity, Timestamp};
use muster_protocol::link::{
    EventReport, Heartbeat, Hello, LinkQuality, RecordRange, Resync, StateReport, VERSION,
};
use uuid::Uuid;

use super::*;

const FIRST: MachineId = MachineId::from_uuid(Uuid::from_u128(1));
const SECOND: MachineId = MachineId::from_uuid(Uuid::from_u128(2));

fn at(ms: u64) -> Now {
    Now {
        mono_ms: ms,
        wall: Timestamp::from_millis(1_000_000 + ms as i64),
    }
}

/// A shard with a log that writes when it is told to.
struct Bench {
    shard: Shard,
    now_ms: u64,
    position: u64,
    /// Batches that were handed in and not answered.
    waiting: VecDeque<(Ticket, Vec<Append>)>,
    /// Everything else that the shard wanted since this was last taken.
    effects: Vec<Effect>,
    /// Every entry that is durable.
    log: Vec<(MachineId, Arc<MachineEntry>)>,
}

impl Bench {
    fn new() -> Self {
        Self::with(Options::default(), Vec::new())
    }

    fn with(options: Options, views: Vec<MachineView>) -> Self {
        Self {
            shard: Shard::new(options, at(0), views),
            now_ms: 0,
            position: 0,
            waiting: VecDeque::new(),
            effects: Vec::new(),
            log: Vec::new(),
        }
    }

    fn step(&mut self, input: Input) {
        self.shard.step(at(self.now_ms), input);
    }

    /// Takes what the shard wants, and hands batches in without writing them.
    fn take(&mut self) {
        for effect in self.shard.take_effects(at(self.now_ms)) {
            match effect {
                Effect::Append { ticket, entries, .. } => self.waiting.push_back((ticket, entries)),
                effect => self.effects.push(effect),
            }
        }
    }

    /// Writes the oldest batch that waits.
    fn write(&mut self) {
        let (ticket, entries) = self.waiting.pop_front().expect("a batch waits");
        let mut placed = Vec::new();
        for append in &entries {
            self.position += 1;
            placed.push(Placed {
                position: LogPosition(self.position),
                version: append.expected.next(),
                recorded_at: at(self.now_ms).wall,
            });
            self.log.push((append.machine, append.entry.clone()));
        }
        self.step(Input::Persisted { ticket, placed });
        self.take();
    }

    /// Refuses the oldest batch that waits.
    fn fail(&mut self) {
        let (ticket, _) = self.waiting.pop_front().expect("a batch waits");
        let reason = "disk full".to_owned();
        self.step(Input::NotPersisted { ticket, reason });
        self.take();
    }

    /// Writes everything, and what follows from it.
    fn settle(&mut self) {
        self.take();
        while !self.waiting.is_empty() {
            self.write();
        }
    }

    fn tick(&mut self, ms: u64) {
        self.now_ms = ms;
        self.step(Input::Tick);
        self.settle();
    }

    fn say(&mut self, connection: u64, frame: Envelope<MachineMessage>) {
        let connection = ConnectionId(connection);
        self.step(Input::Frame { connection, frame });
    }

    /// A machine in session, with nothing left over.
    fn connect(&mut self, machine: MachineId, connection: u64) -> SessionNumber {
        self.say(connection, hello(machine, |_| {}));
        self.settle();
        let session = self.view(machine).session;
        self.effects.clear();
        session
    }

    /// The same, with what the shard said to it kept.
    fn connect_keeping(&mut self, machine: MachineId, connection: u64) -> SessionNumber {
        self.effects.clear();
        self.say(connection, hello(machine, |_| {}));
        self.settle();
        self.view(machine).session
    }

    fn close(&mut self, connection: u64) {
        let connection = ConnectionId(connection);
        let reason = "reset".to_owned();
        self.step(Input::Closed { connection, reason });
    }

    fn view(&self, machine: MachineId) -> &MachineView {
        self.shard.view(machine).expect("the shard knows it")
    }

    fn presence(&self) -> Presence {
        self.view(FIRST).presence
    }

    /// What was said to machines, with the connection.
    fn said(&self) -> Vec<(u64, &ServerMessage)> {
        let frames = self.effects.iter().filter_map(|effect| match effect {
            Effect::Send { connection, frame } => Some((connection.0, &frame.message)),
            _ => None,
        });
        frames.collect()
    }

    /// The same in words.
    fn words(&self) -> Vec<String> {
        let words = self.effects.iter().filter_map(|effect| match effect {
            Effect::Send { connection, frame } => Some(format!(
                "{} to {}: {}",
                frame.message.type_name(),
                connection.0,
                match &frame.message {
                    ServerMessage::Welcome(welcome) =>
                        format!("session {}, record {}", welcome.session, welcome.highest_record),
                    ServerMessage::Ack(ack) => format!("record {}", ack.record),
                    ServerMessage::Resync(resync) => format!("from {}", resync.next_record),
                    ServerMessage::Bye(bye) => format!("{:?}", bye.reason).to_lowercase(),
                    ServerMessage::Command(command) =>
                        format!("{:?} {}", command.kind, command.id).to_lowercase(),
                    ServerMessage::Desired(_) => String::new(),
                }
            )),
            Effect::Close { connection, code, .. } => Some(format!("close {}: {code}", connection.0)),
            Effect::Append { .. }
            | Effect::Recorded(_)
            | Effect::Telemetry { .. }
            | Effect::Log { .. }
            | Effect::Answer { .. }
            | Effect::DesiredChanged { .. }
            | Effect::Stopped { .. }
            | Effect::Commanded { .. } => None,
        });
        words.collect()
    }

    /// The kinds of the entries that are durable, with their records.
    fn logged(&self) -> Vec<String> {
        self.log.iter().map(|(_, entry)| entry_words(entry)).collect()
    }
}

fn entry_words(entry: &MachineEntry) -> String {
    match entry {
        MachineEntry::Registered => "registered".to_owned(),
        MachineEntry::SessionOpened { session, .. } => format!("session {session}"),
        MachineEntry::PresenceChanged { presence, .. } => presence.to_string(),
        MachineEntry::StateReported { record, .. } => format!("state {record}"),
        MachineEntry::EventReported { record, .. } => format!("event {record}"),
        MachineEntry::ResponseReported { record, .. } => format!("response {record}"),
        MachineEntry::RecordRefused { record, kind, .. } => format!("refused {kind} {record}"),
        MachineEntry::RecordsLost { first, last } => format!("lost {first} to {last}"),
        MachineEntry::DesiredChanged { section, version, .. } => format!("desired {section} {version}"),
        MachineEntry::CommandIssued { kind, command_id, .. } => format!("{kind} {command_id}"),
        MachineEntry::Renamed { .. } => "renamed".to_owned(),
        MachineEntry::Labelled { .. } => "labelled".to_owned(),
        MachineEntry::IdentityNoted { what, .. } => format!("identity {what:?}").to_lowercase(),
    }
}

fn frame(machine: MachineId, message: MachineMessage) -> Envelope<MachineMessage> {
    Envelope {
        machine_id: machine,
        session: None,
        sequence: SequenceNumber(1),
        record: None,
        timestamp: Timestamp::from_millis(900_000),
        traceparent: None,
        message,
    }
}

fn hello(machine: MachineId, change: impl FnOnce(&mut Hello)) -> Envelope<MachineMessage> {
    let mut hello = Hello {
        versions: vec![VERSION],
        minor: 0,
        agent_version: "0.1.0".to_owned(),
        boot_id: BootId::from_uuid(Uuid::from_u128(9)),
        capabilities: Vec::new(),
        dictionaries: Vec::new(),
        commands: Vec::new(),
        last_session: SessionNumber::ZERO,
        desired_version: 0,
        records: None,
        highest_record: RecordNumber::ZERO,
    };
    change(&mut hello);
    frame(machine, MachineMessage::Hello(Box::new(hello)))
}

fn holds(first: u64, last: u64) -> impl FnOnce(&mut Hello) {
    move |hello| {
        let (first, last) = (RecordNumber(first), RecordNumber(last));
        hello.records = Some(RecordRange { first, last });
        hello.highest_record = last;
    }
}

fn in_session(session: SessionNumber, sequence: u64, message: MachineMessage) -> Envelope<MachineMessage> {
    Envelope {
        session: Some(session),
        sequence: SequenceNumber(sequence),
        ..frame(FIRST, message)
    }
}

fn durable(
    session: SessionNumber,
    sequence: u64,
    record: u64,
    message: MachineMessage,
) -> Envelope<MachineMessage> {
    Envelope {
        record: Some(RecordNumber(record)),
        ..in_session(session, sequence, message)
    }
}

fn event() -> MachineMessage {
    MachineMessage::Event(Box::new(EventReport {
        kind: "test".to_owned(),
        severity: Severity::Info,
        message: "m".to_owned(),
        data: None,
        correlation_id: None,
        causation_id: None,
    }))
}

fn heartbeat() -> MachineMessage {
    MachineMessage::Heartbeat(Heartbeat {
        uptime_s: 1,
        link: LinkQuality {
            round_trip_ms: None,
            connects: 1,
            outbox: 0,
            dropped: 0,
        },
        safety: muster_model::Safety::Operational,
        authority: muster_model::Authority::None,
        clock: None,
    })
}

fn full(battery_percent: f64) -> MachineMessage {
    let state = ReportedState {
        power: Some(power(battery_percent)),
        ..ReportedState::default()
    };
    MachineMessage::State(StateReport::Full(Box::new(state)))
}

fn patch(base: u64, battery_percent: f64) -> MachineMessage {
    let sections = StatePatch {
        power: Some(Some(power(battery_percent))),
        location: Some(None::<Arc<Location>>),
        ..StatePatch::default()
    };
    MachineMessage::State(StateReport::Patch {
        base: StateVersion(base),
        sections: Box::new(sections),
    })
}

fn power(battery_percent: f64) -> Arc<Power> {
    Arc::new(Power {
        battery_percent: Some(battery_percent),
        charging: false,
        external_supply: false,
        volts: None,
        amperes: None,
    })
}

fn resyncs(bench: &Bench) -> Vec<&Resync> {
    let said = bench.said().into_iter().filter_map(|(_, message)| match message {
        ServerMessage::Resync(resync) => Some(resync),
        _ => None,
    });
    said.collect()
}
