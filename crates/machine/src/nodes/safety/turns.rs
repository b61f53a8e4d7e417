//! One turn of the safety loop: read, decide, set.

use std::time::Duration;

use muster_metal::{Equipment, Protection};
use muster_reflex::safety::config::{Action, Clears, Rule, Start};
use muster_reflex::safety::{Asks, Condition, Config, Kept, Measured, Safety, Sample, Verdict};

use super::{Home, Setup};
use crate::options::SafetyOptions;
use crate::supervisor::NodeError;

/// How often it is looked whether anything changed, where there is nothing that could be switched off.
const IDLE_PERIOD: Duration = Duration::from_secs(1);
/// Slower than this is rest.
const STILL_BELOW_M_PER_S: f64 = 0.05;
/// How long a machine may take to come to rest, power or not.
const STOP_WITHIN: Duration = Duration::from_secs(15);

/// The region, its hardware, and what is known.
pub(super) struct Turns<'a> {
    safety: Safety,
    hardware: Option<Borrowed<'a>>,
    period: Duration,
    pub(super) sample: Sample,
}

/// The hardware for as long as one node has it. Whatever becomes of the node, it leaves no power behind.
struct Borrowed<'a> {
    protection: Option<Box<dyn Protection>>,
    home: &'a Home,
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        if let Some(mut protection) = self.protection.take() {
            if let Err(error) = protection.set_enable(false) {
                tracing::error!(%error, "the power of what moves could not be taken");
            }
            *self.home.here.lock() = Some(protection);
        }
    }
}

impl<'a> Turns<'a> {
    /// Fails where a node that hangs still has the hardware: a machine without it would seem to have nothing that moves.
    pub(super) fn new(setup: &'a Setup, found: Option<Kept>) -> Result<Self, NodeError> {
        let protection = setup.protection.here.lock().take();
        if protection.is_none() && setup.protection.exists {
            return Err(NodeError(
                "the hardware is still held by the node before".to_owned(),
            ));
        }
        let equipment = protection.as_ref().map(|protection| protection.equipment());
        let config = config(equipment, &setup.options);
        let hardware = protection.map(|protection| Borrowed {
            protection: Some(protection),
            home: &setup.protection,
        });
        // What contradicts itself moves nothing; the hardware goes home.
        config.check().map_err(|error| NodeError(error.to_string()))?;
        // Who pressed stop while no node was there is heard; who pressed resume has to see what it does.
        let (heard, now) = (*setup.heard.lock(), setup.panel.presses.counted());
        let heard = Asks {
            estop: heard.estop,
            stop: heard.stop,
            ..now
        };
        Ok(Self {
            safety: Safety::new(config, found).with_heard(heard),
            hardware,
            period: equipment.map_or(IDLE_PERIOD, |equipment| equipment.period),
            sample: Sample::default(),
        })
    }

    pub(super) fn period_ms(&self) -> u64 {
        u64::try_from(self.period.as_millis()).unwrap_or(u64::MAX).max(1)
    }

    /// The conditions for which a row of the failsafe table stands.
    pub(super) fn standing(&self) -> Vec<&'static str> {
        self.safety.standing().map(|rule| rule.when.as_str()).collect()
    }

    /// Reads, decides and sets. `now` is monotonic.
    pub(super) fn turn(&mut self, now: Duration) -> Verdict {
        let now_us = us(now);
        let mut hardware = self
            .hardware
            .as_mut()
            .and_then(|hardware| hardware.protection.as_mut());
        if let Some(protection) = &mut hardware {
            let signals = protection.read(now);
            self.sample.estop = signals.estop;
            self.sample.tamper = signals.tamper;
            self.sample.motion[0] = signals
                .speed_m_per_s
                .map(|value| Measured { value, at_us: now_us });
        }
        let verdict = self.safety.step(now_us, &self.sample);
        if let Some(protection) = &mut hardware {
            let set = protection.set_enable(verdict.outputs.enable);
            if let Err(error) = &set
                && !self.sample.outputs_failed
            {
                tracing::error!(%error, "the power of what moves could not be switched");
            }
            self.sample.outputs_failed = set.is_err();
        }
        verdict
    }
}

/// What the region is told of the machine.
fn config(equipment: Option<Equipment>, options: &SafetyOptions) -> Config {
    let mut config = Config {
        still_below: STILL_BELOW_M_PER_S,
        stop_within_us: us(STOP_WITHIN),
        ..Config::default()
    };
    config.rules[0] = options.link_lost.map(|(after, action)| Rule {
        when: Condition::LinkLost,
        after_us: us(after),
        action,
        clears: Clears::WithCondition,
    });
    let Some(equipment) = equipment else {
        // Nothing moves: nobody has to be asked whether it may, and a pause is no danger.
        return Config {
            start: Start::Automatic,
            after_power_cut: Start::Automatic,
            late_us: u64::MAX,
            ..config
        };
    };
    let period_us = us(equipment.period);
    Config {
        estop_circuit: equipment.estop_circuit,
        tamper_circuit: equipment.tamper_circuit,
        on_estop: Action::PowerOff,
        start: options.start,
        after_power_cut: options.after_power_cut,
        measures_motion: equipment.speed_max_m_per_s.is_some(),
        speed_max: equipment.speed_max_m_per_s.unwrap_or(f64::MAX),
        still_after_us: 2 * period_us,
        fresh_us: 2 * period_us,
        runaway_us: 2 * period_us,
        late_us: us(options.late_after),
        ..config
    }
}

fn us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
