//! The machine's own bus: in memory, topic-based, asynchronous publish and subscribe.
//!
//! A publisher never waits. Every subscriber has a bounded [`Inbox`]; one that is too slow loses the oldest messages and
//! sees with the next one how many. What says how something *is* (see [`Payload::is_retained`]) is kept, and given to
//! whoever subscribes later. The bus belongs to no async runtime: its ends may live on different threads, each with a
//! runtime of its own.

use std::collections::VecDeque;
use std::sync::Arc;

use muster_model::{Timestamp, Topic, TopicPattern};
use muster_runtime::Clock;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use crate::message::{Message, Payload};

/// Messages that an inbox holds, unless it is told otherwise.
pub const INBOX_MAX: usize = 256;
/// Topics whose latest message is kept; beyond it a new topic is passed on but not kept.
pub const RETAINED_MAX: usize = 64;

/// One machine's bus. Cheap to clone; all clones are the same bus.
#[derive(Clone, Debug)]
pub struct Bus {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    clock: Clock,
    slots: RwLock<Vec<Arc<Slot>>>,
    retained: Mutex<Vec<Arc<Message>>>,
}

/// Where the messages of one subscriber wait.
#[derive(Debug)]
struct Slot {
    patterns: Box<[TopicPattern]>,
    max: usize,
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<Arc<Message>>,
    /// Lost since the last message was taken out.
    lost: u64,
    /// Whose turn it is to read: a reader that was replaced reads nothing more.
    generation: u64,
}

/// A message as a subscriber gets it.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The message.
    pub message: Arc<Message>,
    /// How many messages were lost just before it, because the inbox was full.
    pub lost: u64,
}

/// The reading end of a subscription.
#[derive(Debug)]
pub struct Inbox {
    slot: Arc<Slot>,
    generation: u64,
    /// Ends the subscription with the inbox, where nobody else keeps it.
    mailbox: Option<Mailbox>,
}

/// A subscription whose reader may be replaced: what arrives in between waits.
#[derive(Debug)]
pub(crate) struct Mailbox {
    bus: Bus,
    slot: Arc<Slot>,
}

impl Bus {
    /// A bus that nobody listens to.
    pub fn new(clock: Clock) -> Self {
        let (slots, retained) = (RwLock::default(), Mutex::default());
        Self {
            shared: Arc::new(Shared {
                clock,
                slots,
                retained,
            }),
        }
    }

    /// Says something to all who listen. Never waits.
    pub fn publish(&self, payload: Payload) {
        let topic = payload.topic();
        self.publish_as(topic, payload);
    }

    /// Says something under a topic of one's own.
    pub fn publish_as(&self, topic: Topic, payload: Payload) {
        let at = Timestamp::from_millis(self.shared.clock.wall_ms());
        let retain = payload.is_retained();
        let mono_ms = self.shared.clock.mono_ms();
        let message = Arc::new(Message {
            topic,
            at,
            mono_ms,
            payload,
        });
        // Held while it is handed out, so that a new subscriber gets a message once: retained or live.
        let mut retained = retain.then(|| self.shared.retained.lock());
        if let Some(retained) = &mut retained {
            if let Some(kept) = retained.iter_mut().find(|kept| kept.topic == message.topic) {
                *kept = message.clone();
            } else if retained.len() < RETAINED_MAX {
                retained.push(message.clone());
            }
        }
        for slot in self.shared.slots.read().iter() {
            slot.offer(&message);
        }
    }

    /// Listens to all topics that match one of the patterns. What is retained of them is in the inbox at once.
    pub fn subscribe(&self, patterns: impl Into<Box<[TopicPattern]>>, max: usize) -> Inbox {
        let mailbox = self.mailbox(patterns, max);
        let mut inbox = mailbox.open();
        inbox.mailbox = Some(mailbox);
        inbox
    }

