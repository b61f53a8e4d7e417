//! One turn of the safety loop: read, decide, set.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use muster_metal::{Equipment, MetalError, Protection};
use muster_reflex::safety::config::{Actuator, Start};
use muster_reflex::safety::{
    ACTUATORS_MAX, Asks, Config, Drive, Kept, Measured, Outputs, Safety, Sample, Verdict,
};
use muster_runtime::errors::chain;
use parking_lot::Mutex;

use super::Panel;
use crate::options::SafetyOptions;
use crate::supervisor::NodeError;

/// How often it is looked whether anything changed, where there is nothing that could be switched off.
const IDLE_PERIOD: Duration = Duration::from_secs(1);

/// What a loop works with, and the next one after it.
#[derive(Default)]
pub struct Parts {
    /// How the machine behaves.
    pub(super) options: SafetyOptions,
    /// How people at the machine reach it.
    pub(super) panel: Panel,
    /// The hardware, which the next node gets when this one ends.
    protection: Home,
    /// How often motion is measured at least, where gauges measure it.
    measured_every: Duration,
    /// What was pressed and heard, for the node that takes over.
    heard: LastHeard,
    /// What went wrong with an output first.
    pub(super) failure: Mutex<Option<String>>,
}

impl Parts {
    /// Of a machine with this hardware, or with none that could be switched.
    pub fn new(options: SafetyOptions, protection: Option<Box<dyn Protection>>) -> Self {
        Self {
            options,
            protection: Home::new(protection),
            ..Self::default()
        }
    }

    /// The same, where people press here, and gauges measure motion so often at least.
    #[must_use]
    pub fn with(self, panel: Panel, measured_every: Duration) -> Self {
        Self {
            panel,
            measured_every,
            ..self
        }
    }
}

/// What was pressed and heard.
#[derive(Debug, Default)]
struct LastHeard {
    estop: AtomicU32,
    stop: AtomicU32,
}

/// Where the hardware is while no node has it.
#[derive(Default)]
struct Home {
    exists: bool,
    here: Mutex<Option<Box<dyn Protection>>>,
}

impl Home {
    fn new(protection: Option<Box<dyn Protection>>) -> Self {
        Self {
            exists: protection.is_some(),
            here: Mutex::new(protection),
        }
    }
}

/// What the loop is told by the node, all at once.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Told {
    /// What others say; what the loop reads itself is put in by it.
    pub(super) sample: Sample,
    /// Until when who looks after the loop is known to be well.
    pub(super) alive_until_us: u64,
}

/// What came of a turn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Turned {
    /// When it was.
    pub(super) now_us: u64,
    /// What was known.
    pub(super) sample: Sample,
    /// What was decided.
    pub(super) verdict: Verdict,
}

/// The region, its hardware, and how the last turn went.
pub(super) struct Turns {
    safety: Safety,
    config: Config,
    parts: Arc<Parts>,
    hardware: Option<Borrowed>,
    period: Duration,
    outputs_failed: bool,
}

/// The hardware for as long as one node has it. Whatever becomes of the node, it leaves no power behind.
struct Borrowed {
    protection: Option<Box<dyn Protection>>,
    parts: Arc<Parts>,
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if let Some(mut protection) = self.protection.take() {
            if let Err(error) = protection.set_enable(false) {
                tracing::error!(
                    error = chain(&error),
                    "the power of what moves could not be taken"
                );
            }
            *self.parts.protection.here.lock() = Some(protection);
        }
    }
}

impl Turns {
    /// Fails where a node that hangs still has the hardware: a machine without it would seem to have nothing that moves.
    pub(super) fn new(parts: &Arc<Parts>, found: Option<Kept>) -> Result<Self, NodeError> {
        let protection = parts.protection.here.lock().take();
        if protection.is_none() && parts.protection.exists {
            return Err(NodeError(
                "the hardware is still held by the node before".to_owned(),
            ));
        }
        let equipment = protection.as_ref().map(|protection| protection.equipment());
        let hardware = protection.map(|protection| Borrowed {
            protection: Some(protection),
            parts: parts.clone(),
        });
        let config = config(equipment, parts);
        // What contradicts itself moves nothing; the hardware goes home.
        config.check().map_err(|error| NodeError(error.to_string()))?;
        // Who pressed stop while no node was there is heard; who pressed resume has to see what it does.
        let heard = Asks {
            estop: parts.heard.estop.load(Ordering::Acquire),
            stop: parts.heard.stop.load(Ordering::Acquire),
            ..parts.panel.presses().counted()
        };
        Ok(Self {
            safety: Safety::new(config, found).with_heard(heard),
            config,
            parts: parts.clone(),
            hardware,
            period: equipment.map_or(IDLE_PERIOD, |equipment| equipment.period),
            outputs_failed: false,
        })
    }

    /// What the region was told of the machine.
    pub(super) const fn config(&self) -> &Config {
        &self.config
    }

