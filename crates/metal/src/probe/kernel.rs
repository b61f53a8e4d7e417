//! What the kernel has drivers for: temperatures, fans, monitors, supplies, PWM, watchdogs, industrial sensors.

use std::collections::BTreeSet;
use std::path::Path;

use super::names::Names;
use super::{Places, Sort, rights};
use crate::MetalError;
use crate::linux::files::{entries, number, optional};
use crate::wiring::Device;

/// Temperatures and supplies change slowly.
const SLOW_MS: u32 = 5_000;
/// From thousandths, as the kernel has most of what it measures.
const MILLI: f64 = 0.001;
/// What servos and speed controllers expect.
const PWM_PERIOD_US: u32 = 20_000;
/// Most inputs of one kind on one monitor.
const INPUTS_MAX: u32 = 16;

pub(super) fn thermal_zones(places: &Places, names: &mut Names) -> Result<Sort, MetalError> {
    let mut sort = Sort::new("temperatures");
    let mut zones = BTreeSet::new();
    for (name, path) in entries(&places.roots.sys.join("class/thermal"))? {
        let Some(zone) = optional(&path.join("type")).filter(|_| name.starts_with("thermal_zone")) else {
            continue;
        };
        if !zones.insert(zone.clone()) {
            sort.note(format!(
                "{name}: one more zone of type {zone}, not to be told apart from the other"
            ));
            continue;
        }
        let temperature = number::<f64>(&path.join("temp"));
        let found = sort.add(names, &zone, Device::ThermalZone { zone: zone.clone() });
        match temperature {
            Some(temperature) => found.about(format!("{:.1} °C now", temperature * MILLI)),
            None => found.about("it gives no reading now"),
        };
        found.measures("celsius", SLOW_MS, 1.0, 0.0);
    }
    Ok(sort)
}

/// The monitors, with their names and where they are. Of two of one name only the first can be named.
fn by_name(places: &Places) -> Result<Vec<(String, std::path::PathBuf, bool)>, MetalError> {
    let mut seen = BTreeSet::new();
    let entries = entries(&places.roots.sys.join("class/hwmon"))?;
    Ok(entries
        .into_iter()
        .filter_map(|(_, path)| {
            // Old drivers have everything one level below.
            let path = if path.join("name").exists() {
                path
            } else {
                path.join("device")
            };
            let name = optional(&path.join("name"))?;
            let is_first = seen.insert(name.clone());
            Some((name, path, is_first))
        })
        .collect())
}

pub(super) fn fans(places: &Places, names: &mut Names) -> Result<Sort, MetalError> {
    let mut sort = Sort::new("fans");
    for (monitor, path, is_first) in by_name(places)? {
        for fan in 1..=INPUTS_MAX {
            let speed = path.join(format!("fan{fan}_input"));
            let is_driven = path.join(format!("pwm{fan}")).exists();
            if !speed.exists() && !is_driven {
                continue;
            }
            if !is_first {
                sort.note(format!(
                    "fan {fan} of one more monitor {monitor}, not to be told apart from the other"
                ));
                continue;
            }
            // What opens fans looks where drivers of today have them.
            if path.ends_with("device") {
                sort.note(format!(
                    "fan {fan} of {monitor}: a driver of the old kind, which cannot be used"
                ));
                continue;
            }
            let label = optional(&path.join(format!("fan{fan}_label")));
            let wanted = format!("{monitor}-{}", label.unwrap_or_else(|| format!("fan{fan}")));
            let device = Device::Fan {
                monitor: monitor.clone(),
                fan,
            };
            let found = sort.add(names, &wanted, device);
            if is_driven {
                found.about("it can be driven: 0 to 255");
            }
            match number::<f64>(&speed) {
                Some(rpm) => {
                    found
                        .about(format!("{rpm} a minute now"))
                        .measures("rpm", SLOW_MS, 1.0, 0.0);
                }
                None if speed.exists() => {
                    found
                        .about("it gives no reading now")
                        .measures("rpm", SLOW_MS, 1.0, 0.0);
                }
                None => {
                    found.about("nothing measures its speed");
                }
            }
        }
    }
    Ok(sort)
}

