//! What others on the machine know, as conditions of the failsafe table: battery, heat, position, nodes.
//!
//! Begin with [`Conditions::hear`]. A condition that no row asks for is not told, and costs nothing. What is measured is
//! believed for three readings; what nobody says any more holds, and so does what cannot be known.

use std::collections::BTreeSet;
use std::time::Duration;

use muster_model::state::{Location, NodeReport, StatePatch};
use muster_model::vocabulary::NodeStatus;
use muster_reflex::fence::{Fence, Fix};
use muster_reflex::safety::Condition;

use crate::message::{Payload, Source, topics};
use crate::options::SafetyOptions;

/// What the node listens to where a row asks for what is told here: its own topics, and what is read and how nodes fare.
pub(super) const TOPICS: &[&str] = &[
    topics::LINK,
    topics::MODE,
    topics::STOP,
    topics::MOTION,
    topics::MEASURED,
    topics::NODES,
];

/// Readings that may fail to come before what they said is not believed any more.
const READINGS: u32 = 3;
/// A battery is low until it has so much more than it was low with, in percent.
const BATTERY_RISES: f64 = 3.0;
/// Something is too hot until it is so much cooler, in degrees.
const HEAT_FALLS: f64 = 3.0;

/// How a condition stands, as somebody said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) condition: Condition,
    pub(super) holds: bool,
    /// For how long that is believed; nothing: until something else is said.
    pub(super) believed_for: Option<Duration>,
}

/// What the rows ask for, and how it stood last.
pub(super) struct Conditions {
    asked: Vec<Condition>,
    battery_low_percent: f64,
    too_hot_celsius: f64,
    fence: Option<Fence>,
    is_low: bool,
    is_hot: bool,
    lost: BTreeSet<String>,
    believed_for: Duration,
}

/// Whether any row asks for what is told here.
pub(super) fn are_asked(options: &SafetyOptions) -> bool {
    let told_here = |condition| !matches!(condition, Condition::LinkLost | Condition::TeleopLost);
    options.rules.iter().any(|rule| told_here(rule.when))
}

impl Conditions {
    /// For these rows, on a machine that is read so often.
    pub(super) fn new(options: &SafetyOptions, read_every: Duration) -> Self {
        Self {
            asked: options.rules.iter().map(|rule| rule.when).collect(),
            // A threshold that is missing is passed by every reading.
            battery_low_percent: options.battery_low_percent.unwrap_or(f64::INFINITY),
            too_hot_celsius: options.too_hot_celsius.unwrap_or(f64::NEG_INFINITY),
            fence: options.fence.clone(),
            is_low: false,
            is_hot: false,
            lost: BTreeSet::new(),
            believed_for: READINGS * read_every,
        }
    }

    /// How everything stands before anybody said anything: what is measured has the time to be measured once; where the
    /// machine is must be known before it moves.
    pub(super) fn at_first(&self) -> Vec<Heard> {
        let mut heard = vec![
            self.measured(Condition::BatteryLow, false),
            self.measured(Condition::TooHot, false),
            Heard::lasting(Condition::NodeLost, false),
            Heard::lasting(Condition::OutsideFence, true),
            Heard::lasting(Condition::PositionLost, true),
            // Nobody can hold a machine from afar yet, and be lost.
            Heard::lasting(Condition::TeleopLost, false),
        ];
        heard.retain(|heard| self.asks(heard.condition));
        heard
    }

    /// What a message says of the conditions that are asked for.
    pub(super) fn hear(&mut self, payload: &Payload) -> Vec<Heard> {
        let mut heard = match payload {
            Payload::Sections(Source::Measured, patch) => self.read(patch),
            Payload::Node(report) => vec![self.node(report)],
            _ => Vec::new(),
        };
        heard.retain(|heard| self.asks(heard.condition));
        heard
    }

    fn read(&mut self, patch: &StatePatch) -> Vec<Heard> {
        let mut heard = Vec::new();
        if let Some(power) = &patch.power {
            let percent = power.as_ref().and_then(|power| power.battery_percent);
            let low_below = self.battery_low_percent + if self.is_low { BATTERY_RISES } else { 0.0 };
            // Also what is not known is not enough.
            self.is_low = percent.is_none_or(|percent| !percent.is_finite() || percent < low_below);
            heard.push(self.measured(Condition::BatteryLow, self.is_low));
        }
        if let Some(thermal) = &patch.thermal {
            let celsius = thermal.as_ref().map(|thermal| thermal.highest_celsius);
            let hot_above = self.too_hot_celsius - if self.is_hot { HEAT_FALLS } else { 0.0 };
            self.is_hot = celsius.is_none_or(|celsius| !celsius.is_finite() || celsius > hot_above);
            heard.push(self.measured(Condition::TooHot, self.is_hot));
        }
        if let Some(location) = &patch.location {
            heard.extend(self.position(location.as_deref()));
        }
        heard
    }

    fn position(&self, location: Option<&Location>) -> [Heard; 2] {
        let fresh = self
            .fence
            .as_ref()
            .map(|fence| Duration::from_millis(fence.fresh_ms.into()));
        let known = location.filter(|location| {
            location.latitude_degrees.is_finite()
                && location.longitude_degrees.is_finite()
                && location.speed_m_per_s.is_finite()
        });
        let lost = Heard {
            believed_for: Some(fresh.map_or(self.believed_for, |fresh| fresh.min(self.believed_for))),
            ..self.measured(Condition::PositionLost, known.is_none())
        };
        // Inside for as long as it could still stop, if it goes on like this until it is seen again.
        let sure = known.zip(self.fence.as_ref()).and_then(|(location, fence)| {
            fence.inside_for_ms(&Fix {
                at: [location.latitude_degrees, location.longitude_degrees],
                heading_degrees: Some(location.heading_degrees),
                speed_m_per_s: location.speed_m_per_s,
                age_ms: 0,
            })
        });
        let outside = match sure {
            Some(sure_ms) => Heard {
                believed_for: Some(Duration::from_millis(sure_ms)),
                ..self.measured(Condition::OutsideFence, false)
            },
            None => Heard::lasting(Condition::OutsideFence, true),
        };
        [lost, outside]
    }

    fn node(&mut self, report: &NodeReport) -> Heard {
        match report.status {
            NodeStatus::Starting | NodeStatus::Running => self.lost.remove(&report.name),
            NodeStatus::Restarting | NodeStatus::Failed => self.lost.insert(report.name.clone()),
        };
        Heard::lasting(Condition::NodeLost, !self.lost.is_empty())
    }

    fn asks(&self, condition: Condition) -> bool {
        self.asked.contains(&condition)
    }

    fn measured(&self, condition: Condition, holds: bool) -> Heard {
        Heard {
            condition,
            holds,
            believed_for: Some(self.believed_for),
        }
    }
}

impl Heard {
    fn lasting(condition: Condition, holds: bool) -> Self {
        Self {
            condition,
            holds,
            believed_for: None,
        }
    }
}

#[cfg(test)]
mod tests;
