//! The computer on a simulated machine: load, memory, one disk, one network interface, its own heat and fan.

use muster_model::state::{Disk, Problem, Resources};
use muster_model::vocabulary::Severity;
use serde::{Deserialize, Serialize};

use super::heat::{Heat, HeatPath};
use super::place::Profile;
use super::random::Random;
use super::{Around, FaultKind};
use crate::device::{Traffic, df_percent, problem, rounded};
use crate::limits;

/// Heated from outside it comes this close to melting, about so fast.
const HEATED_CELSIUS: f64 = 108.0;
const HEATED_WITHIN_S: f64 = 6.0;

/// What a kind of computer is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Build {
    pub(crate) processors: u32,
    pub(crate) memory_bytes: u64,
    disk_bytes: u64,
    idle_watts: f64,
    work_watts: f64,
    still: HeatPath,
    fanned: HeatPath,
    /// Memory in use when idle, as a part of all.
    idle_memory: f64,
    /// Network traffic when idle and what full load adds: received, sent.
    idle_bytes_per_s: (f64, f64),
    work_bytes_per_s: (f64, f64),
}

impl Build {
    pub(crate) const fn of(profile: Profile) -> &'static Self {
        match profile {
            Profile::Lekiwi => &Self {
                processors: 4,
                memory_bytes: 8_454_144_000,
                disk_bytes: 62_725_623_808,
                idle_watts: 2.7,
                work_watts: 5.3,
                still: HeatPath {
                    joules_per_kelvin: 14.0,
                    watts_per_kelvin: 0.16,
                },
                fanned: HeatPath {
                    joules_per_kelvin: 14.0,
                    watts_per_kelvin: 0.30,
                },
                idle_memory: 0.16,
                idle_bytes_per_s: (1_200.0, 2_500.0),
                work_bytes_per_s: (20_000.0, 420_000.0),
            },
            Profile::Car => &Self {
                processors: 12,
                memory_bytes: 32_883_343_360,
                disk_bytes: 245_107_195_904,
                idle_watts: 12.0,
                work_watts: 32.0,
                still: HeatPath {
                    joules_per_kelvin: 90.0,
                    watts_per_kelvin: 0.8,
                },
                fanned: HeatPath {
                    joules_per_kelvin: 90.0,
                    watts_per_kelvin: 1.4,
                },
                idle_memory: 0.22,
                idle_bytes_per_s: (2_000.0, 6_000.0),
                work_bytes_per_s: (60_000.0, 350_000.0),
            },
            Profile::Pi => &Self {
                processors: 4,
                memory_bytes: 8_454_144_000,
                disk_bytes: 31_268_536_320,
                idle_watts: 2.5,
                work_watts: 5.5,
                still: HeatPath {
                    joules_per_kelvin: 14.0,
                    watts_per_kelvin: 0.12,
                },
                fanned: HeatPath {
                    joules_per_kelvin: 14.0,
                    watts_per_kelvin: 0.30,
                },
                idle_memory: 0.12,
                idle_bytes_per_s: (1_500.0, 1_800.0),
                work_bytes_per_s: (900_000.0, 1_600_000.0),
            },
        }
    }
}

const FAN_ON_CELSIUS: f64 = 60.0;
const FAN_OFF_CELSIUS: f64 = 52.0;
const HOT_CELSIUS: f64 = 75.0;
const NO_LONGER_HOT_CELSIUS: f64 = 70.0;
const THROTTLE_CELSIUS: f64 = 80.0;
const THROTTLED_LOAD: f64 = 0.5;
const BURST_EVERY_S: f64 = 300.0;
const DISK_GROWTH_PER_S: f64 = 4e-6;
const LOG_FLOOD_PER_S: f64 = 0.002;
const LOG_FLOOD_UNTIL: f64 = 0.93;
const CLEANED_FROM: f64 = 0.85;
const CLEANED_TO: f64 = 0.45;
const CLEANED_PER_S: f64 = 0.01;
/// Kept for the superuser, as ext4 does.
const DISK_RESERVED: f64 = 0.05;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Computer {
    load: f64,
    load_1m: f64,
    burst_left_s: f64,
    burst_load: f64,
    memory: f64,
    disk: f64,
    cleaning: bool,
    heat: Heat,
    fan: bool,
    hot: bool,
    throttled: bool,
    received_bytes: f64,
    sent_bytes: f64,
    /// Seconds of its life and the counters, at the last traffic reading.
    last_traffic: Option<(f64, f64, f64)>,
}

