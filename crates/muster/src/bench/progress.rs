//! What is going on, on standard error while it runs.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often a terminal is told.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// One line that is written over at a terminal; elsewhere one line for each step.
#[derive(Debug)]
pub(super) struct Progress {
    is_terminal: bool,
    step: usize,
    steps: usize,
    scenario: String,
    told: Instant,
}

impl Progress {
    pub(super) fn new(steps: usize) -> Self {
        Self {
            is_terminal: std::io::stderr().is_terminal(),
            step: 0,
            steps,
            scenario: String::new(),
            told: Instant::now(),
        }
    }

    /// The next scenario begins.
    pub(super) fn scenario(&mut self, name: &str) {
        self.step += 1;
        name.clone_into(&mut self.scenario);
    }

    /// Something new begins.
    pub(super) fn step(&mut self, what: &str) {
        self.told = Instant::now();
        self.write(what, true);
    }

    /// It goes on; told now and then, to a terminal only.
    pub(super) fn go_on(&mut self, what: impl FnOnce() -> String) {
        if self.is_terminal && self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            self.write(&what(), false);
        }
    }

    /// Nothing more is told.
    pub(super) fn clear(&self) {
        if self.is_terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }

    fn write(&self, what: &str, is_step: bool) {
        let (step, steps, scenario) = (self.step, self.steps, &self.scenario);
        let mut stderr = std::io::stderr().lock();
        // Nobody may be reading: that is no error.
        let _ = if self.is_terminal {
            write!(stderr, "\r\x1b[K[{step}/{steps}] {scenario}: {what}")
        } else if is_step {
            writeln!(stderr, "[{step}/{steps}] {scenario}: {what}")
        } else {
            Ok(())
        };
        let _ = stderr.flush();
    }
}

/// A number with its thousands apart.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
