//! The server's end of WebSockets: what comes of bytes does not depend on how the network cuts them.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Incoming, Wire};

/// Small, so that mutations reach it.
const MESSAGE_MAX_BYTES: usize = 4 * 1024;
/// Longer inputs are not given byte by byte.
const SINGLE_BYTES: usize = 2 * 1024;

/// A network that gives its bytes in pieces and takes whatever is written.
struct Cut<'a> {
    rest: &'a [u8],
    /// The lengths of the pieces, again and again.
    pieces: &'a [usize],
    given: usize,
    written: &'a RefCell<Vec<u8>>,
}

impl AsyncRead for Cut<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let piece = self.pieces[self.given % self.pieces.len()];
        let (now, later) = self
            .rest
            .split_at(piece.min(self.rest.len()).min(buf.remaining()));
        buf.put_slice(now);
        self.rest = later;
        self.given += 1;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Cut<'_> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.written.borrow_mut().extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What was heard, in words, and what was answered.
#[derive(Debug, PartialEq)]
struct Heard {
    said: Vec<String>,
    answered: Vec<u8>,
}

/// Bytes of a client after the handshake.
pub fn wire(data: &[u8]) -> bool {
    let whole = heard(&[], data, &[usize::MAX]);
    let mut cuts: Vec<&[usize]> = vec![&[2, 1, 4, 7], &[64, 3], &[1_000]];
    if data.len() <= SINGLE_BYTES {
        cuts.push(&[1]);
    }
    for pieces in cuts {
        assert_eq!(heard(&[], data, pieces), whole, "cut into {pieces:?}");
    }
    // Some of it came together with the handshake.
    let (early, late) = data.split_at(data.len() / 3);
    assert_eq!(heard(early, late, &[5]), whole, "with the handshake");
    whole.said.len() > 1
}

fn heard(early: &[u8], late: &[u8], pieces: &[usize]) -> Heard {
    let written = RefCell::new(Vec::new());
    let stream = Cut {
        rest: late,
        pieces,
        given: 0,
        written: &written,
    };
    let mut wire = Wire::new(stream, early, MESSAGE_MAX_BYTES);
    let mut context = Context::from_waker(Waker::noop());
    let mut said = Vec::new();
    loop {
        let next = wire.poll_next(&mut context, |incoming| {
            let bytes = match incoming {
                Incoming::Text(text) => text.len(),
                Incoming::Binary(bytes) => bytes.len(),
                Incoming::Sign => 0,
                Incoming::Close(close) => {
                    let (code, reason) = close.unwrap_or((1000, ""));
                    assert!(
                        (1000..5000).contains(&code) && !matches!(code, 1004..=1006),
                        "{code}"
                    );
                    reason.len()
                }
            };
            assert!(bytes <= MESSAGE_MAX_BYTES, "a message of {bytes} bytes");
            format!("{incoming:?}")
        });
        match next {
            Poll::Ready(Ok(heard)) => said.push(heard),
            Poll::Ready(Err(error)) => {
                let code = error.close_code();
                assert!(matches!(code, None | Some(1002 | 1007 | 1009)), "{error:?}");
                assert!(!error.to_string().is_empty());
                said.push(format!("{error:?}"));
                break;
            }
            Poll::Pending => panic!("nothing here makes anybody wait"),
        }
    }
    let _ = wire.poll_flush(&mut context);
    drop(wire);
    Heard {
        said,
        answered: written.into_inner(),
    }
}
