//! The bus inside the process: what happened now goes to whoever listens now.
//!
//! It carries, it does not remember: who is too slow loses the oldest messages and is told how many, who comes late has
//! missed what was. What must be known is read from the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

/// Carries messages to all who subscribed.
pub trait Bus<T>: Send + Sync {
    /// Sends a message to every subscriber and says how many there are. Never blocks.
    fn publish(&self, message: T) -> usize;

    /// Listens from now on.
    fn subscribe(&self) -> Subscription<T>;

    /// Messages that slow subscribers have lost, all taken together, as far as they noticed.
    fn dropped(&self) -> u64;
}

/// A bus within one process, bounded for each subscriber. Clones are the same bus.
#[derive(Debug)]
pub struct LocalBus<T> {
    sender: broadcast::Sender<T>,
    dropped: Arc<AtomicU64>,
}

impl<T: Clone> LocalBus<T> {
    /// A bus on which a subscriber may be this many messages behind (at least one).
    pub fn new(behind_max: usize) -> Self {
        Self {
            sender: broadcast::Sender::new(behind_max.max(1)),
            dropped: Arc::default(),
        }
    }

    /// How many listen, so that nobody makes what nobody hears.
    pub fn subscribers(&self) -> usize {
        self.sender.receiver_count()
    }
}

impl<T> Clone for LocalBus<T> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            dropped: Arc::clone(&self.dropped),
        }
    }
}

impl<T: Clone + Send> Bus<T> for LocalBus<T> {
    fn publish(&self, message: T) -> usize {
        // Nobody listens: fine.
        self.sender.send(message).unwrap_or(0)
    }

    fn subscribe(&self) -> Subscription<T> {
        Subscription {
            receiver: self.sender.subscribe(),
            dropped: 0,
            dropped_by_all: Arc::clone(&self.dropped),
        }
    }

    fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Messages since the subscription, in order.
#[derive(Debug)]
pub struct Subscription<T> {
    receiver: broadcast::Receiver<T>,
    dropped: u64,
    dropped_by_all: Arc<AtomicU64>,
}

impl<T: Clone> Subscription<T> {
    /// The next message; `None` once the bus is gone. Lost messages are skipped and counted. Safe to cancel.
    pub async fn next(&mut self) -> Option<T> {
        loop {
            match self.receiver.recv().await {
                Ok(message) => return Some(message),
                Err(RecvError::Lagged(count)) => self.count(count),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// The next message, if one is there already.
    pub fn try_next(&mut self) -> Option<T> {
        loop {
            match self.receiver.try_recv() {
                Ok(message) => return Some(message),
                Err(TryRecvError::Lagged(count)) => self.count(count),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
            }
        }
    }

    /// How many messages this subscription has lost. Compare it after each message: if it grew, read anew.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// How many messages wait.
    pub fn waiting(&self) -> usize {
        self.receiver.len()
    }

    fn count(&mut self, count: u64) {
        self.dropped += count;
        self.dropped_by_all.fetch_add(count, Ordering::Relaxed);
    }
}
