//! Turns readings into measurements to be sent: when one moved, or at the latest after a while.

use std::borrow::Cow;

use muster_model::state::StatePatch;
use muster_model::telemetry as names;
use muster_model::vocabulary::Quality;
use muster_protocol::link::{Telemetry, WireSample};
use muster_reflex::link::LinkState;
use serde::{Deserialize, Serialize};

use crate::message::{Payload, TrafficReading, topics};
use crate::nodes::decides::{self, Decides};
use crate::options::TelemetryOptions;
use crate::supervisor::NodeSpec;

/// The telemetry node.
pub fn spec(options: TelemetryOptions) -> NodeSpec {
    let topics = &[topics::MEASURED, topics::TRAFFIC, topics::LINK];
    NodeSpec::new("telemetry", topics, move |context| {
        decides::run(context, TelemetryDesk::new(options))
    })
}

/// Decides which measurements are sent.
#[derive(Serialize, Deserialize)]
pub(crate) struct TelemetryDesk {
    sampler: Sampler,
    traffic: Option<TrafficReading>,
    connected: bool,
}

impl TelemetryDesk {
    fn new(options: TelemetryOptions) -> Self {
        Self {
            sampler: Sampler::new(options),
            traffic: None,
            connected: false,
        }
    }
}

impl Decides for TelemetryDesk {
    fn hear(&mut self, now_ms: u64, payload: &Payload, say: &mut dyn FnMut(Payload)) {
        match payload {
            Payload::Link(link) => {
                self.connected = link.state == LinkState::Connected;
                if !self.connected {
                    // Nobody remembers what was told before: after a pause everything is told again.
                    self.sampler.forget();
                }
            }
            Payload::Traffic(reading) => self.traffic = Some(*reading),
            // Without a link measurements would only be thrown away.
            Payload::Sections(_, patch) if self.connected => {
                let samples = self.sampler.sample(now_ms, patch, self.traffic.take());
                if !samples.is_empty() {
                    say(Payload::Telemetry(Telemetry { samples }));
                }
            }
            _ => {}
        }
    }
}

/// How far a metric moves before it is sent.
#[derive(Clone, Copy, Debug)]
enum Band {
    /// By so much, in its unit.
    Fixed(f64),
    /// By so much of itself, and at least so much in its unit.
    Relative(f64, f64),
}

impl Band {
    fn is_left(self, told: f64, now: f64) -> bool {
        let moved = (told - now).abs();
        match self {
            Self::Fixed(band) => moved >= band,
            Self::Relative(share, least) => moved >= least.max(told.abs() * share),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Told {
    metric: Cow<'static, str>,
    value: f64,
    at_ms: u64,
}

/// Remembers what was told of each metric.
#[derive(Serialize, Deserialize)]
struct Sampler {
    options: TelemetryOptions,
    told: Vec<Told>,
}

impl Sampler {
    fn new(options: TelemetryOptions) -> Self {
        let told = Vec::new();
        Self { options, told }
    }

    fn forget(&mut self) {
        self.told.clear();
    }

    fn sample(
        &mut self,
        now_ms: u64,
        patch: &StatePatch,
        traffic: Option<TrafficReading>,
    ) -> Vec<WireSample> {
        let measured = measured(patch, traffic);
        let moved = |told: &[Told], metric: &str, value: f64, band: Band| {
            told.iter()
                .find(|told| told.metric == metric)
                .is_none_or(|told| band.is_left(told.value, value))
        };
        let late = |told: &[Told], metric: &str, at_latest_ms: u64| {
            told.iter()
                .any(|told| told.metric == metric && told.at_ms + at_latest_ms <= now_ms)
        };
        let due = |told: &[Told], (metric, value, band): (&str, f64, Band)| {
            moved(told, metric, value, band) || late(told, metric, self.options.at_latest_ms)
        };
        if !measured.iter().any(|measure| due(&self.told, *measure)) {
            return Vec::new();
        }
        // A message goes out anyway: what would be late soon goes along, so that the next one is not sent for it.
        let soon_ms = self.options.at_latest_ms / 2;
        let mut samples = Vec::new();
        for (metric, value, band) in measured {
            if moved(&self.told, metric, value, band) || late(&self.told, metric, soon_ms) {
                samples.push(sample(metric, value));
                self.told.retain(|told| told.metric != metric);
                self.told.push(Told {
                    metric: Cow::Borrowed(metric),
                    value,
                    at_ms: now_ms,
                });
            }
        }
        samples
    }
}

fn sample(metric: &'static str, value: f64) -> WireSample {
    WireSample {
        metric: Cow::Borrowed(metric),
        value,
        unit: None,
        quality: Quality::Good,
        offset_ms: 0,
    }
}

/// Every metric that this node tells.
pub(crate) const METRICS: &[&str] = &[
    names::CPU_PERCENT,
    names::LOAD_1M,
    names::MEMORY_PERCENT,
    names::DISK_PERCENT,
    names::TEMPERATURE_CELSIUS,
    names::BATTERY_PERCENT,
    names::BATTERY_VOLTS,
    names::BATTERY_AMPERES,
    names::SPEED_M_PER_S,
    names::RECEIVE_BYTES_PER_S,
    names::TRANSMIT_BYTES_PER_S,
];

/// What a reading says, metric by metric. What it does not say is not there.
fn measured(patch: &StatePatch, traffic: Option<TrafficReading>) -> Vec<(&'static str, f64, Band)> {
    let mut all = Vec::with_capacity(10);
    let mut put = |metric, value: f64, band| {
        if value.is_finite() {
            all.push((metric, value, band));
        }
    };
    if let Some(Some(resources)) = &patch.resources {
        put(names::CPU_PERCENT, resources.cpu_percent, Band::Fixed(5.0));
        put(names::LOAD_1M, resources.load_1m, Band::Fixed(0.5));
        put(names::MEMORY_PERCENT, resources.memory_percent, Band::Fixed(1.0));
        let fullest = resources
            .disks
            .iter()
            .map(|disk| disk.used_percent)
            .reduce(f64::max);
        if let Some(fullest) = fullest {
            put(names::DISK_PERCENT, fullest, Band::Fixed(1.0));
        }
    }
    if let Some(Some(thermal)) = &patch.thermal {
        put(
            names::TEMPERATURE_CELSIUS,
            thermal.highest_celsius,
            Band::Fixed(1.0),
        );
    }
    if let Some(Some(power)) = &patch.power {
        let optional = [
            (names::BATTERY_PERCENT, power.battery_percent, Band::Fixed(0.5)),
            (names::BATTERY_VOLTS, power.volts, Band::Fixed(0.1)),
            (names::BATTERY_AMPERES, power.amperes, Band::Relative(0.2, 0.2)),
        ];
        for (metric, value, band) in optional {
            if let Some(value) = value {
                put(metric, value, band);
            }
        }
    }
    if let Some(Some(location)) = &patch.location {
        put(
            names::SPEED_M_PER_S,
            location.speed_m_per_s,
            Band::Relative(0.1, 0.2),
        );
    }
    if let Some(traffic) = traffic {
        let band = Band::Relative(0.5, 10_000.0);
        put(names::RECEIVE_BYTES_PER_S, traffic.receive_bytes_per_s, band);
        put(names::TRANSMIT_BYTES_PER_S, traffic.transmit_bytes_per_s, band);
    }
    all
}

#[cfg(test)]
mod tests;
