//! The proof: many seeds, the seeds that once found something, and every planted bug, on all processors.
//!
//! Begin with [`prove`]. What a proof finds is in [`Proof`]; how long it took is the caller's to say.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::world::{Check, Counts, Planted, Report, Scenario, run};

/// The seeds that once found something, each with what it found. Always run.
const KEPT: &str = include_str!("../seeds/failed.txt");
/// Every so many seeds one is run twice, to see that it gives the same run.
const TWICE_EVERY: u64 = 100;

/// What is to be proved.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The first seed.
    pub first: u64,
    /// How many seeds.
    pub seeds: u64,
    /// In how many seeds each planted bug may show itself.
    pub planted_seeds: u64,
}

/// How far a proof is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// What is being run.
    pub what: &'static str,
    /// Seeds that are done.
    pub done: u64,
    /// Of so many.
    pub of: u64,
    /// Seeds that found something.
    pub found: u64,
    /// The last of them.
    pub last_found: Option<u64>,
}

/// A seed that found something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which seed.
    pub seed: u64,
    /// What did not hold.
    pub check: Check,
    /// What was seen.
    pub what: String,
}

/// What came of many seeds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sweep {
    /// How many seeds were run.
    pub seeds: u64,
    /// Those that found something, in order.
    pub failed: Vec<Failure>,
    /// One number for all trace hashes, whatever the order in which the seeds were run.
    pub hash: u64,
    /// Virtual time of all machines together, in milliseconds.
    pub machine_ms: u64,
    /// Everything counted, over all seeds. The time to come together is the longest.
    pub counts: Counts,
    /// How often each check looked.
    pub checks: BTreeMap<Check, u64>,
    /// Seeds that were run twice.
    pub twice: u64,
    /// Those of them that gave another run the second time.
    pub unequal: Vec<u64>,
}

/// Whether and by what a planted bug was caught.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caught {
    /// Which bug.
    pub planted: Planted,
    /// In so many seeds it might have shown itself.
    pub seeds: u64,
    /// So many caught it.
    pub caught: u64,
    /// By which checks.
    pub by: BTreeMap<Check, u64>,
    /// The first seed that did.
    pub first: Option<u64>,
}

/// What was proved, or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Of the plan's seeds.
    pub seeds: Sweep,
    /// Of the seeds that once found something.
    pub kept: Sweep,
    /// Of each planted bug.
    pub planted: Vec<Caught>,
}

impl Proof {
    /// Whether everything held, runs were equal, and every planted bug was caught.
    pub fn holds(&self) -> bool {
        let sound = |sweep: &Sweep| sweep.failed.is_empty() && sweep.unequal.is_empty();
        sound(&self.seeds)
            && sound(&self.kept)
            && self
                .planted
                .iter()
                .all(|caught| caught.caught > 0 || caught.seeds == 0)
    }
}

/// The seeds that once found something.
pub fn kept_seeds() -> Vec<u64> {
    let first_words = KEPT.lines().filter_map(|line| line.split_whitespace().next());
    first_words.filter_map(|word| word.parse().ok()).collect()
}

/// Runs a plan on all processors.
pub fn prove(plan: Plan, watch: &(dyn Fn(Stage) + Sync)) -> Proof {
    let kept = kept_seeds();
    let of_kept = |index: u64| kept[index as usize];
    let kept = sweep("seeds that once failed", kept.len() as u64, &of_kept, None, watch);
    let of_plan = |index: u64| plan.first.wrapping_add(index);
    let seeds = sweep("seeds", plan.seeds, &of_plan, None, watch);
    let planted = Planted::ALL.iter().map(|planted| {
        let found = sweep(
            planted.name(),
            plan.planted_seeds,
            &|index| index,
            Some(*planted),
            watch,
        );
        let mut by: BTreeMap<Check, u64> = BTreeMap::new();
        for failure in &found.failed {
            *by.entry(failure.check).or_default() += 1;
        }
        Caught {
            planted: *planted,
            seeds: found.seeds,
            caught: found.failed.len() as u64,
            by,
            first: found.failed.first().map(|failure| failure.seed),
        }
    });
    Proof {
        kept,
        planted: planted.collect(),
        seeds,
    }
}

