//! The server's end of TLS, made for very many connections that are silent most of the time.
//!
//! rustls' usual connection keeps 4 KiB for what may come next, and each of ten thousand machines has one. Here bytes are read
//! into one buffer that all connections of a thread share and decrypted where they lie; only what is not whole yet is put
//! aside, and given back when it is. A silent connection holds no buffer at all. See
//! docs/decisions/0031-own-tls-stream.md.
//!
//! What is said, to whom and with which certificate is rustls' and `identity::tls`' to decide, not decided here.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::pki_types::CertificateDer;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError, UnbufferedStatus,
    WriteTraffic,
};
use rustls::{Error, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a thread has for bytes that are not decrypted yet. rustls takes messages of a handshake up to 64 KiB, and they must be
/// whole to be looked at.
const READ_BYTES: usize = 128 * 1024;
/// Read at least, whoever asks for how little.
const READ_LEAST_BYTES: usize = 4 * 1024;
/// Encrypted at once: a record. Source: RFC 8446, 5.1.
const WRITE_AT_ONCE_BYTES: usize = 16 * 1024;
/// What encryption adds to a record at most. Source: RFC 8446, 5.2.
const RECORD_ADDS_BYTES: usize = 256 + 5;
/// An alert, encrypted: two bytes, and what a record adds.
const ALERT_MAX_BYTES: usize = 2 + RECORD_ADDS_BYTES;

thread_local! {
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
    static WRITE: RefCell<Box<[u8]>> = RefCell::new(vec![0; WRITE_AT_ONCE_BYTES + RECORD_ADDS_BYTES].into());
}

/// An encrypted stream.
pub struct TlsStream<S> {
    stream: S,
    tls: Box<Tls>,
}

/// All of it but the stream: boxed, because a stream is moved from one future into the next.
struct Tls {
    connection: UnbufferedServerConnection,
    /// Came, and is not whole yet.
    unread: Vec<u8>,
    /// Decrypted, and not asked for yet.
    plain: Vec<u8>,
    /// Encrypted, and not taken by the stream yet.
    unwritten: Vec<u8>,
    /// The other end says nothing more.
    heard_close: bool,
    said_close: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream<S> {
    /// Shakes hands.
    ///
    /// # Errors
    ///
    /// The other end is refused, and was told so, or it is gone.
    pub async fn accept(stream: S, config: Arc<ServerConfig>) -> io::Result<Self> {
        let connection = UnbufferedServerConnection::new(config).map_err(io::Error::other)?;
        let tls = Tls {
            connection,
            unread: Vec::new(),
            plain: Vec::new(),
            unwritten: Vec::new(),
            heard_close: false,
            said_close: false,
        };
        let mut this = Self {
            stream,
            tls: Box::new(tls),
        };
        poll_fn(|cx| this.poll_shake_hands(cx)).await?;
        Ok(this)
    }

    fn poll_shake_hands(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            // What does not go out now does so with the next bytes: whoever comes need not take it to be let in.
            let _ = self.poll_unwritten(cx)?;
            if !self.tls.connection.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            // What is said right behind the handshake waits to be asked for.
            ready!(self.poll_take_in(cx, &mut ReadBuf::new(&mut [])))?;
            if self.tls.heard_close {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// Reads once, and decrypts what is whole: into `into` what fits there.
    fn poll_take_in(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let taken = READ.with_borrow_mut(|buffer| {
            let tls = &mut *self.tls;
            let waiting = tls.unread.len();
            let room = (waiting + into.remaining().max(READ_LEAST_BYTES)).min(buffer.len());
            if waiting == room {
                return Poll::Ready(Err(invalid(Error::General("a message without end".to_owned()))));
            }
            let mut fresh = ReadBuf::new(&mut buffer[waiting..room]);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut fresh))?;
            let read = fresh.filled().len();
            if read == 0 {
                // Whoever ends in order says so first.
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            buffer[..waiting].copy_from_slice(&tls.unread);
            let bytes = &mut buffer[..waiting + read];
            let used = tls.deal(bytes, into)?;
            // Nothing is held for a connection of which nothing waits.
            tls.unread = bytes[used..].to_vec();
            Poll::Ready(Ok(()))
        });
        if let Poll::Ready(Err(_)) = &taken {
            // It is told why, if it takes that at once.
            let _ = self.poll_unwritten(cx);
        }
        taken
    }

    /// Writes what is encrypted already.
    fn poll_unwritten(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.tls.unwritten.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.tls.unwritten))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            if written == self.tls.unwritten.len() {
                self.tls.unwritten = Vec::new();
            } else {
                self.tls.unwritten.drain(..written);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S> TlsStream<S> {
    /// What the other end proved itself by, its own certificate first.
    pub fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.tls.connection.peer_certificates()
    }

    /// The same above another stream, such as this one on another thread.
    ///
    /// # Errors
    ///
    /// The other stream cannot be had.
    pub fn move_to<T>(self, moved: impl FnOnce(S) -> io::Result<T>) -> io::Result<TlsStream<T>> {
        Ok(TlsStream {
            stream: moved(self.stream)?,
            tls: self.tls,
        })
    }
}

impl Tls {
    /// Deals with what is whole at the beginning of `bytes`; gives back how many bytes that is.
    fn deal(&mut self, bytes: &mut [u8], into: &mut ReadBuf<'_>) -> io::Result<usize> {
        let mut used = 0;
        loop {
            let UnbufferedStatus { mut discard, state } =
                self.connection.process_tls_records(&mut bytes[used..]);
            let more = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(invalid)?;
                        discard += record.discard;
                        let fits = record.payload.len().min(into.remaining());
                        into.put_slice(&record.payload[..fits]);
                        self.plain.extend_from_slice(&record.payload[fits..]);
                    }
                    true
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    encode(&mut data, &mut self.unwritten)?;
                    true
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    // It is written with whatever is, and in its order.
                    data.done();
                    true
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.heard_close = true;
                    true
                }
                Ok(_) => false,
                Err(error) => {
                    self.say_why(&mut bytes[used + discard..]);
                    return Err(invalid(error));
                }
            };
            used += discard;
            if !more {
                return Ok(used);
            }
        }
    }

    /// After an error: the alert that says which. `bytes` is what was not dealt with: rustls remembers places in it.
    fn say_why(&mut self, bytes: &mut [u8]) {
        if let Ok(ConnectionState::EncodeTlsData(mut data)) = self.connection.process_tls_records(bytes).state
        {
            // An alert that does not go out is missed by nobody but the other end.
            let _ = encode(&mut data, &mut self.unwritten);
        }
    }

    /// Has `say` put something behind what rustls has to say itself. Fails where nothing more can be said.
    fn say<T>(
        &mut self,
        say: impl FnOnce(&mut WriteTraffic<'_, ServerConnectionData>) -> T,
    ) -> io::Result<T> {
        loop {
            // What is not whole yet: rustls remembers places in it.
            let UnbufferedStatus { discard, state } = self.connection.process_tls_records(&mut self.unread);
            match state.map_err(invalid)? {
                ConnectionState::WriteTraffic(mut traffic) => return Ok(say(&mut traffic)),
                ConnectionState::EncodeTlsData(mut data) => encode(&mut data, &mut self.unwritten)?,
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed => self.heard_close = true,
                _ => return Err(io::ErrorKind::NotConnected.into()),
            }
            self.unread.drain(..discard);
        }
    }

    /// Encrypts into `out`; gives back how many bytes that are.
    fn encrypt(&mut self, plain: &[u8], out: &mut [u8]) -> io::Result<usize> {
        self.say(|traffic| traffic.encrypt(plain, out))?
            .map_err(|error| match error {
                EncryptError::InsufficientSize(_) => io::Error::other("a record that is too long"),
                EncryptError::EncryptExhausted => io::Error::other("the keys are used up"),
            })
    }

    /// Puts in line that nothing more is said here.
    fn close(&mut self) {
        self.said_close = true;
        let mut alert = [0; ALERT_MAX_BYTES];
        // Where nothing more can be said, that cannot be said either.
        if let Ok(Ok(length)) = self.say(|traffic| traffic.queue_close_notify(&mut alert)) {
            self.unwritten.extend_from_slice(&alert[..length]);
        }
    }
}

/// Appends what rustls has to say itself.
fn encode(data: &mut EncodeTlsData<'_, ServerConnectionData>, out: &mut Vec<u8>) -> io::Result<()> {
    let begin = out.len();
    let mut room = 0;
    loop {
        out.resize(begin + room, 0);
        match data.encode(&mut out[begin..]) {
            Ok(written) => {
                out.truncate(begin + written);
                return Ok(());
            }
            Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size }))
                if required_size > room =>
            {
                room = required_size;
            }
            Err(error) => return Err(io::Error::other(error)),
        }
    }
}

