//! The live API's part of the AsyncAPI document.

use std::collections::BTreeMap;

use muster_model::{LogPosition, MachineId, Severity, Timestamp};
use schemars::JsonSchema;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::{
    Batch, ClientMessage, FILTER_MACHINES_MAX, Item, LiveFilters, RATE_MAX_PER_S, SUBSCRIPTION_ID_MAX_BYTES,
    SUBSCRIPTIONS_MAX, ServerMessage, Strategy, Subscribe, TOPICS_MAX, Throttle,
};
use crate::api::{Problem, ProblemField};
use crate::link::schema::Dialect;

/// What the document needs to know of the live API.
pub(crate) struct Description {
    /// In Markdown.
    pub(crate) description: String,
    pub(crate) schemas: Map<String, Value>,
    pub(crate) messages: Vec<(String, Value)>,
    /// Names of the messages that a client says.
    pub(crate) asks: Vec<String>,
    /// Names of those that the server says.
    pub(crate) tells: Vec<String>,
}

pub(crate) fn describe(dialect: Dialect) -> Description {
    let mut schemas = Map::new();
    let asks = split::<ClientMessage>(dialect.reader(), dialect, "LiveClientMessage", &mut schemas);
    let tells = split::<ServerMessage>(dialect.writer(), dialect, "LiveServerMessage", &mut schemas);
    let schemas = apart(dialect, schemas);
    let mut examples = examples();
    let mut messages = Vec::new();
    let mut names = |variants: Vec<Variant>| -> Vec<String> {
        let mut names = Vec::new();
        for variant in variants {
            let examples = examples.remove(variant.kind.as_str()).unwrap_or_default();
            let message = json!({
                "name": variant.kind,
                "title": variant.kind,
                "summary": variant.summary,
                "contentType": "application/json",
                "payload": dialect.reference(&variant.schema),
                "examples": examples,
            });
            let name = format!("live.{}", variant.kind);
            messages.push((name.clone(), message));
            names.push(name);
        }
        names
    };
    let (asks, tells) = (names(asks), names(tells));
    Description {
        description: description(),
        schemas,
        messages,
        asks,
        tells,
    }
}

