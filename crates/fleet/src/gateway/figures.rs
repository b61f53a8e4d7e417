//! What is counted for every message: looked up by name once, not once a message.

use std::sync::Arc;

use metrics::Counter;
use muster_protocol::link::{MachineMessage, ServerMessage};

/// Counters of messages by type. Cheap to clone.
#[derive(Clone)]
pub struct Figures {
    received: Arc<[Counter]>,
    sent: Arc<[Counter]>,
    bytes_received: Bytes,
    bytes_sent: Bytes,
}

/// Bytes of messages, without what WebSocket and TCP put around them.
#[derive(Clone)]
struct Bytes {
    on_the_wire: Counter,
    as_text: Counter,
}

impl Bytes {
    fn add(&self, on_the_wire: usize, as_text: usize) {
        self.on_the_wire.increment(on_the_wire as u64);
        self.as_text.increment(as_text as u64);
    }
}

impl Figures {
    /// Counters of the recorder that is installed.
    pub fn new() -> Self {
        let received = MachineMessage::TYPE_NAMES
            .iter()
            .map(|name| metrics::counter!("muster_messages_received_total", "type" => *name));
        let sent = ServerMessage::TYPE_NAMES
            .iter()
            .map(|name| metrics::counter!("muster_messages_sent_total", "type" => *name));
        Self {
            received: received.collect(),
            sent: sent.collect(),
            bytes_received: Bytes {
                on_the_wire: metrics::counter!("muster_link_received_bytes_total"),
                as_text: metrics::counter!("muster_link_received_text_bytes_total"),
            },
            bytes_sent: Bytes {
                on_the_wire: metrics::counter!("muster_link_sent_bytes_total"),
                as_text: metrics::counter!("muster_link_sent_text_bytes_total"),
            },
        }
    }

    /// So many bytes were written for a message, which are so many as text.
    pub fn written(&self, on_the_wire: usize, as_text: usize) {
        self.bytes_sent.add(on_the_wire, as_text);
    }

    /// A machine is told this.
    pub fn sent(&self, message: &ServerMessage) {
        if let Some(index) = place(ServerMessage::TYPE_NAMES, message.type_name()) {
            self.sent[index].increment(1);
        }
    }
}

impl Default for Figures {
    fn default() -> Self {
        Self::new()
    }
}

/// What came from machines and is not counted yet: counters are shared by all threads, so they are told of many messages
/// at once.
#[derive(Default)]
pub struct Received {
    messages: [u32; MachineMessage::TYPE_NAMES.len()],
    on_the_wire: usize,
    as_text: usize,
}

impl Received {
    /// A machine said this, in so many bytes on the wire, which are so many as text.
    pub fn add(&mut self, message: &MachineMessage, on_the_wire: usize, as_text: usize) {
        if let Some(index) = place(MachineMessage::TYPE_NAMES, message.type_name()) {
            self.messages[index] += 1;
        }
        self.on_the_wire += on_the_wire;
        self.as_text += as_text;
    }

    /// Counts it.
    pub fn count(&self, figures: &Figures) {
        if self.on_the_wire == 0 {
            return;
        }
        figures.bytes_received.add(self.on_the_wire, self.as_text);
        for (counter, messages) in figures.received.iter().zip(self.messages) {
            if messages > 0 {
                counter.increment(messages.into());
            }
        }
    }
}

/// There are seven names at most: comparing them costs less than looking one up.
fn place(names: &[&str], name: &str) -> Option<usize> {
    names.iter().position(|known| *known == name)
}
