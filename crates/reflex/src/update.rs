//! How a machine comes to another release: taken up, fetched, installed when the machine's own state allows it, proved, or taken back.
//!
//! ```text
//! Idle → Offered → Fetching → Verified → Waiting(why) → Installing → Probation → Confirmed
//!                     └──────────┴────────────┴────────────┴───────────┴→ RolledBack(why) / Refused(why)
//! ```
//!
//! Begin with [`Updates::step`]. Nothing here touches a disk: what lies in the slots is told by [`Input::Slots`] and changed by effects, each
//! of which is answered. Two things are decided here and nowhere else: that a version is put into use only while every
//! precondition holds *at that moment* ([`readings`]), and that it counts only after its checks held without a break ([`probation`]). One
//! product changes at a time.
//!
//! After a power cut the same is found again: the assignment is in the desired state, [`Taken`] says how far it was dealt with, and the
//! slots say what runs.

mod interface;
mod probation;
mod product;
mod readings;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use muster_model::release::{DesiredReleases, ProductName, UpdatesReport};

use crate::Now;

pub use interface::{
    Condition, Effect, Ended, Facts, HealthWanted, Input, Slots, Stage, Step, Taken, Test, Trouble,
};
use product::Product;
pub use readings::{READING_MAX_AGE_MS, Reading, Readings, Value};

/// Between two tries to fetch what could not be fetched, at first …
pub const AGAIN_MS: u64 = 2_000;
/// … and at most.
pub const AGAIN_MAX_MS: u64 = 300_000;
/// Between two looks at what a version on probation does.
pub const CHECK_EVERY_MS: u64 = 1_000;
/// Between two tries of what the disk refused.
pub const DISK_AGAIN_MS: u64 = 10_000;
/// Where a release that is started says nothing about its health: it stays up so long …
pub const HOLD_MS: u64 = 10_000;
/// … within this time.
pub const WITHIN_MS: u64 = 60_000;

/// Bugs that tests put in, to see that they are found.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Planted {
    /// What held when it was installed is not asked again before the change.
    ConditionsAreAskedOnce,
    /// A reading that nobody repeated counts for ever.
    StaleCounts,
    /// A reading that the machine does not have holds.
    UnknownHolds,
    /// The first good check confirms.
    HoldIsIgnored,
    /// A stop of all updates is noticed only by what has not begun.
    StopIsLate,
    /// The same assignment is tried again after it ended.
    EndIsForgotten,
    /// A check that failed leaves the time before it counted.
    BreakIsIgnored,
}

/// All products of one machine.
#[derive(Clone, Debug, Default)]
pub struct Updates {
    desired: DesiredReleases,
    products: BTreeMap<ProductName, Product>,
    readings: Readings,
    #[cfg(test)]
    pub(crate) planted: Option<Planted>,
}

impl Updates {
    /// With what the disk says of how far each product was.
    pub fn new(taken: BTreeMap<ProductName, Taken>) -> Self {
        let products = taken
            .into_iter()
            .map(|(name, taken)| (name.clone(), Product::new(name, Some(taken))))
            .collect();
        Self {
            products,
            ..Self::default()
        }
    }

    /// Takes in what happened, and says what is to be done.
    pub fn step(&mut self, now: Now, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::Time => {}
            Input::Desired(desired) => {
                for name in desired.products.keys() {
                    self.product(name);
                }
                self.desired = desired;
            }
            Input::Readings(readings) => self.readings = readings,
            Input::Of(name, step) => {
                self.product(&name).came(now, &name, step, &mut effects);
            }
        }
        self.go_on(now, &mut effects);
        effects
    }

    fn product(&mut self, name: &ProductName) -> &mut Product {
        let new = || Product::new(name.clone(), None);
        self.products.entry(name.clone()).or_insert_with(new)
    }

    /// When time alone changes something, in monotonic milliseconds.
    pub fn due_ms(&self, now: Now) -> Option<u64> {
        self.products
            .values()
            .filter_map(|product| product.due_ms(now))
            .min()
    }

    /// What is reported.
    pub fn report(&self) -> UpdatesReport {
        UpdatesReport {
            stopped: self.desired.stopped.is_some(),
            products: self
                .products
                .iter()
                .map(|(name, product)| product.report(name))
                .collect(),
        }
    }

    fn go_on(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let context = product::Surroundings {
            now,
            stopped: self.desired.stopped.as_deref(),
            readings: &self.readings,
            #[cfg(test)]
            planted: self.planted,
        };
        // What has begun goes on before anything begins.
        let mut is_busy = false;
        for (name, product) in &mut self.products {
            if product.is_busy() {
                let wanted = self.desired.products.get(name);
                product.go_on(&context, name, wanted, effects);
                is_busy |= product.is_busy();
            }
        }
        for (name, product) in &mut self.products {
            if product.is_busy() {
                continue;
            }
            let wanted = self.desired.products.get(name);
            product.look(&context, name, wanted, is_busy, effects);
            is_busy |= product.is_busy();
        }
    }
}