/// The link speaks of problems, too, and means those of a machine.
fn apart(dialect: Dialect, schemas: Map<String, Value>) -> Map<String, Value> {
    let (link, ours) = (dialect.reference("Problem"), dialect.reference("ApiProblem"));
    fn walk(value: &mut Value, from: &Value, to: &Value) {
        match value {
            Value::Object(object) => {
                if object.get("$ref") == from.get("$ref") {
                    object.insert("$ref".into(), to["$ref"].clone());
                }
                object.values_mut().for_each(|value| walk(value, from, to));
            }
            Value::Array(items) => items.iter_mut().for_each(|value| walk(value, from, to)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let named = |name: String| {
        if name == "Problem" {
            "ApiProblem".to_owned()
        } else {
            name
        }
    };
    let mut renamed = Map::new();
    for (name, mut schema) in schemas {
        walk(&mut schema, &link, &ours);
        renamed.insert(named(name), schema);
    }
    renamed
}

fn description() -> String {
    include_str!("live.md")
        .replace("{subscriptions}", &SUBSCRIPTIONS_MAX.to_string())
        .replace("{topics}", &TOPICS_MAX.to_string())
        .replace("{id_bytes}", &SUBSCRIPTION_ID_MAX_BYTES.to_string())
        .replace("{machines}", &FILTER_MACHINES_MAX.to_string())
        .replace("{rate}", &RATE_MAX_PER_S.to_string())
}

struct Variant {
    kind: String,
    schema: String,
    summary: String,
}

/// Takes an enum's schema apart into one schema per message.
fn split<T: JsonSchema>(
    mut generator: schemars::SchemaGenerator,
    dialect: Dialect,
    prefix: &str,
    schemas: &mut Map<String, Value>,
) -> Vec<Variant> {
    let _ = generator.subschema_for::<T>();
    let name = T::schema_name().into_owned();
    let mut definitions = dialect.definitions(generator);
    let whole = definitions.remove(&name).unwrap_or_default();
    let mut variants = Vec::new();
    for mut variant in whole["oneOf"].as_array().cloned().unwrap_or_default() {
        // A variant that is a struct by itself comes as a reference beside the tag, and the struct would refuse the tag.
        let inner = reference_of(&variant).and_then(|name| definitions.get(&name).cloned());
        if let (Some(inner), Some(own)) = (inner, variant.as_object_mut()) {
            own.remove("$ref");
            own.remove("allOf");
            merge(own, &inner);
        }
        let kind = variant["properties"]["type"]["const"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let summary = variant["description"].as_str().unwrap_or_default().to_owned();
        let schema = format!("{prefix}_{kind}");
        schemas.insert(schema.clone(), variant);
        variants.push(Variant {
            kind,
            schema,
            summary,
        });
    }
    for (name, definition) in definitions {
        schemas.insert(name, definition);
    }
    for merged in ["Subscribe", "Batch"] {
        schemas.remove(merged);
    }
    variants
}

fn reference_of(variant: &Value) -> Option<String> {
    let reference = variant["$ref"]
        .as_str()
        .or_else(|| variant["allOf"][0]["$ref"].as_str())?;
    reference.rsplit('/').next().map(str::to_owned)
}

fn merge(own: &mut Map<String, Value>, inner: &Value) {
    for (key, value) in inner.as_object().into_iter().flatten() {
        match (own.get_mut(key), value) {
            (Some(Value::Object(mine)), Value::Object(other)) => {
                mine.extend(other.iter().map(|(key, value)| (key.clone(), value.clone())));
            }
            (Some(Value::Array(mine)), Value::Array(other)) => mine.extend(other.iter().cloned()),
            (Some(_), _) => {}
            (None, _) => {
                own.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Examples by message type, made by the types themselves.
fn examples() -> BTreeMap<&'static str, Vec<Value>> {
    let machine = MachineId::from_uuid(uuid::Uuid::from_u128(0x0192_f0c1_7a3e_7c44_9c1f_5d2b_8a60_1e42));
    let now = Timestamp::from_millis(1_795_244_400_123);
    let subscribe = |id: &str, topics: &[&str], filters, throttle, resume_after| {
        ClientMessage::Subscribe(Subscribe {
            id: id.to_owned(),
            topics: topics.iter().filter_map(|topic| topic.parse().ok()).collect(),
            filters,
            throttle,
            resume_after,
        })
    };
    let cars = LiveFilters {
        kinds: vec!["car".into()],
        severity: Some(Severity::Warning),
        ..LiveFilters::default()
    };
    let item = |topic: String, data: &str| {
        RawValue::from_string(data.to_owned()).ok().map(|data| Item {
            topic: topic.into(),
            data: data.into(),
        })
    };
    let heard = item(
        format!("machine.{machine}.heartbeat"),
        r#"{"last_seen":"2026-11-21T07:00:00.100Z","presence":"online"}"#,
    );
    let measured = item(
        format!("machine.{machine}.telemetry"),
        r#"{"samples":[{"metric":"cpu.percent","value":12.5,"unit":"%","quality":"good","at":"2026-11-21T06:59:59.923Z"}]}"#,
    );
    let batch = |items: Vec<Option<Item>>, more: bool| Batch {
        id: "table".into(),
        position: LogPosition(4_711),
        server_time: now,
        items: items.into_iter().flatten().collect(),
        more,
    };
    let once_a_second = Throttle {
        rate_per_s: 1.0,
        strategy: Strategy::Aggregate,
    };
    let problem = Problem {
        kind: "urn:muster:problem:MST-A012".into(),
        title: "The request is not understood".into(),
        status: 400,
        detail: format!("a subscription has 1 to {TOPICS_MAX} topics"),
        code: "MST-A012".into(),
        errors: vec![ProblemField {
            at: "topics".into(),
            detail: format!("1 to {TOPICS_MAX} are accepted"),
        }],
        trace_id: None,
        proposal: None,
    };
    let asks = [
        (
            "subscribe",
            subscribe(
                "table",
                &["machine.*.state", "fleet.summary"],
                LiveFilters::default(),
                Throttle::default(),
                None,
            ),
        ),
        (
            "subscribe",
            subscribe(
                "plots",
                &["machine.*.telemetry", "machine.*.event.>"],
                cars,
                once_a_second,
                Some(LogPosition(4_711)),
            ),
        ),
        ("unsubscribe", ClientMessage::Unsubscribe { id: "table".into() }),
        ("ping", ClientMessage::Ping { id: Some("1".into()) }),
    ];
    let tells = [
        ("snapshot", ServerMessage::Snapshot(batch(Vec::new(), true))),
        ("snapshot", ServerMessage::Snapshot(batch(Vec::new(), false))),
        (
            "update",
            ServerMessage::Update(batch(vec![heard, measured], false)),
        ),
        (
            "lagged",
            ServerMessage::Lagged {
                id: "plots".into(),
                dropped: 12,
                resume_after: LogPosition(4_699),
            },
        ),
        (
            "error",
            ServerMessage::Error {
                id: Some("plots".into()),
                problem,
            },
        ),
        ("unsubscribed", ServerMessage::Unsubscribed { id: "table".into() }),
        (
            "pong",
            ServerMessage::Pong {
                id: Some("1".into()),
                server_time: now,
            },
        ),
    ];
    let asks = asks
        .iter()
        .map(|(kind, message)| (*kind, serde_json::to_value(message)));
    let tells = tells
        .iter()
        .map(|(kind, message)| (*kind, serde_json::to_value(message)));
    let mut examples: BTreeMap<&'static str, Vec<Value>> = BTreeMap::new();
    for (kind, message) in asks.chain(tells) {
        let message = message.expect("examples hold nothing that JSON cannot");
        examples
            .entry(kind)
            .or_default()
            .push(json!({ "payload": message }));
    }
    examples
}
