//! The cable between a simulated machine and its server, which can be pulled: nothing goes through, and what was open breaks
//! as soon as something is said.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use muster_machine::dial::{Dial, Tcp};
use muster_metal::simulated::SharedMachine;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The cable of this machine.
#[derive(Clone, Debug)]
pub struct Cable(pub SharedMachine);

impl Dial for Cable {
    type Stream = Plugged;

    async fn dial(&self, host: &str, port: u16) -> io::Result<Plugged> {
        if self.0.is_cut() {
            return Err(pulled());
        }
        let stream = Tcp.dial(host, port).await?;
        let machine = self.0.clone();
        Ok(Plugged { machine, stream })
    }
}

/// A connection through the cable.
#[derive(Debug)]
pub struct Plugged {
    machine: SharedMachine,
    stream: TcpStream,
}

fn pulled() -> io::Error {
    io::Error::new(
        io::ErrorKind::NetworkUnreachable,
        "the cable is pulled (simulated)",
    )
}

impl AsyncRead for Plugged {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.machine.is_cut() {
            return Poll::Ready(Err(pulled()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Plugged {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.machine.is_cut() {
            return Poll::Ready(Err(pulled()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
