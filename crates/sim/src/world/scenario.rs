//! What a world is like, and what came of it.

use std::collections::BTreeMap;
use std::fmt;

use super::explain::moment;
use super::judge::{Check, Violation};
use super::planted::Planted;
use super::profile::{Faults, Wire};
use super::random::Random;
use super::timeline::Stretch;
use super::trace::Told;

/// How much machines have to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Several things a second now and then: much happens in a short world.
    Dense,
    /// As machines do: something every ten seconds or so.
    Steady,
}

/// How rare the events are that the server cannot take, where there are any.
pub(super) const POISON_EVERY: u64 = 10;
/// In a small world each thing that moves fails in each way so often.
const HARDWARE_EVERY_MS: u64 = 60_000;
/// Of a whole fleet so many machines move: five turns a second of each are more than all that the others say.
const FLEET_BODIES_MAX: usize = 20;
/// Shards of a whole fleet.
const FLEET_SHARDS: usize = 4;

/// What a world is like. The same scenario gives the same run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Where all chance comes from.
    pub seed: u64,
    /// How many machines.
    pub machines: usize,
    /// Over how many shards they are spread.
    pub shards: usize,
    /// How long things go wrong, in seconds of virtual time.
    pub duration_s: u64,
    /// What goes wrong.
    pub faults: Faults,
    /// Whether frames are written and read as on the wire.
    pub wire: bool,
    /// Whether the server gathers inputs before it acts.
    pub together: bool,
    /// Whether outbox and window of the machines are small, so that they overflow.
    pub small: bool,
    /// The machine that is cut off for good when the faults end.
    pub gone: Option<usize>,
    /// Whether the server cannot take some events, whatever happens: those of every [`POISON_EVERY`]th token.
    pub poison: bool,
    /// How much machines have to tell.
    pub pace: Pace,
    /// So many machines, the first ones, move, and have a safety region that decides whether they may.
    pub bodies: usize,
    /// A bug put in on purpose.
    pub planted: Option<Planted>,
}

impl Scenario {
    /// The small, dense world of a seed: its size, its faults and its habits follow from it.
    pub fn of_seed(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x5eed);
        let machines = random.between(1, 4) as usize;
        let calm = random.chance(40);
        // Calm worlds have their own chance; what moves fails in all others.
        let dense = &Faults::NAMES[1..Faults::NAMES.len() - 1];
        let name = if calm {
            "none"
        } else {
            dense[random.index(dense.len())]
        };
        // Rare: an hour takes as long to run as dozens of short worlds.
        let long = random.chance(if name == "suspend" { 300 } else { 10 });
        let (duration_s, every_ms) = match (long, name) {
            (true, _) => (random.between(3_600, 4 * 3_600), random.between(60_000, 600_000)),
            (false, "radio") => (random.between(60, 240), 4_000),
            (false, "all" | "hostile") => (random.between(60, 240), 3_000),
            (false, _) => (random.between(60, 240), random.between(4_000, 8_000)),
        };
        let mut faults = Faults::built_in(name)
            .unwrap_or_default()
            .dense(machines, every_ms);
        if faults.is_hostile() {
            faults.wire = Wire {
                loss_percent: random.below(31),
                duplicates_percent: random.below(51),
                reordered_percent: random.below(51),
            };
        }
        let world = Self {
            seed,
            machines,
            shards: random.between(1, 2) as usize,
            duration_s,
            faults,
            wire: random.chance(250),
            together: random.chance(500),
            small: random.chance(250),
            gone: random.chance(250).then(|| random.index(machines)),
            poison: false,
            pace: if long { Pace::Steady } else { Pace::Dense },
            bodies: 0,
            planted: None,
        };
        // What moves takes more turns than everything else together: in a third of the worlds, and not for hours.
        if long || !random.chance(333) {
            return world;
        }
        world.moving()
    }

    /// The same world in which every machine moves; where anything goes wrong, what moves fails as well.
    fn moving(self) -> Self {
        let faults = if self.faults.strikes.is_empty() {
            self.faults
        } else {
            self.faults.with_hardware(HARDWARE_EVERY_MS)
        };
        Self {
            bodies: self.machines,
            faults,
            ..self
        }
    }

    /// A whole fleet over hours, as people run it.
    pub fn fleet(seed: u64, machines: usize, duration_s: u64, faults: Faults) -> Self {
        Self {
            seed,
            machines,
            shards: FLEET_SHARDS.min(machines),
            duration_s,
            bodies: if faults.has_hardware() {
                machines.min(FLEET_BODIES_MAX)
            } else {
                0
            },
            faults,
            wire: false,
            together: true,
            small: false,
            gone: None,
            poison: false,
            pace: Pace::Steady,
            planted: None,
        }
    }

    /// The same world with a bug in it.
    #[must_use]
    pub fn with(self, planted: Planted) -> Self {
        let planted_here = Self {
            planted: Some(planted),
            ..self
        };
        if planted.is_of_what_moves() {
            planted_here.moving()
        } else {
            planted_here
        }
    }
}

/// What happened in a run, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is what its name says")]
pub struct Counts {
    pub events: u64,
    pub steps: u64,
    pub virtual_ms: u64,
    pub together_after_ms: u64,
    pub published: u64,
    pub frames_up: u64,
    pub frames_down: u64,
    pub connections: u64,
    pub entries: u64,
    pub batches: u64,
    pub batches_failed: u64,
    pub faults: u64,
    pub machine_crashes: u64,
    pub server_crashes: u64,
    pub disks_lost: u64,
    pub suspensions: u64,
    pub resyncs: u64,
    pub records_refused: u64,
}

impl Counts {
    /// Adds another run's. The time to come together becomes the longest.
    pub fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.steps += other.steps;
        self.virtual_ms += other.virtual_ms;
        self.together_after_ms = self.together_after_ms.max(other.together_after_ms);
        self.published += other.published;
        self.frames_up += other.frames_up;
        self.frames_down += other.frames_down;
        self.connections += other.connections;
        self.entries += other.entries;
        self.batches += other.batches;
        self.batches_failed += other.batches_failed;
        self.faults += other.faults;
        self.machine_crashes += other.machine_crashes;
        self.server_crashes += other.server_crashes;
        self.disks_lost += other.disks_lost;
        self.suspensions += other.suspensions;
        self.resyncs += other.resyncs;
        self.records_refused += other.records_refused;
    }
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The scenario's seed.
    pub seed: u64,
    /// One number for all that happened: equal runs have equal ones.
    pub trace_hash: u64,
    /// What happened, counted.
    pub counts: Counts,
    /// How often each check looked.
    pub checks: BTreeMap<Check, u64>,
    /// What struck when.
    pub timeline: Vec<Stretch>,
    /// The first thing that did not hold.
    pub violation: Option<Violation>,
    /// The run in words, where it was told.
    pub told: Option<Told>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(told) = &self.told {
            told.fmt(f)?;
        }
        match &self.violation {
            None => write!(
                f,
                "seed {}: holds, trace {:016x}, {} events in {} s of virtual time",
                self.seed,
                self.trace_hash,
                self.counts.events,
                self.counts.virtual_ms / 1_000
            ),
            Some(violation) => write!(
                f,
                "seed {}: {:?} does not hold at {}: {}",
                self.seed,
                violation.check,
                moment(violation.at_us),
                violation.what
            ),
        }
    }
}