/// Temperatures, voltages, currents and powers of hardware monitors, as files. Those that belong to a thermal zone stand
/// there already.
pub(super) fn monitors(places: &Places, names: &mut Names) -> Result<Sort, MetalError> {
    let mut sort = Sort::new("hardware monitors");
    let mut zones = BTreeSet::new();
    for (_, path) in entries(&places.roots.sys.join("class/thermal"))? {
        // The kernel makes a monitor of each zone, and writes dashes as underscores.
        zones.extend(optional(&path.join("type")).map(|zone| zone.replace('-', "_")));
    }
    for (monitor, path, _) in by_name(places)? {
        if zones.contains(&monitor.replace('-', "_")) {
            continue;
        }
        for (kind, unit, scale) in [
            ("temp", "celsius", MILLI),
            ("in", "V", MILLI),
            ("curr", "A", MILLI),
            ("power", "W", MILLI * MILLI),
        ] {
            for n in 0..=INPUTS_MAX {
                let input = path.join(format!("{kind}{n}_input"));
                if !input.exists() {
                    continue;
                }
                let label = optional(&path.join(format!("{kind}{n}_label")));
                let wanted = format!("{monitor}-{}", label.as_deref().unwrap_or(&format!("{kind}{n}")));
                let value = number::<f64>(&input);
                let found = sort.add(names, &wanted, attribute(&input));
                match value {
                    Some(value) => found.about(format!("{:.3} {unit} now", value * scale)),
                    None => found.about("it gives no reading now"),
                };
                found.measures(unit, SLOW_MS, scale, 0.0);
            }
        }
    }
    Ok(sort)
}

fn attribute(path: &Path) -> Device {
    Device::Attribute {
        path: path.to_owned(),
        writable: false,
    }
}

pub(super) fn power_supplies(places: &Places, names: &mut Names) -> Result<Sort, MetalError> {
    let mut sort = Sort::new("power supplies");
    for (supply, path) in entries(&places.roots.sys.join("class/power_supply"))? {
        let words: Vec<String> = ["type", "manufacturer", "model_name", "status"]
            .iter()
            .filter_map(|file| optional(&path.join(file)))
            .collect();
        let device = Device::PowerSupply {
            supply: supply.clone(),
        };
        let found = sort.add(names, &supply, device);
        found.about(words.join(" "));
        if path.join("capacity").exists() {
            found.measures("percent", SLOW_MS, 1.0, 0.0);
        }
    }
    Ok(sort)
}

pub(super) fn pwm(places: &Places, names: &mut Names) -> Result<Sort, MetalError> {
    let mut sort = Sort::new("PWM channels");
    for (name, path) in entries(&places.roots.sys.join("class/pwm"))? {
        let chip = name.strip_prefix("pwmchip").and_then(|chip| chip.parse().ok());
        let (Some(chip), Some(channels)) = (chip, number::<u32>(&path.join("npwm"))) else {
            continue;
        };
        for channel in 0..channels.min(INPUTS_MAX) {
            let device = Device::Pwm {
                chip,
                channel,
                period_us: PWM_PERIOD_US,
            };
            let found = sort.add(names, &format!("pwm{chip}-{channel}"), device);
            found.about("20 ms is what servos expect");
            if path.join(format!("pwm{channel}")).exists() {
                found.about("somebody has it already");
            }
        }
        if channels > INPUTS_MAX {
            sort.note(format!(
                "{name} has {channels} channels, of which {INPUTS_MAX} are shown"
            ));
        }
        if let Some(why) = rights(&path.join("export")).filter(|_| channels > 0) {
            sort.note(why);
        }
    }
    Ok(sort)
}

