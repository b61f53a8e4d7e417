//! Values as they are written into a file.

use std::path::Path;

use yaml_serde::Value;

use super::tree::{self, Kind};

/// A line of a file, and the path of the value on it, if one stands there.
pub(super) struct Line {
    pub(super) text: String,
    pub(super) path: Vec<String>,
    pub(super) has_value: bool,
}

/// A section with a structure, in lines.
pub(super) fn section(name: &str, value: &Value) -> Vec<Line> {
    let mut lines = Vec::new();
    entry(
        &format!("{}:", plain_or_quoted(name)),
        0,
        vec![name.to_owned()],
        value,
        &mut lines,
    );
    lines
}

/// A value after what stands before it on its line: `name:` or `-`.
fn entry(before: &str, indent: usize, path: Vec<String>, value: &Value, lines: &mut Vec<Line>) {
    let mut line = |text: String, has_value| {
        lines.push(Line {
            text: format!("{}{text}", " ".repeat(indent)),
            path: path.clone(),
            has_value,
        });
    };
    match value {
        Value::Mapping(mapping) if mapping.is_empty() => line(format!("{before} {{}}"), true),
        Value::Sequence(items) if items.is_empty() => line(format!("{before} []"), true),
        Value::Mapping(mapping) => {
            let start = lines.len();
            if before != "-" {
                lines.push(Line {
                    text: format!("{}{before}", " ".repeat(indent)),
                    path: path.clone(),
                    has_value: false,
                });
            }
            for (name, value) in mapping {
                let name = name.as_str().unwrap_or_default();
                let path = path.iter().cloned().chain([name.to_owned()]).collect();
                entry(
                    &format!("{}:", plain_or_quoted(name)),
                    indent + 2,
                    path,
                    value,
                    lines,
                );
            }
            // The first key of a row stands behind its dash.
            if before == "-" {
                lines[start].text.replace_range(indent..indent + 2, "- ");
            }
        }
        Value::Sequence(items) if items.iter().all(Value::is_number) => {
            let items: Vec<_> = items
                .iter()
                .filter_map(Value::as_f64)
                .map(|item| item.to_string())
                .collect();
            line(format!("{before} [{}]", items.join(", ")), true);
        }
        Value::Sequence(items) => {
            line(before.to_owned(), false);
            for (place, value) in items.iter().enumerate() {
                let path = path.iter().cloned().chain([place.to_string()]).collect();
                entry("-", indent + 2, path, value, lines);
            }
        }
        Value::Null => line(format!("{before} null"), true),
        Value::Bool(truth) => line(format!("{before} {truth}"), true),
        Value::Number(number) => line(format!("{before} {number}"), true),
        Value::String(text) => line(format!("{before} {}", plain_or_quoted(text)), true),
        Value::Tagged(tagged) => line(format!("{before} {:?}", tagged.tag.to_string()), true),
    }
}

/// A text that stays one: as it is where nothing else is read from it.
fn plain_or_quoted(text: &str) -> String {
    let read = tree::read(Path::new(""), &format!("key: {text}"));
    let is_plain = read.is_ok_and(|root| match root.kind {
        Kind::Entries(entries) => {
            entries.len() == 1 && entries[0].node.value() == Value::String(text.to_owned())
        }
        Kind::Text { .. } | Kind::List(_) => false,
    });
    // Others take `0042` for a number.
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain && is_harmless(text) && !is_number {
        text.to_owned()
    } else {
        quoted(text)
    }
}

/// A flat value: as it is where YAML takes it for that, also where it is a number, else between quotes.
pub(super) fn value(value: String) -> String {
    let read = tree::read(Path::new(""), &format!("key: {value}  # place"));
    let is_plain = read.is_ok_and(|root| match root.kind {
        Kind::Entries(entries) => entries.len() == 1 && entries[0].node.text() == Some(&value),
        Kind::Text { .. } | Kind::List(_) => false,
    });
    if is_plain && is_harmless(&value) {
        value
    } else {
        quoted(&value)
    }
}

/// Whether it is read the same at any place in a file.
fn is_harmless(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with([
            '-', '?', ':', '[', ']', '{', '}', '&', '*', '!', '|', '>', '%', '@', '`', ',', '"', '\'',
        ])
        && !text.contains(['\n', '\r'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with(':')
}

/// Between double quotes. Source: YAML 1.2.2, 7.3.1 and 5.7.
fn quoted(value: &str) -> String {
    let mut text = String::from("\"");
    for character in value.chars() {
        match character {
            '"' | '\\' => text.extend(['\\', character]),
            // Line ends of all kinds, and what an editor would not show.
            _ if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                text.push_str(&format!("\\U{:08x}", u32::from(character)));
            }
            _ => text.push(character),
        }
    }
    text.push('"');
    text
}
