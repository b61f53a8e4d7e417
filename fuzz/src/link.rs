//! The link between machines and server: both directions, and compressed frames.

use std::cell::RefCell;
use std::fmt::Debug;

use muster_model::{MachineId, Timestamp};
use muster_protocol::link::compression::{Compressor, Decompressor};
use muster_protocol::link::encode::Encode;
use muster_protocol::link::{
    DecodeError, Decoder, Envelope, Limits, MachineMessage, Minor, RefusedRecord, ServerMessage, encode,
};
use serde_json::Value;

/// Longest text of an error: it goes into logs, events and close reasons.
const ERROR_MAX_BYTES: usize = 2_048;

/// What comes of a frame of a machine.
pub type Decoded = Result<Envelope<MachineMessage>, DecodeError>;

/// What a machine might have said.
pub fn decode_machine(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let Some(envelope) = look(text, Decoder::machine) else {
        // Whoever it was, it must be possible to look.
        let _ = RefusedRecord::of(text);
        return false;
    };
    let limits = Limits::default();
    assert_eq!(envelope.record.is_some(), envelope.message.is_durable());
    match &envelope.message {
        MachineMessage::Telemetry(telemetry) => assert!(telemetry.samples.len() <= limits.samples_max),
        MachineMessage::Log(log) => assert!(log.lines.len() <= limits.log_lines_max),
        MachineMessage::State(_) => {}
        MachineMessage::Hello(_)
        | MachineMessage::Heartbeat(_)
        | MachineMessage::Event(_)
        | MachineMessage::Response(_) => assert!(text.len() <= limits.frame_max_bytes),
    }
    if let (Some(record), Some(session)) = (envelope.record, envelope.session) {
        let refused = RefusedRecord::of(text).expect("what can be read whole can be read in part");
        assert_eq!((refused.record, refused.session), (record, session));
        assert_eq!(refused.machine_id, envelope.machine_id);
        assert_eq!(refused.kind, envelope.message.type_name());
    }
    true
}

/// What a server might have said.
pub fn decode_server(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let Some(envelope) = look(text, Decoder::server) else {
        return false;
    };
    assert_eq!(envelope.record, None);
    let limits = Limits::default();
    let long = matches!(envelope.message, ServerMessage::Desired(_));
    assert!(long || text.len() <= limits.frame_max_bytes);
    true
}

/// What holds for every direction, whichever decoder it is. The message, if it was accepted.
pub fn look<M>(
    text: &str,
    decode: impl Fn(&Decoder, &str) -> Result<Envelope<M>, DecodeError>,
) -> Option<Envelope<M>>
where
    M: Encode + PartialEq + Debug,
{
    let strict = Decoder::default();
    // One that speaks a newer minor version may say more, never less, and means the same.
    let newer = Decoder {
        minor: Minor(u16::MAX),
        ..strict
    };
    match decode(&strict, text) {
        Ok(envelope) => {
            assert!(text.len() <= strict.limits.state_frame_max_bytes);
            assert!(envelope.sequence.0 > 0, "{text:?}");
            // A number may be longer as we write it, so a frame that just fits may not fit any more.
            let roomy = Decoder {
                limits: Limits {
                    frame_max_bytes: usize::MAX,
                    state_frame_max_bytes: usize::MAX,
                    string_max_bytes: usize::MAX,
                    ..Limits::default()
                },
                ..strict
            };
            let written = encode(&envelope).expect("what came as JSON can be written as JSON");
            assert_eq!(
                decode(&roomy, &written).as_ref(),
                Ok(&envelope),
                "{text:?} became {written:?}"
            );
            assert_eq!(decode(&newer, text).as_ref(), Ok(&envelope), "{text:?}");
            // Data that is passed on unread may hold numbers that nothing here can.
            if let (Ok(said), Ok(kept)) = (text.parse(), written.parse()) {
                nothing_is_lost(&said, &kept, false, "");
            }
            Some(envelope)
        }
        Err(error) => {
            let said = error.to_string();
            assert!(!said.is_empty() && !error.label().is_empty());
            assert!(said.len() <= ERROR_MAX_BYTES, "{said}");
            assert!(matches!(error.close_code(), 1007..=1009), "{error:?}");
            let _ = decode(&newer, text);
            None
        }
    }
}

/// Whatever was said stands in what is written again: fields are not forgotten, and values do not change. Who speaks a newer
/// minor version may say what is not known here.
fn nothing_is_lost(said: &Value, kept: &Value, newer: bool, place: &str) {
    match (said, kept) {
        (Value::Object(said), Value::Object(kept)) => {
            let newer = newer || said.get("minor").and_then(Value::as_u64) > Some(u64::from(Minor::OURS.0));
            for (name, said) in said {
                let place = format!("{place}.{name}");
                match kept.get(name) {
                    Some(kept) => nothing_is_lost(said, kept, newer, &place),
                    None => assert!(newer || is_nothing(said), "{place} is lost: {said}"),
                }
            }
        }
        (Value::Array(said), Value::Array(kept)) => {
            assert_eq!(said.len(), kept.len(), "{place}");
            for (said, kept) in said.iter().zip(kept) {
                nothing_is_lost(said, kept, newer, place);
            }
        }
        (Value::Number(said), Value::Number(kept)) => assert_eq!(said.as_f64(), kept.as_f64(), "{place}"),
        (Value::String(said), Value::String(kept)) => {
            let same_time = || said.parse::<Timestamp>().ok() == kept.parse().ok();
            let same_id = || said.parse::<MachineId>().ok() == kept.parse().ok();
            assert!(
                said == kept || (same_time() && same_id()),
                "{place}: {said} became {kept}"
            );
        }
        // A gap that is known: below the payload serde takes an array of the fields' values for an object.
        (Value::Array(_), Value::Object(_)) => {
            assert!(place != ".payload", "an array was taken for a payload");
        }
        (said, kept) => assert!(said == kept || is_nothing(said), "{place}: {said} became {kept}"),
    }
}

/// What is left out when it is written: what is meant where nothing is said.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        // The offset of a sample, and its quality.
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(word) => word == "good",
        Value::Bool(true) => false,
    }
}

thread_local! {
    // Making them costs far more than using them.
    static COMPRESSION: RefCell<(Compressor, Decompressor)> = RefCell::new((
        Compressor::new().expect("a dictionary that is committed"),
        Decompressor::new().expect("a dictionary that is committed"),
    ));
}

/// A binary frame: a compressed message, or what pretends to be one.
pub fn inflate(data: &[u8]) -> bool {
    COMPRESSION.with_borrow_mut(|(compressor, decompressor)| {
        let limits = Limits::default();
        if let Ok(text) = std::str::from_utf8(data) {
            let small = compressor.compress(text).expect("any text can be compressed");
            let again = decompressor.decompress(&small, &limits);
            assert_eq!(again.is_ok(), text.len() <= limits.state_frame_max_bytes);
            assert!(again.is_err() || again.as_deref() == Ok(text));
        }
        match decompressor.decompress(data, &limits) {
            Ok(text) => {
                assert!(text.len() <= limits.state_frame_max_bytes);
                assert!(
                    text.capacity() <= limits.state_frame_max_bytes + 1,
                    "room for more than is accepted"
                );
                let small = compressor.compress(&text).expect("any text can be compressed");
                assert_eq!(decompressor.decompress(&small, &limits).as_deref(), Ok(&*text));
                true
            }
            Err(error) => {
                assert!(!error.to_string().is_empty() && !error.label().is_empty());
                assert!(matches!(error.close_code(), 1003 | 1007..=1009), "{error:?}");
                false
            }
        }
    })
}
