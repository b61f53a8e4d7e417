//! Profiles: what goes wrong in a world, how often, and for how long. Built in by name, or written by people as YAML.
//!
//! Begin with [`Faults`]. How a fault is carried out is in [`super::faults`]; the keys of a file are in [`keys`].

mod keys;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use muster_runtime::config::{Config, ConfigError};

use super::schedule::{MILLISECOND, SECOND, Time};

/// One kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// A connection is cut for both ends; what was under way is lost.
    Reset,
    /// A connection is cut, and only one end notices.
    HalfOpen,
    /// A machine gives its connection up, and what it had said still arrives, late.
    OldDelivers,
    /// Nothing passes between a machine and the server, one way or both.
    Partition,
    /// A machine's link becomes slow, or fast again.
    Latency,
    /// A machine loses power.
    MachineCrash,
    /// A machine loses power between two effects of one decision.
    MachineCrashAtEffect,
    /// A machine loses power, and its disk.
    DiskLoss,
    /// A machine's disk is slow for a while.
    SlowDisk,
    /// A machine's disk refuses what it is given next: the machine's process ends.
    FailingDisk,
    /// A machine's wall clock jumps.
    WallStep,
    /// A machine's clocks run faster or slower from now on.
    Drift,
    /// A machine stops where it is for a while, and goes on as if nothing had been.
    Suspend,
    /// The server stops at once.
    ServerCrash,
    /// The server stops between two effects of one decision.
    ServerCrashAtEffect,
    /// The server is stopped in order, and started again.
    Drain,
    /// The log is slow for a while.
    SlowLog,
    /// The log refuses some batches.
    FailingLog,
    /// The server's wall clock jumps.
    ServerWallStep,
    /// A motor speeds up whatever it is told.
    RunawayMotor,
    /// A contactor is welded.
    RelayStuckOn,
    /// A contactor does not close.
    RelayStuckOff,
    /// The speed of a motor is not measured.
    SpeedSilent,
    /// A computer gets too hot.
    BoardOverheated,
    /// Somebody presses an emergency stop, and pulls it out later.
    EstopPressed,
    /// Somebody opens a case, and shuts it later.
    CaseOpen,
}

/// How one kind of fault strikes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strike {
    /// Mean time between two: for each machine, for the server, or for the fleet where it hits many at once.
    pub every: Option<Time>,
    /// How many percent of the machines it hits at once; none: one machine by itself.
    pub share_percent: Option<u64>,
    /// How long it lasts, how slow it gets, or how far it jumps: anything from the first to the second.
    pub span: (Time, Time),
    /// How many percent of partitions are one-way.
    pub one_way_percent: u64,
    /// Fastest or slowest drift, in parts per million.
    pub most_ppm: u64,
}

/// What happens to single frames within a connection, which TCP never does and a broken middlebox may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wire {
    /// Percent that never arrive.
    pub loss_percent: u64,
    /// Percent that arrive twice.
    pub duplicates_percent: u64,
    /// Percent that are overtaken.
    pub reordered_percent: u64,
}

/// What goes wrong in a world, and how often.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// A name for people.
    pub name: String,
    /// What it is meant to be like.
    pub about: String,
    /// Which faults.
    pub strikes: BTreeMap<Fault, Strike>,
    /// What happens to single frames.
    pub wire: Wire,
    /// How many percent of the machines are spared by everything that strikes machines.
    pub spared_percent: u64,
}

/// Time for people.
const MINUTE: Time = 60 * SECOND;
const HOUR: Time = 60 * MINUTE;

/// A profile of faults is no name of a built-in one, and no file that can be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// Neither a name nor a file.
    #[error("there is no fault profile {given:?}: built in are {}; or name a YAML file that ends with .yaml or .yml", Faults::NAMES.join(", "))]
    Unknown {
        /// What was written.
        given: String,
    },
    /// The file is not accepted.
    #[error(transparent)]
    File(#[from] ConfigError),
}