pub(super) fn watchdogs(places: &Places, names: &mut Names) -> Result<Sort, MetalError> {
    /// Where the kernel does not say how long it waits.
    const TIMEOUT_S: u32 = 15;
    /// What a machine file takes.
    const TIMEOUT_MAX_S: u32 = 300;
    let mut sort = Sort::new("watchdogs");
    let class = entries(&places.roots.sys.join("class/watchdog"))?;
    for (name, path) in class.iter().filter(|(name, _)| name.starts_with("watchdog")) {
        let file = places.dev.join(name);
        let timeout = number::<u32>(&path.join("timeout"));
        let device = Device::Watchdog {
            path: file.clone(),
            timeout_s: timeout.unwrap_or(TIMEOUT_S).clamp(1, TIMEOUT_MAX_S),
        };
        let found = sort.add(names, name, device);
        found.about(optional(&path.join("identity")).unwrap_or_default());
        match timeout {
            None => found.about(format!(
                "the kernel does not say how long it waits: {TIMEOUT_S} s is a guess"
            )),
            Some(waits) if waits > TIMEOUT_MAX_S => found.about(format!("it waits {waits} s now")),
            Some(_) => found,
        };
        if optional(&path.join("nowayout")).as_deref() == Some("1") {
            found.about("once it is opened it cannot be stopped");
        }
        if optional(&path.join("state")).as_deref() == Some("active") {
            found.about("somebody feeds it already");
        }
        if let Some(why) = rights(&file) {
            sort.note(why);
        }
    }
    Ok(sort)
}

pub(super) fn industrial(places: &Places, names: &mut Names) -> Result<Sort, MetalError> {
    let mut sort = Sort::new("industrial sensors");
    for (name, path) in entries(&places.roots.sys.join("bus/iio/devices"))? {
        if !name.starts_with("iio:device") {
            continue;
        }
        let chip = optional(&path.join("name")).unwrap_or_else(|| name.clone());
        for (file, input) in entries(&path)? {
            let Some(rest) = file.strip_prefix("in_") else {
                continue;
            };
            let (channel, is_raw) = match (rest.strip_suffix("_raw"), rest.strip_suffix("_input")) {
                (Some(channel), _) => (channel, true),
                (None, Some(channel)) => (channel, false),
                (None, None) => continue,
            };
            let (unit, by) = unit(channel);
            let found = sort.add(names, &format!("{chip}-{channel}"), attribute(&input));
            found.about(format!("{chip}, {channel}"));
            if !is_raw {
                found.measures(unit, 1_000, by, 0.0);
                continue;
            }
            // A scale may stand for one channel or for all of its kind.
            let kind = channel.trim_end_matches(|c: char| c.is_ascii_digit());
            let kind = kind.split('_').next().unwrap_or(kind);
            let of = |what: &str| {
                let own = number::<f64>(&path.join(format!("in_{channel}_{what}")));
                own.or_else(|| number(&path.join(format!("in_{kind}_{what}"))))
            };
            let (scale, offset) = (of("scale"), of("offset").unwrap_or_default());
            let scale = scale.map(|scale| scale * by);
            match scale.filter(|scale| scale.is_finite() && *scale != 0.0 && offset.is_finite()) {
                // What the kernel adds, it adds before it scales.
                Some(scale) => found.measures(unit, 1_000, scale, offset * scale),
                None => found
                    .about("no scale is known: raw values")
                    .measures("raw", 1_000, 1.0, 0.0),
            };
        }
    }
    Ok(sort)
}

/// The unit of a channel, and what the kernel's unit of it is worth. Source: Documentation/ABI/testing/sysfs-bus-iio.
fn unit(channel: &str) -> (&'static str, f64) {
    let units = [
        ("voltage", "V", MILLI),
        ("current", "A", MILLI),
        ("power", "W", MILLI),
        ("temp", "celsius", MILLI),
        ("accel", "m/s2", 1.0),
        ("anglvel", "rad/s", 1.0),
        ("magn", "gauss", 1.0),
        ("humidityrelative", "percent", MILLI),
        ("pressure", "kPa", 1.0),
        ("illuminance", "lx", 1.0),
        ("distance", "m", 1.0),
        ("resistance", "ohm", 1.0),
        ("angl", "rad", 1.0),
    ];
    let found = units.iter().find(|(kind, ..)| channel.starts_with(kind));
    found.map_or(("raw", 1.0), |(_, unit, by)| (unit, *by))
}
