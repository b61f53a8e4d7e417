//! The YAML file: flat values, in sections one deep, each with its line.

use std::path::Path;

use yaml_serde::Value;

use super::{ConfigError, Given, Origin, Settings, keys};

/// Longest file that is read.
const FILE_MAX_BYTES: u64 = 256 * 1024;
/// Most opening brackets and braces in a file, wherever they stand. Nothing here is a list, and what reads YAML takes time by the
/// square of them: 45 s for 200,000.
const BRACKETS_MAX: usize = 1_000;
/// Most aliases, and asterisks that look like one. Nobody needs them, and each may stand for many others: 2,630 bytes took 20 s.
const ALIASES_MAX: usize = 8;

/// The values of a file. Every key in it exists.
pub(super) fn read<S: Settings>(path: &Path) -> Result<Vec<Given<S>>, ConfigError> {
    let unreadable = |source| ConfigError::Read {
        path: path.to_owned(),
        source,
    };
    let length = std::fs::metadata(path).map_err(unreadable)?.len();
    if length > FILE_MAX_BYTES {
        let text = format!("it has {length} bytes, at most {FILE_MAX_BYTES} are read");
        return Err(unreadable(std::io::Error::other(text)));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    parse::<S>(path, &text)
}

pub(super) fn parse<S: Settings>(path: &Path, text: &str) -> Result<Vec<Given<S>>, ConfigError> {
    if let Some(at) = aliases(text).nth(ALIASES_MAX) {
        return Err(ConfigError::Syntax {
            path: path.to_owned(),
            line: line_at(text, at),
            message: format!("more than {ALIASES_MAX} aliases"),
        });
    }
    let mut brackets = text
        .bytes()
        .enumerate()
        .filter(|(_, byte)| matches!(byte, b'[' | b'{'));
    if let Some((at, _)) = brackets.nth(BRACKETS_MAX) {
        return Err(ConfigError::Syntax {
            path: path.to_owned(),
            line: line_at(text, at),
            message: format!("more than {BRACKETS_MAX} brackets and braces"),
        });
    }
    let value: Value = yaml_serde::from_str(text).map_err(|error| ConfigError::Syntax {
        path: path.to_owned(),
        line: line_of_error(&error, text),
        message: error.to_string(),
    })?;
    let mut given = Vec::new();
    let reader = Reader { path, text };
    match &value {
        Value::Null => {}
        Value::Mapping(mapping) => {
            for (name, value) in mapping {
                reader.entry(None, name, value, &mut given)?;
            }
        }
        _ => {
            return Err(ConfigError::Syntax {
                path: path.to_owned(),
                line: 1,
                message: "keys with values are expected, such as `kind: pi`".to_owned(),
            });
        }
    }
    Ok(given)
}

/// Where asterisks stand that may begin an alias. Some stand in texts; those are few.
fn aliases(text: &str) -> impl Iterator<Item = usize> {
    let bytes = text.as_bytes();
    let begins = |at: usize| at == 0 || !bytes[at - 1].is_ascii_alphanumeric();
    (0..bytes.len()).filter(move |at| bytes[*at] == b'*' && begins(*at))
}

fn line_at(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

/// Where the YAML is wrong. That a key stands twice is said without a line, so the later one is looked for.
fn line_of_error(error: &yaml_serde::Error, text: &str) -> usize {
    let message = error.to_string();
    let twice = message.split_once("duplicate entry with key \"");
    let key = twice
        .and_then(|(_, rest)| rest.split_once('"'))
        .map(|(key, _)| key);
    let later = key.and_then(|key| {
        let mut lines: Vec<_> = text.lines().enumerate().collect();
        lines.reverse();
        let holds = |line: &str| {
            line.trim_start()
                .strip_prefix(key)
                .is_some_and(|rest| rest.trim_start().starts_with(':'))
        };
        lines
            .into_iter()
            .find(|(_, line)| holds(line))
            .map(|(index, _)| index + 1)
    });
    let located = || error.location().map(|location| location.line());
    later.or_else(located).unwrap_or(1)
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Reader<'_> {
    fn entry<S: Settings>(
        &self,
        section: Option<&str>,
        name: &Value,
        value: &Value,
        given: &mut Vec<Given<S>>,
    ) -> Result<(), ConfigError> {
        let name = scalar(name).unwrap_or_default();
        let path = section.map_or(name.clone(), |section| format!("{section}.{name}"));
        let origin = Origin::File {
            path: self.path.to_owned(),
            line: self.line_of(section, &name),
        };
        if let Some(key) = keys::find::<S>(&path) {
            let wrong = || ConfigError::Value {
                origin: origin.clone(),
                key: key.path,
                given: "a list or section".to_owned(),
                accepted: key.accepted.to_owned(),
            };
            // What is set to nothing is as if it were not there.
            if !value.is_null() {
                let value = scalar(value).ok_or_else(wrong)?;
                given.push(Given { key, value, origin });
            }
            return Ok(());
        }
        let names = keys::within::<S>(section);
        let is_section = section.is_none() && !keys::within::<S>(Some(&name)).is_empty();
        match value {
            Value::Mapping(mapping) if is_section => mapping
                .iter()
                .try_for_each(|(inner, value)| self.entry(Some(&name), inner, value, given)),
            Value::Null if is_section => Ok(()),
            _ => Err(ConfigError::UnknownKey {
                origin,
                suggestion: keys::nearest(&name, &names),
                accepted: if is_section {
                    format!("{name} with {}", keys::within::<S>(Some(&name)).join(", "))
                } else {
                    names.join(", ")
                },
                key: path,
            }),
        }
    }

    /// Where a key stands. The values know no lines, so the text is looked through: sections stand at the left edge,
    /// their keys further right.
    fn line_of(&self, section: Option<&str>, name: &str) -> usize {
        let mut inside = section.is_none();
        let mut section_line = 1;
        for (index, line) in self.text.lines().enumerate() {
            let at_edge = !line.starts_with([' ', '\t', '#']) && !line.trim().is_empty();
            let holds = |name: &str| {
                let word = line.trim_start().trim_start_matches(['"', '\'']);
                word.strip_prefix(name)
                    .is_some_and(|rest| rest.trim_start_matches(['"', '\'']).trim_start().starts_with(':'))
            };
            if let Some(section) = section
                && at_edge
            {
                inside = holds(section);
                if inside {
                    section_line = index + 1;
                }
            }
            if inside && holds(name) && (section.is_some() != at_edge) {
                return index + 1;
            }
        }
        section_line
    }
}

/// A value as it stands in a file: as it is where YAML takes it for that, else between quotes.
pub(super) fn written(value: String) -> String {
    let read: Option<Value> = yaml_serde::from_str(&format!("key: {value}  # place")).ok();
    let is_plain = read
        .as_ref()
        .and_then(Value::as_mapping)
        .filter(|mapping| mapping.len() == 1)
        .and_then(|mapping| mapping.get("key"))
        .and_then(scalar)
        .is_some_and(|plain| plain == value);
    if is_plain { value } else { quoted(&value) }
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

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Sequence(_) | Value::Mapping(_) | Value::Tagged(_) => None,
    }
}
