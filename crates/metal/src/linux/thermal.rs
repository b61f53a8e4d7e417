//! Temperatures: thermal zones, or hardware monitors where the kernel has no zones.

use std::path::Path;

use muster_model::state::{Thermal, ThermalZone};

use super::files::{entries, number, optional};
use super::{LinuxRoots, celsius, truncated};
use crate::MetalError;
use crate::device::rounded;
use crate::limits::MAX_THERMAL_ZONES;

/// One sensor and from where on its maker calls it critical.
#[derive(Debug, PartialEq)]
pub(crate) struct Sensor {
    pub(crate) name: String,
    pub(crate) celsius: f64,
    pub(crate) critical_celsius: Option<f64>,
}

pub(crate) fn thermal(roots: &LinuxRoots) -> Result<Option<Thermal>, MetalError> {
    let zones: Vec<ThermalZone> = sensors(roots)?
        .into_iter()
        .map(|sensor| ThermalZone {
            name: sensor.name,
            celsius: rounded(sensor.celsius, 10.0),
        })
        .collect();
    let highest = zones.iter().map(|zone| zone.celsius).reduce(f64::max);
    Ok(highest.map(|highest_celsius| Thermal {
        highest_celsius,
        zones,
    }))
}

/// Every sensor that gives a reading; those that are asleep refuse (`ENODATA`, `EINVAL`, `EAGAIN`).
pub(crate) fn sensors(roots: &LinuxRoots) -> Result<Vec<Sensor>, MetalError> {
    let mut sensors = zones(&roots.sys.join("class/thermal"))?;
    if sensors.is_empty() {
        sensors = monitors(&roots.sys.join("class/hwmon"))?;
    }
    tell_apart(&mut sensors);
    Ok(truncated(sensors, MAX_THERMAL_ZONES))
}

fn zones(class: &Path) -> Result<Vec<Sensor>, MetalError> {
    Ok(entries(class)?
        .into_iter()
        .filter(|(name, _)| name.starts_with("thermal_zone"))
        .filter_map(|(name, path)| {
            Some(Sensor {
                celsius: celsius(number(&path.join("temp"))?)?,
                critical_celsius: critical_trip(&path),
                name: optional(&path.join("type")).unwrap_or(name),
            })
        })
        .collect())
}

/// Trip points are numbered without holes. Some drivers put zero or less where they know none.
fn critical_trip(zone: &Path) -> Option<f64> {
    const MAX_TRIP_POINTS: usize = 16;
    (0..MAX_TRIP_POINTS)
        .map_while(|n| Some((n, optional(&zone.join(format!("trip_point_{n}_type")))?)))
        .filter(|(_, kind)| kind == "critical" || kind == "hot")
        .filter_map(|(n, _)| celsius(number(&zone.join(format!("trip_point_{n}_temp")))?))
        .filter(|celsius| *celsius > 0.0)
        .reduce(f64::min)
}

fn monitors(class: &Path) -> Result<Vec<Sensor>, MetalError> {
    let mut sensors = Vec::new();
    for (directory, path) in entries(class)? {
        let chip = optional(&path.join("name")).unwrap_or(directory);
        for (file, input) in entries(&path)? {
            let Some(sensor) = file
                .strip_suffix("_input")
                .filter(|sensor| sensor.starts_with("temp"))
            else {
                continue;
            };
            let Some(celsius) = number(&input).and_then(celsius) else {
                continue;
            };
            let label = optional(&path.join(format!("{sensor}_label")));
            sensors.push(Sensor {
                name: label.map_or_else(|| chip.clone(), |label| format!("{chip} {label}")),
                celsius,
                critical_celsius: number(&path.join(format!("{sensor}_crit")))
                    .and_then(self::celsius)
                    .filter(|celsius| *celsius > 0.0),
            });
        }
    }
    Ok(sensors)
}

/// Boards have several zones of one name: the second becomes "name 2".
fn tell_apart(sensors: &mut [Sensor]) {
    for n in 1..sensors.len() {
        let (before, [sensor, ..]) = sensors.split_at_mut(n) else {
            return;
        };
        let taken = |name: &str| before.iter().any(|other| other.name == name);
        if taken(&sensor.name) {
            let free = (2..=n + 2)
                .map(|k| format!("{} {k}", sensor.name))
                .find(|name| !taken(name));
            sensor.name = free.unwrap_or_else(|| sensor.name.clone());
        }
    }
}
