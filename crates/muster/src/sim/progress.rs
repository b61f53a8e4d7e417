//! What is said on standard error while a run goes on: a line that is written over at a terminal, one now and then elsewhere.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often a line at a terminal is written over.
const AT_TERMINAL: Duration = Duration::from_millis(200);
/// How often a line is written where nothing can be written over.
const ELSEWHERE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct ProgressLine {
    began: Instant,
    last: Option<Instant>,
    at_terminal: bool,
    written: usize,
}

impl ProgressLine {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            last: None,
            at_terminal: std::io::stderr().is_terminal(),
            written: 0,
        }
    }

    pub(super) fn took(&self) -> Duration {
        self.began.elapsed()
    }

    /// Says how far it is, if that was not said just now. Nobody may be reading it: that is no error.
    pub(super) fn tell(&mut self, words: impl FnOnce() -> String) {
        let every = if self.at_terminal { AT_TERMINAL } else { ELSEWHERE };
        if self.last.is_some_and(|last| last.elapsed() < every) {
            return;
        }
        self.last = Some(Instant::now());
        let words = words();
        let mut err = std::io::stderr().lock();
        if self.at_terminal {
            let width = self.written.max(words.len());
            let _ = write!(err, "\r{words:width$}");
            self.written = words.len();
        } else {
            let _ = writeln!(err, "{words}");
        }
        let _ = err.flush();
    }

    /// Clears the line.
    pub(super) fn end(&mut self) {
        if self.at_terminal && self.written > 0 {
            let width = self.written;
            let _ = write!(std::io::stderr().lock(), "\r{:width$}\r", "");
            self.written = 0;
        }
    }
}
