//! Sections with a structure: each item is read by serde by itself, so that one that is wrong does not hide the next.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;
use yaml_serde::Value;

use super::tree::{Kind, Node};
use super::wrong;

/// Most mistakes that are said of one item.
const MISTAKES_OF_AN_ITEM_MAX: usize = 16;

/// A section with a structure. It comes from the file alone.
pub struct Document<S> {
    /// Its name, at the top of the file.
    pub name: &'static str,
    /// Reads it into the settings. What is wrong goes to the reading.
    pub read: fn(&mut S, &mut Reading<'_>),
    /// What of it is in force, as serde writes it; none where nothing is.
    pub show: fn(&S) -> Option<Value>,
}

impl<S> fmt::Debug for Document<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Something in a section with a structure that cannot be meant, or that is odd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where: names from the outside to the inside; of a list, places from 0.
    pub path: Vec<String>,
    /// What is wrong there, and what is accepted, for a person.
    pub what: String,
}

/// A section that is being read.
#[derive(Debug)]
pub struct Reading<'a> {
    name: &'a str,
    node: &'a Node,
    mistakes: &'a mut Vec<Mistake>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(name: &'a str, node: &'a Node, mistakes: &'a mut Vec<Mistake>) -> Self {
        Self { name, node, mistakes }
    }

    /// A section of named things: those that can be read.
    pub fn named<T: DeserializeOwned>(&mut self) -> BTreeMap<String, T> {
        let mut read = BTreeMap::new();
        match &self.node.kind {
            Kind::Entries(entries) => {
                for entry in entries {
                    let path = vec![self.name.to_owned(), entry.key.clone()];
                    if let Some(item) = item(path, &entry.node, self.mistakes) {
                        read.insert(entry.key.clone(), item);
                    }
                }
            }
            _ if self.node.is_nothing() => {}
            Kind::Text { .. } | Kind::List(_) => {
                self.wrong(&[], "names with what they stand for are accepted");
            }
        }
        read
    }

    /// A section that is a list: those of it that can be read, with their places from 0.
    pub fn listed<T: DeserializeOwned>(&mut self) -> Vec<(usize, T)> {
        let mut read = Vec::new();
        match &self.node.kind {
            Kind::List(nodes) => {
                for (place, node) in nodes.iter().enumerate() {
                    let path = vec![self.name.to_owned(), place.to_string()];
                    read.extend(item(path, node, self.mistakes).map(|item| (place, item)));
                }
            }
            _ if self.node.is_nothing() => {}
            Kind::Text { .. } | Kind::Entries(_) => {
                self.wrong(&[], "a list is accepted, each row after a dash");
            }
        }
        read
    }

    /// A section that is one thing; none where it is empty or cannot be read.
    pub fn whole<T: DeserializeOwned>(&mut self) -> Option<T> {
        if self.node.is_nothing() {
            return None;
        }
        item(vec![self.name.to_owned()], self.node, self.mistakes)
    }

    /// Something within this section cannot be meant.
    pub fn wrong(&mut self, path: &[&str], what: impl Into<String>) {
        let inner = path.iter().map(|&name| name.to_owned());
        self.mistakes.push(Mistake {
            path: std::iter::once(self.name.to_owned()).chain(inner).collect(),
            what: what.into(),
        });
    }
}

/// Reads one item. What is wrong in it is said and taken away, until the rest can be read or nothing more can be said.
fn item<T: DeserializeOwned>(path: Vec<String>, node: &Node, mistakes: &mut Vec<Mistake>) -> Option<T> {
    // Serde would take the values of a list for fields in their order.
    if matches!(node.kind, Kind::List(_)) {
        let what = "a list is not accepted: fields with values".to_owned();
        mistakes.push(Mistake { path, what });
        return None;
    }
    let mut value = node.value();
    let mut taken: Vec<Vec<String>> = Vec::new();
    for _ in 0..MISTAKES_OF_AN_ITEM_MAX {
        let found = match serde_path_to_error::deserialize::<_, T>(value.clone()) {
            Ok(item) => return Some(item),
            Err(error) => wrong::found::<T>(&error, &value),
        };
        // What is missing because it was taken away, or has a wrong name, is no second mistake.
        let follows = found.missing.as_ref().is_some_and(|missing| {
            let there = || found.path.iter().chain(std::iter::once(missing));
            taken.iter().any(|gone| gone.iter().eq(there()))
        });
        if !follows {
            let path = path.iter().cloned().chain(found.path.iter().cloned());
            mistakes.push(Mistake {
                path: path.collect(),
                what: found.what,
            });
        }
        if found.missing.is_some() || !take_away(&mut value, &found.path) {
            return None;
        }
        if let (Some(meant), Some((_, around))) = (found.meant, found.path.split_last()) {
            taken.push(around.iter().cloned().chain([meant]).collect());
        }
        taken.push(found.path);
    }
    None
}

/// Takes what stands at this path out of a section. What is in a list stays: others would move to its place.
fn take_away(value: &mut Value, path: &[String]) -> bool {
    let Some((name, rest)) = path.split_first() else {
        return false;
    };
    match value {
        Value::Mapping(mapping) if rest.is_empty() => mapping.shift_remove(name.as_str()).is_some(),
        Value::Mapping(mapping) => mapping
            .get_mut(name.as_str())
            .is_some_and(|inner| take_away(inner, rest)),
        Value::Sequence(items) => name
            .parse::<usize>()
            .ok()
            .and_then(|place| items.get_mut(place))
            .is_some_and(|inner| take_away(inner, rest)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Tagged(_) => false,
    }
}

/// Those mistakes that are none of what could not be read before them. Whoever asks for a device that is there and
/// wrong would be told that there is none.
pub(super) fn that_do_not_follow(unread: &[Mistake], found: Vec<Mistake>) -> Vec<Mistake> {
    let follows = |mistake: &Mistake| {
        unread.iter().any(|before| {
            let name = before.path.get(1).map(|name| format!("{name:?}"));
            mistake.path.starts_with(&before.path)
                || before.path.starts_with(&mistake.path)
                || name.is_some_and(|name| mistake.what.contains(&name))
                || mistake.what.contains(&before.path.join("."))
        })
    };
    found.into_iter().filter(|mistake| !follows(mistake)).collect()
}
