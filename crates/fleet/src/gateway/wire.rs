//! The server's end of a machine's WebSocket (RFC 6455), made for very many of them that are silent most of the time.
//!
//! A library that keeps a read buffer for each connection costs 4 KiB for each, and the size of the longest message once
//! one came. Here bytes are read into one buffer that all connections of a thread share, and a message is looked at
//! where it lies. Only what is incomplete, or came together with more, is put aside, and given back when it is dealt
//! with. A silent connection holds no buffer at all. See docs/decisions/0012-own-websocket-end-for-machines.md.
//!
//! Begin with [`Wire`]; [`frame`] takes single frames apart. The handshake is not here, nor what messages mean.

mod frame;

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use frame::{Frame, Opcode, parse};

/// Read from a connection at once. A machine that sends much is read in few calls.
const READ_AT_ONCE_BYTES: usize = 64 * 1024;
/// Most that may wait for a machine that takes nothing.
const UNWRITTEN_MAX_BYTES: usize = 512 * 1024;

thread_local! {
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_AT_ONCE_BYTES].into());
}

/// Why nothing more can be read or written.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The other end is gone, or the closing handshake is over.
    #[error("the connection is closed")]
    Closed,
    /// The stream failed.
    #[error("the connection failed")]
    Io(#[from] io::Error),
    /// A message is too long.
    #[error("message of {bytes} bytes: at most {limit} are accepted")]
    TooLong {
        /// Its length, or that of its first parts.
        bytes: u64,
        /// What is accepted.
        limit: usize,
    },
    /// Text is not UTF-8.
    #[error("text that is not UTF-8")]
    NotUtf8,
    /// The other end does not keep to RFC 6455.
    #[error("{0}")]
    Protocol(&'static str),
    /// The other end takes nothing, and too much waits for it.
    #[error("takes nothing any more")]
    NotReading,
}

impl WireError {
    /// The close code that says it; none where nobody is there to read it. Source: RFC 6455, 7.4.1.
    pub fn close_code(&self) -> Option<u16> {
        match self {
            Self::Closed | Self::Io(_) | Self::NotReading => None,
            Self::TooLong { .. } => Some(1009),
            Self::NotUtf8 => Some(1007),
            Self::Protocol(_) => Some(1002),
        }
    }
}

/// What came, where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
    /// A ping, which is answered, or a pong.
    Sign,
    /// The other end closes: its code and reason, if it gave one. It is answered.
    Close(Option<(u16, &'a str)>),
}

/// The server's end of a WebSocket.
#[derive(Debug)]
pub struct Wire<S> {
    stream: S,
    message_max_bytes: usize,
    /// What was read and not dealt with yet.
    unread: Buffer,
    /// What is to be written.
    unwritten: Buffer,
    /// The parts of a message of which the last has not come.
    parts: Option<Box<Parts>>,
    /// An answer waits to be written although nobody flushes.
    answers: bool,
    said_close: bool,
    heard_close: bool,
}

#[derive(Debug)]
struct Parts {
    text: bool,
    bytes: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// After the handshake, together with which `read` came. Messages longer than `message_max_bytes` are refused.
    pub fn new(stream: S, read: &[u8], message_max_bytes: usize) -> Self {
        Self {
            stream,
            message_max_bytes,
            unread: Buffer {
                bytes: read.to_vec(),
                done: 0,
            },
            unwritten: Buffer::default(),
            parts: None,
            answers: false,
            said_close: false,
            heard_close: false,
        }
    }

    /// Looks at what comes next.
    pub fn poll_next<T>(
        &mut self,
        cx: &mut Context<'_>,
        look: impl FnOnce(Incoming<'_>) -> T,
    ) -> Poll<Result<T, WireError>> {
        if self.answers && self.poll_flush(cx)?.is_ready() {
            self.answers = false;
        }
        if self.heard_close {
            return Poll::Ready(Err(WireError::Closed));
        }
        let mut look = Some(look);
        loop {
            if !self.unread.is_empty() {
                let mut unread = std::mem::take(&mut self.unread);
                let dealt = self.deal(unread.rest(), &mut look);
                match dealt {
                    Ok((used, found)) => {
                        unread.advance(used);
                        self.unread = unread;
                        if let Some(found) = found {
                            return Poll::Ready(Ok(found));
                        }
                    }
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            if let Some(found) = ready!(self.poll_read(cx, &mut look))? {
                return Poll::Ready(Ok(found));
            }
        }
    }

    /// Reads once from the stream; what came is looked at where it lies if nothing else waits before it.
    fn poll_read<T>(
        &mut self,
        cx: &mut Context<'_>,
        look: &mut Option<impl FnOnce(Incoming<'_>) -> T>,
    ) -> Poll<Result<Option<T>, WireError>> {
        READ.with_borrow_mut(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            let read = buffer.filled_mut();
            if read.is_empty() {
                return Poll::Ready(Err(WireError::Closed));
            }
            if !self.unread.is_empty() {
                self.unread.put(read);
                return Poll::Ready(Ok(None));
            }
            let (used, found) = self.deal(read, look)?;
            self.unread.put(&read[used..]);
            Poll::Ready(Ok(found))
        })
    }

    /// Deals with the frames at the beginning of `bytes` up to the first that is to be looked at. Gives back how many bytes
    /// were dealt with.
    fn deal<T>(
        &mut self,
        bytes: &mut [u8],
        look: &mut Option<impl FnOnce(Incoming<'_>) -> T>,
    ) -> Result<(usize, Option<T>), WireError> {
        let mut used = 0;
        while let Some(frame) = parse(&mut bytes[used..], self.message_max_bytes)? {
            used += frame.length;
            if let Some(whole) = self.take(&frame)? {
                let incoming = match &whole {
                    Whole::Here(incoming) => *incoming,
                    Whole::Gathered(parts) => parts.incoming()?,
                };
                return Ok((used, look.take().map(|look| look(incoming))));
            }
        }
        Ok((used, None))
    }

    /// Takes a frame; gives back what it completes.
    fn take<'a>(&mut self, frame: &Frame<'a>) -> Result<Option<Whole<'a>>, WireError> {
        let payload: &'a [u8] = frame.payload;
        let incoming = match frame.opcode {
            Opcode::Ping => {
                if !self.said_close {
                    self.put_frame(0x8a, payload)?;
                    self.answers = true;
                }
                Incoming::Sign
            }
            Opcode::Pong => Incoming::Sign,
            Opcode::Close => {
                let close = frame::close(payload)?;
                self.heard_close = true;
                if !self.said_close {
                    // The same code, as RFC 6455, 5.5.1 has it.
                    self.put_frame(0x88, &payload[..payload.len().min(2)])?;
                    self.said_close = true;
                    self.answers = true;
                }
                Incoming::Close(close)
            }
            Opcode::Text | Opcode::Binary if self.parts.is_some() => {
                return Err(WireError::Protocol(
                    "a new message before the last part of another",
                ));
            }
            Opcode::Text if frame.last => Incoming::Text(text(payload)?),
            Opcode::Binary if frame.last => Incoming::Binary(payload),
            Opcode::Text | Opcode::Binary => {
                self.parts = Some(Box::new(Parts {
                    text: frame.opcode == Opcode::Text,
                    bytes: payload.to_vec(),
                }));
                return Ok(None);
            }
            Opcode::Continuation => {
                let Some(parts) = &mut self.parts else {
                    return Err(WireError::Protocol("a part of a message that was not begun"));
                };
                let bytes = parts.bytes.len() + payload.len();
                if bytes > self.message_max_bytes {
                    return Err(WireError::TooLong {
                        bytes: bytes as u64,
                        limit: self.message_max_bytes,
                    });
                }
                parts.bytes.extend_from_slice(payload);
                let whole = if frame.last { self.parts.take() } else { None };
                return Ok(whole.map(Whole::Gathered));
            }
        };
        Ok(Some(Whole::Here(incoming)))
    }

    /// Puts a text message in line. It is on its way after a flush.
    pub fn put_text(&mut self, text: &str) -> Result<(), WireError> {
        self.put_frame(0x81, text.as_bytes())
    }

    /// Puts a binary message in line.
    pub fn put_binary(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        self.put_frame(0x82, bytes)
    }

    /// Puts a ping in line.
    pub fn put_ping(&mut self) -> Result<(), WireError> {
        self.put_frame(0x89, &[])
    }

    /// Puts a close in line; nothing can be said after it. The reason must fit: 123 bytes.
    pub fn put_close(&mut self, code: u16, reason: &str) -> Result<(), WireError> {
        let mut payload = code.to_be_bytes().to_vec();
        payload.extend_from_slice(reason.as_bytes());
        self.put_frame(0x88, &payload)?;
        self.said_close = true;
        Ok(())
    }

    fn put_frame(&mut self, first: u8, payload: &[u8]) -> Result<(), WireError> {
        if self.said_close {
            return Err(WireError::Closed);
        }
        if self.unwritten.len() + payload.len() > UNWRITTEN_MAX_BYTES {
            return Err(WireError::NotReading);
        }
        let (head, length) = frame::head(first, payload.len());
        self.unwritten.put(&head[..length]);
        self.unwritten.put(payload);
        Ok(())
    }

    /// Writes what is in line.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WireError>> {
        while !self.unwritten.is_empty() {
            let rest = self.unwritten.rest();
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
            if written == 0 {
                return Poll::Ready(Err(WireError::Closed));
            }
            self.unwritten.advance(written);
        }
        Pin::new(&mut self.stream).poll_flush(cx).map_err(WireError::from)
    }

    /// Waits for what comes next, and looks at it.
    pub async fn next<T>(&mut self, look: impl FnOnce(Incoming<'_>) -> T) -> Result<T, WireError> {
        let mut look = Some(look);
        std::future::poll_fn(|cx| self.poll_next(cx, |incoming| look.take().map(|look| look(incoming))))
            .await
            .and_then(|found| found.ok_or(WireError::Closed))
    }

    /// Writes what is in line.
    pub async fn flush(&mut self) -> Result<(), WireError> {
        std::future::poll_fn(|cx| self.poll_flush(cx)).await
    }
}

/// A message of which all is there.
enum Whole<'a> {
    /// In one frame.
    Here(Incoming<'a>),
    /// In several.
    Gathered(Box<Parts>),
}

impl Parts {
    fn incoming(&self) -> Result<Incoming<'_>, WireError> {
        Ok(if self.text {
            Incoming::Text(text(&self.bytes)?)
        } else {
            Incoming::Binary(&self.bytes)
        })
    }
}

fn text(bytes: &[u8]) -> Result<&str, WireError> {
    std::str::from_utf8(bytes).map_err(|_| WireError::NotUtf8)
}

/// Bytes of which the first have been dealt with. It holds no memory when all have been.
#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    done: usize,
}

impl Buffer {
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn len(&self) -> usize {
        self.bytes.len() - self.done
    }

    fn rest(&mut self) -> &mut [u8] {
        &mut self.bytes[self.done..]
    }

    fn advance(&mut self, count: usize) {
        self.done += count;
        if self.done == self.bytes.len() {
            *self = Self::default();
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        // What is done is let go before the buffer grows for it.
        if self.done > 0 && self.bytes.len() + bytes.len() > self.bytes.capacity() {
            self.bytes.drain(..self.done);
            self.done = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests;
