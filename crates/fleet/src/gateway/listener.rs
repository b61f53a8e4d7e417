//! What connections are taken from: the system's TCP, or whatever network a test simulates.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::task::Poll;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Something that connections come in by.
pub trait Listener: Send + Sync + 'static {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection, and who made it.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

    /// The first byte that comes on a connection, which stays there to be read; none where that cannot be said.
    fn first_byte(stream: &Self::Stream) -> impl Future<Output = Option<u8>> + Send {
        let _ = stream;
        std::future::ready(None)
    }

    /// Where it listens.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// Sockets that listen at one address. Each has a queue of its own for connections that nobody has taken yet, and the system
/// bounds each of them (`net.core.somaxconn`, 4,096 as a rule): one alone makes ten thousand machines that come back at
/// once knock again after 1 s and 3 s.
const SOCKETS: usize = 4;
/// How long each queue may be, where the system allows it.
const QUEUE_MAX: u32 = 16_384;

/// The system's TCP.
#[derive(Debug)]
pub struct TcpListeners(Vec<TcpListener>);

impl TcpListeners {
    /// Listens at an address that nobody else listens at.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        if address.port() != 0 {
            // Several sockets share an address only if all of them say so; this one does not, and so finds out whether it is
            // taken, also by another server of our own kind.
            socket(address)?.bind(address)?;
        }
        let mut listeners = Vec::with_capacity(SOCKETS);
        let mut address = address;
        for _ in 0..SOCKETS {
            let socket = socket(address)?;
            socket.set_reuseport(true)?;
            socket.bind(address)?;
            let listener = socket.listen(QUEUE_MAX)?;
            // Where any port would do, the others take the one that the first got.
            address = listener.local_addr()?;
            listeners.push(listener);
        }
        Ok(Self(listeners))
    }
}

fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    Ok(socket)
}

impl Listener for TcpListeners {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let accepted = poll_fn(|cx| {
            let mut ready = self.0.iter().map(|listener| listener.poll_accept(cx));
            ready.find(Poll::is_ready).unwrap_or(Poll::Pending)
        });
        let (stream, peer) = accepted.await?;
        // Messages are gathered before they are written: waiting for more would only delay them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, %peer, "a connection without TCP_NODELAY");
        }
        Ok((stream, peer))
    }

    async fn first_byte(stream: &TcpStream) -> Option<u8> {
        let mut byte = [0];
        matches!(stream.peek(&mut byte).await, Ok(1)).then_some(byte[0])
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        match self.0.first() {
            Some(listener) => listener.local_addr(),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_sockets_share_an_address_with_each_other_and_with_nobody_else() {
        let listeners = TcpListeners::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listeners.local_addr().unwrap();
        assert_ne!(address.port(), 0);
        assert!(listeners.0.iter().all(|one| one.local_addr().unwrap() == address));
        let taken = TcpListeners::bind(address).map(|_| ()).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        // Whichever of them the system chose, it is taken.
        let mut clients = Vec::new();
        for _ in 0..40 {
            clients.push(TcpStream::connect(address).await.unwrap());
            let (_, peer) = listeners.accept().await.unwrap();
            assert_eq!(peer, clients[clients.len() - 1].local_addr().unwrap());
        }
        drop(listeners);
        TcpListeners::bind(address).unwrap();
    }
}
