//! What can be done to JSON that leaves it JSON: so that mutations come past the parser, to what looks at values.

use serde_json::{Map, Number, Value};

use crate::bytes::NUMBERS;
use crate::chance::Chance;

/// Longest string that is made.
const STRING_MAX_CHARS: usize = 2_000;
/// Deepest nesting that is made: beyond the limits of the link, and of the parser.
const DEPTH_MAX: usize = 200;

/// Changes a value or two. None where the input is no JSON.
pub(crate) fn mutate(chance: &mut Chance, input: &[u8], corpus: &[Vec<u8>]) -> Option<Vec<u8>> {
    let mut document: Value = serde_json::from_slice(input).ok()?;
    for _ in 0..=chance.below(2) {
        let count = count(&document);
        let mut chosen = chance.below(count);
        let donor = match chance.of(corpus) {
            Some(other) if chance.one_in(8) => serde_json::from_slice(other).ok(),
            _ => None,
        };
        change(chance, &mut document, &mut chosen, donor.as_ref());
    }
    serde_json::to_vec(&document).ok()
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// Walks to the chosen value, the first being zero, and changes it. True when that is done.
fn change(chance: &mut Chance, value: &mut Value, chosen: &mut usize, donor: Option<&Value>) -> bool {
    if *chosen == 0 {
        one(chance, value, donor);
        return true;
    }
    *chosen -= 1;
    match value {
        Value::Array(items) => items.iter_mut().any(|item| change(chance, item, chosen, donor)),
        Value::Object(fields) => fields
            .values_mut()
            .any(|field| change(chance, field, chosen, donor)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn one(chance: &mut Chance, value: &mut Value, donor: Option<&Value>) {
    if let Some(donor) = donor {
        *value = part(chance, donor);
        return;
    }
    match (chance.below(16), &mut *value) {
        (0, _) => *value = Value::Null,
        (1, _) => {
            let depth = 1 + chance.below(DEPTH_MAX);
            let depth = if chance.one_in(4) { depth } else { depth % 4 };
            for _ in 0..depth {
                *value = if chance.one_in(2) {
                    Value::Array(vec![value.take()])
                } else {
                    Value::Object(Map::from_iter([("a".to_owned(), value.take())]))
                };
            }
        }
        (2, _) => *value = number(chance),
        (7.., Value::Object(fields)) => field(chance, fields),
        (7.., Value::Array(items)) => item(chance, items),
        (7.., Value::String(text)) => *text = words(chance, text),
        (7.., Value::Number(_)) => *value = number(chance),
        (7.., Value::Bool(truth)) => *truth = !*truth,
        (3 | 4, _) => *value = Value::String(words(chance, "")),
        (5, _) => *value = Value::Object(Map::new()),
        _ => *value = Value::Array(Vec::new()),
    }
}

/// Any value of another document.
fn part(chance: &mut Chance, donor: &Value) -> Value {
    let mut at = donor;
    loop {
        let inner: Vec<&Value> = match at {
            Value::Array(items) => items.iter().collect(),
            Value::Object(fields) => fields.values().collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
        };
        match chance.of(&inner) {
            Some(next) if chance.below(3) > 0 => at = next,
            _ => return at.clone(),
        }
    }
}

fn field(chance: &mut Chance, fields: &mut Map<String, Value>) {
    let names: Vec<String> = fields.keys().cloned().collect();
    let name = chance.of(&names).cloned().unwrap_or_default();
    match chance.below(3) {
        0 => drop(fields.remove(&name)),
        1 => {
            let value = fields.remove(&name).unwrap_or(Value::Null);
            fields.insert(words(chance, &name), value);
        }
        _ => {
            let value = fields.get(&name).cloned().unwrap_or(Value::Null);
            for _ in 0..=chance.below(3) * chance.below(40) {
                fields.insert(words(chance, &name), value.clone());
            }
        }
    }
}

fn item(chance: &mut Chance, items: &mut Vec<Value>) {
    let at = chance.below(items.len());
    if at >= items.len() {
        items.push(number(chance));
        return;
    }
    match chance.below(3) {
        0 => drop(items.remove(at)),
        1 => {
            let with = chance.below(items.len());
            items.swap(at, with);
        }
        _ => {
            let times = if chance.one_in(8) {
                chance.below(600)
            } else {
                chance.below(4)
            };
            let again = items[at].clone();
            items.extend(std::iter::repeat_n(again, times));
        }
    }
}

fn number(chance: &mut Chance) -> Value {
    let text = *chance.of(NUMBERS).unwrap_or(&"0");
    // Those that are no JSON are tried as text, by the mutations of bytes.
    let number: Option<Number> = serde_json::from_str(text).ok();
    number.map_or(Value::from(chance.bits() >> chance.below(64)), Value::Number)
}

/// Another text, near the one that was there or not.
fn words(chance: &mut Chance, was: &str) -> String {
    const ODD: &[&str] = &[
        "",
        " ",
        "a",
        ">",
        "*",
        ".",
        "..",
        "a.b",
        "machine.>",
        "robot.x",
        "\0",
        "\n",
        "\u{7f}",
        "\"",
        "\\",
        "ß",
        "😀",
        "İ",
        "null",
        "hello",
        "1970-01-01T00:00:00.000Z",
        "9999-12-31T23:59:59.999Z",
        "2026-11-21T23:59:60Z",
        "00000000-0000-0000-0000-000000000000",
        "full",
        "patch",
        "warning",
        "online",
    ];
    let odd = *chance.of(ODD).unwrap_or(&"");
    match chance.below(6) {
        0 => odd.to_owned(),
        1 => format!("{was}{odd}"),
        2 => format!("{odd}{was}"),
        3 => was.chars().skip(1).collect(),
        4 => was.to_uppercase(),
        _ => {
            let one = if was.is_empty() { "x" } else { was };
            let times = chance.below(STRING_MAX_CHARS / one.chars().count().max(1) + 1);
            one.repeat(times)
        }
    }
}
