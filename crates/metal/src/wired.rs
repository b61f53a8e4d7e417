//! Opens what a machine file describes: contacts, switches, drives and gauges on real devices, or on simulated ones.
//!
//! Begin with [`Wired::open`]. It takes a [`Wiring`] that was checked and gives back the safety part ([`Protection`]), the
//! gauges to be read, and how each device was found. A device that is not there is *absent*: what it should measure is an
//! error, a contact on it is unknown, an output on it cannot be set. Nothing is guessed.

mod attribute;
mod bench;
mod gpio;
mod i2c;
mod kernel;
mod parts;
mod protection;
mod pwm;
mod serial;
#[cfg(test)]
mod tests;
mod watchdog;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::wiring::{Device, Sensor, Wiring};
use crate::{LinuxRoots, MetalError, Protection};
pub use bench::Bench;
use parts::{ContactInput, Drive, Opened, Source, Switch};

/// How soon it is looked again whether a device came that was not there.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Where devices are found.
#[derive(Clone, Debug)]
pub struct Places {
    /// Device files.
    pub dev: PathBuf,
    /// The kernel's trees.
    pub roots: LinuxRoots,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            dev: "/dev".into(),
            roots: LinuxRoots::default(),
        }
    }
}

/// Everything that was described, opened as far as it is there.
pub struct Wired {
    /// The safety part; absent where nothing of it is described.
    pub protection: Option<Box<dyn Protection>>,
    /// What is measured.
    pub gauges: Vec<Gauge>,
    /// How each device was found.
    pub found: Vec<Found>,
    /// The devices that do not exist, to be pressed by a person.
    pub bench: Bench,
}

/// Sets an output.
pub type SetOutput = Box<dyn FnMut(bool) -> Result<(), MetalError>>;

/// How a device was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name in the machine file.
    pub name: String,
    /// Its type there.
    pub kind: &'static str,
    /// What it says of itself, or why it cannot be used.
    pub outcome: Result<String, String>,
}

impl Wired {
    /// The gauges alone, once more: for a node that was started again.
    pub fn gauges(wiring: &Wiring, places: &Places, bench: &Bench) -> Vec<Gauge> {
        let mut opener = Opener {
            wiring,
            places,
            bench,
            failures: BTreeMap::new(),
        };
        opener.gauges()
    }

    /// One output alone, for a measurement. Fails in words.
    pub fn output(wiring: &Wiring, places: &Places, name: &str) -> Result<SetOutput, String> {
        let device = wiring.devices.get(name);
        if !device.is_some_and(Device::is_switch) {
            return Err(format!("{name:?} is no output of the machine file"));
        }
        let bench = Bench::default();
        let mut opener = Opener {
            wiring,
            places,
            bench: &bench,
            failures: BTreeMap::new(),
        };
        let mut switch = opener.switch(name)?;
        let name = name.to_owned();
        Ok(Box::new(move |on| {
            switch.set(on).map_err(|source| MetalError::Device {
                device: name.clone(),
                source,
            })
        }))
    }

    /// Opens what is there. The description must be one that [`Wiring::check`] has nothing against.
    pub fn open(wiring: &Wiring, places: &Places) -> Self {
        let bench = Bench::new(wiring);
        let mut opener = Opener {
            wiring,
            places,
            bench: &bench,
            failures: BTreeMap::new(),
        };
        let protection = protection::open(&mut opener);
        let gauges = opener.gauges();
        let found = opener.found();
        Self {
            protection,
            gauges,
            found,
            bench,
        }
    }
}

/// Something that is measured.
pub struct Gauge {
    /// Its name in the machine file.
    pub name: String,
    /// The unit of its readings.
    pub unit: String,
    /// How often it shall be read.
    pub interval: Duration,
    sensor: Sensor,
    device: Device,
    places: Places,
    bench: Bench,
    source: Option<Box<dyn Source>>,
    /// When it was last looked for, while it is not there.
    looked: Option<Duration>,
    why_absent: String,
}

impl Gauge {
    fn new(name: &str, sensor: &Sensor, opener: &mut Opener<'_>) -> Self {
        let device = opener.device(&sensor.device);
        let opened = opener.note(
            &sensor.device,
            source(&device, sensor, opener.places, opener.bench),
        );
        let why_absent = opened.as_ref().err().cloned().unwrap_or_default();
        Self {
            name: name.to_owned(),
            unit: sensor.unit.clone(),
            interval: Duration::from_millis(sensor.interval_ms.into()),
            sensor: sensor.clone(),
            device,
            places: opener.places.clone(),
            bench: opener.bench.clone(),
            source: opened.ok(),
            looked: None,
            why_absent,
        }
    }

    /// The name of the device that it reads.
    pub fn device(&self) -> &str {
        &self.sensor.device
    }

