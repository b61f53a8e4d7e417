//! The link as documents: a JSON Schema of its frames and an AsyncAPI document, both generated from the types.
//!
//! Begin with [`machine_link`] and [`asyncapi`]. What the types cannot say (when who says what, what a refusal means) stands
//! in `machine.md` and `live.md` beside this file, with the figures filled in from the code.

mod asyncapi;
mod examples;

#[cfg(test)]
mod tests;

use muster_model::{MachineId, RecordNumber, SequenceNumber, SessionNumber, Timestamp};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::message::{
    Ack, Bye, Command, Desired, EventReport, Heartbeat, Hello, LogReport, MachineMessage, Response, Resync,
    ServerMessage, StateReport, Telemetry, Welcome,
};
use super::{MINOR, VERSION};
pub use asyncapi::asyncapi;

/// Which way a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    FromMachine,
    FromServer,
}

/// Which family of documents the schemas are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// JSON Schema 2020-12, definitions under `$defs`.
    Standalone,
    /// What AsyncAPI 3.0 builds on: draft 7, definitions under `components.schemas`.
    Component,
}

impl Dialect {
    fn settings(self) -> SchemaSettings {
        match self {
            Self::Standalone => SchemaSettings::draft2020_12(),
            Self::Component => SchemaSettings::draft07()
                .with(|settings| settings.definitions_path = "/components/schemas".into()),
        }
    }

    /// What a generator made, with references that can be resolved where the schemas will stand.
    pub(crate) fn definitions(self, mut generator: SchemaGenerator) -> Map<String, Value> {
        generator.take_definitions(true)
    }

    /// Of types that are read.
    pub(crate) fn reader(self) -> SchemaGenerator {
        self.settings().for_deserialize().into_generator()
    }

    /// Of types that are written.
    pub(crate) fn writer(self) -> SchemaGenerator {
        self.settings().for_serialize().into_generator()
    }

    pub(crate) fn reference(self, name: &str) -> Value {
        match self {
            Self::Standalone => json!({ "$ref": format!("#/$defs/{name}") }),
            Self::Component => json!({ "$ref": format!("#/components/schemas/{name}") }),
        }
    }
}

/// The JSON Schema of every frame of the link, both ways.
pub fn machine_link() -> Value {
    let dialect = Dialect::Standalone;
    let mut definitions = frames(dialect);
    for (name, way) in [
        ("MachineFrame", MachineMessage::TYPE_NAMES),
        ("ServerFrame", ServerMessage::TYPE_NAMES),
    ] {
        let one_of: Vec<Value> = way
            .iter()
            .map(|kind| dialect.reference(&frame_name(kind)))
            .collect();
        definitions.insert(name.to_owned(), json!({ "oneOf": one_of }));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": format!("urn:muster:machine-link:{VERSION}"),
        "title": format!("Muster machine link {VERSION}.{MINOR}"),
        "description": "A frame between a machine and the server: MachineFrame on the way to the server, ServerFrame on the \
            way to the machine. Lengths of strings are meant in bytes of UTF-8. Fields that are not named here are refused; \
            only where the other end speaks a newer minor version, what is unknown inside a payload is ignored. When which \
            frame is said is described in asyncapi.json.",
        "oneOf": [dialect.reference("MachineFrame"), dialect.reference("ServerFrame")],
        "$defs": definitions,
    })
}

/// `heartbeat` → `HeartbeatFrame`.
pub(super) fn frame_name(kind: &str) -> String {
    let mut letters = kind.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).chain("Frame".chars()).collect()
}

