//! What the load's connections speak: just enough of each protocol to send, to be answered and to be acknowledged.

mod mqtt;
mod muster;
mod nats;
mod websocket;

#[cfg(test)]
mod tests;

use std::time::{Duration, UNIX_EPOCH};

use muster_model::Timestamp;

pub(super) use mqtt::Mqtt;
pub(super) use muster::{Muster, machine_id};
pub(super) use nats::Nats;
pub(super) use websocket::WebSocket;

/// What is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// One measurement that nobody acknowledges.
    Sample,
    /// Something that happened, acknowledged when it is safe.
    Event,
}

/// One end of a connection. Fails with words that say why the connection is of no use any more.
pub(super) trait Speaker {
    /// The first bytes after the connection stands.
    fn open(&mut self, out: &mut Vec<u8>);
    /// Takes whole messages from the beginning of `input` and says how many bytes those were.
    fn hear(&mut self, input: &[u8], out: &mut Vec<u8>, heard: &mut Heard) -> Result<usize, String>;
    /// One message.
    fn say(&mut self, what: What, clock: &Clock, out: &mut Vec<u8>);
    /// A ping, which the server answers after all that was said before.
    fn ask(&mut self, out: &mut Vec<u8>);
}

/// The next frame or packet: its kind, its content, and its length as a whole. None: not all of it is there yet.
type Part<'a> = Option<(u8, &'a [u8], usize)>;

/// What was heard.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// The connection that is listened to is in session.
    pub(super) joined: bool,
    /// It was answered.
    pub(super) answered: bool,
    /// Messages that were acknowledged on it.
    pub(super) acknowledged: u32,
    /// Which connections were answered since they were last forgotten, and after how long.
    pub(super) answers: Vec<(usize, Duration)>,
    /// Which connections ended.
    pub(super) lost: Vec<usize>,
}

impl Heard {
    /// The next connection is listened to.
    pub(super) fn begin(&mut self) {
        (self.joined, self.answered, self.acknowledged) = (false, false, 0);
    }

    /// How many messages were acknowledged on it.
    pub(super) fn finish(&mut self) -> u32 {
        std::mem::take(&mut self.acknowledged)
    }

    pub(super) fn forget(&mut self) {
        self.answers.clear();
        self.lost.clear();
    }
}

/// The wall clock as messages show it, looked at once per turn of the generator.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    pub(super) text: String,
}

impl Clock {
    pub(super) fn now() -> Self {
        let since = UNIX_EPOCH.elapsed().unwrap_or_default();
        let text = Timestamp::from_millis(since.as_millis() as i64).to_string();
        Self { text }
    }
}

/// The next message in JSON, about 200 bytes, the same for every server.
#[derive(Clone, Debug)]
pub(super) struct Text {
    machine: String,
    session: u64,
    sequence: u64,
    record: u64,
}

impl Text {
    pub(super) fn new(machine: String, session: u64) -> Self {
        Self {
            machine,
            session,
            sequence: 0,
            record: 0,
        }
    }

    pub(super) fn write(&mut self, what: What, clock: &Clock, out: &mut Vec<u8>) {
        self.sequence += 1;
        out.extend_from_slice(b"{\"version\":1,\"type\":\"");
        out.extend_from_slice(match what {
            What::Sample => b"telemetry",
            What::Event => b"event",
        });
        out.extend_from_slice(b"\",\"machine_id\":\"");
        out.extend_from_slice(self.machine.as_bytes());
        out.extend_from_slice(b"\",\"session\":");
        digits(self.session, out);
        out.extend_from_slice(b",\"sequence\":");
        digits(self.sequence, out);
        if what == What::Event {
            self.record += 1;
            out.extend_from_slice(b",\"record\":");
            digits(self.record, out);
        }
        out.extend_from_slice(b",\"timestamp\":\"");
        out.extend_from_slice(clock.text.as_bytes());
        match what {
            What::Sample => {
                out.extend_from_slice(b"\",\"payload\":{\"samples\":[{\"metric\":\"cpu.percent\",\"value\":");
                digits(self.sequence % 100, out);
                out.extend_from_slice(b".5}]}}");
            }
            What::Event => out.extend_from_slice(
                b"\",\"payload\":{\"kind\":\"bench.event\",\"severity\":\"info\",\"message\":\"something happened\"}}",
            ),
        }
    }
}

/// A whole number, without what formatting costs.
pub(super) fn digits(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}
