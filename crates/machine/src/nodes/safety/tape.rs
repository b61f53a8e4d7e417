//! Brings every step from the thread of the safety loop to whoever records, without waiting: two rings that were made before the first
//! turn. What finds no room is lost, and the next that finds some says where everything stands.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use muster_reflex::safety::Safety;

use super::steps::{KEY_EVERY_US, Writer};
use super::turns::Turned;

/// Steps that may wait for the node.
const WAITING: usize = 256;
/// So many wake the node.
const MANY: usize = 64;

/// The end at which the loop is.
pub(super) struct Records {
    wanted: Arc<AtomicBool>,
    steps: rtrb::Producer<Entry>,
    keys: rtrb::Producer<Safety>,
    key_due_us: u64,
    /// Whether the next step says where everything stood before it.
    keyed: bool,
    /// Whether steps were lost since the last that did.
    lost: bool,
}

/// The end at which the node is.
pub(super) struct Taken {
    wanted: Arc<AtomicBool>,
    steps: rtrb::Consumer<Entry>,
    keys: rtrb::Consumer<Safety>,
    writer: Writer,
}

struct Entry {
    turned: Turned,
    keyed: bool,
    /// Whether it does not follow the one before.
    lost: bool,
}

/// Both ends.
pub(super) fn tape() -> (Records, Taken) {
    let wanted = Arc::new(AtomicBool::new(false));
    let (steps, steps_taken) = rtrb::RingBuffer::new(WAITING);
    // One that waits and one on its way.
    let (keys, keys_taken) = rtrb::RingBuffer::new(2);
    let records = Records {
        wanted: wanted.clone(),
        steps,
        keys,
        key_due_us: 0,
        keyed: false,
        lost: false,
    };
    let taken = Taken {
        wanted,
        steps: steps_taken,
        keys: keys_taken,
        writer: Writer::default(),
    };
    (records, taken)
}

impl Records {
    /// Before a step: now and then it is noted where everything stands.
    pub(super) fn before(&mut self, now_us: u64, safety: &Safety) {
        if !self.wanted.load(Ordering::Acquire) {
            self.key_due_us = 0;
            return;
        }
        let room = self.steps.slots() > 0 && self.keys.slots() > 0;
        self.keyed = now_us >= self.key_due_us && room && self.keys.push(safety.clone()).is_ok();
        if self.keyed {
            self.key_due_us = now_us.saturating_add(KEY_EVERY_US);
        }
    }

    /// After it; true if the node should come and take what waits.
    pub(super) fn push(&mut self, turned: &Turned) -> bool {
        if self.key_due_us == 0 {
            // Nobody listens, or what was lost cannot be made up for yet.
            return false;
        }
        let entry = Entry {
            turned: *turned,
            keyed: self.keyed,
            lost: self.keyed && std::mem::take(&mut self.lost),
        };
        if self.steps.push(entry).is_err() {
            // What follows is of no use until everything is said anew.
            self.key_due_us = 0;
            self.lost = true;
        }
        WAITING - self.steps.slots() == MANY
    }
}

impl Taken {
    /// Takes what waits.
    pub(super) fn take(&mut self) {
        self.wanted.store(self.writer.is_listened(), Ordering::Release);
        while let Ok(Entry { turned, keyed, lost }) = self.steps.pop() {
            if lost {
                self.writer.lost();
            }
            if keyed && let Ok(safety) = self.keys.pop() {
                self.writer.key(turned.now_us, safety);
            }
            self.writer.push(turned.now_us, &turned.sample, &turned.verdict);
        }
    }

    pub(super) fn steps(&mut self) -> &mut Writer {
        &mut self.writer
    }
}
