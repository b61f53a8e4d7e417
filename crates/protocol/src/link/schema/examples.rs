//! One believable frame of every kind, made by the types and the encoder themselves: a short day in a machine's life.

use std::sync::Arc;

use muster_model::entry::JsonText;
use muster_model::state::{
    Deployment, Hardware, HealthReport, Identity, Operation, Platform, Power, ReportedState, StatePatch,
};
use muster_model::vocabulary::{Authority, Health, Mission, Mode, Quality, Safety};
use muster_model::{
    BootId, MachineId, RecordNumber, SequenceNumber, SessionNumber, Severity, StateVersion, Timestamp,
};
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::link::encode::Encode;
use crate::link::{
    Ack, Bye, ByeReason, ClockEstimate, Command, CommandKind, Desired, Envelope, EventReport, Heartbeat,
    Hello, Limits, LinkQuality, LogReport, MINOR, MachineMessage, OLDEST_VERSION, Outcome, RecordRange,
    Response, Resync, ServerMessage, StateReport, Telemetry, VERSION, Welcome, WireLogLine, WireSample,
    encode,
};

/// A frame with a few words on what it shows.
pub(super) struct Example<M> {
    pub(super) about: &'static str,
    pub(super) envelope: Envelope<M>,
}

impl<M: Encode> Example<M> {
    pub(super) fn json(&self) -> Value {
        let text = encode(&self.envelope).expect("examples hold nothing that JSON cannot");
        serde_json::from_str(&text).expect("the encoder writes JSON")
    }
}

const SESSION: SessionNumber = SessionNumber(17);
/// 2026-11-21T07:00:00.123Z
const SEVEN: Timestamp = Timestamp::from_millis(1_795_244_400_123);

fn machine() -> MachineId {
    MachineId::from_uuid(Uuid::from_u128(0x0192_f0c1_7a3e_7c44_9c1f_5d2b_8a60_1e42))
}

fn boot() -> BootId {
    BootId::from_uuid(Uuid::from_u128(0x7d0f_3b1e_52c8_4f0a_8e77_1c9d_24ab_6f03))
}

fn json(text: &str) -> JsonText {
    JsonText(RawValue::from_string(text.to_owned()).expect("examples are JSON"))
}

fn example<M>(
    about: &'static str,
    session: Option<SessionNumber>,
    sequence: u64,
    record: Option<u64>,
    message: M,
) -> Example<M> {
    let envelope = Envelope {
        machine_id: machine(),
        session,
        sequence: SequenceNumber(sequence),
        record: record.map(RecordNumber),
        timestamp: SEVEN.plus_millis(250 * (sequence as i64 - 1)),
        traceparent: None,
        message,
    };
    Example { about, envelope }
}

/// What a machine says, in the order in which it may say it.
pub(super) fn from_machine() -> Vec<Example<MachineMessage>> {
    let said = |about, sequence, record, message| example(about, Some(SESSION), sequence, record, message);
    vec![
        example(
            "A machine that kept three records while it was away",
            None,
            1,
            None,
            hello(),
        ),
        said(
            "All there is to say, after `welcome`",
            2,
            Some(88_124),
            full_state(),
        ),
        said("Every `heartbeat_interval_ms`", 3, None, heartbeat()),
        said(
            "Measured 200 ms before the frame was put together",
            4,
            None,
            telemetry(),
        ),
        said(
            "The battery and the mode changed, nothing else",
            5,
            Some(88_125),
            patch(),
        ),
        said("Kept until the server acknowledges it", 6, Some(88_126), event()),
        said("Two lines of the log", 7, None, log()),
        said(
            "A command that this machine does not carry out",
            8,
            Some(88_127),
            response(),
        ),
    ]
}

