//! The codec: every message survives the wire, everything else is refused with its place.

use muster_model::entry::JsonText;
use muster_model::vocabulary::{Authority, Quality, Safety};
use muster_model::{
    BootId, MachineId, RecordNumber, SequenceNumber, SessionNumber, Severity, StateVersion, Timestamp,
};
use proptest::prelude::*;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::*;

pub(super) fn envelope<M>(message: M, record: Option<u64>) -> Envelope<M> {
    Envelope {
        machine_id: MachineId::from_uuid(Uuid::from_u128(0x0192_f0c1)),
        session: Some(SessionNumber(17)),
        sequence: SequenceNumber(12_345),
        record: record.map(RecordNumber),
        timestamp: Timestamp::from_millis(1_795_244_400_123),
        traceparent: None,
        message,
    }
}

fn json(text: &str) -> JsonText {
    JsonText(RawValue::from_string(text.to_owned()).expect("json"))
}

fn heartbeat() -> MachineMessage {
    MachineMessage::Heartbeat(Heartbeat {
        uptime_s: 7,
        link: LinkQuality {
            round_trip_ms: Some(3),
            connects: 1,
            outbox: 0,
            dropped: 0,
        },
        safety: Safety::Operational,
        authority: Authority::None,
        clock: Some(ClockEstimate {
            offset_ms: -5,
            uncertainty_ms: 9,
        }),
    })
}

fn text() -> String {
    encode(&envelope(heartbeat(), None)).expect("json")
}

#[track_caller]
fn refused(text: &str, code: u16, says: &str) {
    let error = Decoder::default().machine(text).expect_err(text);
    assert_eq!(error.close_code(), code, "{error}");
    assert!(error.to_string().contains(says), "{error:?} should say {says:?}");
}

#[test]
fn a_heartbeat_is_small() {
    assert!(text().len() < 330, "{} bytes: {}", text().len(), text());
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    refused("", 1007, "envelope: EOF");
    refused("[1,2]", 1007, "envelope");
    refused("{\"version\":1}", 1007, "missing field");
    refused(
        &text().replace("\"uptime_s\":7", "\"uptime_s\":-7"),
        1007,
        "payload of heartbeat",
    );
    refused(
        &text().replace("\"uptime_s\":7", "\"uptime_s\":7,\"colour\":1"),
        1007,
        "no field \"colour\"",
    );
    refused(
        &text().replace("\"connects\":1", "\"connects\":1,\"x\":1"),
        1007,
        "no field \"link.x\"",
    );
    refused(
        &text().replace("\"version\":1", "\"version\":1,\"x\":1"),
        1007,
        "unknown field `x`",
    );
    refused(
        &text().replace("\"version\":1", "\"version\":1,\"version\":1"),
        1007,
        "duplicate field",
    );
    refused(
        &text().replace("heartbeat", "heartbeet"),
        1008,
        "accepted are hello, heartbeat",
    );
    refused(
        &text().replace("\"version\":1", "\"version\":2"),
        1008,
        "version 2 is not spoken here",
    );
    refused(&text().replace("12345", "0"), 1008, "number 1");
    refused(
        &text().replace("\"sequence\":12345", "\"sequence\":12345,\"record\":4"),
        1008,
        "no record number",
    );
    refused("{\"version\":3,\"payload\":[],\"novel\":true}", 1008, "version 3");
    refused(&format!("{} x", text()), 1007, "trailing");
}

#[test]
fn what_is_too_large_is_refused_before_it_is_parsed() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    refused(&deep, 1009, "nested deeper than 32");
    refused(
        &format!("{{\"version\":\"{}\"", "x".repeat(20_000)),
        1009,
        "string of 20000 bytes",
    );
    refused(&" ".repeat(300_000), 1009, "at most 262144");
    let padded = text().replace("{\"uptime_s\"", &format!("{}{{\"uptime_s\"", " ".repeat(70_000)));
    refused(&padded, 1009, "more only for state");
    let sample = WireSample {
        metric: "cpu.percent".into(),
        value: 1.0,
        unit: None,
        quality: Quality::Good,
        offset_ms: 0,
    };
    let flood = MachineMessage::Telemetry(Telemetry {
        samples: vec![sample; 513],
    });
    refused(
        &encode(&envelope(flood, None)).expect("json"),
        1009,
        "513 samples",
    );
}

