//! What the gate of a machine refused of its actuators, or let through only in part, as the machine says itself.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;
use crate::vocabulary::Authority;

/// Most decisions that are kept: of those that differ in actuator, in whose name and why, the newest.
pub const DECISIONS_MAX: usize = 8;

/// What the gate did not let through as it was asked for, the newest first. A machine without actuators has no such section.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
pub struct GateReport {
    /// At most [`DECISIONS_MAX`].
    pub decisions: Vec<GateDecision>,
}

/// Commands for one actuator, in one name, that were not let through for one reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
pub struct GateDecision {
    /// The actuator.
    pub actuator: String,
    /// In whose name it was asked.
    pub authority: Authority,
    /// Why not, or why not all of it: `standing`, `not_the_holder`, `replayed`, `expired`, `too_far_ahead`, `not_a_number`;
    /// `above_limit` and `limited` were let through, within the limits.
    pub reason: String,
    /// What was asked for last, in the unit of the actuator; absent where that was no number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub asked: Option<f64>,
    /// What of it was let through; absent where it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub passed: Option<f64>,
    /// How often, since the machine's safety node was started.
    pub times: u64,
    /// When it was the first time, by the machine's clock.
    pub first_at: Timestamp,
    /// When it was the last time, by the machine's clock.
    pub last_at: Timestamp,
}

impl GateDecision {
    /// In words: what was asked, in whose name, and what became of it.
    pub fn words(&self) -> String {
        let asked = self
            .asked
            .map_or("what is no number".to_owned(), |asked| asked.to_string());
        let became = match self.passed {
            Some(passed) => format!("cut to {passed}"),
            None => "refused".to_owned(),
        };
        let (reason, times) = (self.reason.replace('_', " "), self.times);
        let times = if times == 1 {
            "once".to_owned()
        } else {
            format!("{times} times")
        };
        format!(
            "{} to {asked} for {}: {became} ({reason}), {times}",
            self.actuator, self.authority
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_said_in_words() {
        let refused = GateDecision {
            actuator: "drive".to_owned(),
            authority: Authority::LocalManual,
            reason: "not_the_holder".to_owned(),
            asked: Some(0.5),
            passed: None,
            times: 12,
            first_at: Timestamp::from_millis(0),
            last_at: Timestamp::from_millis(1),
        };
        let said = "drive to 0.5 for local_manual: refused (not the holder), 12 times";
        assert_eq!(refused.words(), said);
        let cut = GateDecision {
            reason: "above_limit".to_owned(),
            asked: Some(-5.0),
            passed: Some(-1.0),
            times: 1,
            ..refused.clone()
        };
        let said = "drive to -5 for local_manual: cut to -1 (above limit), once";
        assert_eq!(cut.words(), said);
        let no_number = GateDecision {
            asked: None,
            ..refused
        };
        assert!(no_number.words().starts_with("drive to what is no number for"));
    }
}