impl Fault {
    /// Each of them.
    pub const ALL: &'static [Self] = &[
        Self::Reset,
        Self::HalfOpen,
        Self::OldDelivers,
        Self::Partition,
        Self::Latency,
        Self::MachineCrash,
        Self::MachineCrashAtEffect,
        Self::DiskLoss,
        Self::SlowDisk,
        Self::FailingDisk,
        Self::WallStep,
        Self::Drift,
        Self::Suspend,
        Self::ServerCrash,
        Self::ServerCrashAtEffect,
        Self::Drain,
        Self::SlowLog,
        Self::FailingLog,
        Self::ServerWallStep,
        Self::RunawayMotor,
        Self::RelayStuckOn,
        Self::RelayStuckOff,
        Self::SpeedSilent,
        Self::BoardOverheated,
        Self::EstopPressed,
        Self::CaseOpen,
    ];

    /// Those of what moves, and of what it is switched and measured with.
    pub const HARDWARE: &'static [Self] = &[
        Self::RunawayMotor,
        Self::RelayStuckOn,
        Self::RelayStuckOff,
        Self::SpeedSilent,
        Self::BoardOverheated,
        Self::EstopPressed,
        Self::CaseOpen,
    ];

    /// Its name in files and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::HalfOpen => "half_open",
            Self::OldDelivers => "old_delivers",
            Self::Partition => "partition",
            Self::Latency => "latency",
            Self::MachineCrash => "machine_crash",
            Self::MachineCrashAtEffect => "machine_crash_at_effect",
            Self::DiskLoss => "disk_loss",
            Self::SlowDisk => "slow_disk",
            Self::FailingDisk => "failing_disk",
            Self::WallStep => "wall_step",
            Self::Drift => "drift",
            Self::Suspend => "suspend",
            Self::ServerCrash => "server_crash",
            Self::ServerCrashAtEffect => "server_crash_at_effect",
            Self::Drain => "drain",
            Self::SlowLog => "slow_log",
            Self::FailingLog => "failing_log",
            Self::ServerWallStep => "server_wall_step",
            Self::RunawayMotor => "runaway_motor",
            Self::RelayStuckOn => "relay_stuck_on",
            Self::RelayStuckOff => "relay_stuck_off",
            Self::SpeedSilent => "speed_silent",
            Self::BoardOverheated => "board_overheated",
            Self::EstopPressed => "estop_pressed",
            Self::CaseOpen => "case_open",
        }
    }

    /// Whether it strikes the server, and not machines.
    pub fn is_of_server(self) -> bool {
        match self {
            Self::ServerCrash
            | Self::ServerCrashAtEffect
            | Self::Drain
            | Self::SlowLog
            | Self::FailingLog
            | Self::ServerWallStep => true,
            Self::Reset
            | Self::HalfOpen
            | Self::OldDelivers
            | Self::Partition
            | Self::Latency
            | Self::MachineCrash
            | Self::MachineCrashAtEffect
            | Self::DiskLoss
            | Self::SlowDisk
            | Self::FailingDisk
            | Self::WallStep
            | Self::Drift
            | Self::Suspend
            | Self::RunawayMotor
            | Self::RelayStuckOn
            | Self::RelayStuckOff
            | Self::SpeedSilent
            | Self::BoardOverheated
            | Self::EstopPressed
            | Self::CaseOpen => false,
        }
    }

    /// How it strikes where nothing else is said.
    fn strike(self) -> Strike {
        let span = match self {
            Self::Reset | Self::HalfOpen | Self::FailingLog | Self::Drift => (0, 0),
            Self::OldDelivers => (10 * MILLISECOND, 20 * SECOND),
            Self::Partition => (SECOND, 150 * SECOND),
            Self::Latency => (MILLISECOND, 3 * SECOND),
            Self::MachineCrash | Self::MachineCrashAtEffect | Self::DiskLoss | Self::FailingDisk => {
                (50 * MILLISECOND, 20 * SECOND)
            }
            Self::SlowDisk => (SECOND, 40 * SECOND),
            Self::WallStep | Self::ServerWallStep => (SECOND, 3_650 * 24 * HOUR),
            Self::Suspend => (SECOND, 3 * HOUR),
            Self::ServerCrash | Self::ServerCrashAtEffect => (20 * MILLISECOND, 30 * SECOND),
            Self::Drain => (SECOND, 5 * SECOND),
            Self::SlowLog => (SECOND, 30 * SECOND),
            Self::RunawayMotor
            | Self::RelayStuckOn
            | Self::RelayStuckOff
            | Self::SpeedSilent
            | Self::BoardOverheated
            | Self::EstopPressed
            | Self::CaseOpen => (200 * MILLISECOND, 20 * SECOND),
        };
        Strike {
            every: None,
            share_percent: None,
            span,
            one_way_percent: 66,
            most_ppm: 500,
        }
    }
}