#[test]
fn a_newer_minor_version_may_say_more_in_its_payload() {
    let newer = Decoder {
        minor: Minor(MINOR + 1),
        ..Decoder::default()
    };
    let more = text().replace("\"uptime_s\":7", "\"uptime_s\":7,\"mood\":\"good\"");
    assert!(newer.machine(&more).is_ok());
    assert!(
        newer
            .machine(&text().replace("\"version\":1", "\"version\":1,\"mood\":1"))
            .is_err(),
        "not in the envelope"
    );
}

#[test]
fn a_greeting_says_itself_whether_it_may_say_more() {
    let hello = |minor: u16| {
        format!(
            r#"{{"version":1,"type":"hello","machine_id":"0192f0c1-7a3e-7c44-9c1f-5d2b8a601e42","sequence":1,
            "timestamp":"2026-11-21T07:00:00Z","payload":{{"versions":[1],"minor":{minor},"agent_version":"2",
            "boot_id":"7d0f3b1e-52c8-4f0a-8e77-1c9d24ab6f03","mood":"good"}}}}"#
        )
    };
    assert!(Decoder::default().machine(&hello(MINOR + 1)).is_ok());
    refused(&hello(MINOR), 1007, "no field \"mood\"");
}

#[test]
fn durable_messages_need_a_record() {
    let event = EventReport {
        kind: "thermal.high".into(),
        severity: Severity::Warning,
        message: "hot".into(),
        data: Some(json("{\"celsius\":81.5}")),
        correlation_id: None,
        causation_id: None,
    };
    let message = MachineMessage::Event(Box::new(event));
    refused(
        &encode(&envelope(message.clone(), None)).expect("json"),
        1008,
        "needs a record number",
    );
    let wire = encode(&envelope(message.clone(), Some(3))).expect("json");
    assert_eq!(
        Decoder::default().machine(&wire).expect("an event").message,
        message
    );
}

pub(super) fn any_machine_message() -> impl Strategy<Value = MachineMessage> {
    let word = "[a-z]{1,12}";
    let sample = (word, any::<i32>(), any::<i32>()).prop_map(|(metric, value, offset_ms)| WireSample {
        metric: metric.into(),
        value: f64::from(value) / 7.0,
        unit: None,
        quality: Quality::Uncertain,
        offset_ms,
    });
    let line = (word, "\\PC{0,40}").prop_map(|(target, message)| WireLogLine {
        severity: Severity::Info,
        target,
        message,
        fields: Some(json("{\"a\":[1,2]}")),
        offset_ms: -3,
    });
    prop_oneof![
        Just(heartbeat()),
        proptest::collection::vec(sample, 0..20)
            .prop_map(|samples| MachineMessage::Telemetry(Telemetry { samples })),
        proptest::collection::vec(line, 0..9).prop_map(|lines| MachineMessage::Log(LogReport { lines })),
        (word, "\\PC{0,40}").prop_map(|(kind, message)| MachineMessage::Event(Box::new(EventReport {
            kind,
            severity: Severity::Error,
            message,
            data: Some(json("[null]")),
            correlation_id: Some("c".into()),
            causation_id: None,
        }))),
        any::<u64>().prop_map(|base| MachineMessage::State(StateReport::Patch {
            base: StateVersion(base),
            sections: Box::default()
        })),
        Just(MachineMessage::State(StateReport::Full(Box::default()))),
        (word, any::<bool>()).prop_map(|(command_id, ok)| MachineMessage::Response(Response {
            command_id,
            outcome: if ok { Outcome::Accepted } else { Outcome::Refused },
            reason: (!ok).then(|| "no".to_owned()),
        })),
        (any::<u128>(), 1..1000u64).prop_map(|(boot, last)| MachineMessage::Hello(Box::new(Hello {
            versions: vec![1],
            minor: 0,
            agent_version: "0.1.0".into(),
            boot_id: BootId::from_uuid(Uuid::from_u128(boot)),
            capabilities: vec!["events".into()],
            dictionaries: vec![],
            commands: vec!["identify".into(); (last % 3) as usize],
            last_session: SessionNumber(4),
            desired_version: 0,
            records: Some(RecordRange {
                first: RecordNumber(1),
                last: RecordNumber(last)
            }),
            highest_record: RecordNumber(last),
        }))),
    ]
}

