//! Reads what is connected to the machine: each sensor at its own pace.
//!
//! How fast something moves goes to the safety node at once, everything else as telemetry when it moved or after a while. What
//! gives no reading is said; nothing takes its place. Begin with [`Board`], which programs beside the machine look at, too.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use muster_metal::wired::{Bench, Found, Gauge, Places, Wired};
use muster_metal::wiring::Wiring;
use muster_model::Severity;
use muster_model::devices::{ActuatorState, DeviceState, Devices, SensorState};
use muster_model::vocabulary::Quality;
use muster_protocol::link::{Telemetry, WireSample};
use muster_reflex::calibration::Calibrations;
use muster_reflex::state::Section;
use muster_runtime::errors::chain;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::safety::LoopClock;
use crate::message::{Finding, MotionReading, Payload, Source, section};
use crate::options::TelemetryOptions;
use crate::supervisor::{NodeContext, NodeError, NodeSpec, Wake};

/// A reading that moved by so much of itself is told.
const BAND: f64 = 0.02;

/// What is connected, for everybody on the machine who looks.
#[derive(Debug)]
pub struct Board {
    wiring: Wiring,
    places: Places,
    found: Vec<Found>,
    bench: Bench,
    latest: Mutex<BTreeMap<String, Latest>>,
}

/// The newest reading of a sensor, or why there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Latest {
    /// What was read.
    pub reading: Result<f64, String>,
    /// When, by the clock of the safety loop.
    pub at: Duration,
}

impl Board {
    /// Of what was described and opened.
    pub fn new(wiring: Wiring, places: Places, found: Vec<Found>, bench: Bench) -> Self {
        Self {
            wiring,
            places,
            found,
            bench,
            latest: Mutex::default(),
        }
    }

    /// What is described.
    pub fn wiring(&self) -> &Wiring {
        &self.wiring
    }

    /// The devices that do not exist.
    pub fn bench(&self) -> &Bench {
        &self.bench
    }

    /// The newest reading of each sensor that was read so far.
    pub fn latest(&self) -> BTreeMap<String, Latest> {
        self.latest.lock().clone()
    }

    /// The place of an actuator, by its name.
    pub fn place(&self, actuator: &str) -> Option<usize> {
        self.wiring.actuators.keys().position(|name| name == actuator)
    }

    /// What is connected, as the machine reports it.
    pub fn devices(&self) -> Devices {
        let latest = self.latest.lock();
        let silent = |name: &str| latest.get(name).and_then(|latest| latest.reading.clone().err());
        let devices = self.found.iter().map(|found| {
            let (usable, detail) = match &found.outcome {
                Ok(detail) => (true, detail.clone()),
                Err(why) => (false, why.clone()),
            };
            DeviceState {
                name: found.name.clone(),
                kind: found.kind.to_owned(),
                usable,
                detail,
            }
        });
        let sensors = self.wiring.sensors.iter().map(|(name, sensor)| SensorState {
            name: name.clone(),
            device: sensor.device.clone(),
            unit: sensor.unit.clone(),
            silent: silent(name),
        });
        let actuators = self
            .wiring
            .actuators
            .iter()
            .map(|(name, actuator)| ActuatorState {
                name: name.clone(),
                device: actuator.device.clone(),
                unit: actuator.unit.clone(),
                max: actuator.max,
                change_max_per_s: actuator.change_max_per_s,
                sensor: actuator.sensor.clone(),
            });
        Devices {
            devices: devices.collect(),
            sensors: sensors.collect(),
            actuators: actuators.collect(),
        }
    }

    /// The actuators whose speed this sensor measures; the first place, where it measures the whole machine.
    fn moves(&self, sensor: &str) -> Vec<usize> {
        let actuators = self.wiring.actuators.values().enumerate();
        let measured = actuators.filter(|(_, actuator)| actuator.sensor.as_deref() == Some(sensor));
        let mut places: Vec<usize> = measured.map(|(place, _)| place).collect();
        if self.wiring.safety.speed.as_deref() == Some(sensor) {
            places.push(0);
        }
        places
    }
}

/// How often motion is measured at least: the slowest of the sensors that measure it.
pub fn measured_every(wiring: &Wiring) -> Duration {
    let names = wiring
        .actuators
        .values()
        .filter_map(|actuator| actuator.sensor.as_ref());
    let names = names.chain(&wiring.safety.speed);
    let slowest = names.filter_map(|name| wiring.sensors.get(name).map(|sensor| sensor.interval_ms));
    Duration::from_millis(slowest.max().unwrap_or(0).into())
}

/// The node that reads sensors; none are read where none are described.
pub fn spec(
    board: Arc<Board>,
    time: LoopClock,
    options: TelemetryOptions,
    calibrations: InForce,
) -> NodeSpec {
    NodeSpec::new("devices", &[], move |context| {
        run(context, board.clone(), time, options, calibrations.clone())
    })
}

/// The calibrations in force.
pub type InForce = watch::Receiver<Arc<Calibrations>>;

