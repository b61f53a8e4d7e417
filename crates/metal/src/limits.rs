//! From which value on a reading is a problem. Real and simulated hardware are judged by the same figures.

/// A disk fuller than this has a problem (`disk.nearly_full`). In percent, as `df` counts.
pub const DISK_NEARLY_FULL_PERCENT: f64 = 95.0;
/// Batteries that discharge below this have a problem (`power.low`, warning). In percent.
pub const BATTERY_LOW_PERCENT: f64 = 10.0;
/// Batteries that discharge below this will soon end the machine's work (`power.low`, critical). In percent.
pub const BATTERY_CRITICAL_PERCENT: f64 = 4.0;
/// A zone is said to be hot when it comes this near to its own critical temperature (`thermal.high`, warning).
pub const THERMAL_MARGIN_KELVIN: f64 = 5.0;
/// Readings outside these temperatures come from a sensor that is switched off or broken. In degrees Celsius.
pub const PLAUSIBLE_CELSIUS: std::ops::RangeInclusive<f64> = -55.0..=200.0;
/// Disks that are reported; a machine with more shows the first of them by mount point.
pub const MAX_DISKS: usize = 32;
/// Network interfaces that are reported; a machine with more shows the first of them by name.
pub const MAX_INTERFACES: usize = 64;
/// Addresses of one interface that are reported.
pub const MAX_ADDRESSES_PER_INTERFACE: usize = 16;
/// Thermal zones that are reported.
pub const MAX_THERMAL_ZONES: usize = 64;
/// So much of one file of the kernel is read.
pub const MAX_FILE_BYTES: u64 = 1 << 20;