fn invalid(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.tls.plain.is_empty() {
            let fits = this.tls.plain.len().min(buffer.remaining());
            buffer.put_slice(&this.tls.plain[..fits]);
            if fits == this.tls.plain.len() {
                this.tls.plain = Vec::new();
            } else {
                this.tls.plain.drain(..fits);
            }
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        while !this.tls.heard_close && buffer.filled().len() == before && buffer.remaining() > 0 {
            // Answers to what rustls was told itself. Whoever does not take them does not hold up what comes.
            let _ = this.poll_unwritten(cx)?;
            ready!(this.poll_take_in(cx, buffer))?;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_unwritten(cx))?;
        let plain = &bytes[..bytes.len().min(WRITE_AT_ONCE_BYTES)];
        if plain.is_empty() {
            return Poll::Ready(Ok(0));
        }
        WRITE.with_borrow_mut(|out| {
            let length = this.tls.encrypt(plain, out)?;
            let mut record = &out[..length];
            // It counts as written once it is encrypted: it cannot be encrypted again.
            if this.tls.unwritten.is_empty()
                && let Poll::Ready(written) = Pin::new(&mut this.stream).poll_write(cx, record)
            {
                record = &record[written?..];
            }
            this.tls.unwritten.extend_from_slice(record);
            Poll::Ready(Ok(plain.len()))
        })
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_unwritten(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.tls.said_close {
            this.tls.close();
        }
        ready!(this.poll_unwritten(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
