//! One connection of the load.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use rustix::event::epoll;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use rustls::ClientConfig;

use super::secure::Secure;
use crate::bench::error::{BenchError, Result};
use crate::bench::wire::{Heard, Speaker};

/// Room in the kernel for what was said and not read yet: small, so that back-pressure is felt soon.
const SEND_BUFFER_BYTES: usize = 128 * 1_024;

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The kernel connects.
    Connecting,
    /// Connected, and greeting.
    Greeting,
    /// In session.
    Up,
    /// Ended.
    Gone,
}

/// One connection.
pub(super) struct Connection {
    pub(super) phase: Phase,
    /// Tells events of a connection from those of the one before it with the same index.
    pub(super) generation: u32,
    /// Kept over the end of a connection: it knows what was acknowledged.
    pub(super) speaker: Option<Box<dyn Speaker>>,
    /// Said and not acknowledged.
    pub(super) in_flight: u32,
    /// When a question was asked that is not answered yet.
    pub(super) asked_at: Option<Instant>,
    index: usize,
    stream: Option<TcpStream>,
    /// How what is said is encrypted; none: it is not.
    secured_by: Option<Arc<ClientConfig>>,
    secure: Option<Box<Secure>>,
    /// Heard, and not whole yet.
    rest: Vec<u8>,
    /// Said, and not taken by the kernel yet.
    waiting: Vec<u8>,
}

