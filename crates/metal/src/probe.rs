//! What hardware is there, as the machine file would describe it.
//!
//! [`probe`] looks through the kernel's trees and device files. It opens nothing but GPIO chips, to ask for their lines, and
//! sets nothing; only where asked to it talks to every address of the I2C buses. What cannot be described without knowing
//! what is soldered to it – a line, an I2C address – is told in words. Begin with [`Probed`].

mod buses;
mod kernel;
mod lines;
mod names;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::MetalError;
use crate::linux::board;
use crate::wired::Places;
use crate::wiring::{DEVICES_MAX, Device, SENSORS_MAX, Sensor};
use names::Names;

pub use lines::{Chip, Line};

/// Everything that was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Probed {
    /// What the computer calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What was found, sort by sort.
    pub sorts: Vec<Sort>,
}

/// Devices of one sort.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Sort {
    /// What they are called.
    pub title: &'static str,
    /// What can be described.
    pub found: Vec<Found>,
    /// What is there besides, or could not be looked at, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// One device.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Found {
    /// A name for it that no other found device has.
    pub name: String,
    /// How it is reached.
    pub device: Device,
    /// What it says of itself, and what to look at before it is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// How it would be read, where that can be known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sensor: Option<Sensor>,
}

impl Probed {
    /// Those devices that one machine file takes.
    pub fn devices(&self) -> BTreeMap<&str, &Device> {
        let found = self.sorts.iter().flat_map(|sort| &sort.found);
        found.map(|found| (found.name.as_str(), &found.device)).collect()
    }

    /// The sensors that are suggested, each under the name of its device.
    pub fn sensors(&self) -> BTreeMap<&str, &Sensor> {
        let found = self.sorts.iter().flat_map(|sort| &sort.found);
        found
            .filter_map(|found| Some((found.name.as_str(), found.sensor.as_ref()?)))
            .collect()
    }
}

/// What is looked for beyond what cannot disturb anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Reads a byte from every address of every I2C bus. A device may take that for something else.
    pub i2c: bool,
}

/// Looks for one sort of devices.
type Look = fn(&Places, &mut Names) -> Result<Sort, MetalError>;

/// Looks at this computer.
pub fn probe(places: &Places, scan: Scan) -> Result<Probed, MetalError> {
    let mut names = Names::default();
    let looks: &[Look] = &[
        buses::serial,
        buses::usb,
        kernel::thermal_zones,
        kernel::fans,
        kernel::monitors,
        kernel::power_supplies,
        kernel::pwm,
        kernel::watchdogs,
        kernel::industrial,
    ];
    let mut sorts = vec![lines::gpio(places)?, buses::i2c(places, scan)?];
    for look in looks {
        sorts.push(look(places, &mut names)?);
    }
    let mut probed = Probed {
        model: board::model(&places.roots),
        sorts,
    };
    probed.fit();
    Ok(probed)
}

impl Probed {
    /// One file takes so many devices and sensors and no more: what is beyond is told in words.
    fn fit(&mut self) {
        let (mut devices, mut sensors) = (0, 0);
        for sort in &mut self.sorts {
            sort.found.retain_mut(|found| {
                devices += 1;
                sensors += usize::from(found.sensor.is_some());
                if sensors > SENSORS_MAX {
                    found.sensor = None;
                }
                if devices > DEVICES_MAX {
                    sort.notes
                        .push(format!("more than one file takes: {}", found.name));
                }
                devices <= DEVICES_MAX
            });
        }
        self.sorts
            .retain(|sort| !(sort.found.is_empty() && sort.notes.is_empty()));
    }
}

impl Sort {
    fn new(title: &'static str) -> Self {
        Self {
            title,
            ..Self::default()
        }
    }

    fn note(&mut self, note: impl Into<String>) {
        self.notes.push(plain(&note.into()));
    }

    /// A device under a name like this.
    fn add(&mut self, names: &mut Names, wanted: &str, device: Device) -> &mut Found {
        self.found.push(Found {
            name: names.free(wanted),
            device,
            about: None,
            sensor: None,
        });
        let last = self.found.len() - 1;
        &mut self.found[last]
    }
}

impl Found {
    fn about(&mut self, words: impl Into<String>) -> &mut Self {
        let words = plain(words.into().trim());
        self.about = Some(match self.about.take() {
            Some(before) => format!("{before}; {words}"),
            None => words,
        })
        .filter(|words| !words.is_empty());
        self
    }

    fn measures(&mut self, unit: &str, interval_ms: u32, scale: f64, offset: f64) -> &mut Self {
        self.sensor = Some(Sensor {
            device: self.name.clone(),
            unit: unit.to_owned(),
            interval_ms,
            scale,
            offset,
            register: None,
            prefix: None,
        });
        self
    }
}

/// What a device calls itself, on one line and of a bearable length.
fn plain(text: &str) -> String {
    const WORDS_MAX: usize = 160;
    let text: String = text
        .chars()
        .map(|c| {
            if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') {
                ' '
            } else {
                c
            }
        })
        .take(WORDS_MAX)
        .collect();
    text.trim_end().to_owned()
}

/// What is said of a device file that this user may not open, or that is not there.
fn rights(file: &Path) -> Option<String> {
    use rustix::fs::{Access, access};
    match access(file, Access::READ_OK | Access::WRITE_OK) {
        Ok(()) => None,
        Err(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) => Some(format!(
            "{} is not for this user: being in its group, or root, helps",
            file.display()
        )),
        Err(error) => Some(format!("{}: {error}", file.display())),
    }
}
