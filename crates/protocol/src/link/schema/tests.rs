//! The documents against the types: what is shown decodes, what is encoded fits, nothing is left out.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::link::tests::{any_machine_message, any_server_message, envelope};
use crate::link::{Decoder, encode};
use proptest::prelude::*;

/// As much of JSON Schema as the documents use, and no more: a keyword that is not known here fails the test.
fn check(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let Some(keywords) = schema.as_object() else {
        return if schema == &json!(true) {
            Ok(())
        } else {
            Err(format!("{at}: nothing fits"))
        };
    };
    let fail = |why: String| Err(format!("{at}: {why}: {value}"));
    for (keyword, wanted) in keywords {
        match keyword.as_str() {
            "$ref" => {
                let target = root.pointer(wanted.as_str().unwrap().trim_start_matches('#'));
                check(
                    root,
                    target.unwrap_or_else(|| panic!("{wanted} leads nowhere")),
                    value,
                    at,
                )?;
            }
            "type" => {
                let is = |name: &str| match name {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "integer" => value.is_i64() || value.is_u64(),
                    "number" => value.is_number(),
                    "boolean" => value.is_boolean(),
                    "null" => value.is_null(),
                    other => panic!("{other} is no type"),
                };
                let fits = match wanted {
                    Value::String(name) => is(name),
                    Value::Array(names) => names.iter().any(|name| is(name.as_str().unwrap())),
                    _ => panic!("{wanted} is no type"),
                };
                if !fits {
                    return fail(format!("not {wanted}"));
                }
            }
            "const" if value != wanted => return fail(format!("not {wanted}")),
            "enum" if !wanted.as_array().unwrap().contains(value) => {
                return fail(format!("none of {wanted}"));
            }
            "oneOf" | "anyOf" => {
                let found: Vec<_> = wanted
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|one| check(root, one, value, at))
                    .collect();
                let fitting = found.iter().filter(|one| one.is_ok()).count();
                if fitting == 0 || (keyword == "oneOf" && fitting > 1) {
                    return fail(format!("{fitting} of {keyword} fit: {found:?}"));
                }
            }
            "allOf" => {
                for one in wanted.as_array().unwrap() {
                    check(root, one, value, at)?;
                }
            }
            "required" => {
                for name in wanted.as_array().unwrap() {
                    if value.is_object() && value.get(name.as_str().unwrap()).is_none() {
                        return fail(format!("{name} is missing"));
                    }
                }
            }
            "properties" => {
                for (name, schema) in wanted.as_object().unwrap() {
                    if let Some(inner) = value.get(name) {
                        check(root, schema, inner, &format!("{at}.{name}"))?;
                    }
                }
            }
            "additionalProperties" => {
                let known = schema["properties"].as_object();
                for (name, inner) in value.as_object().into_iter().flatten() {
                    if known.is_none_or(|known| !known.contains_key(name)) {
                        check(root, wanted, inner, &format!("{at}.{name}"))?;
                    }
                }
            }
            "items" => {
                for inner in value.as_array().into_iter().flatten() {
                    check(root, wanted, inner, at)?;
                }
            }
            "minItems" | "maxItems" | "minLength" | "maxLength" => {
                let count = match value {
                    Value::Array(items) if keyword.ends_with("Items") => items.len(),
                    Value::String(text) if keyword.ends_with("Length") => text.chars().count(),
                    _ => continue,
                };
                let bound = wanted.as_u64().unwrap() as usize;
                if if keyword.starts_with("min") {
                    count < bound
                } else {
                    count > bound
                } {
                    return fail(format!("{count}, {keyword} is {bound}"));
                }
            }
            "minimum"
                if value
                    .as_f64()
                    .is_some_and(|value| value < wanted.as_f64().unwrap()) =>
            {
                return fail(format!("less than {wanted}"));
            }
            "maximum"
                if value
                    .as_f64()
                    .is_some_and(|value| value > wanted.as_f64().unwrap()) =>
            {
                return fail(format!("more than {wanted}"));
            }
            "const" | "enum" | "minimum" | "maximum" => {}
            // A test from outside checks patterns and formats with a validator of another make.
            "pattern" | "format" | "title" | "description" | "default" | "examples" | "$schema" | "$id"
            | "$defs" => {}
            other => panic!("{other} at {at} is not known to this test"),
        }
    }
    Ok(())
}

fn each_example(document: &Value, mut look: impl FnMut(&str, &Value, &Value)) {
    for (name, message) in document["components"]["messages"].as_object().unwrap() {
        let examples = message["examples"].as_array().unwrap();
        assert!(!examples.is_empty(), "{name} has no example");
        for example in examples {
            look(name, message, &example["payload"]);
        }
    }
}

