//! What the machine is: DMI or device tree, operating system, boot.

use std::path::Path;
use std::time::Duration;

use muster_model::Timestamp;
use muster_model::ids::BootId;
use muster_model::state::{Hardware, Platform};
use uuid::Uuid;

use super::files::{malformed, number, optional, required};
use super::{LinuxRoots, processor};
use crate::MetalError;
use crate::device::Facts;

/// What makers write into DMI when they have nothing to say. Compared without regard to case.
const PLACEHOLDERS: &[&str] = &[
    "to be filled by o.e.m.",
    "to be filled by o.e.m",
    "o.e.m.",
    "oem",
    "default string",
    "not specified",
    "not applicable",
    "not available",
    "none",
    "n/a",
    "unknown",
    "undefined",
    "invalid",
    "system manufacturer",
    "system product name",
    "system serial number",
    "system version",
    "chassis serial number",
    "empty",
    "123456789",
    "0123456789",
    "xxxxxxxx",
];

pub(crate) fn facts(roots: &LinuxRoots) -> Result<Facts, MetalError> {
    Ok(Facts {
        hardware: hardware(roots)?,
        platform: platform(roots)?,
        machine_id_hint: optional(&roots.etc.join("machine-id")).and_then(|text| Uuid::try_parse(&text).ok()),
    })
}

pub(crate) fn uptime(roots: &LinuxRoots) -> Result<Duration, MetalError> {
    let path = roots.proc.join("uptime");
    let text = required(&path)?;
    text.split_whitespace()
        .next()
        .and_then(|seconds| seconds.parse().ok())
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| malformed(&path, "seconds since boot", &text))
}

fn hardware(roots: &LinuxRoots) -> Result<Hardware, MetalError> {
    let cpuinfo = optional(&roots.proc.join("cpuinfo")).unwrap_or_default();
    let maker = maker(roots, &cpuinfo);
    Ok(Hardware {
        vendor: maker.vendor,
        model: maker.model,
        serial: maker.serial,
        revision: maker.revision,
        architecture: rustix::system::uname().machine().to_string_lossy().into_owned(),
        processor: processor_name(&cpuinfo),
        processors: processor::online(roots)?,
        memory_bytes: processor::memory(roots)?.total_bytes,
    })
}

/// What the computer calls itself, in one line.
pub(crate) fn model(roots: &LinuxRoots) -> Option<String> {
    let cpuinfo = optional(&roots.proc.join("cpuinfo")).unwrap_or_default();
    let maker = maker(roots, &cpuinfo);
    match (maker.vendor, maker.model) {
        (Some(vendor), Some(model)) if !model.starts_with(&vendor) => Some(format!("{vendor} {model}")),
        (vendor, model) => model.or(vendor),
    }
}

#[derive(Default)]
struct Maker {
    vendor: Option<String>,
    model: Option<String>,
    serial: Option<String>,
    revision: Option<String>,
}

/// DMI where there is one (PCs), else the device tree (boards).
fn maker(roots: &LinuxRoots, cpuinfo: &str) -> Maker {
    let dmi = |file: &str| meaningful(optional(&roots.sys.join("class/dmi/id").join(file))?);
    let from_dmi = Maker {
        vendor: dmi("sys_vendor").or_else(|| dmi("board_vendor")),
        model: dmi("product_name").or_else(|| dmi("board_name")),
        serial: dmi("product_serial").or_else(|| dmi("board_serial")),
        revision: dmi("product_version").or_else(|| dmi("board_version")),
    };
    if from_dmi.vendor.is_some() || from_dmi.model.is_some() {
        return from_dmi;
    }
    let trees = [
        roots.proc.join("device-tree"),
        roots.sys.join("firmware/devicetree/base"),
    ];
    let tree = |file: &str| {
        trees
            .iter()
            .find_map(|tree| meaningful(optional(&tree.join(file))?))
    };
    Maker {
        // The first of the compatible names is the board's own, "maker,board".
        vendor: tree("compatible").and_then(|names| Some(names.split(['\0', ',']).next()?.to_owned())),
        model: tree("model"),
        serial: tree("serial-number").or_else(|| meaningful(cpuinfo_field(cpuinfo, "Serial")?)),
        revision: meaningful(cpuinfo_field(cpuinfo, "Revision").unwrap_or_default()),
    }
}

/// The value, unless it is one of those that stand for none.
fn meaningful(value: String) -> Option<String> {
    let lower = value.to_ascii_lowercase();
    let hollow = lower
        .chars()
        .all(|c| matches!(c, '0' | '.' | '-' | '_' | ' ' | '*'));
    (!hollow && !PLACEHOLDERS.contains(&lower.as_str())).then_some(value)
}

/// x86 says `model name`; boards say it in many ways, and some only name the board.
fn processor_name(cpuinfo: &str) -> Option<String> {
    [
        "model name",
        "Processor",
        "cpu model",
        "uarch",
        "Hardware",
        "cpu",
        "Model",
    ]
    .iter()
    .find_map(|field| meaningful(cpuinfo_field(cpuinfo, field)?))
}

fn cpuinfo_field(cpuinfo: &str, field: &str) -> Option<String> {
    cpuinfo.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let value = value.trim();
        (name.trim() == field && !value.is_empty()).then(|| value.to_owned())
    })
}

fn platform(roots: &LinuxRoots) -> Result<Platform, MetalError> {
    let kernel = required(&roots.proc.join("sys/kernel/osrelease"))?
        .trim()
        .to_owned();
    Ok(Platform {
        os: os_name(roots).unwrap_or_else(|| format!("Linux {kernel}")),
        kernel,
        boot_id: boot_id(&roots.proc.join("sys/kernel/random/boot_id"))?,
        booted_at: booted_at(&roots.proc.join("stat"))?,
    })
}

fn os_name(roots: &LinuxRoots) -> Option<String> {
    let release = optional(&roots.etc.join("os-release"))?;
    let field = |wanted: &str| {
        release.lines().find_map(|line| {
            let (name, value) = line.split_once('=')?;
            let value = value.trim().trim_matches(['"', '\'']);
            (name.trim() == wanted && !value.is_empty()).then(|| value.to_owned())
        })
    };
    field("PRETTY_NAME").or_else(|| field("NAME"))
}

fn boot_id(path: &Path) -> Result<BootId, MetalError> {
    let text = required(path)?;
    text.trim()
        .parse()
        .map_err(|_| malformed(path, "a boot id", &text))
}

/// The kernel keeps this in whole seconds of the wall clock, and moves it when the clock is set.
fn booted_at(path: &Path) -> Result<Timestamp, MetalError> {
    let text = required(path)?;
    text.lines()
        .find_map(|line| line.strip_prefix("btime "))
        .and_then(|seconds| seconds.trim().parse::<i64>().ok())
        .map(|seconds| Timestamp::from_millis(seconds.saturating_mul(1000)))
        .ok_or_else(|| malformed(path, "the time of boot (btime)", &text))
}

/// How many processors a list like `0-3,6` names.
pub(crate) fn listed_processors(list: &str) -> Option<u32> {
    list.trim().split(',').try_fold(0_u32, |count, range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        count.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

/// Which processors are online, as sysfs says.
pub(crate) fn online_processors(roots: &LinuxRoots) -> Option<u32> {
    listed_processors(&number::<String>(&roots.sys.join("devices/system/cpu/online"))?)
}
