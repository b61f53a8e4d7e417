//! A machine on Muster's link.

use muster_model::{BootId, MachineId, RecordNumber, SequenceNumber, SessionNumber, Timestamp};
use muster_protocol::link::{
    Decoder, Envelope, Hello, MachineMessage, PATH, SUBPROTOCOL, ServerMessage, encode,
};

use super::{Clock, Heard, Speaker, Text, WebSocket, What};

/// The machine with this index.
pub(in crate::bench) fn machine_id(index: usize) -> String {
    format!("0be7c400-0000-7000-8000-{index:012x}")
}

/// A machine: says hello, sends, counts what is acknowledged.
pub(in crate::bench) struct Muster {
    machine: String,
    text: Text,
    /// The highest record that was acknowledged.
    acknowledged: u64,
    decoder: Decoder,
}

impl Muster {
    /// On its link: a WebSocket of text frames.
    pub(in crate::bench) fn connect(index: usize, host: String) -> WebSocket<Self> {
        Self::connect_as(machine_id(index), host)
    }

    /// The same, of a machine whose id was chosen by the server.
    pub(in crate::bench) fn connect_as(machine: String, host: String) -> WebSocket<Self> {
        let inner = Self {
            text: Text::new(machine.clone(), 0),
            machine,
            acknowledged: 0,
            decoder: Decoder::default(),
        };
        WebSocket::text(inner, host, PATH, Some(SUBPROTOCOL))
    }

    fn hello(&self) -> Option<String> {
        let machine_id: MachineId = self.machine.parse().ok()?;
        let boot_id: BootId = self.machine.parse().ok()?;
        let hello = MachineMessage::Hello(Box::new(Hello {
            versions: vec![1],
            minor: 0,
            agent_version: "bench".to_owned(),
            boot_id,
            capabilities: vec!["telemetry".to_owned(), "events".to_owned()],
            dictionaries: Vec::new(),
            commands: Vec::new(),
            last_session: SessionNumber(self.text.session),
            desired_version: 0,
            records: None,
            highest_record: RecordNumber(self.text.record),
        }));
        let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        encode(&Envelope {
            machine_id,
            session: None,
            sequence: SequenceNumber(1),
            record: None,
            timestamp: Timestamp::from_millis(since.as_millis() as i64),
            traceparent: None,
            message: hello,
        })
        .ok()
    }
}

impl Speaker for Muster {
    fn open(&mut self, out: &mut Vec<u8>) {
        // What was not acknowledged is given up with the connection it was sent on, and its numbers are used again.
        (self.text.sequence, self.text.record) = (1, self.acknowledged);
        if let Some(hello) = self.hello() {
            out.extend_from_slice(hello.as_bytes());
        }
    }

    /// A frame holds one message, so what comes is whole.
    fn hear(&mut self, input: &[u8], out: &mut Vec<u8>, heard: &mut Heard) -> Result<usize, String> {
        let text = std::str::from_utf8(input).map_err(|error| error.to_string())?;
        match self
            .decoder
            .server(text)
            .map_err(|error| error.to_string())?
            .message
        {
            ServerMessage::Welcome(welcome) => {
                self.text.session = welcome.session.0;
                let highest = welcome.highest_record.0;
                if highest < self.acknowledged {
                    let (machine, acknowledged) = (&self.machine, self.acknowledged);
                    heard.broken = Some(format!(
                        "{machine} was acknowledged record {acknowledged}, and the server holds {highest} now"
                    ));
                }
                (self.text.record, self.acknowledged) = (highest, highest);
                heard.joined = true;
            }
            ServerMessage::Ack(ack) => {
                if ack.heartbeat.is_some() {
                    heard.answered = true;
                }
                let news = ack.record.0.saturating_sub(self.acknowledged);
                self.acknowledged += news;
                heard.acknowledged += news as u32;
            }
            ServerMessage::Command(command) => {
                self.text.write_response(&command.id, &Clock::now(), out);
                heard.commands.push(command.id);
            }
            ServerMessage::Resync(_) | ServerMessage::Desired(_) => {}
            ServerMessage::Bye(bye) => return Err(format!("sent away: {:?}", bye.reason)),
        }
        Ok(input.len())
    }

    fn say(&mut self, what: What, clock: &Clock, out: &mut Vec<u8>) {
        self.text.write(what, clock, out);
    }

    fn beat(&mut self, clock: &Clock, out: &mut Vec<u8>) {
        self.text.write_heartbeat(clock, out);
    }

    /// The WebSocket around it asks.
    fn ask(&mut self, _out: &mut Vec<u8>) {}
}