impl Computer {
    pub(crate) fn new(profile: Profile, around_celsius: f64, random: &mut Random) -> Self {
        let load = random.between(0.05, 0.3);
        let build = Build::of(profile);
        Self {
            load,
            load_1m: load * f64::from(build.processors),
            burst_left_s: 0.0,
            burst_load: 0.0,
            memory: build.idle_memory + random.between(0.0, 0.15),
            disk: random.between(0.35, 0.75),
            cleaning: false,
            heat: Heat {
                celsius: around_celsius + random.between(15.0, 25.0),
            },
            fan: false,
            hot: false,
            throttled: false,
            received_bytes: 0.0,
            sent_bytes: 0.0,
            last_traffic: None,
        }
    }

    /// Works for a while at what is asked of it, 0 to 1.
    pub(crate) fn step(
        &mut self,
        profile: Profile,
        asked: f64,
        around_celsius: f64,
        around: &Around,
        random: &mut Random,
        seconds: f64,
    ) {
        let build = Build::of(profile);
        self.work(build, asked, around.fault, random, seconds);
        self.warm(build, around_celsius, around.fault, seconds);
        if around.heated {
            self.heat.celsius += (HEATED_CELSIUS - self.heat.celsius) * (seconds / HEATED_WITHIN_S).min(1.0);
        }
        // A computer that gets too little power does less.
        self.throttled |= around.brown_out;
        self.fill_disk(around.fault, seconds);
        let rate = |(idle, work): (f64, f64), uneven: f64| (idle + work * self.load) * uneven * seconds;
        let uneven = random.between(0.6, 1.4);
        self.received_bytes += rate((build.idle_bytes_per_s.0, build.work_bytes_per_s.0), uneven);
        self.sent_bytes += rate((build.idle_bytes_per_s.1, build.work_bytes_per_s.1), uneven);
    }

    fn work(
        &mut self,
        build: &Build,
        asked: f64,
        fault: Option<FaultKind>,
        random: &mut Random,
        seconds: f64,
    ) {
        self.burst_left_s -= seconds;
        // A fan only matters under load; the fault comes with a job that does not end.
        if fault == Some(FaultKind::FanFailure) {
            (self.burst_left_s, self.burst_load) = (1.0, 0.7);
        } else if self.burst_left_s <= 0.0 && random.chance(seconds / BURST_EVERY_S) {
            (self.burst_left_s, self.burst_load) = (random.between(15.0, 90.0), random.between(0.2, 0.6));
        }
        let burst = if self.burst_left_s > 0.0 {
            self.burst_load
        } else {
            0.0
        };
        let most = if self.throttled { THROTTLED_LOAD } else { 1.0 };
        let wanted = (asked + burst + random.between(-0.06, 0.06)).clamp(0.01, most);
        self.load += (wanted - self.load) * (seconds / 3.0).min(1.0);
        self.load_1m += (self.load * f64::from(build.processors) - self.load_1m) * (seconds / 60.0).min(1.0);
        let memory = build.idle_memory + 0.35 * self.load + 0.1 * asked;
        self.memory += (memory - self.memory) * (seconds / 90.0).min(1.0);
    }

    fn warm(&mut self, build: &Build, around_celsius: f64, fault: Option<FaultKind>, seconds: f64) {
        let celsius = self.heat.celsius;
        self.fan =
            above(self.fan, celsius, FAN_ON_CELSIUS, FAN_OFF_CELSIUS) && fault != Some(FaultKind::FanFailure);
        self.hot = above(self.hot, celsius, HOT_CELSIUS, NO_LONGER_HOT_CELSIUS);
        self.throttled = above(self.throttled, celsius, THROTTLE_CELSIUS, HOT_CELSIUS);
        let path = if self.fan { build.fanned } else { build.still };
        self.heat.step(
            path,
            build.idle_watts + build.work_watts * self.load,
            around_celsius,
            seconds,
        );
    }

