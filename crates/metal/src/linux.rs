//! The hardware as the Linux kernel shows it.
//!
//! Everything is read anew at each call from `/proc`, `/sys` and `/etc`, and nothing is kept but the counters that
//! rates are measured against. A file that is absent, empty, unreadable to this user or answers with an error
//! (`EINVAL`, `ENODATA`, `EACCES` are ordinary in sysfs) makes its one field absent; only the files that every
//! Linux has (`/proc/stat`, `/proc/meminfo` …) are errors when they fail.

mod addresses;
pub(crate) mod board;
mod conditions;
mod disks;
pub(crate) mod files;
mod network;
mod power;
mod processor;
mod thermal;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use muster_model::state::{Location, Network, Power, Problem, Resources, Thermal};
use muster_model::vocabulary::Mode;

use crate::device::{Activity, Board, Computer, Facts, Metal, Positioning, Supply, Thermometers, Traffic};
use crate::{MetalError, limits};

/// Where the kernel's file trees are found. The default is where they always are; a container may have those of its
/// host elsewhere, and tests bring their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinuxRoots {
    /// The process file system.
    pub proc: PathBuf,
    /// The device tree of the kernel.
    pub sys: PathBuf,
    /// The configuration of the system.
    pub etc: PathBuf,
    /// Where the root of the file systems is mounted: mount points are looked for under it.
    pub mounts: PathBuf,
    /// Whether network addresses are asked of the kernel (netlink), which knows only those of the running system.
    pub ask_kernel_for_addresses: bool,
}

impl Default for LinuxRoots {
    fn default() -> Self {
        Self {
            proc: "/proc".into(),
            sys: "/sys".into(),
            etc: "/etc".into(),
            mounts: "/".into(),
            ask_kernel_for_addresses: true,
        }
    }
}

impl LinuxRoots {
    /// Another system's trees, gathered under one directory: `proc`, `sys`, `etc`, and mount points.
    pub fn under(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self {
            proc: root.join("proc"),
            sys: root.join("sys"),
            etc: root.join("etc"),
            mounts: root,
            ask_kernel_for_addresses: false,
        }
    }
}

/// The machine this runs on.
#[derive(Debug, Default)]
pub struct LinuxMachine {
    roots: LinuxRoots,
    clock: Clock,
    processor: processor::ProcessorMeter,
    traffic: network::TrafficMeter,
    throttling: conditions::ThrottleMeter,
}

impl LinuxMachine {
    /// Reads nothing yet.
    pub fn new(roots: LinuxRoots) -> Self {
        Self {
            roots,
            ..Self::default()
        }
    }
}

impl Metal for LinuxMachine {
    fn advance_to(&mut self, now: Duration) {
        self.clock.advance_to(now);
    }
}

impl Board for LinuxMachine {
    fn facts(&mut self) -> Result<Facts, MetalError> {
        board::facts(&self.roots)
    }

    fn network(&mut self) -> Result<Network, MetalError> {
        network::network(&self.roots)
    }

    fn uptime(&mut self) -> Result<Duration, MetalError> {
        board::uptime(&self.roots)
    }
}

impl Computer for LinuxMachine {
    /// The first reading's processor use is the average since boot.
    fn resources(&mut self) -> Result<Resources, MetalError> {
        let memory = processor::memory(&self.roots)?;
        Ok(Resources {
            cpu_percent: self.processor.percent(&self.roots)?,
            load_1m: processor::load_1m(&self.roots)?,
            memory_used_bytes: memory.used_bytes(),
            memory_percent: memory.used_percent(),
            disks: disks::disks(&self.roots)?,
        })
    }

    fn traffic(&mut self) -> Result<Option<Traffic>, MetalError> {
        self.traffic.rate(&self.roots, self.clock.now)
    }
}

impl Supply for LinuxMachine {
    fn power(&mut self) -> Result<Option<Power>, MetalError> {
        power::power(&self.roots)
    }
}

impl Thermometers for LinuxMachine {
    fn thermal(&mut self) -> Result<Option<Thermal>, MetalError> {
        thermal::thermal(&self.roots)
    }
}

impl Positioning for LinuxMachine {
    /// Always `None`: the kernel knows of no position.
    fn location(&mut self) -> Result<Option<Location>, MetalError> {
        Ok(None)
    }
}

impl Activity for LinuxMachine {
    /// Always [`Mode::Idle`]: what a Linux machine is used for, only the layers above know.
    fn mode(&mut self) -> Result<Mode, MetalError> {
        Ok(Mode::Idle)
    }

    fn conditions(&mut self) -> Result<Vec<Problem>, MetalError> {
        conditions::conditions(&self.roots, &mut self.throttling)
    }
}

/// The moment that readings are of.
#[derive(Debug, Default)]
struct Clock {
    now: Duration,
}

impl Clock {
    fn advance_to(&mut self, now: Duration) {
        self.now = self.now.max(now);
    }
}

/// What names are shown with: the first so many of a list that the kernel does not bound.
fn truncated<T>(mut list: Vec<T>, limit: usize) -> Vec<T> {
    list.truncate(limit);
    list
}

/// Temperatures in sysfs are in thousandths of a degree; those that no sensor can mean are left out.
fn celsius(millidegrees: i64) -> Option<f64> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a temperature in thousandths fits a double many times over"
    )]
    let celsius = millidegrees as f64 / 1000.0;
    limits::PLAUSIBLE_CELSIUS.contains(&celsius).then_some(celsius)
}
