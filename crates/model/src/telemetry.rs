//! Measurements over time, and the names of those that every machine may send.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;
use crate::vocabulary::Quality;

/// One measurement of one metric at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The metric: lower-case words with dots, the unit last (`cpu.percent`).
    pub metric: Cow<'static, str>,
    /// The value in the metric's unit. Always finite.
    pub value: f64,
    /// The unit, where the metric is not one of [`KNOWN`].
    pub unit: Option<Cow<'static, str>>,
    /// How far the value can be trusted.
    pub quality: Quality,
    /// When it was measured, in server time.
    pub at: Timestamp,
}

/// A metric that Muster knows by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownMetric {
    /// Its name.
    pub name: &'static str,
    /// Its unit, as a person reads it.
    pub unit: &'static str,
    /// What it measures.
    pub about: &'static str,
}

macro_rules! metrics {
    ($($(#[$doc:meta])* $constant:ident = $name:literal, $unit:literal, $about:literal;)+) => {
        $(#[doc = $about] pub const $constant: &str = $name;)+
        /// Every metric that Muster knows by name.
        pub const KNOWN: &[KnownMetric] = &[$(KnownMetric { name: $name, unit: $unit, about: $about }),+];
    };
}

metrics! {
    CPU_PERCENT = "cpu.percent", "%", "Processor time in use over all processors.";
    LOAD_1M = "load.1m", "", "Run-queue length averaged over one minute.";
    MEMORY_PERCENT = "memory.percent", "%", "Memory that is neither free nor reclaimable.";
    DISK_PERCENT = "disk.percent", "%", "The fullest disk.";
    TEMPERATURE_CELSIUS = "temperature.celsius", "°C", "The hottest thermal zone.";
    BATTERY_PERCENT = "battery.percent", "%", "Charge of the battery.";
    BATTERY_VOLTS = "battery.volts", "V", "Voltage of the battery.";
    BATTERY_AMPERES = "battery.amperes", "A", "Current out of the battery; negative while charging.";
    SPEED_M_PER_S = "speed.m_per_s", "m/s", "Speed over ground.";
    RECEIVE_BYTES_PER_S = "network.receive_bytes_per_s", "B/s", "Received over all interfaces but loopback.";
    TRANSMIT_BYTES_PER_S = "network.transmit_bytes_per_s", "B/s", "Sent over all interfaces but loopback.";
}

/// The unit of a metric that Muster knows by name.
pub fn known_unit(metric: &str) -> Option<&'static str> {
    KNOWN
        .iter()
        .find(|known| known.name == metric)
        .map(|known| known.unit)
}
