//! How many machines may yet join the fleet: counted over all of its shards.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Places for machines, shared by the shards of one fleet. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Places(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    free: AtomicU64,
    most: u64,
}

impl Places {
    /// As many as there may be, of which some are taken. More may be taken than there may be: then nobody joins.
    pub fn new(most: u64, taken: u64) -> Self {
        Self(Arc::new(Inner {
            free: AtomicU64::new(most.saturating_sub(taken)),
            most,
        }))
    }

    /// Takes one, if one is free.
    pub(super) fn take(&self) -> bool {
        let one_less = |free: u64| free.checked_sub(1);
        self.0
            .free
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
            .is_ok()
    }

    /// Gives one back that was taken in vain.
    pub(super) fn give_back(&self) {
        self.0.free.fetch_add(1, Ordering::Relaxed);
    }

    /// How many machines there may be.
    pub fn most(&self) -> u64 {
        self.0.most
    }
}

impl Default for Places {
    fn default() -> Self {
        Self::new(u64::MAX, 0)
    }
}
