//! What a change makes of the workloads that are desired, key by key.

use std::collections::{BTreeMap, BTreeSet};

use muster_model::workload::{HealthCheck, Workload};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::operator::text::{Look, Paint, clean};

use super::file::in_full;

/// What becomes of one workload.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Change {
    pub(super) name: String,
    pub(super) change: Kind,
    /// The keys that differ; of one that is new or gone, those that are not as they are by default.
    pub(super) keys: Vec<Key>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Added,
    Changed,
    Removed,
}

/// A key that differs; absent: it is not set.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Key {
    pub(super) key: String,
    pub(super) before: Option<Value>,
    pub(super) after: Option<Value>,
}

impl Change {
    /// What differs. Two ways to write the same do not.
    pub(super) fn between(before: &Map<String, Value>, after: &Map<String, Value>) -> Vec<Self> {
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let plain = keys(&serde_json::to_value(Workload::default()).unwrap_or_default());
        let change = |name: &String| {
            let of = |side: &Map<String, Value>| side.get(name).map(|definition| keys(&in_full(definition)));
            let (change, before, after) = match (of(before), of(after)) {
                (None, Some(after)) => (Kind::Added, plain.clone(), after),
                (Some(before), None) => (Kind::Removed, before, plain.clone()),
                (Some(before), Some(after)) => (Kind::Changed, before, after),
                (None, None) => return None,
            };
            let keys = differing(&before, &after);
            let is_news = change != Kind::Changed || !keys.is_empty();
            is_news.then(|| Self {
                name: name.clone(),
                change,
                keys,
            })
        };
        names.into_iter().filter_map(change).collect()
    }
}

/// The values of a definition by the whole name of their key; a list is one value.
fn keys(definition: &Value) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    flatten("", definition, &mut all);
    // A check that is there or not is told by its kind; what of it is as by default tells nobody anything.
    let mut checked = BTreeMap::new();
    let plain = serde_json::to_value(HealthCheck::default()).unwrap_or_default();
    flatten("health", &plain, &mut checked);
    all.retain(|key, value| key == "health.kind" || checked.get(key) != Some(value));
    all
}

fn flatten(place: &str, value: &Value, all: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(inner) => {
            for (key, value) in inner {
                let place = if place.is_empty() {
                    key.clone()
                } else {
                    format!("{place}.{key}")
                };
                flatten(&place, value, all);
            }
        }
        value => {
            all.insert(place.to_owned(), value.clone());
        }
    }
}

fn differing(before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> Vec<Key> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differ = names
        .into_iter()
        .filter(|key| before.get(*key) != after.get(*key));
    differ
        .map(|key| Key {
            key: key.clone(),
            before: before.get(key).cloned(),
            after: after.get(key).cloned(),
        })
        .collect()
}

/// For a person: `+` comes, `-` goes, `~` changes.
pub(super) fn shown(changes: &[Change], machine: &str, look: Look) -> String {
    if changes.is_empty() {
        return format!(
            "nothing changes for {}: it is desired so already\n",
            clean(machine)
        );
    }
    let mut text = String::new();
    for change in changes {
        let (sign, words, paint) = match change.change {
            Kind::Added => ("+", "new", Paint::Good),
            Kind::Changed => ("~", "changed", Paint::Warning),
            Kind::Removed => ("-", "removed", Paint::Bad),
        };
        let head = format!("{sign} {}: {words}", clean(&change.name));
        text.push_str(&(look.paint(&head, paint) + "\n"));
        for key in change.keys.iter().filter(|_| change.change != Kind::Removed) {
            let value = |value: &Option<Value>| value.as_ref().map_or("not set".to_owned(), Value::to_string);
            let line = match change.change {
                Kind::Added => format!("    {}: {}", key.key, value(&key.after)),
                Kind::Changed | Kind::Removed => {
                    format!("    {}: {} → {}", key.key, value(&key.before), value(&key.after))
                }
            };
            text.push_str(&(clean(&line) + "\n"));
        }
    }
    text
}
