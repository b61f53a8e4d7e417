//! A client of a NATS server: CONNECT, PUB, PING, and JetStream's acknowledgements.

use super::{Clock, Heard, Speaker, Text, What, digits};

/// The stream that keeps what is to be acknowledged.
const STREAM: &str = "BENCH";

/// A client that publishes on a subject of its own.
pub(in crate::bench) struct Nats {
    subject: String,
    inbox: String,
    text: Text,
    scratch: Vec<u8>,
    /// Whether it asks for acknowledgements, and so needs the stream.
    acknowledged: bool,
    /// Whether it listens to what all others publish.
    subscribes: bool,
    /// Whether the answer to the first ping is still to come.
    greeting: bool,
}

impl Nats {
    pub(in crate::bench) fn new(index: usize, acknowledged: bool) -> Self {
        Self {
            subject: format!("m.{index}.telemetry"),
            inbox: format!("_INBOX.{index}"),
            text: Text::new(super::machine_id(index), 1),
            scratch: Vec::new(),
            acknowledged,
            subscribes: false,
            greeting: true,
        }
    }

    /// A client that listens to what all others publish.
    pub(in crate::bench) fn subscriber(index: usize) -> Self {
        Self {
            subscribes: true,
            ..Self::new(index, false)
        }
    }
}

impl Speaker for Nats {
    fn open(&mut self, out: &mut Vec<u8>) {
        self.greeting = true;
        out.extend_from_slice(
            b"CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"bench\",\"version\":\"1\"}\r\n",
        );
        if self.acknowledged {
            let (inbox, request) = (
                &self.inbox,
                format!(
                    "{{\"name\":\"{STREAM}\",\"subjects\":[\"e.>\"],\"storage\":\"file\",\"retention\":\"limits\",\
                     \"num_replicas\":1,\"max_msgs\":-1,\"max_bytes\":-1,\"discard\":\"old\"}}"
                ),
            );
            let length = request.len();
            out.extend_from_slice(
                format!(
                    "SUB {inbox} 1\r\nSUB {inbox}.made 2\r\nPUB $JS.API.STREAM.CREATE.{STREAM} {inbox}.made {length}\r\n{request}\r\n"
                )
                .as_bytes(),
            );
            self.subject = self.subject.replacen("m.", "e.", 1);
        }
        if self.subscribes {
            out.extend_from_slice(b"SUB m.*.telemetry 9\r\n");
        }
        out.extend_from_slice(b"PING\r\n");
    }

    fn hear(&mut self, input: &[u8], out: &mut Vec<u8>, heard: &mut Heard) -> Result<usize, String> {
        let mut taken = 0;
        loop {
            let left = &input[taken..];
            let Some(end) = left.windows(2).position(|pair| pair == b"\r\n") else {
                return Ok(taken);
            };
            let line = &left[..end];
            let mut whole = end + 2;
            if line.starts_with(b"MSG ") || line.starts_with(b"HMSG ") {
                let words = String::from_utf8_lossy(line);
                let length: usize = words
                    .rsplit(' ')
                    .next()
                    .and_then(|word| word.parse().ok())
                    .ok_or("a message without a length")?;
                let Some(body) = left.get(whole..whole + length) else {
                    return Ok(taken);
                };
                if left.len() < whole + length + 2 {
                    return Ok(taken);
                }
                whole += length + 2;
                self.answer(&words, body, heard)?;
            } else if line.starts_with(b"PING") {
                out.extend_from_slice(b"PONG\r\n");
            } else if line.starts_with(b"PONG") {
                if !self.greeting {
                    heard.answered = true;
                } else if !self.acknowledged {
                    heard.joined = true;
                }
                self.greeting = false;
            } else if line.starts_with(b"-ERR") {
                return Err(String::from_utf8_lossy(line).into_owned());
            }
            taken += whole;
        }
    }

    fn say(&mut self, what: What, clock: &Clock, out: &mut Vec<u8>) {
        self.scratch.clear();
        self.text.write(what, clock, &mut self.scratch);
        out.extend_from_slice(b"PUB ");
        out.extend_from_slice(self.subject.as_bytes());
        if what == What::Event {
            out.push(b' ');
            out.extend_from_slice(self.inbox.as_bytes());
        }
        out.push(b' ');
        digits(self.scratch.len() as u64, out);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&self.scratch);
        out.extend_from_slice(b"\r\n");
    }

    fn ask(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"PING\r\n");
    }
}

impl Nats {
    fn answer(&self, head: &str, body: &[u8], heard: &mut Heard) -> Result<(), String> {
        let made = head
            .split(' ')
            .nth(1)
            .is_some_and(|subject| subject.ends_with(".made"));
        if self.subscribes {
            heard.delivered += 1;
            return Ok(());
        }
        // Errors are JSON with an `error`; a stream that is there already is none.
        let text = String::from_utf8_lossy(body);
        if text.contains("\"error\"") {
            return Err(format!("JetStream: {text}"));
        }
        if made {
            heard.joined = true;
        } else {
            heard.acknowledged += 1;
        }
        Ok(())
    }
}
