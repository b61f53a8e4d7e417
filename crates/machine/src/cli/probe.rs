//! `muster-machine probe`: the hardware of this computer, ready to be pasted into the machine file.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use muster_metal::LinuxRoots;
use muster_metal::probe::{Found, Probed, Scan, probe};
use muster_metal::wired::Places;
use muster_runtime::config::section;
use serde::Serialize;
use yaml_serde::Value;

use crate::error::MachineError;

/// What is looked for, and how it is written.
#[derive(Debug, Args)]
pub(super) struct Flags {
    /// Read a byte from every address of every I2C bus, to find what answers.
    ///
    /// A device may take that for something else: some clear a flag when they are read, a few do what was never meant. Not on a machine
    /// that moves.
    #[arg(long)]
    scan_i2c: bool,
    /// How it is written.
    #[arg(long, value_name = "FORMAT", default_value = "yaml")]
    output: Output,
    /// Look at proc, sys, etc and dev under this directory.
    #[arg(long, value_name = "DIR")]
    sysfs_root: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// Sections of a machine file, with comments.
    Yaml,
    /// One document, for programs.
    Json,
}

pub(super) fn run(flags: &Flags) -> Result<(), MachineError> {
    let places = flags
        .sysfs_root
        .as_ref()
        .map_or_else(Places::default, |root| Places {
            dev: root.join("dev"),
            roots: LinuxRoots::under(root),
        });
    let scan = Scan { i2c: flags.scan_i2c };
    let probed = probe(&places, scan).map_err(MachineError::Probe)?;
    let written = match flags.output {
        Output::Yaml => yaml(&probed),
        Output::Json => json(&probed),
    };
    let refused = |source| MachineError::System {
        what: "what was found on standard output",
        source,
    };
    std::io::stdout().write_all(written.as_bytes()).map_err(refused)
}

fn json(probed: &Probed) -> String {
    #[derive(Serialize)]
    struct Document<'a> {
        devices: BTreeMap<&'a str, &'a muster_metal::wiring::Device>,
        sensors: BTreeMap<&'a str, &'a muster_metal::wiring::Sensor>,
        #[serde(flatten)]
        probed: &'a Probed,
    }
    let document = Document {
        devices: probed.devices(),
        sensors: probed.sensors(),
        probed,
    };
    serde_json::to_string_pretty(&document).expect("names and numbers can be written") + "\n"
}

/// The sections `devices` and `sensors`, with everything else in comments.
pub(crate) fn yaml(probed: &Probed) -> String {
    let mut text = match &probed.model {
        Some(model) => format!("# Found on {}\n", one_line(model)),
        None => "# Found on this computer\n".to_owned(),
    };
    text.push_str("# Keep what is used; `muster-machine config check` says whether it goes together.\n");
    for sort in probed.sorts.iter().filter(|sort| !sort.notes.is_empty()) {
        text.push_str(&format!("#\n# {}:\n", sort.title));
        for note in &sort.notes {
            text.push_str(&format!("#   {note}\n"));
        }
    }
    text.push_str(&titled("devices", probed, |found| {
        Some(item(&found.name, &found.device, found.about.as_deref()))
    }));
    text.push_str(&titled("sensors", probed, |found| {
        Some(item(&found.name, found.sensor.as_ref()?, None))
    }));
    text
}

fn titled(name: &str, probed: &Probed, item: impl Fn(&Found) -> Option<String>) -> String {
    let mut text = String::new();
    for sort in &probed.sorts {
        let items: String = sort.found.iter().filter_map(&item).collect();
        if !items.is_empty() {
            text.push_str(&format!("  # {}\n{items}", sort.title));
        }
    }
    let empty = if text.is_empty() { " {}" } else { "" };
    format!("{name}:{empty}\n{text}")
}

/// One item of a section, with what is known of it behind its name.
fn item(name: &str, value: &impl Serialize, about: Option<&str>) -> String {
    let mut value = yaml_serde::to_value(value).unwrap_or(Value::Null);
    if let Value::Mapping(fields) = &mut value {
        // What goes without saying.
        fields.retain(|name, value| {
            let default = match name.as_str() {
                Some("scale") => value.as_f64() == Some(1.0),
                Some("offset") => value.as_f64() == Some(0.0),
                Some("writable") => value.as_bool() == Some(false),
                _ => value.is_null(),
            };
            !default
        });
    }
    let mut text = String::new();
    for (place, line) in section(name, &value).into_iter().enumerate() {
        let about = about
            .filter(|_| place == 0)
            .map(|about| format!("  # {}", one_line(about)));
        text.push_str(&format!("  {line}{}\n", about.unwrap_or_default()));
    }
    text
}

/// A comment ends with its line.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
