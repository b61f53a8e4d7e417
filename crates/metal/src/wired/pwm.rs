//! Channels of PWM chips, through sysfs. Source: the kernel's Documentation/driver-api/pwm.rst.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::Places;
use super::attribute::Attribute;
use super::parts::{Drive, Opened, why};
use crate::wiring::Actuator;

const NS_PER_US: f64 = 1_000.0;

pub(super) fn drive(
    places: &Places,
    chip: u32,
    channel: u32,
    period_us: u32,
    actuator: &Actuator,
) -> Opened<Box<dyn Drive>> {
    let chip_path = places.roots.sys.join(format!("class/pwm/pwmchip{chip}"));
    let path = chip_path.join(format!("pwm{channel}"));
    if !path.exists() {
        export(&chip_path, channel)?;
    }
    let mut drive = Pulses {
        enable: Attribute::open(&path.join("enable"), true)?,
        duty: Attribute::open(&path.join("duty_cycle"), true)?,
        at_zero_us: actuator.raw_at_zero,
        us_per_unit: actuator.raw_per_unit,
        written_ns: None,
    };
    let period = path.join("period");
    let begin = |drive: &mut Pulses| {
        // A duty longer than the period is refused, in whatever order: none first.
        drive.duty.write(0)?;
        Attribute::open(&period, true)
            .map_err(io::Error::other)?
            .write(i64::from(period_us) * 1_000)?;
        drive.put(0.0)?;
        drive.enable.write(1)
    };
    begin(&mut drive).map_err(|error| why(&path, &error))?;
    Ok(Box::new(drive))
}

fn export(chip: &Path, channel: u32) -> Opened<()> {
    let export = Attribute::open(&chip.join("export"), true)?;
    export
        .write(channel.into())
        .map_err(|error| format!("{} has no channel {channel} to give: {error}", chip.display()))
}

/// Pulses whose length is the command.
struct Pulses {
    enable: Attribute,
    duty: Attribute,
    at_zero_us: f64,
    us_per_unit: f64,
    written_ns: Option<i64>,
}

impl Pulses {
    fn put(&mut self, value: f64) -> io::Result<()> {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "limits are checked, and the cast saturates"
        )]
        let ns = ((self.at_zero_us + self.us_per_unit * value) * NS_PER_US).round() as i64;
        if self.written_ns != Some(ns) {
            self.written_ns = None;
            self.duty.write(ns)?;
            self.written_ns = Some(ns);
        }
        Ok(())
    }
}

impl Drive for Pulses {
    fn set(&mut self, _: Duration, value: Option<f64>) -> io::Result<()> {
        self.put(value.unwrap_or(0.0))
    }
}

impl Drop for Pulses {
    fn drop(&mut self) {
        let _ = self.put(0.0);
        let _ = self.enable.write(0);
    }
}
