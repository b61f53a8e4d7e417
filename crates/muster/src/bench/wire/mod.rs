//! What the load's connections speak: just enough of each protocol to send, to be answered and to be acknowledged.

mod live;
mod mqtt;
mod muster;
mod nats;
mod websocket;

#[cfg(test)]
mod tests;

use std::time::{Duration, UNIX_EPOCH};

use muster_model::Timestamp;

pub(super) use live::Live;
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
    /// A sign of life that is answered: the protocol's own, where it has one above pings.
    fn beat(&mut self, _clock: &Clock, out: &mut Vec<u8>) {
        self.ask(out);
    }
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
    /// Publications that reached subscribers.
    pub(super) delivered: u64,
    /// Commands that came.
    pub(super) commands: Vec<String>,
    /// A promise of the server that was seen broken.
    pub(super) broken: Option<String>,
    /// Which connections were answered since they were last forgotten, and after how long.
    pub(super) answers: Vec<(usize, Duration)>,
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

    /// A heartbeat of Muster's link.
    pub(super) fn write_heartbeat(&mut self, clock: &Clock, out: &mut Vec<u8>) {
        self.head(b"heartbeat", false, clock, out);
        out.extend_from_slice(
            b"\",\"payload\":{\"uptime_s\":60,\"link\":{\"connects\":1,\"outbox\":0,\"dropped\":0},\
              \"safety\":\"operational\",\"authority\":\"none\"}}",
        );
    }

    /// The receipt for a command.
    pub(super) fn write_response(&mut self, command: &str, clock: &Clock, out: &mut Vec<u8>) {
        self.head(b"response", true, clock, out);
        out.extend_from_slice(b"\",\"payload\":{\"command_id\":\"");
        out.extend_from_slice(command.as_bytes());
        out.extend_from_slice(b"\",\"outcome\":\"accepted\"}}");
    }

    pub(super) fn write(&mut self, what: What, clock: &Clock, out: &mut Vec<u8>) {
        match what {
            What::Sample => self.head(b"telemetry", false, clock, out),
            What::Event => self.head(b"event", true, clock, out),
        }
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

impl Text {
    /// Everything before the payload, up to the timestamp's last digit.
    fn head(&mut self, kind: &[u8], is_record: bool, clock: &Clock, out: &mut Vec<u8>) {
        self.sequence += 1;
        out.extend_from_slice(b"{\"version\":1,\"type\":\"");
        out.extend_from_slice(kind);
        out.extend_from_slice(b"\",\"machine_id\":\"");
        out.extend_from_slice(self.machine.as_bytes());
        out.extend_from_slice(b"\",\"session\":");
        digits(self.session, out);
        out.extend_from_slice(b",\"sequence\":");
        digits(self.sequence, out);
        if is_record {
            self.record += 1;
            out.extend_from_slice(b",\"record\":");
            digits(self.record, out);
        }
        out.extend_from_slice(b",\"timestamp\":\"");
        out.extend_from_slice(clock.text.as_bytes());
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
