//! What the machine knows of itself just now, and whether it allows a change. What is unknown or old allows nothing.

use std::collections::{BTreeMap, BTreeSet};

use muster_model::release::ProductName;

use super::{Condition, Test};
use crate::Now;

/// A reading that is older does not count.
pub const READING_MAX_AGE_MS: u64 = 30_000;

/// Everything that conditions may ask for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Readings {
    /// By name: `battery_percent`, `mode` …
    pub all: BTreeMap<String, Reading>,
    /// Products that something on this machine runs.
    pub run: BTreeSet<ProductName>,
}

/// One reading.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// What was read.
    pub value: Value,
    /// When, in monotonic milliseconds.
    pub at_ms: u64,
}

/// What was read.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A measurement.
    Number(f64),
    /// A word.
    Word(String),
}

impl Readings {
    /// What stands against it, in words; empty where all of it holds now.
    pub(super) fn against(&self, now: Now, conditions: &[Condition], oldest_ms: u64) -> Vec<String> {
        conditions
            .iter()
            .filter_map(|condition| self.one_against(now, condition, oldest_ms))
            .collect()
    }

    fn one_against(&self, now: Now, condition: &Condition, oldest_ms: u64) -> Option<String> {
        let name = words(&condition.reading);
        let Some(reading) = self.all.get(&condition.reading) else {
            return Some(format!("{name} is unknown, and must be {}", wanted(condition)));
        };
        let age_ms = now.mono_ms.saturating_sub(reading.at_ms);
        if age_ms > oldest_ms {
            let seconds = age_ms / 1_000;
            return Some(format!(
                "{name} was last read {seconds} s ago, and must be {}",
                wanted(condition)
            ));
        }
        let unit = unit(&condition.reading);
        match (&reading.value, &condition.test) {
            (Value::Number(value), Test::AtLeast(least)) if *value >= f64::from(*least) => None,
            (Value::Number(value), Test::AtMost(most)) if *value <= f64::from(*most) => None,
            (Value::Word(word), Test::In(accepted)) if accepted.contains(word) => None,
            (Value::Number(value), Test::AtLeast(least)) => {
                Some(format!("{name} {}{unit} < {least}{unit}", figure(*value)))
            }
            (Value::Number(value), Test::AtMost(most)) => {
                Some(format!("{name} {}{unit} > {most}{unit}", figure(*value)))
            }
            (Value::Word(word), Test::In(_)) => {
                Some(format!("{name} is {word}, and must be {}", wanted(condition)))
            }
            (Value::Number(_), Test::In(_)) => Some(format!("{name} is a number, and a word is asked for")),
            (Value::Word(_), Test::AtLeast(_) | Test::AtMost(_)) => {
                Some(format!("{name} is a word, and a number is asked for"))
            }
        }
    }
}

/// `battery_percent` is said as `battery`.
fn words(reading: &str) -> String {
    let bare = ["_percent", "_celsius", "_m_per_s"]
        .iter()
        .find_map(|end| reading.strip_suffix(end));
    bare.unwrap_or(reading).replace('_', " ")
}

fn unit(reading: &str) -> &'static str {
    match reading {
        _ if reading.ends_with("_percent") => " %",
        _ if reading.ends_with("_celsius") => " °C",
        _ if reading.ends_with("_m_per_s") => " m/s",
        _ => "",
    }
}

/// With one digit where it is no whole number, and never rounded to the other side of a limit.
fn figure(value: f64) -> String {
    if value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value}")
    }
}

fn wanted(condition: &Condition) -> String {
    let unit = unit(&condition.reading);
    match &condition.test {
        Test::AtLeast(least) => format!("{least}{unit} or more"),
        Test::AtMost(most) => format!("{most}{unit} or less"),
        Test::In(accepted) => accepted.join(" or "),
    }
}