impl Faults {
    /// The names of the built-in profiles.
    pub const NAMES: &'static [&'static str] = &[
        "none", "radio", "power", "server", "disk", "clock", "suspend", "all", "hostile", "hardware",
    ];

    const RADIO: &'static [(Fault, Time)] = &[
        (Fault::Reset, 10 * MINUTE),
        (Fault::HalfOpen, 20 * MINUTE),
        (Fault::OldDelivers, 20 * MINUTE),
        (Fault::Partition, 20 * MINUTE),
        (Fault::Latency, 10 * MINUTE),
    ];
    const POWER: &'static [(Fault, Time)] = &[
        (Fault::MachineCrash, 20 * MINUTE),
        (Fault::MachineCrashAtEffect, 15 * MINUTE),
        (Fault::SlowDisk, 30 * MINUTE),
        (Fault::WallStep, 30 * MINUTE),
        (Fault::Reset, 30 * MINUTE),
        (Fault::DiskLoss, 2 * HOUR),
    ];
    const SERVER: &'static [(Fault, Time)] = &[
        (Fault::ServerCrash, 20 * MINUTE),
        (Fault::ServerCrashAtEffect, 10 * MINUTE),
        (Fault::Drain, 20 * MINUTE),
        (Fault::SlowLog, 15 * MINUTE),
        (Fault::FailingLog, 10 * MINUTE),
        (Fault::Reset, 20 * MINUTE),
    ];
    const DISK: &'static [(Fault, Time)] = &[
        (Fault::SlowDisk, 15 * MINUTE),
        (Fault::FailingDisk, 20 * MINUTE),
        (Fault::MachineCrashAtEffect, 20 * MINUTE),
        (Fault::DiskLoss, 2 * HOUR),
        (Fault::SlowLog, 15 * MINUTE),
        (Fault::FailingLog, 10 * MINUTE),
        (Fault::ServerCrashAtEffect, 15 * MINUTE),
    ];
    const CLOCK: &'static [(Fault, Time)] = &[
        (Fault::WallStep, 15 * MINUTE),
        (Fault::Drift, 20 * MINUTE),
        (Fault::ServerWallStep, 10 * MINUTE),
        (Fault::Reset, 20 * MINUTE),
        (Fault::Partition, 30 * MINUTE),
        (Fault::ServerCrash, 30 * MINUTE),
    ];
    const SUSPEND: &'static [(Fault, Time)] = &[
        (Fault::Suspend, 20 * MINUTE),
        (Fault::Reset, 30 * MINUTE),
        (Fault::MachineCrash, 40 * MINUTE),
        (Fault::ServerCrash, 30 * MINUTE),
    ];
    const ALL: &'static [(Fault, Time)] = &[
        (Fault::Reset, 10 * MINUTE),
        (Fault::HalfOpen, 20 * MINUTE),
        (Fault::OldDelivers, 20 * MINUTE),
        (Fault::Partition, 20 * MINUTE),
        (Fault::Latency, 20 * MINUTE),
        (Fault::MachineCrash, 20 * MINUTE),
        (Fault::MachineCrashAtEffect, 20 * MINUTE),
        (Fault::DiskLoss, 2 * HOUR),
        (Fault::SlowDisk, 20 * MINUTE),
        (Fault::FailingDisk, 40 * MINUTE),
        (Fault::WallStep, 20 * MINUTE),
        (Fault::Drift, 40 * MINUTE),
        (Fault::Suspend, 40 * MINUTE),
        (Fault::ServerCrash, 20 * MINUTE),
        (Fault::ServerCrashAtEffect, 20 * MINUTE),
        (Fault::Drain, 20 * MINUTE),
        (Fault::SlowLog, 20 * MINUTE),
        (Fault::FailingLog, 20 * MINUTE),
        (Fault::ServerWallStep, 30 * MINUTE),
        (Fault::RunawayMotor, 2 * HOUR),
        (Fault::RelayStuckOn, 2 * HOUR),
        (Fault::RelayStuckOff, 2 * HOUR),
        (Fault::SpeedSilent, 2 * HOUR),
        (Fault::BoardOverheated, 2 * HOUR),
        (Fault::EstopPressed, 2 * HOUR),
        (Fault::CaseOpen, 2 * HOUR),
    ];

    const MOVING: &'static [(Fault, Time)] = &[
        (Fault::RunawayMotor, 10 * MINUTE),
        (Fault::RelayStuckOn, 10 * MINUTE),
        (Fault::RelayStuckOff, 10 * MINUTE),
        (Fault::SpeedSilent, 10 * MINUTE),
        (Fault::BoardOverheated, 10 * MINUTE),
        (Fault::EstopPressed, 10 * MINUTE),
        (Fault::CaseOpen, 10 * MINUTE),
        (Fault::Partition, 20 * MINUTE),
        (Fault::MachineCrash, 20 * MINUTE),
        (Fault::Suspend, 40 * MINUTE),
    ];

    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self::named("none", "nothing goes wrong", &[])
    }

    /// The built-in profile of this name.
    pub fn built_in(name: &str) -> Option<Self> {
        let faults = match name {
            "none" => Self::none(),
            "radio" => Self::named("radio", "a bad radio link", Self::RADIO),
            "power" => Self::named("power", "power cuts at the machines", Self::POWER),
            "server" => Self::named(
                "server",
                "a server that stops, and a log that is slow or refuses",
                Self::SERVER,
            ),
            "disk" => Self::named("disk", "slow, failing, torn and lost disks", Self::DISK),
            "clock" => Self::named("clock", "clocks that jump and drift, on both sides", Self::CLOCK),
            "suspend" => Self::named("suspend", "machines that stand still for hours", Self::SUSPEND),
            "all" => Self::named("all", "everything at once", Self::ALL),
            "hardware" => Self::named(
                "hardware",
                "motors, contactors, sensors and contacts that fail, and power and links with them",
                Self::MOVING,
            ),
            "hostile" => Self {
                wire: Wire {
                    loss_percent: 2,
                    duplicates_percent: 5,
                    reordered_percent: 2,
                },
                ..Self::named(
                    "hostile",
                    "everything, and a middlebox that loses, doubles and reorders frames",
                    Self::ALL,
                )
            },
            _ => return None,
        };
        Some(faults)
    }

    fn named(name: &str, about: &str, list: &[(Fault, Time)]) -> Self {
        let strikes = list.iter().map(|(fault, every)| {
            let strike = Strike {
                every: Some(*every),
                ..fault.strike()
            };
            (*fault, strike)
        });
        Self {
            name: name.to_owned(),
            about: about.to_owned(),
            strikes: strikes.collect(),
            wire: Wire::default(),
            spared_percent: 0,
        }
    }

    /// The profile that is meant: a built-in name, or a YAML file.
    pub fn find(given: &str) -> Result<Self, ProfileError> {
        if let Some(faults) = Self::built_in(given) {
            return Ok(faults);
        }
        let path = Path::new(given);
        let is_file = path
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml");
        if !is_file {
            return Err(ProfileError::Unknown {
                given: given.to_owned(),
            });
        }
        let config = Config::<Self>::load(Some(path), [], [])?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        Ok(Self {
            name: name.into_owned(),
            ..config.settings
        })
    }

    /// The same faults, so much closer together or further apart that in a world of so many machines there is one
    /// in every so many milliseconds.
    #[must_use]
    pub fn dense(mut self, machines: usize, every_ms: u64) -> Self {
        // In faults an hour.
        let rate: u64 = self
            .strikes
            .iter()
            .filter_map(|(fault, strike)| Some(1_000 * HOUR / strike.interval(*fault, machines)?.max(1)))
            .sum();
        if rate == 0 {
            return self;
        }
        let wanted = 1_000 * HOUR / (every_ms.max(1) * MILLISECOND);
        for strike in self.strikes.values_mut() {
            strike.every = strike.every.map(|every| {
                ((u128::from(every) * u128::from(rate) / u128::from(wanted.max(1))) as u64).max(1)
            });
        }
        self
    }

    /// The same faults, and with them everything that fails of what moves: each so often on each machine.
    #[must_use]
    pub fn with_hardware(mut self, every_ms: u64) -> Self {
        for fault in Fault::HARDWARE {
            let every = Some(every_ms * MILLISECOND);
            self.strikes.insert(
                *fault,
                Strike {
                    every,
                    ..fault.strike()
                },
            );
        }
        self
    }

    /// Whether anything fails of what moves.
    pub fn has_hardware(&self) -> bool {
        Fault::HARDWARE
            .iter()
            .any(|fault| self.strikes.contains_key(fault))
    }

    /// Whether single frames are lost, doubled or overtaken.
    pub fn is_hostile(&self) -> bool {
        self.wire != Wire::default()
    }
}

impl Strike {
    /// Mean time between two in a world of so many machines that may be hit.
    pub(super) fn interval(&self, fault: Fault, machines: usize) -> Option<Time> {
        let every = self.every?;
        let by_itself = !fault.is_of_server() && self.share_percent.is_none();
        match (by_itself, machines as u64) {
            (true, 0) => None,
            (true, machines) => Some((every / machines).max(1)),
            (false, _) => Some(every),
        }
    }
}
