//! What a node is given to live on.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use muster_model::Timestamp;
use muster_reflex::Now;
use muster_runtime::{Clock, Shutdown};

use super::{Life, sleep_until};
use crate::bus::{Bus, Delivery, Inbox};
use crate::message::Payload;

/// A node at work. Without an error it is done for good, which is right only after it was asked to stop.
pub type NodeFuture = Pin<Box<dyn Future<Output = Result<(), NodeError>> + Send>>;

/// Why a node cannot go on. It is started again.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NodeError(pub String);

/// What a node is given to live on: the bus, its inbox, the time, and the request to stop.
#[derive(Debug)]
pub struct NodeContext {
    name: &'static str,
    tick_ms: u64,
    bus: Bus,
    inbox: Inbox,
    clock: Clock,
    shutdown: Shutdown,
    life: Arc<Life>,
}

/// Why a node woke up.
#[derive(Debug)]
pub enum Wake {
    /// A message came.
    Message(Delivery),
    /// The time came that it asked for.
    Due,
    /// It is to stop.
    Stop,
}

impl NodeContext {
    pub(super) fn new(
        name: &'static str,
        deadline: Duration,
        bus: Bus,
        inbox: Inbox,
        clock: Clock,
        shutdown: Shutdown,
        life: Arc<Life>,
    ) -> Self {
        let tick_ms = u64::try_from(deadline.as_millis() / 3).unwrap_or(u64::MAX / 8);
        Self {
            name,
            tick_ms,
            bus,
            inbox,
            clock,
            shutdown,
            life,
        }
    }

    /// Waits for a message, for a monotonic time, or for the request to stop, and gives a sign of life with each.
    ///
    /// May be given up and called again without losing a message.
    pub async fn next(&mut self, due_ms: Option<u64>) -> Wake {
        self.wait(due_ms, true).await
    }

    /// The same; without messages for a node that has no room for more: they wait, and the oldest are lost.
    pub async fn next_if(&mut self, room: bool, due_ms: Option<u64>) -> Wake {
        self.wait(due_ms, room).await
    }

    async fn wait(&mut self, due_ms: Option<u64>, listen: bool) -> Wake {
        loop {
            let now_ms = self.clock.mono_ms();
            self.life.sign(now_ms);
            // One that was replaced meanwhile must not act beside the other.
            if self.shutdown.is_requested() || self.life.is_abandoned() {
                return Wake::Stop;
            }
            if due_ms.is_some_and(|due| due <= now_ms) {
                return Wake::Due;
            }
            let until = due_ms.unwrap_or(u64::MAX).min(now_ms + self.tick_ms);
            tokio::select! {
                biased;
                () = self.shutdown.requested() => {}
                delivery = self.inbox.next(), if listen => {
                    self.life.sign(self.clock.mono_ms());
                    return Wake::Message(delivery);
                }
                () = sleep_until(&self.clock, until) => {}
            }
        }
    }

    /// Waits for something else than messages, and gives signs of life meanwhile: a slow disk is no hang. None where the node is to
    /// stop first.
    pub async fn while_waiting<T>(&mut self, something: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(something);
        loop {
            tokio::select! {
                done = &mut something => return Some(done),
                wake = self.next_if(false, None) => match wake {
                    Wake::Stop => return None,
                    Wake::Due | Wake::Message(_) => {}
                },
            }
        }
    }

    /// A message that waits already; for the last round after the request to stop.
    pub fn try_next(&mut self) -> Option<Delivery> {
        self.alive();
        self.inbox.try_next()
    }

    /// Gives a sign of life; to be called within long work.
    pub fn alive(&self) {
        self.life.sign(self.clock.mono_ms());
    }

    /// Says something on the bus.
    pub fn publish(&self, payload: Payload) {
        self.bus.publish(payload);
    }

    /// Whether nothing waits to be heard.
    pub fn hears_nothing(&self) -> bool {
        self.inbox.is_empty()
    }

    /// The bus itself, for a node that passes on what others say.
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// Its own name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The clocks.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What time it is, as the pure parts want to know it.
    pub fn now(&self) -> Now {
        Now {
            mono_ms: self.clock.mono_ms(),
            wall: Timestamp::from_millis(self.clock.wall_ms()),
        }
    }
}