impl Connection {
    pub(super) fn open(
        index: usize,
        generation: u32,
        address: SocketAddr,
        source: u8,
        speaker: Box<dyn Speaker>,
        secured_by: Option<Arc<ClientConfig>>,
    ) -> Result<Self> {
        let failed = "a connection cannot be opened";
        let socket = rustix::net::socket_with(
            AddressFamily::INET,
            SocketType::STREAM,
            SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
            None,
        )
        .map_err(BenchError::system(failed))?;
        sockopt::set_tcp_nodelay(&socket, true).map_err(BenchError::system(failed))?;
        sockopt::set_socket_send_buffer_size(&socket, SEND_BUFFER_BYTES)
            .map_err(BenchError::system(failed))?;
        let from = SocketAddrV4::new(Ipv4Addr::new(127, 0, 1, source), 0);
        rustix::net::bind(&socket, &from).map_err(BenchError::system(failed))?;
        match rustix::net::connect(&socket, &address) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
            Err(error) => {
                return Err(BenchError::System {
                    what: failed,
                    source: error.into(),
                });
            }
        }
        Ok(Self {
            phase: Phase::Connecting,
            generation,
            speaker: Some(speaker),
            in_flight: 0,
            asked_at: None,
            index,
            stream: Some(TcpStream::from(socket)),
            secured_by,
            secure: None,
            rest: Vec::new(),
            waiting: Vec::new(),
        })
    }

    pub(super) fn register(&self, epoll: &OwnedFd) -> Result<()> {
        let Some(stream) = &self.stream else {
            return Ok(());
        };
        let token = ((self.index as u64) << 32) | u64::from(self.generation);
        let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
        epoll::add(epoll, stream, epoll::EventData::new_u64(token), flags)
            .map_err(BenchError::system("a connection cannot be watched"))
    }

    /// Whether all that was said is with the kernel.
    pub(super) fn is_flushed(&self) -> bool {
        self.waiting.is_empty() && self.secure.as_ref().is_none_or(|secure| !secure.wants_write())
    }

    /// Something happened. Fails with the reason when the connection is over.
    pub(super) fn attend(
        &mut self,
        flags: epoll::EventFlags,
        buffer: &mut [u8],
        out: &mut Vec<u8>,
        heard: &mut Heard,
    ) -> std::result::Result<(), String> {
        if self.phase == Phase::Connecting {
            if !flags.contains(epoll::EventFlags::OUT) {
                return match flags.intersects(epoll::EventFlags::ERR | epoll::EventFlags::HUP) {
                    true => Err("refused".to_owned()),
                    false => Ok(()),
                };
            }
            if let Some(Ok(Err(error))) = self.stream.as_ref().map(sockopt::socket_error) {
                return Err(format!("not connected: {error}"));
            }
            self.phase = Phase::Greeting;
            if let Some(config) = &self.secured_by {
                // Its first message needs keys: made now, and not for all connections before the first of them begins.
                self.secure = Some(Box::new(Secure::begin(config.clone())?));
            }
            out.clear();
            if let Some(speaker) = &mut self.speaker {
                speaker.open(out);
            }
            self.write(out)?;
        } else if flags.contains(epoll::EventFlags::OUT) {
            self.flush()?;
        }
        if flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR) {
            self.read(buffer, out, heard)?;
        }
        Ok(())
    }

    fn read(
        &mut self,
        buffer: &mut [u8],
        out: &mut Vec<u8>,
        heard: &mut Heard,
    ) -> std::result::Result<(), String> {
        loop {
            let Some(stream) = &mut self.stream else {
                return Ok(());
            };
            match stream.read(buffer) {
                Ok(0) => return Err("closed by the server".to_owned()),
                Ok(length) => {
                    self.take_in(&buffer[..length], out, heard)?;
                    if length < buffer.len() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// What came, decrypted where that is needed, is heard and answered.
    fn take_in(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        heard: &mut Heard,
    ) -> std::result::Result<(), String> {
        let Some(mut secure) = self.secure.take() else {
            return self.hear_and_answer(input, out, heard);
        };
        let plain = secure.decrypt(input)?;
        self.secure = Some(secure);
        if !plain.is_empty() {
            self.hear_and_answer(&plain, out, heard)?;
        }
        // Handshakes have something to say, too.
        self.flush()
    }

    fn hear_and_answer(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        heard: &mut Heard,
    ) -> std::result::Result<(), String> {
        out.clear();
        self.hear(input, out, heard)?;
        if out.is_empty() { Ok(()) } else { self.write(out) }
    }

    fn hear(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        heard: &mut Heard,
    ) -> std::result::Result<(), String> {
        let Some(speaker) = &mut self.speaker else {
            return Ok(());
        };
        heard.begin();
        if self.rest.is_empty() {
            let taken = speaker.hear(input, out, heard)?;
            self.rest.extend_from_slice(&input[taken..]);
        } else {
            self.rest.extend_from_slice(input);
            let taken = speaker.hear(&self.rest, out, heard)?;
            self.rest.drain(..taken);
        }
        if heard.joined && self.phase == Phase::Greeting {
            self.phase = Phase::Up;
        }
        let acknowledged = heard.finish();
        self.in_flight = self.in_flight.saturating_sub(acknowledged);
        if heard.answered
            && let Some(asked) = self.asked_at.take()
        {
            heard.answers.push((self.index, asked.elapsed()));
        }
        Ok(())
    }

    /// Writes now what the kernel takes; the rest waits for room.
    pub(super) fn write(&mut self, bytes: &[u8]) -> std::result::Result<(), String> {
        if let Some(secure) = &mut self.secure {
            secure.encrypt(bytes)?;
            return self.flush();
        }
        if !self.waiting.is_empty() {
            self.waiting.extend_from_slice(bytes);
            return Ok(());
        }
        let written = self.write_some(bytes)?;
        self.waiting.extend_from_slice(&bytes[written..]);
        Ok(())
    }

    fn flush(&mut self) -> std::result::Result<(), String> {
        if let (Some(secure), Some(stream)) = (&mut self.secure, &mut self.stream) {
            return secure.flush(stream);
        }
        if self.waiting.is_empty() {
            return Ok(());
        }
        let waiting = std::mem::take(&mut self.waiting);
        let written = self.write_some(&waiting)?;
        self.waiting = waiting;
        self.waiting.drain(..written);
        Ok(())
    }

    fn write_some(&mut self, bytes: &[u8]) -> std::result::Result<usize, String> {
        let Some(stream) = &mut self.stream else {
            return Err("not open".to_owned());
        };
        let mut written = 0;
        while written < bytes.len() {
            match stream.write(&bytes[written..]) {
                Ok(length) => written += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(written)
    }

    pub(super) fn hang_up(&mut self) {
        self.phase = Phase::Gone;
        self.stream = None;
        self.secure = None;
        self.rest.clear();
        self.waiting.clear();
        self.in_flight = 0;
        self.asked_at = None;
    }
}