    fn fill_disk(&mut self, fault: Option<FaultKind>, seconds: f64) {
        if fault == Some(FaultKind::DiskFilling) {
            self.cleaning = true;
            self.disk += (LOG_FLOOD_PER_S * seconds).min((LOG_FLOOD_UNTIL - self.disk).max(0.0));
            return;
        }
        self.cleaning = above(self.cleaning, self.disk, CLEANED_FROM, CLEANED_TO);
        self.disk += if self.cleaning {
            -CLEANED_PER_S * seconds
        } else {
            DISK_GROWTH_PER_S * (0.3 + self.load) * seconds
        };
    }

    pub(crate) fn resources(&self, profile: Profile) -> Resources {
        let build = Build::of(profile);
        let disk = self.disk(build);
        Resources {
            cpu_percent: rounded(self.load * 100.0, 10.0),
            load_1m: rounded(self.load_1m, 100.0),
            memory_used_bytes: part_of(build.memory_bytes, self.memory),
            memory_percent: rounded(self.memory * 100.0, 10.0),
            disks: vec![disk],
        }
    }

    /// Averaged since the reading before, or since its life began.
    pub(crate) fn traffic(&mut self, lived_s: f64) -> Option<Traffic> {
        let (then_s, received, sent) = self.last_traffic.unwrap_or_default();
        let seconds = lived_s - then_s;
        if seconds <= 0.0 {
            return None;
        }
        self.last_traffic = Some((lived_s, self.received_bytes, self.sent_bytes));
        Some(Traffic {
            receive_bytes_per_s: rounded((self.received_bytes - received) / seconds, 10.0),
            transmit_bytes_per_s: rounded((self.sent_bytes - sent) / seconds, 10.0),
        })
    }

    pub(crate) fn celsius(&self) -> f64 {
        self.heat.celsius
    }

    pub(crate) fn problems(&self, profile: Profile, fault: Option<FaultKind>) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.throttled {
            let message = format!("The processor slows down: it was at {THROTTLE_CELSIUS} °C");
            problems.push(problem("thermal.high", Severity::Warning, message));
        } else if self.hot {
            let message = format!(
                "The processor is above {NO_LONGER_HOT_CELSIUS} °C; it slows down at {THROTTLE_CELSIUS} °C"
            );
            problems.push(problem("thermal.high", Severity::Warning, message));
        }
        if fault == Some(FaultKind::FanFailure) {
            let message = "The fan stands still".to_owned();
            problems.push(problem("fan.failed", Severity::Warning, message));
        }
        let disk = self.disk(Build::of(profile));
        if disk.used_percent > limits::DISK_NEARLY_FULL_PERCENT {
            let message = format!(
                "{} is more than {} % full",
                disk.mount,
                limits::DISK_NEARLY_FULL_PERCENT
            );
            problems.push(problem("disk.nearly_full", Severity::Warning, message));
        } else if fault == Some(FaultKind::DiskFilling) {
            let message = format!("A log grows fast on {}", disk.mount);
            problems.push(problem("disk.filling", Severity::Warning, message));
        }
        problems
    }

    fn disk(&self, build: &Build) -> Disk {
        let used_bytes = part_of(build.disk_bytes, self.disk);
        let available = part_of(build.disk_bytes, 1.0 - DISK_RESERVED - self.disk);
        Disk {
            mount: "/".into(),
            size_bytes: build.disk_bytes,
            used_bytes,
            used_percent: df_percent(used_bytes, available).unwrap_or(0.0),
        }
    }

    pub(crate) fn is_possible(&self) -> bool {
        let numbers = [
            self.load_1m,
            self.heat.celsius,
            self.received_bytes,
            self.sent_bytes,
            self.burst_left_s,
        ];
        numbers.iter().all(|number| number.is_finite())
            && [self.load, self.memory, self.disk, self.burst_load]
                .iter()
                .all(|part| (0.0..=1.0).contains(part))
    }
}

/// On from one value, off again only below another.
fn above(already: bool, value: f64, on: f64, off: f64) -> bool {
    if already { value >= off } else { value >= on }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a part between 0 and 1 of a size that a double holds"
)]
fn part_of(whole: u64, part: f64) -> u64 {
    (whole as f64 * part.clamp(0.0, 1.0)) as u64
}
