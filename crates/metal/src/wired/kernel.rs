//! What the kernel itself reads: temperatures, fans, supplies, USB devices. And looking whether a device is there at all.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Places;
use super::attribute::{self, Attribute};
use super::parts::{Drive, Opened, Source};
use crate::linux::files::{entries, optional};
use crate::wiring::{Actuator, Device};

/// Degrees from thousandths.
const MILLI: f64 = 0.001;

pub(super) fn source(device: &Device, places: &Places) -> Opened<Box<dyn Source>> {
    let sys = &places.roots.sys;
    match device {
        Device::ThermalZone { zone } => {
            let file = Attribute::open(&thermal_zone(sys, zone)?.join("temp"), false)?;
            Ok(Box::new(Scaled { file, by: MILLI }))
        }
        Device::Fan { monitor, fan } => {
            attribute::source(&self::monitor(sys, monitor)?.join(format!("fan{fan}_input")))
        }
        Device::PowerSupply { supply } => {
            attribute::source(&sys.join("class/power_supply").join(supply).join("capacity"))
        }
        Device::Usb { .. } => Ok(Box::new(Plugged {
            device: device.clone(),
            sys: sys.clone(),
        })),
        other => Err(format!("a {} is not read by the kernel", other.kind())),
    }
}

struct Scaled {
    file: Attribute,
    by: f64,
}

impl Source for Scaled {
    fn read(&mut self, _: Duration) -> io::Result<f64> {
        Ok(self.file.value()? * self.by)
    }
}

/// 1 while a USB device is there.
struct Plugged {
    device: Device,
    sys: PathBuf,
}

impl Source for Plugged {
    fn read(&mut self, _: Duration) -> io::Result<f64> {
        Ok(f64::from(u8::from(usb(&self.sys, &self.device).is_some())))
    }
}

/// A fan's speed, 0 to 255 as the kernel has it.
pub(super) fn fan_drive(
    places: &Places,
    name: &str,
    fan: u32,
    actuator: &Actuator,
) -> Opened<Box<dyn Drive>> {
    let monitor = monitor(&places.roots.sys, name)?;
    let mode = monitor.join(format!("pwm{fan}_enable"));
    if mode.exists() {
        // 1: by hand. Source: the kernel's Documentation/hwmon/sysfs-interface.rst.
        let by_hand = Attribute::open(&mode, true).and_then(|mode| {
            mode.write(1)
                .map_err(|error| format!("it cannot be set by hand: {error}"))
        });
        by_hand?;
    }
    attribute::drive(&monitor.join(format!("pwm{fan}")), actuator)
}

/// Whether a device is there, and what it says of itself.
pub(super) fn look(device: &Device, places: &Places) -> Result<String, String> {
    let sys = &places.roots.sys;
    let file = |path: &Path| {
        if path.exists() {
            Ok(path.display().to_string())
        } else {
            Err(format!("not present: there is no {}", path.display()))
        }
    };
    match device {
        Device::Gpio { chip, line, .. } => Ok(format!("line {line} of {chip}")),
        Device::Attribute { path, .. } => file(path),
        Device::Pwm { chip, channel, .. } => file(&sys.join(format!("class/pwm/pwmchip{chip}")))
            .map(|_| format!("pwmchip{chip}, channel {channel}")),
        Device::I2c { bus, address } => {
            file(&places.dev.join(format!("i2c-{bus}"))).map(|_| format!("bus {bus}, address {address:#04x}"))
        }
        Device::Serial { port, .. } => file(port),
        Device::Usb { vendor, product, .. } => {
            usb(sys, device).ok_or_else(|| format!("not present: no USB device {vendor:04x}:{product:04x}"))
        }
        Device::ThermalZone { zone } => thermal_zone(sys, zone).map(|path| path.display().to_string()),
        Device::Fan { monitor: name, .. } => monitor(sys, name).map(|path| path.display().to_string()),
        Device::PowerSupply { supply } => {
            let path = sys.join("class/power_supply").join(supply);
            file(&path).map(|found| {
                optional(&path.join("type")).map_or(found.clone(), |kind| format!("{found} ({kind})"))
            })
        }
        Device::Watchdog { path, timeout_s } => {
            let found = file(path)?;
            Ok(match super::watchdog::waits_s(sys, path) {
                Some(waits_s) if waits_s != *timeout_s => {
                    format!("{found}; it waits {waits_s} s, and not the {timeout_s} s that are described")
                }
                Some(waits_s) => format!("{found}; it waits {waits_s} s"),
                None => found,
            })
        }
        Device::SimulatedMotor { .. } | Device::SimulatedContact {} | Device::SimulatedRelay {} => {
            Ok("simulated".to_owned())
        }
    }
}

fn thermal_zone(sys: &Path, zone: &str) -> Opened<PathBuf> {
    by_file(&sys.join("class/thermal"), "type", zone)
        .ok_or_else(|| format!("not present: there is no thermal zone of type {zone}"))
}

fn monitor(sys: &Path, name: &str) -> Opened<PathBuf> {
    by_file(&sys.join("class/hwmon"), "name", name)
        .ok_or_else(|| format!("not present: there is no hardware monitor named {name}"))
}

fn by_file(class: &Path, file: &str, holds: &str) -> Option<PathBuf> {
    let entries = entries(class).ok()?;
    let mut paths = entries.into_iter().map(|(_, path)| path);
    paths.find(|path| optional(&path.join(file)).as_deref() == Some(holds))
}

/// What a USB device calls itself, if it is there.
fn usb(sys: &Path, device: &Device) -> Option<String> {
    let Device::Usb {
        vendor,
        product,
        serial,
    } = device
    else {
        return None;
    };
    let number = |path: &Path, file: &str| {
        optional(&path.join(file)).and_then(|text| u16::from_str_radix(&text, 16).ok())
    };
    let entries = entries(&sys.join("bus/usb/devices")).ok()?;
    let found = entries.into_iter().map(|(_, path)| path).find(|path| {
        number(path, "idVendor") == Some(*vendor)
            && number(path, "idProduct") == Some(*product)
            && (serial.is_none() || optional(&path.join("serial")) == *serial)
    })?;
    let words: Vec<String> = ["manufacturer", "product"]
        .iter()
        .filter_map(|file| optional(&found.join(file)))
        .collect();
    Some(if words.is_empty() {
        format!("{vendor:04x}:{product:04x}")
    } else {
        words.join(" ")
    })
}