#[test]
fn every_message_is_described_and_shown() {
    let document = asyncapi();
    let described: BTreeSet<&str> = document["components"]["messages"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let link = MachineMessage::TYPE_NAMES
        .iter()
        .chain(ServerMessage::TYPE_NAMES)
        .copied();
    let live = [
        "subscribe",
        "unsubscribe",
        "ping",
        "snapshot",
        "update",
        "lagged",
        "error",
        "unsubscribed",
        "pong",
    ];
    let live: Vec<String> = live.iter().map(|name| format!("live.{name}")).collect();
    let wanted: BTreeSet<&str> = link.chain(live.iter().map(String::as_str)).collect();
    assert_eq!(described, wanted);
    for message in document["components"]["messages"].as_object().unwrap().values() {
        assert!(
            !message["summary"].as_str().unwrap().is_empty(),
            "{message} says nothing"
        );
    }
}

#[test]
fn what_is_shown_decodes_and_fits() {
    let document = asyncapi();
    let standalone = machine_link();
    each_example(&document, |name, message, payload| {
        check(&document, &message["payload"], payload, name).unwrap();
        if name.starts_with("live.") {
            return;
        }
        check(&standalone, &standalone, payload, name).unwrap();
        let text = payload.to_string();
        let decoder = Decoder::default();
        if MachineMessage::TYPE_NAMES.contains(&name) {
            let decoded = decoder
                .machine(&text)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(decoded.message.type_name(), name);
            assert_eq!(message["x-durable"], decoded.message.is_durable());
        } else {
            let decoded = decoder
                .server(&text)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(decoded.message.type_name(), name);
        }
    });
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk(root: &Value, value: &Value) {
        match value {
            Value::Object(object) => {
                if let Some(reference) = object.get("$ref") {
                    let target = root.pointer(reference.as_str().unwrap().trim_start_matches('#'));
                    assert!(target.is_some(), "{reference} leads nowhere");
                }
                object.values().for_each(|value| walk(root, value));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(root, value)),
            _ => {}
        }
    }
    for document in [asyncapi(), machine_link()] {
        walk(&document, &document);
    }
}

#[test]
fn nothing_is_left_to_be_filled_in() {
    for (_, channel) in asyncapi()["channels"].as_object().unwrap() {
        let text = channel["description"].as_str().unwrap();
        for word in text.split('{').skip(1) {
            let name = word.split('}').next().unwrap();
            assert!(
                !name.chars().all(|c| c.is_ascii_lowercase() || c == '_'),
                "{{{name}}} was not filled in"
            );
        }
    }
}

#[test]
fn what_the_decoder_refuses_does_not_fit() {
    let schema = machine_link();
    let refused = |change: fn(&mut Value)| {
        for example in examples::from_machine() {
            let mut frame = example.json();
            change(&mut frame);
            let decoded = Decoder::default().machine(&frame.to_string());
            assert!(decoded.is_err(), "{frame} was taken");
            assert!(check(&schema, &schema, &frame, "").is_err(), "{frame} fits");
        }
    };
    refused(|frame| frame["version"] = 2.into());
    refused(|frame| frame["type"] = "hallo".into());
    refused(|frame| frame["colour"] = "red".into());
    refused(|frame| frame["sequence"] = 0.into());
    refused(|frame| frame["record"] = 0.into());
    refused(|frame| frame["payload"]["colour"] = "red".into());
    refused(|frame| frame["payload"] = Value::Null);
    for field in [
        "version",
        "type",
        "machine_id",
        "sequence",
        "timestamp",
        "payload",
    ] {
        for example in examples::from_machine() {
            let mut frame = example.json();
            frame.as_object_mut().unwrap().remove(field);
            assert!(Decoder::default().machine(&frame.to_string()).is_err());
            assert!(
                check(&schema, &schema, &frame, "").is_err(),
                "{frame} fits without {field}"
            );
        }
    }
}

#[test]
fn bounds_in_the_schema_are_those_of_the_code() {
    let schema = machine_link();
    let limits = crate::link::Limits::default();
    let definitions = &schema["$defs"];
    assert_eq!(
        definitions["Telemetry"]["properties"]["samples"]["maxItems"],
        limits.samples_max
    );
    assert_eq!(
        definitions["LogReport"]["properties"]["lines"]["maxItems"],
        limits.log_lines_max
    );
}

proptest! {
    #[test]
    fn whatever_a_machine_says_fits_the_schema(message in any_machine_message(), record in 1..u64::MAX) {
        // The generator gives `hello` a session, which no machine has yet.
        let hello = matches!(message, MachineMessage::Hello(_));
        let mut sent = envelope(message.clone(), message.is_durable().then_some(record));
        if hello {
            sent.session = None;
            sent.sequence = SequenceNumber(1);
        }
        let frame: Value = serde_json::from_str(&encode(&sent).expect("json")).expect("json");
        let schema = machine_link();
        prop_assert_eq!(check(&schema, &schema["$defs"]["MachineFrame"], &frame, ""), Ok(()));
    }

    #[test]
    fn whatever_the_server_says_fits_the_schema(message in any_server_message()) {
        let frame: Value = serde_json::from_str(&encode(&envelope(message, None)).expect("json")).expect("json");
        let schema = machine_link();
        prop_assert_eq!(check(&schema, &schema["$defs"]["ServerFrame"], &frame, ""), Ok(()));
    }
}
