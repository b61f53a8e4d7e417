//! What serde says of an item, in words for who wrote it.

use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use yaml_serde::{Mapping, Value};

use super::keys;

/// Something that is wrong in an item.
pub(super) struct Found {
    /// Where in the item.
    pub(super) path: Vec<String>,
    /// What it is, and what is accepted.
    pub(super) what: String,
    /// A field that should be there and is not.
    pub(super) missing: Option<String>,
    /// A field that was meant, it seems, where another is written.
    pub(super) meant: Option<String>,
}

/// What is wrong, and where.
pub(super) fn found<T: DeserializeOwned>(
    error: &serde_path_to_error::Error<yaml_serde::Error>,
    value: &Value,
) -> Found {
    let message = error.inner().to_string();
    let mut path = Vec::new();
    for segment in error.path() {
        match segment {
            Segment::Map { key } => path.push(key.clone()),
            Segment::Seq { index } => path.push(index.to_string()),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    if let Some(field) = between(&message, "missing field `", "`") {
        return Found {
            path,
            what: format!("`{field}` is missing"),
            missing: Some(field.to_owned()),
            meant: None,
        };
    }
    if let Some(field) = between(&message, "unknown field `", "`") {
        let accepted = accepted(&message);
        if path.last().is_none_or(|last| last != field) {
            path.push(field.to_owned());
        }
        let what = if accepted.is_empty() {
            "there is no such field; none is accepted".to_owned()
        } else {
            format!(
                "there is no such field{}; accepted are {}",
                meant(field, &accepted),
                accepted.join(", ")
            )
        };
        return Found {
            meant: keys::nearest(field, &accepted).map(str::to_owned),
            ..found_at(path, what)
        };
    }
    if path.is_empty()
        && let Some(field) = culprit::<T>(&message, value)
    {
        path.push(field);
    }
    if let Some(variant) = between(&message, "unknown variant `", "`") {
        let accepted = accepted(&message);
        let what = format!(
            "{variant:?} is not accepted{}: {}",
            meant(variant, &accepted),
            accepted.join(", ")
        );
        return found_at(path, what);
    }
    let what = match (given(&message), expected(&message)) {
        (Some(given), Some(expected)) => format!("{given} is not accepted: {expected}"),
        _ => message,
    };
    found_at(path, what)
}

fn found_at(path: Vec<String>, what: String) -> Found {
    Found {
        path,
        what,
        missing: None,
        meant: None,
    }
}

/// The field that is wrong. Where an item's type stands in a field of it (`type: gpio`), serde reads the fields twice and
/// forgets where it was the second time: so the item is read anew with one field more each time, until it says the same.
fn culprit<T: DeserializeOwned>(message: &str, value: &Value) -> Option<String> {
    let Value::Mapping(fields) = value else {
        return None;
    };
    let mut some = Mapping::new();
    let tag = fields.iter().filter(|(name, _)| name.as_str() == Some("type"));
    let rest = fields.iter().filter(|(name, _)| name.as_str() != Some("type"));
    for (name, field) in tag.chain(rest) {
        some.insert(name.clone(), field.clone());
        let error = T::deserialize(Value::Mapping(some.clone())).err();
        if error.is_some_and(|error| error.to_string() == message) {
            return name.as_str().map(str::to_owned);
        }
    }
    None
}

fn meant(written: &str, accepted: &[&str]) -> String {
    match keys::nearest(written, accepted) {
        Some(suggestion) => format!(" (did you mean {suggestion:?}?)"),
        None => String::new(),
    }
}

/// The names that a message lists between backticks, after what was expected.
fn accepted(message: &str) -> Vec<&str> {
    let list = message.split_once(", expected ").map_or("", |(_, list)| list);
    list.split('`').skip(1).step_by(2).collect()
}

/// What was given. Serde writes `invalid type: string "abc", expected u32`.
fn given(message: &str) -> Option<String> {
    let rest = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("invalid value: "))?;
    let (given, _) = rest.rsplit_once(", expected ")?;
    let told = given
        .strip_prefix("string ")
        .or_else(|| between(given, "integer `", "`"))
        .or_else(|| between(given, "floating point `", "`"))
        .or_else(|| between(given, "boolean `", "`"));
    Some(match (told, given) {
        (Some(told), _) => told.chars().take(128).collect(),
        (None, "map") => "a section".to_owned(),
        (None, "sequence") => "a list".to_owned(),
        (None, "unit value") => "nothing".to_owned(),
        (None, other) => other.to_owned(),
    })
}

/// What was expected, in words.
fn expected(message: &str) -> Option<String> {
    let (_, expected) = message.rsplit_once(", expected ")?;
    let words = match expected {
        "u8" => "a whole number, 0 to 255",
        "u16" => "a whole number, 0 to 65535",
        "u32" => "a whole number, 0 to 4294967295",
        "u64" | "usize" => "a whole number, 0 or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" => "a text; what looks like a number is one between quotes",
        "a sequence" => "a list",
        "a map" => "names with what they stand for",
        _ if expected.starts_with("struct ") || expected.contains("tagged enum") => "fields with values",
        other => other,
    };
    Some(words.to_owned())
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(inner, _)| inner)
}
