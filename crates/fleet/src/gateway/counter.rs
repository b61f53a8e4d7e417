//! How many of something there are right now, as a metric and as a number.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts what is there now.
#[derive(Clone, Debug)]
pub struct Counter {
    count: Arc<AtomicUsize>,
    metric: &'static str,
}

/// One that is counted, until it is dropped.
#[derive(Debug)]
pub struct Counted(Counter);

impl Counter {
    /// None yet; shown under this name among the metrics.
    pub fn new(metric: &'static str) -> Self {
        metrics::gauge!(metric).set(0.0);
        Self {
            count: Arc::default(),
            metric,
        }
    }

    /// One more.
    #[must_use = "it is counted only as long as it is held"]
    pub fn enter(&self) -> Counted {
        self.count.fetch_add(1, Ordering::Relaxed);
        metrics::gauge!(self.metric).increment(1.0);
        Counted(self.clone())
    }

    /// How many.
    pub fn now(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
        metrics::gauge!(self.0.metric).decrement(1.0);
    }
}