pub(super) fn any_server_message() -> impl Strategy<Value = ServerMessage> {
    prop_oneof![
        (any::<u64>(), proptest::option::of(1..99u64)).prop_map(|(record, heartbeat)| ServerMessage::Ack(
            Ack {
                record: RecordNumber(record),
                heartbeat: heartbeat.map(SequenceNumber),
            }
        )),
        any::<u64>().prop_map(|next| ServerMessage::Resync(Resync {
            reason: "gap".into(),
            next_record: RecordNumber(next)
        })),
        "\\PC{0,40}".prop_map(|message| ServerMessage::Bye(Bye {
            reason: ByeReason::Drain,
            message,
            retry_after_ms: Some(5),
            supported_versions: vec![1],
        })),
        "[a-z0-9]{1,20}".prop_map(|id| ServerMessage::Command(Box::new(Command {
            id,
            kind: CommandKind::LogsTail,
            arguments: Some(json("{}")),
            issuer: "someone".into(),
            reason: "to see".into(),
            authority: Authority::None,
            issued: Timestamp::from_millis(1),
            expires: Timestamp::from_millis(2),
        }))),
        any::<u64>().prop_map(|session| ServerMessage::Welcome(Box::new(Welcome {
            session: SessionNumber(session),
            version: 1,
            minor: 0,
            server_time: Timestamp::from_millis(9),
            heartbeat_interval_ms: 30_000,
            limits: Limits::default(),
            dictionary: None,
            highest_record: RecordNumber(3),
            state_version: StateVersion(2),
            desired_version: 0,
        }))),
        Just(ServerMessage::Desired(Desired {
            version: 3,
            base: None,
            document: json("{\"log_level\":\"info\"}")
        })),
    ]
}

proptest! {
    #[test]
    fn every_machine_message_survives_the_wire(message in any_machine_message(), record in 1..u64::MAX) {
        let sent = envelope(message.clone(), message.is_durable().then_some(record));
        let wire = encode(&sent).expect("json");
        prop_assert_eq!(Decoder::default().machine(&wire), Ok(sent));
    }

    #[test]
    fn every_server_message_survives_the_wire(message in any_server_message()) {
        let sent = envelope(message, None);
        let wire = encode(&sent).expect("json");
        prop_assert_eq!(Decoder::default().server(&wire), Ok(sent));
    }

    #[test]
    fn a_mutilated_message_never_panics(message in any_machine_message(), at in 0usize..400, byte in 32u8..127) {
        let durable = message.is_durable().then_some(1);
        let mut wire = encode(&envelope(message, durable)).expect("json").into_bytes();
        let at = at % wire.len();
        wire[at] = byte;
        let cut = String::from_utf8_lossy(&wire[..at]).into_owned();
        let _ = Decoder::default().machine(&cut);
        if let Ok(text) = String::from_utf8(wire) {
            let _ = Decoder::default().machine(&text);
            let _ = Decoder::default().server(&text);
        }
    }

    #[test]
    fn no_text_makes_the_decoder_panic(text in "\\PC{0,200}") {
        let _ = Decoder::default().machine(&text);
    }
}

#[test]
fn a_payload_is_an_object() {
    let envelope = |payload: &str| {
        format!(
            r#"{{"machine_id":"0192f0c1-7a3e-7c44-9c1f-5d2b8a601e42","payload":{payload},"sequence":4,"session":17,"timestamp":"2026-11-21T07:00:00.873Z","type":"telemetry","version":1}}"#
        )
    };
    assert!(Decoder::default().machine(&envelope(r#"{"samples":[]}"#)).is_ok());
    for payload in ["[[]]", "[]", "null", "\"samples\""] {
        let refused = Decoder::default().machine(&envelope(payload)).expect_err(payload);
        assert_eq!(refused.close_code(), 1007, "{refused}");
    }
}
