//! How a machine reaches its server: over the system's TCP, with TLS where it has a certificate, or over whatever network a test
//! simulates.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::identity::Identity;

/// Makes connections.
pub trait Dial: Send + Sync + 'static {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Connects to a port of a host.
    fn dial(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// The system's TCP.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

impl Dial for Tcp {
    type Stream = TcpStream;

    async fn dial(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let stream = TcpStream::connect((host, port)).await?;
        // What is gathered is gathered here; the kernel need not wait for more.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// As a real machine does: plain to a server on its own computer, with its certificate to any other.
#[derive(Clone, Debug)]
pub enum Outgoing {
    /// Plain.
    Plain,
    /// With the certificate that is in force when it connects.
    Secure(Identity),
}

/// A connection that was made so.
#[derive(Debug)]
pub enum OutgoingStream {
    /// Plain.
    Plain(TcpStream),
    /// With a certificate.
    Secure(Box<TlsStream<TcpStream>>),
}

impl Dial for Outgoing {
    type Stream = OutgoingStream;

    async fn dial(&self, host: &str, port: u16) -> io::Result<OutgoingStream> {
        let stream = Tcp.dial(host, port).await?;
        let Self::Secure(identity) = self else {
            return Ok(OutgoingStream::Plain(stream));
        };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        // A handshake takes much room for a short while.
        let shaking = Box::pin(TlsConnector::from(identity.config()).connect(name, stream));
        Ok(OutgoingStream::Secure(Box::new(shaking.await?)))
    }
}

impl AsyncRead for OutgoingStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Secure(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for OutgoingStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Secure(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Secure(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Secure(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
