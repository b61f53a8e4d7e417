//! Batteries and supplies. Source: Documentation/ABI/testing/sysfs-class-power.

use std::path::Path;

use muster_model::state::Power;

use super::LinuxRoots;
use super::files::{entries, number, optional};
use crate::MetalError;
use crate::device::rounded;

pub(crate) fn power(roots: &LinuxRoots) -> Result<Option<Power>, MetalError> {
    let supplies = supplies(roots)?;
    if supplies.is_empty() {
        return Ok(None);
    }
    let batteries: Vec<&Battery> = supplies.iter().filter_map(Supply::battery).collect();
    let plugged: Vec<bool> = supplies.iter().filter_map(Supply::plugged).collect();
    let charging = batteries.iter().any(|battery| battery.status == Status::Charging);
    // Voltages and currents of packs that may be wired either way cannot be told as one figure.
    let only = match batteries.as_slice() {
        [battery] => Some(*battery),
        [] | [_, _, ..] => None,
    };
    Ok(Some(Power {
        battery_percent: charge_percent(&batteries),
        charging,
        external_supply: if plugged.is_empty() {
            // Boards whose charger is no supply of its own show it only by what the battery does.
            charging || batteries.iter().any(|battery| battery.status == Status::Held)
        } else {
            plugged.contains(&true)
        },
        volts: only
            .and_then(|battery| battery.volts)
            .map(|volts| rounded(volts, 1000.0)),
        amperes: only
            .and_then(Battery::amperes_out)
            .map(|amperes| rounded(amperes, 1000.0)),
    }))
}

/// The batteries that run this machine, for those who judge them.
pub(crate) fn batteries(roots: &LinuxRoots) -> Result<Vec<Battery>, MetalError> {
    Ok(supplies(roots)?
        .into_iter()
        .filter_map(|supply| match supply {
            Supply::Battery(battery) => Some(battery),
            Supply::Feed { .. } => None,
        })
        .collect())
}

#[derive(Debug, PartialEq)]
enum Supply {
    Battery(Battery),
    /// Mains, USB, wireless: whatever feeds from outside.
    Feed {
        online: bool,
    },
}

impl Supply {
    fn battery(&self) -> Option<&Battery> {
        match self {
            Self::Battery(battery) => Some(battery),
            Self::Feed { .. } => None,
        }
    }

    fn plugged(&self) -> Option<bool> {
        match self {
            Self::Battery(_) => None,
            Self::Feed { online } => Some(*online),
        }
    }
}

#[derive(Debug, PartialEq)]
pub(crate) struct Battery {
    pub(crate) name: String,
    pub(crate) status: Status,
    pub(crate) percent: Option<f64>,
    /// What is in it and what fits in it: in µWh or µAh, whichever its gauge counts.
    energy: Option<(f64, f64)>,
    charge: Option<(f64, f64)>,
    volts: Option<f64>,
    current_amperes: Option<f64>,
    power_watts: Option<f64>,
    /// The gauge itself says that it is nearly empty.
    pub(crate) says_critical: bool,
}

/// What the battery is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Charging,
    Discharging,
    /// Full, or kept at a threshold: fed, and taking nothing.
    Held,
    Unknown,
}

impl Battery {
    /// Drivers disagree on the sign of the current, so the sign comes from the status.
    fn amperes_out(&self) -> Option<f64> {
        let from_power = || {
            let volts = self.volts.filter(|volts| *volts > 0.0)?;
            Some(self.power_watts? / volts)
        };
        let measured = self.current_amperes.or_else(from_power)?;
        Some(match self.status {
            Status::Discharging => measured.abs(),
            Status::Charging => -measured.abs(),
            // By the kernel's own rule, a positive current flows in.
            Status::Held | Status::Unknown => -measured,
        })
    }
}

fn supplies(roots: &LinuxRoots) -> Result<Vec<Supply>, MetalError> {
    Ok(entries(&roots.sys.join("class/power_supply"))?
        .into_iter()
        .filter_map(|(name, path)| supply(name, &path))
        .collect())
}

fn supply(name: String, path: &Path) -> Option<Supply> {
    // A battery of a mouse or a pen does not run this machine.
    if optional(&path.join("scope")).as_deref() == Some("Device") {
        return None;
    }
    match optional(&path.join("type"))?.as_str() {
        "Battery" | "UPS" => {
            let present = number::<u8>(&path.join("present")) != Some(0);
            present.then(|| Supply::Battery(battery(name, path)))
        }
        // "USB", "USB_PD", "Wireless" …; 2 is a programmable supply that is on.
        _feeds => number::<u8>(&path.join("online")).map(|online| Supply::Feed { online: online > 0 }),
    }
}

fn battery(name: String, path: &Path) -> Battery {
    let micro = |file: &str| {
        number::<f64>(&path.join(file))
            .filter(|value| value.is_finite())
            .map(|value| value / 1e6)
    };
    let level = |now: &str, full: &str| {
        let (now, full) = (micro(now)?, micro(full)?);
        (full > 0.0 && now >= 0.0).then_some((now, full))
    };
    Battery {
        name,
        status: match optional(&path.join("status")).as_deref() {
            Some("Charging") => Status::Charging,
            Some("Discharging") => Status::Discharging,
            Some("Full" | "Not charging") => Status::Held,
            Some(_) | None => Status::Unknown,
        },
        percent: number::<f64>(&path.join("capacity")).filter(|percent| percent.is_finite()),
        energy: level("energy_now", "energy_full"),
        charge: level("charge_now", "charge_full"),
        volts: micro("voltage_now").filter(|volts| *volts >= 0.0),
        current_amperes: micro("current_now"),
        power_watts: micro("power_now"),
        says_critical: optional(&path.join("capacity_level")).as_deref() == Some("Critical"),
    }
}

/// One battery: what its gauge says, else what is in it of what fits. Several: what is in all of what fits in all,
/// else their mean. Gauges that say 101 mean 100.
fn charge_percent(batteries: &[&Battery]) -> Option<f64> {
    let sum = |levels: Option<Vec<(f64, f64)>>| {
        let levels = levels.filter(|levels| !levels.is_empty())?;
        let (now, full) = levels
            .iter()
            .fold((0.0, 0.0), |sum, level| (sum.0 + level.0, sum.1 + level.1));
        Some(now / full * 100.0)
    };
    let counted = || {
        sum(batteries.iter().map(|battery| battery.energy).collect())
            .or_else(|| sum(batteries.iter().map(|battery| battery.charge).collect()))
    };
    let said = || {
        let said: Vec<f64> = batteries.iter().filter_map(|battery| battery.percent).collect();
        #[expect(clippy::cast_precision_loss, reason = "a handful of batteries")]
        (!said.is_empty()).then(|| said.iter().sum::<f64>() / said.len() as f64)
    };
    let percent = match batteries {
        [battery] => battery.percent.or_else(counted),
        [] | [_, _, ..] => counted().or_else(said),
    };
    percent.map(|percent| rounded(percent.clamp(0.0, 100.0), 10.0))
}
