//! Measurements and events, read in one go: of a hundred messages more than ninety are such.
//!
//! What is accepted here is what the long way accepts, with the same result. Everything else is left to it: it knows what is
//! wrong, and what a newer version may add.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use muster_model::entry::JsonText;
use muster_model::vocabulary::{Quality, Severity};
use muster_model::{MachineId, RecordNumber, SequenceNumber, SessionNumber, Timestamp};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::super::Envelope;
use super::super::limits::Limits;
use super::super::message::{EventReport, MachineMessage, Telemetry, WireSample, good, metric_name};
use super::super::scan::check_shape;
use super::check_event;

/// How machines that encode as we do begin their measurements …
const TELEMETRY: &str = r#"{"version":1,"type":"telemetry","#;
/// … and their events.
const EVENT: &str = r#"{"version":1,"type":"event","#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Frame<'a, P> {
    #[serde(rename = "version")]
    _version: u64,
    #[serde(rename = "type")]
    _kind: &'a str,
    machine_id: MachineId,
    #[serde(default)]
    session: Option<SessionNumber>,
    sequence: SequenceNumber,
    #[serde(default)]
    record: Option<RecordNumber>,
    timestamp: Timestamp,
    #[serde(default)]
    traceparent: Option<&'a str>,
    payload: Object<P>,
}

/// Something that is written as an object: derived readers would take an array of its values, too.
struct Object<P>(P);

impl<'de, P: Deserialize<'de>> Deserialize<'de> for Object<P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<P>(PhantomData<P>);
        impl<'de, P: Deserialize<'de>> Visitor<'de> for Fields<P> {
            type Value = Object<P>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Self::Value, A::Error> {
                P::deserialize(MapAccessDeserializer::new(fields)).map(Object)
            }
        }
        deserializer.deserialize_map(Fields(PhantomData))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Samples {
    samples: Vec<Strict>,
}

#[derive(Deserialize)]
struct Strict(#[serde(with = "StrictSample")] WireSample);

/// The fields of a [`WireSample`], and no others. A field that it lacks does not compile.
#[derive(Deserialize)]
#[serde(remote = "WireSample", deny_unknown_fields)]
struct StrictSample {
    #[serde(deserialize_with = "metric_name")]
    metric: Cow<'static, str>,
    value: f64,
    #[serde(default)]
    unit: Option<Box<str>>,
    #[serde(default = "good")]
    quality: Quality,
    #[serde(default)]
    offset_ms: i32,
}

struct Event(EventReport);

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        StrictEvent::deserialize(deserializer).map(Self)
    }
}

/// The fields of an [`EventReport`], and no others.
#[derive(Deserialize)]
#[serde(remote = "EventReport", deny_unknown_fields)]
struct StrictEvent {
    kind: String,
    severity: Severity,
    message: String,
    #[serde(default)]
    data: Option<JsonText>,
    #[serde(default)]
    correlation_id: Option<String>,
    #[serde(default)]
    causation_id: Option<String>,
}

/// A message in which there is nothing unusual; none for every other text.
pub(super) fn decode(text: &str, limits: &Limits) -> Option<Envelope<MachineMessage>> {
    if text.len() > limits.frame_max_bytes {
        return None;
    }
    if text.starts_with(TELEMETRY) {
        Frame::read(text, limits)?.envelope(|Samples { samples }| {
            let samples: Vec<_> = samples.into_iter().map(|Strict(sample)| sample).collect();
            (samples.len() <= limits.samples_max).then_some(MachineMessage::Telemetry(Telemetry { samples }))
        })
    } else if text.starts_with(EVENT) {
        Frame::read(text, limits)?
            .envelope(|Event(event)| Some(MachineMessage::Event(Box::new(check_event(event).ok()?))))
    } else {
        None
    }
}

