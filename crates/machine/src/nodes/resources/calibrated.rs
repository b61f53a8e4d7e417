//! Calibrated values in the place of those that were read: temperatures by the names of their zones, and the voltage of the battery.

use std::collections::BTreeSet;
use std::sync::Arc;

use muster_model::Severity;
use muster_model::state::{Power, Thermal};
use muster_reflex::calibration::Calibrations;
use tokio::sync::watch;

use crate::message::Finding;

/// The voltage of the battery, as a device that can be calibrated.
pub const BATTERY_VOLTS: &str = "battery.volts";

/// What is in force, and which devices read what their profile is not made for.
pub(super) struct Calibrated {
    in_force: watch::Receiver<Arc<Calibrations>>,
    beyond: BTreeSet<String>,
    told: Vec<Finding>,
}

impl Calibrated {
    pub(super) fn new(in_force: watch::Receiver<Arc<Calibrations>>) -> Self {
        Self {
            in_force,
            beyond: BTreeSet::new(),
            told: Vec::new(),
        }
    }

    pub(super) fn power(&mut self, power: &mut Power) {
        if let Some(volts) = &mut power.volts {
            self.value(BATTERY_VOLTS, volts);
        }
    }

    pub(super) fn thermal(&mut self, thermal: &mut Thermal) {
        for zone in &mut thermal.zones {
            self.value(&zone.name, &mut zone.celsius);
        }
        let hottest = thermal.zones.iter().map(|zone| zone.celsius).reduce(f64::max);
        thermal.highest_celsius = hottest.unwrap_or(thermal.highest_celsius);
    }

    /// What cannot be calibrated stays as it was read.
    fn value(&mut self, device: &str, value: &mut f64) {
        let calibrated = self.in_force.borrow().apply(device, *value);
        let beyond = match calibrated {
            Some(calibrated) => {
                *value = calibrated.value;
                calibrated.beyond
            }
            None => true,
        };
        if beyond {
            self.beyond.insert(device.to_owned());
        } else {
            self.beyond.remove(device);
        }
    }

    /// What is to be said now, if it is something else than before.
    pub(super) fn findings(&mut self) -> Option<Vec<Finding>> {
        let found: Vec<Finding> = self
            .beyond
            .iter()
            .map(|device| Finding {
                kind: "calibration.beyond".to_owned(),
                subject: device.clone(),
                severity: Severity::Warning,
                message: format!(
                    "{device} reads what its calibration is not made for: its value cannot be trusted"
                ),
            })
            .collect();
        if found == self.told {
            return None;
        }
        self.told.clone_from(&found);
        Some(found)
    }
}
