//! A client of Muster's live API: it listens to the state of all machines, as a dashboard does.

use super::{Clock, Heard, Speaker, WebSocket, What};

/// Every item of an update has a topic, and no row holds one.
const ITEM: &[u8] = b"{\"topic\":\"";

/// A client that listens.
pub(in crate::bench) struct Live;

impl Live {
    /// On the live API: a WebSocket of text frames.
    pub(in crate::bench) fn connect(host: String) -> WebSocket<Self> {
        WebSocket::text(Self, host, "/ws", None)
    }
}

impl Speaker for Live {
    fn open(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"type\":\"subscribe\",\"id\":\"all\",\"topics\":[\"machine.*.state\"]}");
    }

    /// A frame holds one message, so what comes is whole.
    fn hear(&mut self, input: &[u8], _out: &mut Vec<u8>, heard: &mut Heard) -> Result<usize, String> {
        if input.starts_with(b"{\"type\":\"snapshot\"") {
            heard.joined = true;
        } else if input.starts_with(b"{\"type\":\"update\"") {
            heard.delivered += items(input);
        } else if !input.starts_with(b"{\"type\":\"pong\"") {
            return Err(String::from_utf8_lossy(&input[..input.len().min(300)]).into_owned());
        }
        Ok(input.len())
    }

    fn say(&mut self, _what: What, _clock: &Clock, _out: &mut Vec<u8>) {}

    /// The WebSocket around it asks.
    fn ask(&mut self, _out: &mut Vec<u8>) {}
}

/// How many items a message holds.
pub(super) fn items(message: &[u8]) -> u64 {
    let (mut count, mut at) = (0, 0);
    while let Some(brace) = message[at..].iter().position(|byte| *byte == b'{') {
        at += brace;
        if message[at..].starts_with(ITEM) {
            count += 1;
            at += ITEM.len();
        } else {
            at += 1;
        }
    }
    count
}
