//! What a world is like, and what came of it.

use std::collections::BTreeMap;
use std::fmt;

use super::faults::Faults;
use super::judge::{Check, Violation};
use super::planted::Planted;
use super::random::Random;
use super::trace::Clock;

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
    /// A bug put in on purpose.
    pub planted: Option<Planted>,
}

impl Scenario {
    /// The world of a seed: its size, its faults and its habits follow from it.
    pub fn of_seed(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x5eed);
        let machines = random.between(1, 4) as usize;
        let calm = random.chance(40);
        let profiles = &Faults::PROFILES[..Faults::PROFILES.len() - 1];
        let faults = if calm {
            Faults::NONE
        } else {
            profiles[random.index(profiles.len())]
        };
        Self {
            seed,
            machines,
            shards: random.between(1, 2) as usize,
            duration_s: random.between(60, 240),
            faults,
            wire: random.chance(250),
            together: random.chance(500),
            small: random.chance(250),
            gone: random.chance(250).then(|| random.index(machines)),
            planted: None,
        }
    }

    /// The same world with a bug in it.
    #[must_use]
    pub fn with(self, planted: Planted) -> Self {
        Self {
            planted: Some(planted),
            ..self
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
    pub resyncs: u64,
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
    /// The first thing that did not hold.
    pub violation: Option<Violation>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(violation) = &self.violation else {
            return write!(
                f,
                "seed {}: holds, trace {:016x}, {} events in {} s of virtual time",
                self.seed,
                self.trace_hash,
                self.counts.events,
                self.counts.virtual_ms / 1_000
            );
        };
        writeln!(
            f,
            "seed {}: {:?} does not hold at {}: {}",
            self.seed,
            violation.check,
            Clock(violation.at_us),
            violation.what
        )?;
        for step in &violation.steps {
            writeln!(f, "  {step}")?;
        }
        Ok(())
    }
}
