//! What the gate did not let through as it was asked for, for people: who asked for what, why not, how often and when.
//!
//! [`Decisions`] looks at what went into each step and what came of it, and decides nothing. A flood of commands is a number that
//! grows: decisions that differ in nothing else are one row, and of the rows only the newest are kept.

use muster_model::Timestamp;
use muster_model::gate::DECISIONS_MAX;
use muster_model::vocabulary::Authority;

use super::config::{Action, Config};
use super::gate::{Refused, Stamp};
use super::interface::{ACTUATORS_MAX, Sample, Verdict};

/// Why a command was not let through as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It was refused.
    Refused(Refused),
    /// It was let through up to what the actuator may do.
    AboveLimit,
    /// It was let through up to what is left of that while the machine is limited.
    Limited,
}

impl Reason {
    /// Its word, as it is reported.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused(refused) => refused.as_str(),
            Self::AboveLimit => "above_limit",
            Self::Limited => "limited",
        }
    }
}

/// Commands for one actuator, in one name, for one reason.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// The actuator's place.
    pub place: usize,
    /// In whose name.
    pub authority: Authority,
    /// Why not.
    pub reason: Reason,
    /// What was asked for last.
    pub asked: f64,
    /// What of it was let through; nothing where it was refused.
    pub passed: Option<f64>,
    /// How often.
    pub times: u64,
    /// When it was the first time.
    pub first_at: Timestamp,
    /// When it was the last time.
    pub last_at: Timestamp,
}

/// The newest decisions that somebody may ask about.
#[derive(Clone, Debug, Default)]
pub struct Decisions {
    /// The command of each actuator that was looked at last: what becomes of it later is not another decision.
    seen: [Option<Stamp>; ACTUATORS_MAX],
    /// The newest first.
    rows: [Option<Decision>; DECISIONS_MAX],
}

impl Decisions {
    /// Looks at a step; true if there is something new to tell.
    pub fn look(&mut self, at: Timestamp, config: &Config, sample: &Sample, verdict: &Verdict) -> bool {
        let mut is_news = false;
        for (place, actuator) in config.actuators() {
            let (Some(command), Some(decided)) = (sample.commands[place], verdict.decided[place]) else {
                continue;
            };
            if self.seen[place] == Some(command.stamp) {
                continue;
            }
            self.seen[place] = Some(command.stamp);
            let tightened = verdict.action >= Action::Limit;
            let most = actuator.max * if tightened { config.limited_to } else { 1.0 };
            let (reason, passed) = match decided {
                Err(refused) => (Reason::Refused(refused), None),
                Ok(()) if command.value.abs() <= most => continue,
                Ok(()) if command.value.abs() > actuator.max => {
                    (Reason::AboveLimit, Some(most.copysign(command.value)))
                }
                Ok(()) => (Reason::Limited, Some(most.copysign(command.value))),
            };
            self.note(Decision {
                place,
                authority: command.stamp.authority,
                reason,
                asked: command.value,
                passed,
                times: 1,
                first_at: at,
                last_at: at,
            });
            is_news = true;
        }
        is_news
    }

    /// The newest first.
    pub fn rows(&self) -> impl Iterator<Item = &Decision> {
        self.rows.iter().flatten()
    }

    /// Puts a decision in front; one like it, or else the oldest, makes room.
    fn note(&mut self, new: Decision) {
        let key = |row: &Decision| (row.place, row.authority, row.reason);
        let like = self
            .rows
            .iter()
            .position(|row| row.is_some_and(|row| key(&row) == key(&new)));
        let room = like.unwrap_or(DECISIONS_MAX - 1);
        let before = self.rows[room].filter(|_| like.is_some());
        self.rows[..=room].rotate_right(1);
        self.rows[0] = Some(match before {
            Some(before) => Decision {
                times: before.times.saturating_add(1),
                first_at: before.first_at,
                ..new
            },
            None => new,
        });
    }
}