/// Runs many small worlds on all processors.
fn sweep(
    what: &'static str,
    count: u64,
    seed_of: &(dyn Fn(u64) -> u64 + Sync),
    planted: Option<Planted>,
    watch: &(dyn Fn(Stage) + Sync),
) -> Sweep {
    let next = AtomicU64::new(0);
    let swept: Mutex<Sweep> = Mutex::default();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        break;
                    }
                    let scenario = Scenario::of_seed(seed_of(index));
                    let scenario = match planted {
                        Some(planted) => scenario.with(planted),
                        None => scenario,
                    };
                    let report = run(&scenario);
                    let twice = planted.is_none() && index.is_multiple_of(TWICE_EVERY);
                    let again = twice.then(|| run(&scenario));
                    let mut swept = swept.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    swept.add(&scenario, report, again);
                    watch(Stage {
                        what,
                        done: swept.seeds,
                        of: count,
                        found: swept.failed.len() as u64,
                        last_found: swept.failed.last().map(|failure| failure.seed),
                    });
                }
            });
        }
    });
    let mut swept = swept
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    swept.failed.sort_by_key(|failure| failure.seed);
    swept.unequal.sort_unstable();
    swept
}

impl Sweep {
    fn add(&mut self, scenario: &Scenario, report: Report, again: Option<Report>) {
        self.seeds += 1;
        if let Some(again) = again {
            self.twice += 1;
            if again != report {
                self.unequal.push(report.seed);
            }
        }
        self.hash = self
            .hash
            .wrapping_add(mixed(report.seed ^ mixed(report.trace_hash)));
        self.machine_ms += report.counts.virtual_ms * scenario.machines as u64;
        self.counts.add(&report.counts);
        for (check, looks) in report.checks {
            *self.checks.entry(check).or_default() += looks;
        }
        if let Some(violation) = report.violation {
            self.failed.push(Failure {
                seed: report.seed,
                check: violation.check,
                what: violation.what,
            });
        }
    }
}

/// Spreads a number over all bits, so that a sum of many tells whether one of them changed. Source: SplitMix64.
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::{Plan, Planted, kept_seeds, prove};

    /// In seeds 0 and up, so many find each planted bug at least once.
    const PLANTED_SEEDS: u64 = 80;

    #[test]
    fn every_line_that_is_no_comment_begins_with_a_seed() {
        let lines = super::KEPT
            .lines()
            .filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        assert_eq!(kept_seeds().len(), lines.count());
        assert!(!kept_seeds().is_empty());
    }

    #[test]
    fn a_proof_holds_catches_every_planted_bug_and_is_the_same_twice() {
        let plan = Plan {
            first: 0,
            seeds: 40,
            planted_seeds: PLANTED_SEEDS,
        };
        let told = AtomicU64::new(0);
        let once = prove(plan, &|_| {
            told.fetch_add(1, Ordering::Relaxed);
        });
        let missed: Vec<_> = once.planted.iter().filter(|caught| caught.caught == 0).collect();
        assert!(missed.is_empty(), "{missed:?}");
        assert!(once.holds(), "{once:?}");
        assert_eq!(once.planted.len(), Planted::ALL.len());
        assert_eq!(once.seeds.seeds, 40);
        assert!(told.load(Ordering::Relaxed) > 40);
        let again = prove(
            Plan {
                planted_seeds: 1,
                ..plan
            },
            &|_| {},
        );
        assert_eq!(once.seeds.hash, again.seeds.hash);
        assert!(!again.holds(), "one seed is too few to catch every planted bug");
    }
}
