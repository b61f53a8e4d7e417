//! A client of an MQTT 3.1.1 broker: CONNECT, PUBLISH, PUBACK, PINGREQ.

use super::{Clock, Heard, Part, Speaker, Text, What};

/// A client that publishes on a topic of its own.
pub(in crate::bench) struct Mqtt {
    name: String,
    topic: String,
    text: Text,
    packet_id: u16,
    scratch: Vec<u8>,
    /// Whether it listens to what all others publish.
    subscribes: bool,
}

impl Mqtt {
    pub(in crate::bench) fn new(index: usize) -> Self {
        Self {
            name: format!("bench-{index}"),
            topic: format!("m/{index}/telemetry"),
            text: Text::new(super::machine_id(index), 1),
            packet_id: 0,
            scratch: Vec::new(),
            subscribes: false,
        }
    }

    /// A client that listens to what all others publish.
    pub(in crate::bench) fn subscriber(index: usize) -> Self {
        Self {
            subscribes: true,
            ..Self::new(index)
        }
    }
}

impl Speaker for Mqtt {
    /// Source: MQTT 3.1.1, 3.1: protocol name, level 4, clean session, keep alive of 600 s, client id.
    fn open(&mut self, out: &mut Vec<u8>) {
        let mut body = vec![0, 4];
        body.extend_from_slice(b"MQTT");
        body.extend_from_slice(&[4, 0x02]);
        body.extend_from_slice(&600u16.to_be_bytes());
        text(&self.name, &mut body);
        packet(0x10, &body, out);
    }

    fn hear(&mut self, input: &[u8], out: &mut Vec<u8>, heard: &mut Heard) -> Result<usize, String> {
        let mut taken = 0;
        while let Some((kind, body, whole)) = next_packet(&input[taken..])? {
            match kind >> 4 {
                // CONNACK
                2 => match body {
                    // Source: MQTT 3.1.1, 3.8: packet id, topic filter, QoS 0.
                    [_, 0] if self.subscribes => {
                        let mut body = vec![0, 1];
                        text("m/+/telemetry", &mut body);
                        body.push(0);
                        packet(0x82, &body, out);
                    }
                    [_, 0] => heard.joined = true,
                    _ => return Err("the broker refused the connection".to_owned()),
                },
                // PUBLISH
                3 => heard.delivered += 1,
                // SUBACK
                9 => heard.joined = true,
                // PUBACK
                4 => heard.acknowledged += 1,
                // PINGRESP
                13 => heard.answered = true,
                _ => {}
            }
            taken += whole;
        }
        Ok(taken)
    }

    fn say(&mut self, what: What, clock: &Clock, out: &mut Vec<u8>) {
        self.scratch.clear();
        text(&self.topic, &mut self.scratch);
        let first = match what {
            What::Sample => 0x30,
            What::Event => {
                self.packet_id = self.packet_id.checked_add(1).unwrap_or(1);
                self.scratch.extend_from_slice(&self.packet_id.to_be_bytes());
                0x32
            }
        };
        self.text.write(what, clock, &mut self.scratch);
        packet(first, &self.scratch, out);
    }

    fn ask(&mut self, out: &mut Vec<u8>) {
        packet(0xC0, &[], out);
    }
}

fn text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Source: MQTT 3.1.1, 2.2.3: the remaining length in groups of seven bits.
fn packet(first: u8, body: &[u8], out: &mut Vec<u8>) {
    out.push(first);
    let mut length = body.len();
    loop {
        let group = (length % 128) as u8;
        length /= 128;
        out.push(if length > 0 { group | 0x80 } else { group });
        if length == 0 {
            break;
        }
    }
    out.extend_from_slice(body);
}

/// The next packet: its first byte, its body and its length as a whole.
fn next_packet(input: &[u8]) -> Result<Part<'_>, String> {
    let Some(&first) = input.first() else {
        return Ok(None);
    };
    let mut length = 0usize;
    for place in 0..4 {
        let Some(&byte) = input.get(1 + place) else {
            return Ok(None);
        };
        length |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            let (head, whole) = (2 + place, 2 + place + length);
            return Ok(input.get(head..whole).map(|body| (first, body, whole)));
        }
    }
    Err("a length of more than four bytes".to_owned())
}