    /// What decides, for whoever records.
    pub(super) const fn safety(&self) -> &Safety {
        &self.safety
    }

    pub(super) const fn period(&self) -> Duration {
        self.period
    }

    pub(super) const fn has_hardware(&self) -> bool {
        self.hardware.is_some()
    }

    /// What becomes readable when the loop should look at once.
    pub(super) fn wakers(&self) -> std::io::Result<Vec<std::os::fd::OwnedFd>> {
        let protection = self
            .hardware
            .as_ref()
            .and_then(|hardware| hardware.protection.as_ref());
        let wakers = protection
            .map(|protection| protection.wakers())
            .unwrap_or_default();
        wakers
            .into_iter()
            .map(|waker| waker.try_clone_to_owned())
            .collect()
    }

    /// Reads, decides and sets. Nothing in it allocates or waits, unless the hardware does.
    pub(super) fn turn(&mut self, now_us: u64, told: &Told) -> Turned {
        let mut sample = told.sample;
        sample.asks = self.parts.panel.presses().counted();
        sample.outputs_failed = self.outputs_failed;
        let mut hardware = self
            .hardware
            .as_mut()
            .and_then(|hardware| hardware.protection.as_mut());
        if let Some(protection) = &mut hardware {
            let signals = protection.read(Duration::from_micros(now_us));
            sample.estop = signals.estop;
            sample.tamper = signals.tamper;
            if let Some(value) = signals.speed_m_per_s {
                sample.motion[0] = Some(Measured { value, at_us: now_us });
            }
        }
        let verdict = self.safety.step(now_us, &sample);
        if let Some(protection) = &mut hardware {
            let set = set(protection.as_mut(), &verdict.outputs);
            // Who is not looked after does not feed: then the computer is reset, and what moves has no power.
            let fed = if now_us < told.alive_until_us {
                protection.feed_watchdog()
            } else {
                Ok(())
            };
            if let Err(error) = set.as_ref().and(fed.as_ref())
                && let Some(mut failure) = self.parts.failure.try_lock()
            {
                failure.get_or_insert_with(|| chain(error));
            }
            self.outputs_failed = set.is_err();
            if sample.ending {
                protection.end();
            }
        }
        self.parts.heard.estop.store(sample.asks.estop, Ordering::Release);
        self.parts.heard.stop.store(sample.asks.stop, Ordering::Release);
        Turned {
            now_us,
            sample,
            verdict,
        }
    }
}

/// Power goes before everything else, and comes after it.
fn set(protection: &mut dyn Protection, outputs: &Outputs) -> Result<(), MetalError> {
    let mut result = Ok(());
    if !outputs.enable {
        result = protection.set_enable(false);
    }
    for (place, drive) in outputs.drives.iter().enumerate() {
        let value = match drive {
            Drive::Off => None,
            Drive::To(value) => Some(*value),
        };
        // All of them, whatever becomes of one.
        let set = protection.set_drive(place, value);
        result = result.and(set);
    }
    if outputs.enable {
        let set = protection.set_enable(true);
        result = result.and(set);
    }
    result
}

/// What the region is told of the machine.
fn config(equipment: Option<Equipment>, parts: &Parts) -> Config {
    let options: &SafetyOptions = &parts.options;
    let mut config = Config {
        on_estop: options.on_estop,
        still_below: options.still_below,
        stop_within_us: us(options.stop_within),
        limited_to: options.limited_to,
        horizon_us: us(options.horizon),
        ..Config::default()
    };
    for (place, rule) in config.rules.iter_mut().zip(&options.rules) {
        *place = Some(*rule);
    }
    let Some(equipment) = equipment else {
        // Nothing moves: nobody has to be asked whether it may, and a pause is no danger.
        return Config {
            start: Start::Automatic,
            after_power_cut: Start::Automatic,
            late_us: u64::MAX,
            ..config
        };
    };
    let mut actuators = [None; ACTUATORS_MAX];
    for (place, limits) in actuators.iter_mut().zip(equipment.actuators) {
        *place = limits.map(|limits| Actuator {
            max: limits.max,
            change_max_per_s: limits.change_max_per_s,
            measured: limits.measured,
        });
    }
    let period_us = us(equipment.period);
    let fresh_us = us(parts.measured_every) * 3 + 2 * period_us;
    Config {
        estop_circuit: equipment.estop_circuit,
        tamper_circuit: equipment.tamper_circuit,
        start: options.start,
        after_power_cut: options.after_power_cut,
        measures_motion: equipment.speed_max_m_per_s.is_some(),
        speed_max: equipment.speed_max_m_per_s.unwrap_or(f64::MAX),
        actuators,
        still_after_us: fresh_us,
        fresh_us,
        runaway_us: fresh_us,
        late_us: us(options.late_after),
        ..config
    }
}

fn us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
