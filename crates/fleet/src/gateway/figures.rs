//! What is counted for every message: looked up by name once, not once a message.

use std::sync::Arc;

use metrics::Counter;
use muster_protocol::link::{MachineMessage, ServerMessage};

/// Counters of messages by type. Cheap to clone.
#[derive(Clone)]
pub struct Figures {
    received: Arc<[Counter]>,
    sent: Arc<[Counter]>,
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
        }
    }

    /// A machine said this.
    pub fn received(&self, message: &MachineMessage) {
        count(&self.received, MachineMessage::TYPE_NAMES, message.type_name());
    }

    /// A machine is told this.
    pub fn sent(&self, message: &ServerMessage) {
        count(&self.sent, ServerMessage::TYPE_NAMES, message.type_name());
    }
}

impl Default for Figures {
    fn default() -> Self {
        Self::new()
    }
}

/// There are seven names at most: comparing them costs less than looking one up.
fn count(counters: &[Counter], names: &[&str], name: &str) {
    if let Some(index) = names.iter().position(|known| *known == name) {
        counters[index].increment(1);
    }
}