async fn run(
    mut context: NodeContext,
    board: Arc<Board>,
    time: LoopClock,
    options: TelemetryOptions,
    calibrations: InForce,
) -> Result<(), NodeError> {
    let gauges = Wired::gauges(&board.wiring, &board.places, &board.bench);
    let mut read: Vec<Read> = gauges.into_iter().map(|gauge| Read::new(gauge, &board)).collect();
    say_devices(&context, &board);
    let mut told_ms = 0;
    loop {
        let now = time.now();
        let mut silence_changed = false;
        for read in read.iter_mut().filter(|read| read.due <= now) {
            silence_changed |= read.read(now, &board, &context, &calibrations);
        }
        if silence_changed {
            say_devices(&context, &board);
            say_findings(&context, &board);
        }
        let now_ms = context.clock().mono_ms();
        if now_ms >= told_ms + options.interval_ms {
            told_ms = now_ms;
            let samples = read.iter_mut().filter_map(|read| read.sample(now_ms, options));
            let samples: Vec<WireSample> = samples.collect();
            if !samples.is_empty() {
                context.publish(Payload::Telemetry(Telemetry { samples }));
            }
        }
        let next = read.iter().map(|read| read.due).min();
        let wait = next.map_or(Duration::from_secs(3_600), |next| next.saturating_sub(time.now()));
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
        match context.next(Some(now_ms + wait_ms)).await {
            Wake::Stop => return Ok(()),
            Wake::Due | Wake::Message(_) => {}
        }
    }
}

fn say_devices(context: &NodeContext, board: &Board) {
    let patch = section(Section::Devices(Some(Arc::new(board.devices()))));
    context.publish(Payload::Sections(Source::Devices, patch));
}

/// What is wrong: devices that cannot be used, and sensors that say nothing.
fn say_findings(context: &NodeContext, board: &Board) {
    let devices = board.devices();
    let lost = devices.devices.iter().filter(|device| !device.usable);
    let lost = lost.map(|device| Finding {
        kind: "device.unusable".to_owned(),
        subject: device.name.clone(),
        severity: Severity::Error,
        message: format!("{} cannot be used: {}", device.name, device.detail),
    });
    let silent = devices.sensors.iter().filter_map(|sensor| {
        sensor.silent.as_ref().map(|why| Finding {
            kind: "sensor.silent".to_owned(),
            subject: sensor.name.clone(),
            severity: Severity::Warning,
            message: format!("{} gives no readings: {why}", sensor.name),
        })
    });
    let findings = lost.chain(silent).collect();
    context.publish(Payload::Findings(Source::Devices, findings));
}

/// A gauge, and what was told of it.
struct Read {
    gauge: Gauge,
    metric: String,
    /// Places of the actuators whose speed it measures.
    moves: Vec<usize>,
    due: Duration,
    latest: Option<f64>,
    told: Option<(f64, u64)>,
    was_silent: Option<bool>,
}

impl Read {
    fn new(gauge: Gauge, board: &Board) -> Self {
        Self {
            metric: format!("sensor.{}", gauge.name),
            moves: board.moves(&gauge.name),
            gauge,
            due: Duration::ZERO,
            latest: None,
            told: None,
            was_silent: None,
        }
    }

    /// Reads it. Whether it went silent, or speaks again.
    fn read(&mut self, now: Duration, board: &Board, context: &NodeContext, in_force: &InForce) -> bool {
        self.due = now + self.gauge.interval;
        let reading = self.gauge.read(now).map(|value| {
            // What its profile is not made for stays as it was read.
            let calibrated = in_force.borrow().apply(&self.gauge.name, value);
            calibrated.map_or(value, |calibrated| calibrated.value)
        });
        if let Ok(value) = &reading {
            for place in &self.moves {
                context.publish(Payload::Motion(MotionReading {
                    place: *place,
                    value: *value,
                    at_us: u64::try_from(now.as_micros()).unwrap_or(u64::MAX),
                }));
            }
        }
        let is_silent = reading.is_err();
        let changed = self.was_silent.replace(is_silent) != Some(is_silent);
        let reading = reading.map_err(|error| chain(&error));
        if changed && let Err(why) = &reading {
            tracing::warn!(sensor = %self.gauge.name, %why, "a sensor gives no readings");
        }
        self.latest = reading.as_ref().ok().copied();
        board
            .latest
            .lock()
            .insert(self.gauge.name.clone(), Latest { reading, at: now });
        changed
    }

    /// What is told of it now: it moved, or was not told for a while.
    fn sample(&mut self, now_ms: u64, options: TelemetryOptions) -> Option<WireSample> {
        let value = self.latest?;
        let is_news = self.told.is_none_or(|(told, at_ms)| {
            (told - value).abs() > told.abs() * BAND || now_ms >= at_ms + options.at_latest_ms
        });
        is_news.then(|| {
            self.told = Some((value, now_ms));
            WireSample {
                metric: Cow::Owned(self.metric.clone()),
                value,
                unit: Some(self.gauge.unit.as_str().into()),
                quality: Quality::Good,
                offset_ms: 0,
            }
        })
    }
}
