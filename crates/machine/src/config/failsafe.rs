//! The section `failsafe`: what is done when something is not as it should be.

use std::ops::RangeInclusive;

use muster_reflex::safety::Condition;
use muster_reflex::safety::config::{Action, Clears, RULES_MAX, Rule};
use muster_runtime::config::Reading;
use serde::{Deserialize, Serialize};

use super::Settings;
use crate::options::SafetyOptions;

/// Longest that a row waits.
const AFTER_MAX_S: u64 = 86_400;

/// A row as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    /// When this holds …
    when: Condition,
    /// … for so long …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after_s: Option<u64>,
    /// … with this battery, in percent; all rows of one condition share it …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    below: Option<f64>,
    /// … at this temperature, in degrees Celsius …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    above: Option<f64>,
    /// … this is done …
    then: Action,
    /// … until this.
    #[serde(default = "with_condition")]
    clears: Clears,
}

const fn with_condition() -> Clears {
    Clears::WithCondition
}

pub(super) fn read(settings: &mut Settings, reading: &mut Reading<'_>) {
    let rows = reading.listed::<Row>();
    if rows.len() > RULES_MAX {
        reading.wrong(
            &[],
            format!("there are {} rows: at most {RULES_MAX} are accepted", rows.len()),
        );
    }
    for (place, row) in &rows {
        check(&place.to_string(), row, reading);
    }
    let low = threshold(
        &rows,
        Condition::BatteryLow,
        "below",
        |row| row.below,
        0.0..=100.0,
        reading,
    );
    let hot = threshold(
        &rows,
        Condition::TooHot,
        "above",
        |row| row.above,
        -50.0..=200.0,
        reading,
    );
    settings.safety.battery_low_percent = low;
    settings.safety.too_hot_celsius = hot;
    settings.safety.rules = rows.iter().map(|(_, row)| rule(row)).take(RULES_MAX).collect();
}

fn check(place: &str, row: &Row, reading: &mut Reading<'_>) {
    if row.after_ms.is_some() && row.after_s.is_some() {
        reading.wrong(&[place, "after_ms"], "either `after_ms` or `after_s` is accepted");
    }
    for (field, after_s) in [
        ("after_s", row.after_s),
        ("after_ms", row.after_ms.map(|after_ms| after_ms / 1_000)),
    ] {
        if after_s.is_some_and(|after_s| after_s > AFTER_MAX_S) {
            reading.wrong(
                &[place, field],
                format!("a day ({AFTER_MAX_S} seconds) at most is accepted"),
            );
        }
    }
    if row.then < Action::Hold && row.clears != Clears::WithCondition {
        let what = "what does not stop the machine clears with its condition: with_condition";
        reading.wrong(&[place, "clears"], what);
    }
}

/// From where on a condition holds. It is told once, so its rows share it: one of them says it, or all of them the same.
fn threshold(
    rows: &[(usize, Row)],
    when: Condition,
    field: &str,
    of: fn(&Row) -> Option<f64>,
    accepted: RangeInclusive<f64>,
    reading: &mut Reading<'_>,
) -> Option<f64> {
    let mut threshold = None;
    for (place, row) in rows {
        let place = place.to_string();
        match of(row) {
            None => {}
            Some(_) if row.when != when => {
                reading.wrong(&[&place, field], format!("only {} has it", when.as_str()));
            }
            Some(value) if !accepted.contains(&value) => {
                let (least, most) = (accepted.start(), accepted.end());
                reading.wrong(
                    &[&place, field],
                    format!("{value} is not accepted: {least} to {most}"),
                );
            }
            Some(value) if threshold.is_some_and(|before| before != value) => {
                let what = format!(
                    "all rows of {} share one: several do not go together",
                    when.as_str()
                );
                reading.wrong(&[&place, field], what);
            }
            Some(value) => threshold = Some(value),
        }
    }
    let mut asking = rows.iter().filter(|(_, row)| row.when == when);
    let none_says = rows.iter().all(|(_, row)| row.when != when || of(row).is_none());
    if let Some((place, _)) = asking.next().filter(|_| none_says) {
        let what = format!("`{field}` is missing: from where on {} holds", when.as_str());
        reading.wrong(&[&place.to_string()], what);
    }
    threshold
}

fn rule(row: &Row) -> Rule {
    let after_s = row.after_s.unwrap_or_default().min(AFTER_MAX_S);
    let after_ms = row.after_ms.unwrap_or_default().min(1_000 * AFTER_MAX_S);
    Rule {
        when: row.when,
        after_us: 1_000_000 * after_s + 1_000 * after_ms,
        action: row.then,
        clears: row.clears,
    }
}

/// The rows that are in force.
pub(super) fn rows(safety: &SafetyOptions) -> Vec<Row> {
    let row = |rule: &Rule| {
        let of = |when, threshold: Option<f64>| threshold.filter(|_| rule.when == when);
        let after_ms = rule.after_us / 1_000;
        let whole = after_ms.is_multiple_of(1_000);
        Row {
            when: rule.when,
            after_ms: Some(after_ms).filter(|_| !whole),
            after_s: Some(after_ms / 1_000).filter(|_| whole && after_ms > 0),
            below: of(Condition::BatteryLow, safety.battery_low_percent),
            above: of(Condition::TooHot, safety.too_hot_celsius),
            then: rule.action,
            clears: rule.clears,
        }
    };
    safety.rules.iter().map(row).collect()
}