/// What the server says.
pub(super) fn from_server() -> Vec<Example<ServerMessage>> {
    let said = |about, sequence, message| example(about, Some(SESSION), sequence, None, message);
    vec![
        said(
            "The session begins; records up to 88120 are held already",
            1,
            welcome(),
        ),
        said(
            "Records up to 88125 are on disk, and heartbeat 3 was heard",
            2,
            ServerMessage::Ack(Ack {
                record: RecordNumber(88_125),
                heartbeat: Some(SequenceNumber(3)),
            }),
        ),
        said(
            "What the machine should become, as a whole",
            3,
            ServerMessage::Desired(Desired {
                version: 5,
                base: None,
                document: json(r#"{"log_level":"info"}"#),
            }),
        ),
        said("A person wants to find the machine in the hall", 4, command()),
        said(
            "Record 88126 is the next the server wants",
            5,
            ServerMessage::Resync(Resync {
                reason: "a record is missing".into(),
                next_record: RecordNumber(88_126),
            }),
        ),
        said(
            "The server is stopped: come back in a second, and a little",
            6,
            ServerMessage::Bye(Bye {
                reason: ByeReason::Drain,
                message: "the server is being stopped".into(),
                retry_after_ms: Some(1_000),
                supported_versions: Vec::new(),
            }),
        ),
        example(
            "The machine speaks no version that the server speaks",
            None,
            1,
            None,
            ServerMessage::Bye(Bye {
                reason: ByeReason::UnsupportedVersion,
                message: format!("versions {OLDEST_VERSION} to {VERSION} are spoken here"),
                retry_after_ms: None,
                supported_versions: (OLDEST_VERSION..=VERSION).collect(),
            }),
        ),
    ]
}

fn hello() -> MachineMessage {
    MachineMessage::Hello(Box::new(Hello {
        versions: (OLDEST_VERSION..=VERSION).collect(),
        minor: MINOR,
        agent_version: "0.1.0".into(),
        boot_id: boot(),
        capabilities: vec!["events".into(), "logs".into(), "state".into(), "telemetry".into()],
        commands: vec!["identify".into(), "stop".into()],
        dictionaries: Vec::new(),
        last_session: SessionNumber(16),
        desired_version: 0,
        records: Some(RecordRange {
            first: RecordNumber(88_121),
            last: RecordNumber(88_123),
        }),
        highest_record: RecordNumber(88_123),
    }))
}

fn operation(mode: Mode) -> Operation {
    Operation {
        mode,
        safety: Safety::Operational,
        held_by: Vec::new(),
        at_rest: None,
        authority: Authority::None,
        mission: Mission::Idle,
    }
}

fn power(percent: f64) -> Power {
    Power {
        battery_percent: Some(percent),
        charging: false,
        external_supply: false,
        volts: Some(12.3),
        amperes: Some(1.9),
    }
}

fn full_state() -> MachineMessage {
    MachineMessage::State(StateReport::Full(Box::new(ReportedState {
        identity: Some(Arc::new(Identity {
            name: "frida".into(),
            kind: "lekiwi".into(),
            region: Some("munich".into()),
        })),
        hardware: Some(Arc::new(Hardware {
            vendor: Some("Raspberry Pi".into()),
            model: Some("Raspberry Pi 5 Model B Rev 1.0".into()),
            serial: None,
            revision: None,
            architecture: "aarch64".into(),
            processor: None,
            processors: 4,
            memory_bytes: 8_454_471_680,
        })),
        platform: Some(Arc::new(Platform {
            os: "Debian GNU/Linux 12 (bookworm)".into(),
            kernel: "6.6.51".into(),
            boot_id: boot(),
            booted_at: SEVEN.plus_millis(-7_200_000),
        })),
        deployment: Some(Arc::new(Deployment {
            agent_version: "0.1.0".into(),
            release: None,
            phase: None,
        })),
        operation: Some(Arc::new(operation(Mode::Idle))),
        power: Some(Arc::new(power(81.5))),
        health: Some(Arc::new(HealthReport {
            level: Health::Ok,
            problems: Vec::new(),
        })),
        ..ReportedState::default()
    })))
}

fn patch() -> MachineMessage {
    MachineMessage::State(StateReport::Patch {
        base: StateVersion(88_124),
        sections: Box::new(StatePatch {
            operation: Some(Some(Arc::new(operation(Mode::Driving)))),
            power: Some(Some(Arc::new(power(81.4)))),
            ..StatePatch::default()
        }),
    })
}

fn heartbeat() -> MachineMessage {
    MachineMessage::Heartbeat(Heartbeat {
        uptime_s: 7_200,
        link: LinkQuality {
            round_trip_ms: Some(23),
            connects: 4,
            outbox: 4,
            dropped: 0,
        },
        safety: Safety::Operational,
        authority: Authority::None,
        clock: Some(ClockEstimate {
            offset_ms: -41,
            uncertainty_ms: 12,
        }),
    })
}

fn telemetry() -> MachineMessage {
    let sample = |metric: &'static str, value, unit: Option<&str>, quality| WireSample {
        metric: metric.into(),
        value,
        unit: unit.map(Into::into),
        quality,
        offset_ms: -200,
    };
    MachineMessage::Telemetry(Telemetry {
        samples: vec![
            sample("cpu.percent", 12.5, None, Quality::Good),
            sample("temperature.celsius", 51.2, None, Quality::Uncertain),
            sample("gripper.force", 3.2, Some("N"), Quality::Good),
        ],
    })
}

fn event() -> MachineMessage {
    MachineMessage::Event(Box::new(EventReport {
        kind: "thermal.high".into(),
        severity: Severity::Warning,
        message: "The processor is at 81.5 °C".into(),
        data: Some(json(r#"{"celsius":81.5,"zone":"cpu-thermal"}"#)),
        correlation_id: None,
        causation_id: None,
    }))
}

fn log() -> MachineMessage {
    let line = |severity, message: &str, offset_ms| WireLogLine {
        severity,
        target: "drive".into(),
        message: message.into(),
        fields: Some(json(r#"{"wheel":2}"#)),
        offset_ms,
    };
    MachineMessage::Log(LogReport {
        lines: vec![
            line(Severity::Info, "the wheel slips", -3_100),
            line(Severity::Info, "the wheel holds again", -2_900),
        ],
    })
}

fn response() -> MachineMessage {
    MachineMessage::Response(Response {
        command_id: "0192f0c2-identify".into(),
        outcome: Outcome::Refused,
        reason: Some("this runtime does not carry out commands of this kind".into()),
    })
}

fn command() -> ServerMessage {
    ServerMessage::Command(Box::new(Command {
        id: "0192f0c2-identify".into(),
        kind: CommandKind::Identify,
        arguments: Some(json(r#"{"seconds":10}"#)),
        issuer: "operator of the morning shift".into(),
        reason: "to find it in the hall".into(),
        authority: Authority::None,
        issued: SEVEN,
        expires: SEVEN.plus_millis(30_000),
    }))
}

fn welcome() -> ServerMessage {
    ServerMessage::Welcome(Box::new(Welcome {
        session: SESSION,
        version: VERSION,
        minor: MINOR,
        server_time: SEVEN,
        heartbeat_interval_ms: 30_000,
        limits: Limits::default(),
        dictionary: None,
        highest_record: RecordNumber(88_120),
        state_version: StateVersion(88_102),
        desired_version: 0,
    }))
}