    /// Reads it. `now` is monotonic. A device that was taken away is looked for again, every few seconds.
    pub fn read(&mut self, now: Duration) -> Result<f64, MetalError> {
        if self.source.is_none()
            && self
                .looked
                .is_none_or(|looked| now.saturating_sub(looked) >= LOOK_AGAIN)
        {
            self.looked = Some(now);
            match source(&self.device, &self.sensor, &self.places, &self.bench) {
                Ok(source) => self.source = Some(source),
                Err(why) => self.why_absent = why,
            }
        }
        let Some(source) = &mut self.source else {
            return Err(MetalError::Absent {
                device: self.sensor.device.clone(),
                why: self.why_absent.clone(),
            });
        };
        let read = source.read(now).and_then(|raw| {
            let value = raw * self.sensor.scale + self.sensor.offset;
            value.is_finite().then_some(value).ok_or_else(|| {
                std::io::Error::new(std::io::ErrorKind::InvalidData, "the reading is not a number")
            })
        });
        read.map_err(|error| {
            if parts::is_gone(&error) {
                self.source = None;
                self.looked = Some(now);
                self.why_absent = "it was taken away".to_owned();
            }
            MetalError::Device {
                device: self.sensor.device.clone(),
                source: error,
            }
        })
    }
}

/// Opens devices, and keeps what came of it.
struct Opener<'a> {
    wiring: &'a Wiring,
    places: &'a Places,
    bench: &'a Bench,
    /// Why a device cannot be used.
    failures: BTreeMap<String, String>,
}

impl Opener<'_> {
    fn gauges(&mut self) -> Vec<Gauge> {
        let wiring = self.wiring;
        let sensors = wiring.sensors.iter();
        sensors
            .map(|(name, sensor)| Gauge::new(name, sensor, self))
            .collect()
    }

    fn device(&self, name: &str) -> Device {
        let device = self.wiring.devices.get(name);
        device
            .expect("the description was checked: names lead somewhere")
            .clone()
    }

    fn note<T>(&mut self, name: &str, opened: Opened<T>) -> Opened<T> {
        if let Err(why) = &opened {
            self.failures.insert(name.to_owned(), why.clone());
        }
        opened
    }

    fn contact(&mut self, name: &str) -> Opened<Box<dyn ContactInput>> {
        let opened = match self.device(name) {
            Device::Attribute { path, .. } => attribute::contact(&path),
            Device::SimulatedContact {} => Ok(self.bench.contact(name)),
            device @ Device::Gpio { .. } => gpio::input(&device, self.places),
            device => Err(format!("a {} is no contact", device.kind())),
        };
        self.note(name, opened)
    }

    fn switch(&mut self, name: &str) -> Opened<Box<dyn Switch>> {
        let opened = match self.device(name) {
            Device::Attribute { path, .. } => attribute::switch(&path),
            Device::SimulatedRelay {} => Ok(self.bench.relay()),
            device @ Device::Gpio { .. } => gpio::output(&device, self.places),
            device => Err(format!("a {} is no switch", device.kind())),
        };
        self.note(name, opened)
    }

    fn drive(&mut self, name: &str) -> Opened<Box<dyn Drive>> {
        let actuator = self
            .wiring
            .actuators
            .get(name)
            .expect("it is one of them")
            .clone();
        let opened = match self.device(&actuator.device) {
            Device::Attribute { path, .. } => attribute::drive(&path, &actuator),
            Device::Pwm {
                chip,
                channel,
                period_us,
            } => pwm::drive(self.places, chip, channel, period_us, &actuator),
            Device::Serial { port, baud } => serial::drive(&port, baud, &actuator),
            Device::Fan { monitor, fan } => kernel::fan_drive(self.places, &monitor, fan, &actuator),
            Device::SimulatedMotor { .. } => Ok(self.bench.motor_drive(&actuator.device)),
            device @ Device::Gpio { .. } => gpio::output(&device, self.places).map(parts::switched),
            device => Err(format!("a {} moves nothing", device.kind())),
        };
        self.note(&actuator.device, opened)
    }

    /// How each device was found; those that nothing uses are only looked for.
    fn found(self) -> Vec<Found> {
        let devices = self.wiring.devices.iter();
        devices
            .map(|(name, device)| Found {
                name: name.clone(),
                kind: device.kind(),
                outcome: match self.failures.get(name) {
                    Some(why) => Err(why.clone()),
                    None => kernel::look(device, self.places),
                },
            })
            .collect()
    }
}

fn source(device: &Device, sensor: &Sensor, places: &Places, bench: &Bench) -> Opened<Box<dyn Source>> {
    match device {
        Device::Gpio { .. } => gpio::source(device, places),
        Device::Attribute { path, .. } => attribute::source(path),
        Device::I2c { bus, address } => i2c::source(places, *bus, *address, sensor.register),
        Device::Serial { port, baud } => serial::source(port, *baud, sensor),
        Device::Usb { .. } | Device::ThermalZone { .. } | Device::Fan { .. } | Device::PowerSupply { .. } => {
            kernel::source(device, places)
        }
        Device::SimulatedMotor { .. } => Ok(bench.motor_source(&sensor.device)),
        Device::SimulatedContact {} => Ok(bench.contact_source(&sensor.device)),
        Device::SimulatedRelay {} => Ok(bench.relay_source()),
        Device::Pwm { .. } | Device::Watchdog { .. } => Err(format!("a {} measures nothing", device.kind())),
    }
}
