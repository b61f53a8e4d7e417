//! A message of the bus as JSON with a schema, and back.
//!
//! The form is not that of the bus: a viewer wants an object whose fields it can name in a plot, not serde's tags.

use std::collections::BTreeMap;

use muster_model::desired::{DesiredOutcome, HeldDesired};
use muster_model::state::{NodeReport, StatePatch};
use muster_model::{Mode, ReportedState};
use muster_protocol::link::{Command, Desired, EventReport, LogReport, Telemetry};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::RecordingError;
use crate::message::{Finding, LinkReport, Memory, MotionReading, Payload, Source, TrafficReading, Wanted};
use crate::nodes::safety::steps::Steps;

/// Schemas of all forms by their names; `cargo xtask generate` makes it from the types.
const SCHEMAS: &str = include_str!("schemas.json");

macro_rules! forms {
    ($($variant:ident = $name:literal: $form:ty, $from:expr;)+) => {
        /// The name of a payload's schema.
        pub fn schema_name(payload: &Payload) -> &'static str {
            match payload { $(Payload::$variant(..) => $name),+ }
        }

        /// Every name of a schema.
        pub const SCHEMA_NAMES: &[&str] = &[$($name),+];

        /// Reads what was written under this name; nothing where nobody here knows the name.
        pub fn read(schema: &str, data: &[u8]) -> Result<Option<Payload>, RecordingError> {
            Ok(Some(match schema {
                $($name => {
                    let make: fn($form) -> Payload = $from;
                    make(serde_json::from_slice(data)?)
                })+
                _ => return Ok(None),
            }))
        }

        /// The schemas of all forms.
        #[cfg(feature = "schema")]
        pub fn schemas() -> serde_json::Value {
            let mut settings = schemars::generate::SchemaSettings::draft07();
            settings.inline_subschemas = true;
            settings.meta_schema = None;
            let mut all = serde_json::Map::new();
            $(all.insert($name.to_owned(), schema::plain(settings.clone().into_generator().into_root_schema_for::<$form>()));)+
            serde_json::Value::Object(all)
        }
    };
}

forms! {
    Sections = "muster.Sections": Sections<Box<StatePatch>>, |form| Payload::Sections(form.source, form.sections);
    Wanted = "muster.Wanted": Wants<Vec<Wanted>>, |form| Payload::Wanted(form.sections);
    Traffic = "muster.Traffic": TrafficReading, Payload::Traffic;
    Findings = "muster.Findings": Findings<Vec<Finding>>, |form| Payload::Findings(form.source, form.findings);
    Event = "muster.Event": Box<EventReport>, Payload::Event;
    Telemetry = "muster.Telemetry": Telemetry, Payload::Telemetry;
    Log = "muster.Log": LogReport, Payload::Log;
    State = "muster.State": Box<ReportedState>, Payload::State;
    Command = "muster.Command": Box<Command>, Payload::Command;
    Offered = "muster.Offered": Desired, Payload::Offered;
    Desired = "muster.Desired": std::sync::Arc<HeldDesired>, Payload::Desired;
    Outcome = "muster.Outcome": Box<DesiredOutcome>, Payload::Outcome;
    Node = "muster.Node": NodeReport, Payload::Node;
    Link = "muster.Link": LinkReport, Payload::Link;
    Mode = "muster.Mode": ModeForm, |form| Payload::Mode(form.mode);
    Motion = "muster.Motion": MotionReading, Payload::Motion;
    Memory = "muster.Memory": Box<Memory>, Payload::Memory;
    Steps = "muster.Steps": std::sync::Arc<Steps>, Payload::Steps;
}

/// Sections as they were read.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Sections<T> {
    source: Source,
    sections: T,
}

/// Everything that is wrong as far as one source can tell.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Findings<T> {
    source: Source,
    findings: T,
}

/// Sections that are due to be read.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Wants<T> {
    sections: T,
}

/// What the machine is doing.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct ModeForm {
    mode: Mode,
}

/// Writes a payload in its form, behind what is there.
pub fn write(payload: &Payload, out: &mut Vec<u8>) -> Result<(), RecordingError> {
    match payload {
        Payload::Sections(source, sections) => put(
            out,
            &Sections {
                source: *source,
                sections,
            },
        ),
        Payload::Findings(source, findings) => put(
            out,
            &Findings {
                source: *source,
                findings,
            },
        ),
        Payload::Wanted(sections) => put(out, &Wants { sections }),
        Payload::Mode(mode) => put(out, &ModeForm { mode: *mode }),
        Payload::Traffic(form) => put(out, form),
        Payload::Event(form) => put(out, form),
        Payload::Telemetry(form) => put(out, form),
        Payload::Log(form) => put(out, form),
        Payload::State(form) => put(out, form),
        Payload::Command(form) => put(out, form),
        Payload::Offered(form) => put(out, form),
        Payload::Desired(form) => put(out, form),
        Payload::Outcome(form) => put(out, form),
        Payload::Node(form) => put(out, form),
        Payload::Link(form) => put(out, form),
        Payload::Motion(form) => put(out, form),
        Payload::Memory(form) => put(out, form),
        Payload::Steps(form) => put(out, form),
    }
}

fn put(out: &mut Vec<u8>, form: &impl Serialize) -> Result<(), RecordingError> {
    Ok(serde_json::to_writer(out, form)?)
}

/// The schema of this name.
pub fn schema(name: &str) -> Option<String> {
    let all: BTreeMap<&str, &RawValue> = serde_json::from_str(SCHEMAS).ok()?;
    // It stands in every file: without the spaces.
    let schema: serde_json::Value = serde_json::from_str(all.get(name)?.get()).ok()?;
    Some(schema.to_string())
}

#[cfg(feature = "schema")]
mod schema {
    use serde_json::Value;

    /// Without what only people read: it stands in every file.
    pub(super) fn plain(schema: schemars::Schema) -> Value {
        let mut schema = schema.to_value();
        strip(&mut schema, false);
        schema
    }

    fn strip(value: &mut Value, names: bool) {
        match value {
            Value::Object(fields) => {
                if !names {
                    for word in ["description", "examples", "title", "default"] {
                        fields.remove(word);
                    }
                }
                for (name, field) in fields.iter_mut() {
                    strip(field, !names && name == "properties");
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| strip(item, false)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}
