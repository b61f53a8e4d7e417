//! The section `safety`: what there is for it, and how it behaves.

use std::time::Duration;

use muster_metal::wiring::SafetyWiring;
use muster_reflex::safety::config::{Action, Start};
use muster_runtime::config::{Mistake, Reading};
use serde::{Deserialize, Serialize};

use super::Settings;
use crate::options::SafetyOptions;

/// The section as it is written. What it says of hardware is [`SafetyWiring`]; serde cannot refuse what is unknown in one
/// section that is two types, so the names stand here again.
#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Section {
    #[serde(skip_serializing_if = "Option::is_none")]
    estop: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tamper: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enable: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enable_feedback: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    speed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    speed_max: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    watchdog: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    period_ms: Option<u32>,
    start: Start,
    after_power_cut: Start,
    on_estop: Action,
    stop_within_ms: u64,
    still_below: f64,
    limited_to: f64,
    late_after_ms: u64,
    horizon_ms: u64,
}

impl Default for Section {
    fn default() -> Self {
        Self::of(&Settings::default())
    }
}

impl Section {
    /// What is in force.
    pub(super) fn of(settings: &Settings) -> Self {
        let SafetyWiring {
            estop,
            tamper,
            enable,
            enable_feedback,
            speed,
            speed_max,
            watchdog,
            period_ms,
        } = settings.wiring.safety.clone();
        let safety = &settings.safety;
        Self {
            estop,
            tamper,
            enable,
            enable_feedback,
            speed,
            speed_max,
            watchdog,
            period_ms,
            start: safety.start,
            after_power_cut: safety.after_power_cut,
            on_estop: safety.on_estop,
            stop_within_ms: ms(safety.stop_within),
            still_below: safety.still_below,
            limited_to: safety.limited_to,
            late_after_ms: ms(safety.late_after),
            horizon_ms: ms(safety.horizon),
        }
    }
}

pub(super) fn read(settings: &mut Settings, reading: &mut Reading<'_>) {
    let Some(section) = reading.whole::<Section>() else {
        return;
    };
    settings.wiring.safety = SafetyWiring {
        estop: section.estop,
        tamper: section.tamper,
        enable: section.enable,
        enable_feedback: section.enable_feedback,
        speed: section.speed,
        speed_max: section.speed_max,
        watchdog: section.watchdog,
        period_ms: section.period_ms,
    };
    settings.safety = SafetyOptions {
        start: section.start,
        after_power_cut: section.after_power_cut,
        on_estop: section.on_estop,
        stop_within: Duration::from_millis(section.stop_within_ms),
        still_below: section.still_below,
        limited_to: section.limited_to,
        late_after: Duration::from_millis(section.late_after_ms),
        horizon: Duration::from_millis(section.horizon_ms),
        ..std::mem::take(&mut settings.safety)
    };
}

/// What of the policy cannot be meant.
pub(super) fn mistakes(settings: &Settings) -> Vec<Mistake> {
    let Settings { wiring, safety, .. } = settings;
    let mut mistakes = Vec::new();
    let mut wrong = |field: &str, what: String| {
        mistakes.push(Mistake {
            path: vec!["safety".to_owned(), field.to_owned()],
            what,
        });
    };
    if safety.on_estop < Action::ControlledStop {
        wrong(
            "on_estop",
            "an emergency stop takes the power: power_off at once, controlled_stop at rest".to_owned(),
        );
    }
    for (field, given, least, most) in [
        ("stop_within_ms", ms(safety.stop_within), 1, 600_000),
        ("late_after_ms", ms(safety.late_after), 1, 60_000),
        ("horizon_ms", ms(safety.horizon), 1, 60_000),
    ] {
        if !(least..=most).contains(&given) {
            wrong(
                field,
                format!("{given} is not accepted: {least} to {most} milliseconds"),
            );
        }
    }
    let period_ms = wiring.safety.period_ms.map(u64::from);
    if let Some(period_ms) = period_ms.filter(|period_ms| ms(safety.late_after) < 2 * period_ms) {
        let what = format!(
            "a loop that looks every {period_ms} ms is late after {} ms at the earliest",
            2 * period_ms
        );
        wrong("late_after_ms", what);
    }
    if !(0.0..=1.0).contains(&safety.limited_to) {
        let what = format!(
            "{} is not accepted: what is left of the limits, 0 to 1",
            safety.limited_to
        );
        wrong("limited_to", what);
    }
    let still_below = safety.still_below;
    if !(still_below.is_finite() && still_below > 0.0) {
        wrong(
            "still_below",
            format!("{still_below} is not accepted: a number above zero"),
        );
    }
    let measured = wiring
        .actuators
        .iter()
        .filter(|(_, actuator)| !actuator.unmeasured);
    let slow = measured
        .map(|(name, actuator)| (format!("actuators.{name}"), actuator.max))
        .chain(wiring.safety.speed_max.map(|max| ("speed_max".to_owned(), max)))
        .find(|(_, max)| *max > 0.0 && *max <= still_below);
    if let Some((name, max)) = slow {
        let what =
            format!("{still_below} is rest, and {name} may move at {max} at most: it would never move");
        wrong("still_below", what);
    }
    mistakes
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