    /// The same for a reader that may be replaced.
    pub(crate) fn mailbox(&self, patterns: impl Into<Box<[TopicPattern]>>, max: usize) -> Mailbox {
        let slot = Arc::new(Slot {
            patterns: patterns.into(),
            max: max.max(1),
            waiting: Mutex::default(),
            arrived: Notify::new(),
        });
        let retained = self.shared.retained.lock();
        self.shared.slots.write().push(slot.clone());
        drop(retained);
        Mailbox {
            bus: self.clone(),
            slot,
        }
    }

    /// Whether anybody listens to this topic.
    pub fn is_heard(&self, topic: &str) -> bool {
        let slots = self.shared.slots.read();
        slots
            .iter()
            .any(|slot| slot.patterns.iter().any(|pattern| pattern.matches(topic)))
    }

    /// How many inboxes listen.
    pub fn subscribers(&self) -> usize {
        self.shared.slots.read().len()
    }
}

impl Slot {
    fn wants(&self, message: &Message) -> bool {
        let topic = message.topic.as_str();
        self.patterns.iter().any(|pattern| pattern.matches(topic))
    }

    fn offer(&self, message: &Arc<Message>) {
        if !self.wants(message) {
            return;
        }
        let mut waiting = self.waiting.lock();
        if waiting.messages.len() >= self.max {
            waiting.messages.pop_front();
            waiting.lost += 1;
        }
        waiting.messages.push_back(message.clone());
        drop(waiting);
        self.arrived.notify_one();
    }
}

impl Mailbox {
    /// An inbox for a reader that takes over: nothing that waits is lost, what is retained comes again first, and the
    /// reader before gets nothing more.
    pub(crate) fn open(&self) -> Inbox {
        let retained = self.bus.shared.retained.lock();
        let mut waiting = self.slot.waiting.lock();
        waiting.generation += 1;
        for message in retained.iter().rev().filter(|message| self.slot.wants(message)) {
            let there = waiting.messages.iter().any(|held| held.topic == message.topic);
            if !there && waiting.messages.len() < self.slot.max {
                waiting.messages.push_front(message.clone());
            }
        }
        let generation = waiting.generation;
        drop(waiting);
        drop(retained);
        self.slot.arrived.notify_one();
        Inbox {
            slot: self.slot.clone(),
            generation,
            mailbox: None,
        }
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        let mut slots = self.bus.shared.slots.write();
        slots.retain(|slot| !Arc::ptr_eq(slot, &self.slot));
    }
}

impl Inbox {
    /// The next message. May be given up and asked again without losing any.
    pub async fn next(&mut self) -> Delivery {
        loop {
            let arrived = self.slot.arrived.notified();
            match Self::take(&self.slot, self.generation) {
                Taken::Delivery(delivery) => return delivery,
                Taken::Nothing => arrived.await,
                Taken::Replaced => {
                    // The wake-up was meant for the reader that took over.
                    self.slot.arrived.notify_one();
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    /// Whether no message waits.
    pub fn is_empty(&self) -> bool {
        self.slot.waiting.lock().messages.is_empty()
    }

    /// The next message, if there is one.
    pub fn try_next(&mut self) -> Option<Delivery> {
        match Self::take(&self.slot, self.generation) {
            Taken::Delivery(delivery) => Some(delivery),
            Taken::Nothing | Taken::Replaced => None,
        }
    }

    fn take(slot: &Slot, generation: u64) -> Taken {
        let mut waiting = slot.waiting.lock();
        if waiting.generation != generation {
            return Taken::Replaced;
        }
        let Some(message) = waiting.messages.pop_front() else {
            return Taken::Nothing;
        };
        let lost = std::mem::take(&mut waiting.lost);
        if waiting.messages.is_empty() {
            // A burst must not cost memory for ever.
            waiting.messages.shrink_to(8);
        }
        Taken::Delivery(Delivery { message, lost })
    }
}

enum Taken {
    Delivery(Delivery),
    Nothing,
    Replaced,
}
