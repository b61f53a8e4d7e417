//! The way to say something on one connection, from whoever decides to the task that writes.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

/// Frames that may wait on one connection: a machine that does not read what it is told is cut off.
const LINE_WAITING_MAX: usize = 256;

/// The way to say something on one connection. Cheap to clone; one task takes what is said.
#[derive(Clone, Debug, Default)]
pub struct Line(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    waiting: Mutex<Said>,
    taker: AtomicWaker,
}

/// What was said on a line.
#[derive(Debug, Default)]
pub struct Said {
    /// Messages, in order.
    pub frames: Vec<String>,
    /// The first of them that may be compressed, if that was agreed with one before it.
    pub agreed_from: Option<usize>,
    /// The connection is to end after them: the code and the reason.
    pub close: Option<(u16, String)>,
}

impl Said {
    fn is_nothing(&self) -> bool {
        self.frames.is_empty() && self.close.is_none()
    }
}

impl Line {
    /// Says something. False if too much waits already.
    pub fn say(&self, frame: String) -> bool {
        self.put(frame, false)
    }

    /// Says with what it is agreed that everything after it may be compressed, in both directions.
    pub fn agree(&self, frame: String) -> bool {
        self.put(frame, true)
    }

    fn put(&self, frame: String, agreed: bool) -> bool {
        let mut waiting = self.0.waiting.lock();
        let room = waiting.frames.len() < LINE_WAITING_MAX;
        if room {
            waiting.frames.push(frame);
            if agreed {
                waiting.agreed_from = Some(waiting.frames.len());
            }
        } else {
            waiting.close = Some((1008, "messages are not being read".to_owned()));
        }
        drop(waiting);
        self.0.taker.wake();
        room
    }

    /// Ends the connection after what was said.
    pub fn close(&self, code: u16, reason: String) {
        self.0.waiting.lock().close.get_or_insert((code, reason));
        self.0.taker.wake();
    }

    /// Takes what was said, once something was.
    pub fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Said> {
        // Woken from here on: what is said after the look below is not missed.
        self.0.taker.register(cx.waker());
        let mut waiting = self.0.waiting.lock();
        if waiting.is_nothing() {
            Poll::Pending
        } else {
            Poll::Ready(std::mem::take(&mut *waiting))
        }
    }
}