impl<'a, P: Deserialize<'a>> Frame<'a, P> {
    fn read(text: &'a str, limits: &Limits) -> Option<Self> {
        check_shape(text, limits).ok()?;
        let frame: Self = serde_json::from_str(text).ok()?;
        (frame.sequence != SequenceNumber::ZERO && frame.traceparent.is_none()).then_some(frame)
    }

    fn envelope(self, message: impl FnOnce(P) -> Option<MachineMessage>) -> Option<Envelope<MachineMessage>> {
        let message = message(self.payload.0)?;
        let numbered =
            message.is_durable() == self.record.is_some() && self.record != Some(RecordNumber::ZERO);
        numbered.then_some(Envelope {
            machine_id: self.machine_id,
            session: self.session,
            sequence: self.sequence,
            record: self.record,
            timestamp: self.timestamp,
            traceparent: None,
            message,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::encode;
    use super::super::{Decoder, Minor};
    use super::*;

    fn text(samples: usize) -> String {
        let sample = |n: usize| WireSample {
            metric: if n.is_multiple_of(2) {
                "cpu.percent".into()
            } else {
                format!("own.{n}").into()
            },
            value: n as f64 * 1.5 - 3.0,
            unit: n.is_multiple_of(3).then(|| "V".into()),
            quality: if n.is_multiple_of(5) {
                Quality::Uncertain
            } else {
                Quality::Good
            },
            offset_ms: -(n as i32),
        };
        let envelope = Envelope {
            machine_id: MachineId::from_uuid(uuid::Uuid::from_u128(5)),
            session: Some(SessionNumber(3)),
            sequence: SequenceNumber(77),
            record: None,
            timestamp: Timestamp::from_millis(1_700_000_000_123),
            traceparent: None,
            message: MachineMessage::Telemetry(Telemetry {
                samples: (0..samples).map(sample).collect(),
            }),
        };
        encode(&envelope).expect("it can be written")
    }

    fn event(data: bool) -> String {
        let event = EventReport {
            kind: "thermal.high".into(),
            severity: Severity::Warning,
            message: "it is \"hot\"".into(),
            data: data.then(|| serde_json::from_str(r#"{"celsius": [81.5, null]}"#).expect("JSON")),
            correlation_id: data.then(|| "c-1".into()),
            causation_id: None,
        };
        let envelope = Envelope {
            machine_id: MachineId::from_uuid(uuid::Uuid::from_u128(5)),
            session: Some(SessionNumber(3)),
            sequence: SequenceNumber(77),
            record: Some(RecordNumber(8)),
            timestamp: Timestamp::from_millis(1_700_000_000_123),
            traceparent: None,
            message: MachineMessage::Event(Box::new(event)),
        };
        encode(&envelope).expect("it can be written")
    }

    #[test]
    fn what_machines_write_is_read_at_once() {
        for data in [false, true] {
            assert!(decode(&event(data), &Limits::default()).is_some());
            let read = Decoder::default().any_of_machine(&event(data));
            assert_eq!(read.ok(), decode(&event(data), &Limits::default()));
        }
        for samples in [0, 1, 12, 512] {
            assert!(decode(&text(samples), &Limits::default()).is_some(), "{samples}");
        }
        assert!(decode(&text(513), &Limits::default()).is_none());
    }

    #[test]
    fn what_is_unusual_is_left_to_the_long_way() {
        let limits = Limits::default();
        for (from, to) in [
            ("\"sequence\":77", "\"sequence\":0"),
            ("\"sequence\":77", "\"sequence\":77,\"record\":1"),
            ("\"sequence\":77", "\"sequence\":77,\"mood\":1"),
            ("\"sequence\":77", "\"sequence\":77,\"traceparent\":\"00-1\""),
            ("\"samples\":[", "\"mood\":1,\"samples\":["),
            ("\"metric\":", "\"mood\":1,\"metric\":"),
            ("\"cpu.percent\"", "\"CPU\""),
            ("\"version\":1", "\"version\":2"),
            ("\"payload\":{\"samples\":", "\"payload\":["),
            ("\"record\":8", "\"record\":0"),
            (",\"record\":8", ""),
            ("\"thermal.high\"", "\"\""),
            ("\"severity\"", "\"mood\":1,\"severity\""),
        ] {
            let plain = [text(3), event(true)]
                .into_iter()
                .find(|text| text.contains(from));
            let changed = plain.expect("it is in one of them").replacen(from, to, 1);
            assert!(decode(&changed, &limits).is_none(), "{changed}");
        }
    }

    proptest! {
        /// Whatever becomes of a message, this way accepts nothing that the long way refuses, and reads nothing else from it.
        #[test]
        fn agrees_with_the_long_way(
            samples in 0..6_usize,
            edits in prop::collection::vec((any::<prop::sample::Index>(), 0..4_u8, prop::sample::select(br#"{}[]":,.-0123456789eEtfnu\ a"#.to_vec())), 0..4),
            newer: bool,
        ) {
            let whole = if samples < 4 { text(samples) } else { event(samples == 5) };
            let begins = if samples < 4 { TELEMETRY } else { EVENT };
            let mut bytes = whole.into_bytes();
            for (place, how, byte) in edits {
                // Behind the beginning, or it is another kind of message.
                let at = begins.len() + place.index(bytes.len() - begins.len());
                match how {
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, byte),
                    2 => { bytes.remove(at); }
                    _ => bytes.extend_from_within(at..),
                }
                if bytes.len() <= begins.len() { break; }
            }
            let text = String::from_utf8(bytes).expect("only ASCII was put in");
            let decoder = Decoder {
                minor: if newer { Minor(Minor::OURS.0 + 1) } else { Minor::OURS },
                ..Decoder::default()
            };
            if let Some(envelope) = decode(&text, &decoder.limits) {
                prop_assert_eq!(decoder.any_of_machine(&text), Ok(envelope));
            }
        }
    }
}
