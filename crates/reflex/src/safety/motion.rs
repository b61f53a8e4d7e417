//! Whether what is measured fits what is asked for.

use serde::{Deserialize, Serialize};

use super::causes::{Cause, Causes};
use super::config::Config;
use super::interface::{Measured, Sample};

/// How much more than allowed is measured before it counts: a sensor and a controller are never quite exact.
const TOLERANCE: f64 = 1.1;

/// What was measured so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Watch {
    /// Slow enough to be at rest since.
    slow_since_us: Option<u64>,
    /// Faster than allowed since.
    fast_since_us: Option<u64>,
    /// Without power since.
    unpowered_since_us: Option<u64>,
    still: Option<bool>,
}

impl Watch {
    /// Whether it is at rest, if that is known.
    pub(super) fn still(&self) -> Option<bool> {
        self.still
    }

    /// Whether it is seen to move in this moment. Who does not move need not be still yet.
    pub(super) fn moves(&self) -> bool {
        self.still.is_some() && self.slow_since_us.is_none()
    }

    /// Whether motion should be known and is not.
    pub(super) fn is_unknown(&self, config: &Config) -> bool {
        is_measured(config) && self.still.is_none()
    }

    pub(super) fn look(
        &mut self,
        now_us: u64,
        config: &Config,
        sample: &Sample,
        powered: bool,
        found: &mut Causes,
    ) {
        if !is_measured(config) {
            return;
        }
        let Some(speeds) = Speeds::of(now_us, config, sample) else {
            *self = Self {
                unpowered_since_us: self.unpowered_since_us,
                ..Self::default()
            };
            found.insert(Cause::Unmeasured);
            return;
        };
        let slow = speeds.fastest <= config.still_below;
        self.slow_since_us = slow.then(|| self.slow_since_us.unwrap_or(now_us));
        self.still = Some(lasts(self.slow_since_us, now_us, config.still_after_us));
        self.fast_since_us = speeds.too_fast.then(|| self.fast_since_us.unwrap_or(now_us));
        if lasts(self.fast_since_us, now_us, config.runaway_us) {
            found.insert(Cause::Runaway);
        }
        self.unpowered_since_us = (!powered).then(|| self.unpowered_since_us.unwrap_or(now_us));
        // What rolls out is not moved; what still moves when it should have come to rest, is.
        let unpowered = lasts(
            self.unpowered_since_us,
            now_us,
            config.stop_within_us + config.runaway_us,
        );
        if unpowered && !slow {
            found.insert(Cause::MovedUnpowered);
        }
    }
}

/// What the measurements say together; nothing unless all of them are there and fresh.
struct Speeds {
    fastest: f64,
    too_fast: bool,
}

impl Speeds {
    fn of(now_us: u64, config: &Config, sample: &Sample) -> Option<Self> {
        let mut speeds = Self {
            fastest: 0.0,
            too_fast: false,
        };
        let mut add = |measured: Option<Measured>, most: f64| {
            let measured = measured.filter(|measured| {
                measured.value.is_finite() && now_us.saturating_sub(measured.at_us) <= config.fresh_us
            })?;
            let speed = measured.value.abs();
            speeds.fastest = speeds.fastest.max(speed);
            speeds.too_fast |= speed > most * TOLERANCE + config.still_below;
            Some(())
        };
        let mut alone = true;
        for (place, actuator) in config.actuators().filter(|(_, actuator)| actuator.measured) {
            alone = false;
            add(sample.motion[place], actuator.max)?;
        }
        if alone {
            add(sample.motion[0], config.speed_max)?;
        }
        Some(speeds)
    }
}

fn is_measured(config: &Config) -> bool {
    config.measures_motion || config.actuators().any(|(_, actuator)| actuator.measured)
}

fn lasts(since_us: Option<u64>, now_us: u64, for_us: u64) -> bool {
    since_us.is_some_and(|since_us| now_us.saturating_sub(since_us) >= for_us)
}
