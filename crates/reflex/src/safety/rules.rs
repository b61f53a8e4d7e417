//! The failsafe table at work.

use serde::{Deserialize, Serialize};

use super::causes::{Cause, Causes};
use super::config::{Action, Clears, Config, RULES_MAX};
use super::interface::Sample;

/// How each rule stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Rules {
    rows: [Row; RULES_MAX],
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Row {
    /// The condition holds since.
    since_us: Option<u64>,
    stands: bool,
    action: Action,
    clears: Clears,
}

impl Rules {
    pub(super) fn new(config: &Config) -> Self {
        let row = Row {
            since_us: None,
            stands: false,
            action: Action::None,
            clears: Clears::WithCondition,
        };
        let mut rows = [row; RULES_MAX];
        for (place, rule) in config.rules() {
            rows[place].action = rule.action;
            rows[place].clears = rule.clears;
        }
        Self { rows }
    }

    pub(super) fn look(&mut self, now_us: u64, config: &Config, sample: &Sample, found: &mut Causes) {
        for (place, rule) in config.rules() {
            let row = &mut self.rows[place];
            let holds = sample.conditions[rule.when as usize].holds_at(now_us);
            row.since_us = holds.then(|| row.since_us.unwrap_or(now_us));
            let due = row
                .since_us
                .is_some_and(|since_us| now_us.saturating_sub(since_us) >= rule.after_us);
            row.stands = due || (row.stands && rule.clears != Clears::WithCondition);
        }
        let stops = |clears: Clears| {
            self.rows.iter().any(|row| {
                row.stands && row.since_us.is_some() && row.clears == clears && row.action >= Action::Hold
            })
        };
        found.set(Cause::Rule, stops(Clears::WithCondition));
        found.set(Cause::RuleHeld, stops(Clears::Acknowledged));
        found.set(Cause::RuleLatched, stops(Clears::Reset));
    }

    /// The highest action of those that stand.
    pub(super) fn action(&self) -> Action {
        let standing = self.rows.iter().filter(|row| row.stands);
        standing.map(|row| row.action).max().unwrap_or(Action::None)
    }

    /// Which rules stand, by their places in the configuration.
    pub(super) fn standing(&self) -> u16 {
        let rows = self.rows.iter().enumerate();
        rows.fold(0, |bits, (place, row)| bits | (u16::from(row.stands) << place))
    }

    /// A person resumed the machine: what does not hold any more is over.
    pub(super) fn acknowledge(&mut self) {
        self.end(Clears::Acknowledged);
    }

    pub(super) fn clear_latches(&mut self) {
        self.end(Clears::Reset);
    }

    /// Whether a condition that latched is still there.
    pub(super) fn holds_latched(&self) -> bool {
        let mut latched = self.rows.iter().filter(|row| row.clears == Clears::Reset);
        latched.any(|row| row.stands && row.since_us.is_some())
    }

    /// Whether a condition that waits for an acknowledgement is still there.
    pub(super) fn holds_unacknowledged(&self) -> bool {
        let mut held = self.rows.iter().filter(|row| row.clears == Clears::Acknowledged);
        held.any(|row| row.stands && row.since_us.is_some())
    }

    /// Since when the condition of each rule holds.
    #[cfg(test)]
    pub(super) fn since(&self) -> [Option<u64>; RULES_MAX] {
        self.rows.map(|row| row.since_us)
    }

    fn end(&mut self, clears: Clears) {
        for row in &mut self.rows {
            if row.clears == clears && row.since_us.is_none() {
                row.stands = false;
            }
        }
    }
}
