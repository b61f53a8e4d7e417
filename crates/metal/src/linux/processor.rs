//! Processor time, load and memory.

use super::files::{malformed, required};
use super::{LinuxRoots, board};
use crate::MetalError;
use crate::device::rounded;

/// Measures processor use between two readings.
#[derive(Debug, Default)]
pub(crate) struct ProcessorMeter {
    /// The counters at the last reading; zero, as at boot, before the first.
    last: ProcessorTimes,
    last_percent: f64,
}

impl ProcessorMeter {
    /// Processor time in use over all processors since the last reading, 0 to 100. Waiting for a disk is not use;
    /// time that the hypervisor took away is.
    pub(crate) fn percent(&mut self, roots: &LinuxRoots) -> Result<f64, MetalError> {
        let times = processor_times(roots)?;
        // The kernel counts in hundredths of a second: readings in quick succession may see none pass. Single
        // counters may even go back a little (iowait does), so differences stop at zero.
        let idle = times.idle.saturating_sub(self.last.idle);
        let busy = times.busy.saturating_sub(self.last.busy);
        if let Some(percent) = share_percent(busy, busy.saturating_add(idle)) {
            self.last_percent = percent;
            self.last = times;
        }
        Ok(self.last_percent)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProcessorTimes {
    pub(crate) busy: u64,
    pub(crate) idle: u64,
}

fn processor_times(roots: &LinuxRoots) -> Result<ProcessorTimes, MetalError> {
    let path = roots.proc.join("stat");
    let text = required(&path)?;
    parse_times(&text).ok_or_else(|| malformed(&path, "processor times (cpu)", &text))
}

/// `cpu user nice system idle iowait irq softirq steal guest guest_nice`. Old kernels have fewer; guest time is
/// counted in user and nice already.
pub(crate) fn parse_times(stat: &str) -> Option<ProcessorTimes> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let mut fields = [0_u64; 8];
    let mut given = 0;
    for (field, text) in fields.iter_mut().zip(line.split_whitespace()) {
        *field = text.parse().ok()?;
        given += 1;
    }
    let [user, nice, system, idle, iowait, irq, softirq, steal] = fields;
    (given >= 4).then(|| ProcessorTimes {
        busy: user
            .saturating_add(nice)
            .saturating_add(system)
            .saturating_add(irq)
            .saturating_add(softirq)
            .saturating_add(steal),
        idle: idle.saturating_add(iowait),
    })
}

/// Processors that the kernel schedules on.
pub(crate) fn online(roots: &LinuxRoots) -> Result<u32, MetalError> {
    if let Some(count) = board::online_processors(roots) {
        return Ok(count);
    }
    let path = roots.proc.join("stat");
    let text = required(&path)?;
    let count = text
        .lines()
        .filter(|line| {
            line.strip_prefix("cpu")
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        })
        .count();
    u32::try_from(count)
        .ok()
        .filter(|count| *count > 0)
        .ok_or_else(|| malformed(&path, "a line for each processor", &text))
}

/// Run-queue length averaged over one minute.
pub(crate) fn load_1m(roots: &LinuxRoots) -> Result<f64, MetalError> {
    let path = roots.proc.join("loadavg");
    let text = required(&path)?;
    text.split_whitespace()
        .next()
        .and_then(|load| load.parse().ok())
        .filter(|load: &f64| load.is_finite() && *load >= 0.0)
        .ok_or_else(|| malformed(&path, "the load", &text))
}

/// Memory, in the terms of `free`: used is what is not available, as procps says since 4.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) total_bytes: u64,
    pub(crate) available_bytes: u64,
}

impl Memory {
    pub(crate) fn used_bytes(self) -> u64 {
        self.total_bytes.saturating_sub(self.available_bytes)
    }

    pub(crate) fn used_percent(self) -> f64 {
        share_percent(self.used_bytes(), self.total_bytes).unwrap_or(0.0)
    }
}

pub(crate) fn memory(roots: &LinuxRoots) -> Result<Memory, MetalError> {
    let path = roots.proc.join("meminfo");
    let text = required(&path)?;
    parse_memory(&text).ok_or_else(|| malformed(&path, "MemTotal and MemAvailable", &text))
}

pub(crate) fn parse_memory(meminfo: &str) -> Option<Memory> {
    let bytes = |name: &str| {
        meminfo.lines().find_map(|line| {
            let kilobytes = line
                .strip_prefix(name)?
                .strip_prefix(':')?
                .split_whitespace()
                .next()?;
            kilobytes.parse::<u64>().ok()?.checked_mul(1024)
        })
    };
    // Kernels before 3.14 have no MemAvailable; this is what `free` fell back on.
    let available_bytes = bytes("MemAvailable").or_else(|| {
        bytes("MemFree")?
            .checked_add(bytes("Buffers")?)?
            .checked_add(bytes("Cached")?)
    })?;
    Some(Memory {
        total_bytes: bytes("MemTotal").filter(|total| *total > 0)?,
        available_bytes,
    })
}

/// A part of a whole in percent, to a hundredth; `None` of nothing.
#[expect(
    clippy::cast_precision_loss,
    reason = "a hundredth of a percent is all that is kept"
)]
pub(crate) fn share_percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| rounded(part.min(whole) as f64 / whole as f64 * 100.0, 100.0))
}
