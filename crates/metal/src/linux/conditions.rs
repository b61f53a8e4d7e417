//! What the hardware finds wrong with itself. Only what is truly read: nothing here is guessed from averages.

use muster_model::state::Problem;
use muster_model::vocabulary::Severity;

use super::files::{entries, number, optional};
use super::power::{Battery, Status};
use super::{LinuxRoots, disks, power, thermal};
use crate::MetalError;
use crate::device::{problem, worst_first};
use crate::limits;

pub(crate) fn conditions(roots: &LinuxRoots, meter: &mut ThrottleMeter) -> Result<Vec<Problem>, MetalError> {
    let mut problems = Vec::new();
    problems.extend(thermal::sensors(roots)?.iter().filter_map(too_hot));
    problems.extend(meter.throttled(roots)?);
    problems.extend(power::batteries(roots)?.iter().filter_map(too_empty));
    problems.extend(undervoltage(roots)?);
    for disk in disks::disks(roots)? {
        if disk.used_percent > limits::DISK_NEARLY_FULL_PERCENT {
            problems.push(problem(
                "disk.nearly_full",
                Severity::Warning,
                format!(
                    "{} is more than {} % full",
                    disk.mount,
                    limits::DISK_NEARLY_FULL_PERCENT
                ),
            ));
        }
    }
    Ok(worst_first(problems))
}

/// Judged by what the maker calls critical; a sensor without such a figure is not judged.
fn too_hot(sensor: &thermal::Sensor) -> Option<Problem> {
    let critical = sensor.critical_celsius?;
    let near = critical - limits::THERMAL_MARGIN_KELVIN;
    let (severity, above) = if sensor.celsius >= critical {
        (Severity::Critical, critical)
    } else if sensor.celsius >= near {
        (Severity::Warning, near)
    } else {
        return None;
    };
    let message = format!(
        "{} is above {above:.0} °C; {critical:.0} °C is critical",
        sensor.name
    );
    Some(problem("thermal.high", severity, message))
}

fn too_empty(battery: &Battery) -> Option<Problem> {
    if battery.status != Status::Discharging {
        return None;
    }
    let percent = battery.percent.unwrap_or(100.0);
    let (severity, how) = if battery.says_critical || percent <= limits::BATTERY_CRITICAL_PERCENT {
        (Severity::Critical, "nearly empty")
    } else if percent <= limits::BATTERY_LOW_PERCENT {
        (Severity::Warning, "low")
    } else {
        return None;
    };
    let message = format!("{} is {how} and discharging", battery.name);
    Some(problem("power.low", severity, message))
}

/// Raspberry Pi boards watch their own supply.
fn undervoltage(roots: &LinuxRoots) -> Result<Option<Problem>, MetalError> {
    let alarmed = entries(&roots.sys.join("class/hwmon"))?
        .into_iter()
        .any(|(_, path)| {
            optional(&path.join("name")).as_deref() == Some("rpi_volt")
                && number::<u8>(&path.join("in0_lcrit_alarm")) == Some(1)
        });
    Ok(alarmed.then(|| {
        let message = "The supply gives too little voltage".to_owned();
        problem("supply.undervoltage", Severity::Warning, message)
    }))
}

/// Sees whether the processor slowed down for heat since the reading before.
#[derive(Debug, Default)]
pub(crate) struct ThrottleMeter {
    last_count: Option<u64>,
}

impl ThrottleMeter {
    fn throttled(&mut self, roots: &LinuxRoots) -> Result<Option<Problem>, MetalError> {
        let mut count = None;
        for (name, path) in entries(&roots.sys.join("devices/system/cpu"))? {
            if name
                .strip_prefix("cpu")
                .is_some_and(|rest| rest.parse::<u32>().is_ok())
            {
                let file = path.join("thermal_throttle/core_throttle_count");
                count = count.max(number::<u64>(&file));
            }
        }
        let grown = matches!((self.last_count, count), (Some(then), Some(now)) if now > then);
        self.last_count = count;
        Ok(grown.then(|| {
            let message = "The processor slowed down because it was too hot".to_owned();
            problem("thermal.throttled", Severity::Warning, message)
        }))
    }
}