/// The schema of every frame, and of everything that they are made of.
pub(super) fn frames(dialect: Dialect) -> Map<String, Value> {
    let mut from_machine = dialect.reader();
    let mut frames: Vec<(String, Value)> = Vec::new();
    for (kind, payload) in [
        ("hello", subschema::<Hello>(&mut from_machine)),
        ("heartbeat", subschema::<Heartbeat>(&mut from_machine)),
        ("state", subschema::<StateReport>(&mut from_machine)),
        ("telemetry", subschema::<Telemetry>(&mut from_machine)),
        ("event", subschema::<EventReport>(&mut from_machine)),
        ("log", subschema::<LogReport>(&mut from_machine)),
        ("response", subschema::<Response>(&mut from_machine)),
    ] {
        frames.push((
            frame_name(kind),
            envelope(&mut from_machine, Way::FromMachine, kind, payload),
        ));
    }
    let mut from_server = dialect.writer();
    for (kind, payload) in [
        ("welcome", subschema::<Welcome>(&mut from_server)),
        ("ack", subschema::<Ack>(&mut from_server)),
        ("desired", subschema::<Desired>(&mut from_server)),
        ("command", subschema::<Command>(&mut from_server)),
        ("resync", subschema::<Resync>(&mut from_server)),
        ("bye", subschema::<Bye>(&mut from_server)),
    ] {
        frames.push((
            frame_name(kind),
            envelope(&mut from_server, Way::FromServer, kind, payload),
        ));
    }
    let mut definitions = dialect.definitions(from_machine);
    definitions.extend(dialect.definitions(from_server));
    for definition in definitions.values_mut() {
        close(definition);
    }
    definitions.extend(frames);
    definitions
}

fn subschema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

fn envelope(generator: &mut SchemaGenerator, way: Way, kind: &str, payload: Value) -> Value {
    let durable = way == Way::FromMachine && matches!(kind, "state" | "event" | "response");
    let mut fields = Map::new();
    let mut required = vec![
        "version",
        "type",
        "machine_id",
        "sequence",
        "timestamp",
        "payload",
    ];
    let mut field = |name: &str, schema: Value, about: &str| {
        let mut schema = schema;
        if let (Some(object), false) = (schema.as_object_mut(), about.is_empty()) {
            // Draft 7 looks at nothing beside a reference.
            if let Some(reference) = object.remove("$ref") {
                object.insert("allOf".into(), json!([{ "$ref": reference }]));
            }
            object.insert("description".into(), about.into());
        }
        fields.insert(name.to_owned(), schema);
    };
    field(
        "version",
        json!({ "type": "integer", "const": VERSION }),
        "Of the protocol.",
    );
    field(
        "type",
        json!({ "type": "string", "const": kind }),
        "Which message this is.",
    );
    field(
        "machine_id",
        subschema::<MachineId>(generator),
        "Which machine says it, or is told. The same in every message of a connection.",
    );
    if kind != "hello" {
        let about = "The session that `welcome` opened.";
        field("session", subschema::<SessionNumber>(generator), about);
        // The server may have to say bye before there is a session.
        if kind != "bye" {
            required.push("session");
        }
    }
    let mut sequence = subschema::<SequenceNumber>(generator);
    if kind == "hello" {
        sequence = json!({ "type": "integer", "const": 1 });
    } else if let Some(object) = sequence.as_object_mut() {
        let reference = object.remove("$ref");
        object.insert("allOf".into(), json!([{ "$ref": reference }, { "minimum": 1 }]));
    }
    let about = "+1 per message in this direction of this connection; the first is 1.";
    field("sequence", sequence, about);
    if durable {
        let record = json!({ "allOf": [subschema::<RecordNumber>(generator), { "minimum": 1 }] });
        let about = "The machine's persistent record number: the first ever is 1, each next one +1, also across restarts.";
        field("record", record, about);
        required.push("record");
    }
    field(
        "timestamp",
        subschema::<Timestamp>(generator),
        "When it came about, in server time as the sender knows it.",
    );
    let traceparent = json!({ "type": ["string", "null"], "maxLength": 128 });
    field(
        "traceparent",
        traceparent,
        "The trace it belongs to (W3C Trace Context).",
    );
    field("payload", payload, "");
    json!({
        "title": frame_name(kind),
        "type": "object",
        "properties": fields,
        "required": required,
        "additionalProperties": false,
    })
}

/// Says of every object with known fields that it has no others: a receiver refuses them.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if object.get("properties").is_some_and(Value::is_object)
                && !object.contains_key("additionalProperties")
            {
                object.insert("additionalProperties".into(), false.into());
            }
            object.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
