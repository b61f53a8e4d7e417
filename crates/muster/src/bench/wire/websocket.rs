//! RFC 6455 around another protocol, as a client.

use super::{Clock, Heard, Part, Speaker, What};

/// Longest head of an answer to the request for an upgrade.
const HEAD_MAX: usize = 8 * 1_024;

/// A speaker whose messages travel in frames.
pub(in crate::bench) struct WebSocket<S> {
    inner: S,
    /// Host, path and subprotocol.
    host: String,
    path: &'static str,
    subprotocol: Option<&'static str>,
    /// What kind of frame a message is.
    opcode: u8,
    upgraded: bool,
    /// What the inner speaker says, before it is framed.
    scratch: Vec<u8>,
    /// What it was told, and did not take yet.
    rest: Vec<u8>,
}

impl<S: Speaker> WebSocket<S> {
    pub(in crate::bench) fn text(
        inner: S,
        host: String,
        path: &'static str,
        subprotocol: Option<&'static str>,
    ) -> Self {
        Self::new(inner, host, path, subprotocol, 0x1)
    }

    pub(in crate::bench) fn binary(
        inner: S,
        host: String,
        path: &'static str,
        subprotocol: Option<&'static str>,
    ) -> Self {
        Self::new(inner, host, path, subprotocol, 0x2)
    }

    fn new(
        inner: S,
        host: String,
        path: &'static str,
        subprotocol: Option<&'static str>,
        opcode: u8,
    ) -> Self {
        Self {
            inner,
            host,
            path,
            subprotocol,
            opcode,
            upgraded: false,
            scratch: Vec::new(),
            rest: Vec::new(),
        }
    }

    /// Puts what the inner speaker said into a frame, if it said anything.
    fn pack(&mut self, out: &mut Vec<u8>) {
        if !self.scratch.is_empty() {
            frame(self.opcode, &self.scratch, out);
            self.scratch.clear();
        }
    }

    fn upgrade(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, String> {
        let Some(end) = input.windows(4).position(|window| window == b"\r\n\r\n") else {
            return if input.len() > HEAD_MAX {
                Err("an endless answer".to_owned())
            } else {
                Ok(0)
            };
        };
        if !input.starts_with(b"HTTP/1.1 101") {
            let text = String::from_utf8_lossy(&input[..input.len().min(300)]).into_owned();
            return Err(format!("no upgrade: {text}"));
        }
        self.upgraded = true;
        self.inner.open(&mut self.scratch);
        self.pack(out);
        Ok(end + 4)
    }

    fn content(&mut self, payload: &[u8], out: &mut Vec<u8>, heard: &mut Heard) -> Result<(), String> {
        if self.rest.is_empty() {
            let taken = self.inner.hear(payload, &mut self.scratch, heard)?;
            self.rest.extend_from_slice(&payload[taken..]);
        } else {
            self.rest.extend_from_slice(payload);
            let taken = self.inner.hear(&self.rest, &mut self.scratch, heard)?;
            self.rest.drain(..taken);
        }
        self.pack(out);
        Ok(())
    }
}

impl<S: Speaker> Speaker for WebSocket<S> {
    fn open(&mut self, out: &mut Vec<u8>) {
        self.upgraded = false;
        self.rest.clear();
        let subprotocol = self
            .subprotocol
            .map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n"))
            .unwrap_or_default();
        let (path, host) = (self.path, &self.host);
        out.extend_from_slice(
            format!(
                "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{subprotocol}\r\n"
            )
            .as_bytes(),
        );
    }

    fn hear(&mut self, input: &[u8], out: &mut Vec<u8>, heard: &mut Heard) -> Result<usize, String> {
        let mut taken = 0;
        if !self.upgraded {
            taken = self.upgrade(input, out)?;
            if taken == 0 {
                return Ok(0);
            }
        }
        while let Some((opcode, payload, whole)) = next_frame(&input[taken..])? {
            match opcode {
                0x0..=0x2 => self.content(payload, out, heard)?,
                0x8 => {
                    let reason = payload.get(2..).unwrap_or_default();
                    let code = payload
                        .get(..2)
                        .map_or(0, |code| u16::from_be_bytes([code[0], code[1]]));
                    return Err(format!("closed with {code} {}", String::from_utf8_lossy(reason)));
                }
                0x9 => frame(0xA, payload, out),
                0xA => heard.answered = true,
                other => return Err(format!("a frame of kind {other}")),
            }
            taken += whole;
        }
        Ok(taken)
    }

    fn say(&mut self, what: What, clock: &Clock, out: &mut Vec<u8>) {
        self.inner.say(what, clock, &mut self.scratch);
        self.pack(out);
    }

    fn beat(&mut self, clock: &Clock, out: &mut Vec<u8>) {
        self.inner.beat(clock, &mut self.scratch);
        if self.scratch.is_empty() {
            frame(0x9, b"", out);
        }
        self.pack(out);
    }

    fn ask(&mut self, out: &mut Vec<u8>) {
        self.inner.ask(&mut self.scratch);
        if self.scratch.is_empty() {
            frame(0x9, b"", out);
        }
        self.pack(out);
    }
}

/// A masked frame, as a client sends it. Source: RFC 6455, 5.2. A mask of zeros is a mask: the server's work is the same.
pub(super) fn frame(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(0x80 | opcode);
    match payload.len() {
        length @ 0..126 => out.push(0x80 | length as u8),
        length @ 126..=0xFFFF => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

/// The next frame of a server: its kind, its payload and its length as a whole. None: not all of it is there yet.
pub(super) fn next_frame(input: &[u8]) -> Result<Part<'_>, String> {
    let &[first, second, ..] = input else {
        return Ok(None);
    };
    if second & 0x80 != 0 {
        return Err("a server does not mask".to_owned());
    }
    let (length, head) = match second {
        126 => match input.get(2..4) {
            Some(bytes) => (usize::from(u16::from_be_bytes([bytes[0], bytes[1]])), 4),
            None => return Ok(None),
        },
        127 => match input.get(2..10).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok()) {
            Some(bytes) => (u64::from_be_bytes(bytes) as usize, 10),
            None => return Ok(None),
        },
        short => (usize::from(short), 2),
    };
    let whole = head + length;
    Ok(input
        .get(head..whole)
        .map(|payload| (first & 0x0f, payload, whole)))
}
