//! What a machine is told of itself, once.

use serde::{Deserialize, Serialize};

use super::interface::{ACTUATORS_MAX, Condition};

/// Most rows of the failsafe table.
pub const RULES_MAX: usize = 16;

/// How the safety of a machine is set up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Whether there is an emergency stop circuit, closed while nobody presses.
    pub estop_circuit: bool,
    /// Whether there is a contact at the case, closed while it is shut.
    pub tamper_circuit: bool,
    /// What an emergency stop does: `PowerOff` or `ControlledStop`.
    pub on_estop: Action,
    /// Whether somebody must resume the machine after an ordinary start.
    pub start: Start,
    /// Whether somebody must resume it when nobody knows how it ended.
    pub after_power_cut: Start,
    /// What it moves with.
    pub actuators: [Option<Actuator>; ACTUATORS_MAX],
    /// Whether it must be known how fast it moves, also where no actuator is behind the gate.
    pub measures_motion: bool,
    /// Speeds up to this are rest, in the unit of the measurement.
    pub still_below: f64,
    /// It is still when it has been so for this long.
    pub still_after_us: u64,
    /// Measurements older than this are none.
    pub fresh_us: u64,
    /// Faster than allowed for so long is a runaway; moving without power for `stop_within_us` more, too.
    pub runaway_us: u64,
    /// Where no actuator is behind the gate: what it may not exceed.
    pub speed_max: f64,
    /// How long a controlled stop may take.
    pub stop_within_us: u64,
    /// A step that comes later after the last one is late.
    pub late_us: u64,
    /// How far ahead a deadline may be.
    pub horizon_us: u64,
    /// What of the limits is left while the machine is limited: 0 to 1.
    pub limited_to: f64,
    /// The failsafe table.
    pub rules: [Option<Rule>; RULES_MAX],
}

/// What one actuator may do.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Actuator {
    /// The greatest value, either way, in its unit.
    pub max: f64,
    /// How much the value may change in a second.
    pub change_max_per_s: f64,
    /// Whether it is measured how fast it moves. What is not must not be able to hurt anybody: a lamp, a fan.
    pub measured: bool,
}

/// Whether a machine goes on by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// Somebody at the machine resumes it.
    Explicit,
    /// By itself, if nothing else speaks against it.
    Automatic,
}

/// A row of the failsafe table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// When this holds …
    pub when: Condition,
    /// … for so long …
    pub after_us: u64,
    /// … this is done …
    pub action: Action,
    /// … until this.
    pub clears: Clears,
}

/// What is done. The highest that is asked for wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Nothing.
    None,
    /// It is told.
    Warn,
    /// Limits are tightened.
    Limit,
    /// Brought to rest and kept there, under power.
    Hold,
    /// Brought to rest; then the power is taken.
    ControlledStop,
    /// The power is taken.
    PowerOff,
}

/// What ends what a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clears {
    /// The end of its condition.
    WithCondition,
    /// A resume at the machine, after the condition ended.
    Acknowledged,
    /// A reset at the machine and then a resume, after the condition ended.
    Reset,
}

/// What is wrong with a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct ConfigError {
    /// For a person.
    pub what: &'static str,
}

impl Default for Config {
    /// A machine that nothing is known of: it moves nothing, and nothing stops it from that.
    fn default() -> Self {
        Self {
            estop_circuit: false,
            tamper_circuit: false,
            on_estop: Action::PowerOff,
            start: Start::Explicit,
            after_power_cut: Start::Explicit,
            actuators: [None; ACTUATORS_MAX],
            measures_motion: false,
            still_below: 0.01,
            still_after_us: 100_000,
            fresh_us: 100_000,
            runaway_us: 50_000,
            speed_max: f64::MAX,
            stop_within_us: 1_000_000,
            late_us: 50_000,
            horizon_us: 500_000,
            limited_to: 0.25,
            rules: [None; RULES_MAX],
        }
    }
}

impl Config {
    /// The actuators there are, with their places.
    pub fn actuators(&self) -> impl Iterator<Item = (usize, Actuator)> {
        let places = self.actuators.iter().enumerate();
        places.filter_map(|(place, actuator)| actuator.map(|actuator| (place, actuator)))
    }

    /// The rules there are, with their places.
    pub fn rules(&self) -> impl Iterator<Item = (usize, Rule)> {
        let places = self.rules.iter().enumerate();
        places.filter_map(|(place, rule)| rule.map(|rule| (place, rule)))
    }

    /// What cannot be meant.
    pub fn check(&self) -> Result<(), ConfigError> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let checks = [
            (
                self.on_estop >= Action::ControlledStop,
                "an emergency stop takes the power, at once or at rest",
            ),
            (
                self.actuators()
                    .all(|(_, actuator)| positive(actuator.max) && positive(actuator.change_max_per_s)),
                "limits of an actuator are greater than zero",
            ),
            (
                positive(self.still_below) && self.speed_max > self.still_below,
                "rest is below the greatest speed, and above zero",
            ),
            (
                (0.0..=1.0).contains(&self.limited_to),
                "what is left while limited is from 0 to 1",
            ),
            (
                self.late_us > 0 && self.fresh_us > 0 && self.horizon_us > 0 && self.stop_within_us > 0,
                "times are greater than zero",
            ),
            (
                self.rules()
                    .all(|(_, rule)| rule.action >= Action::Hold || rule.clears == Clears::WithCondition),
                "what does not stop the machine clears with its condition",
            ),
        ];
        match checks.into_iter().find(|(holds, _)| !holds) {
            Some((_, what)) => Err(ConfigError { what }),
            None => Ok(()),
        }
    }
}
