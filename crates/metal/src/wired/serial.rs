//! Serial ports that speak lines of text: commands go out as one line, readings come as lines with a prefix.

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::time::Duration;

use serial2::SerialPort;

use super::parts::{Drive, Opened, ShortText, Source, why};
use crate::wiring::{Actuator, Sensor};

/// A motor controller stops by itself when it hears nothing, so a command is said again.
const SAY_AGAIN: Duration = Duration::from_millis(100);
/// The safety loop waits no longer for a port that takes nothing.
const WRITE_WITHIN: Duration = Duration::from_millis(2);
/// What came is taken; nothing is waited for.
const READ_WITHIN: Duration = Duration::from_millis(1);
/// A longer line is none of ours.
const LINE_MAX: usize = 128;
/// A reading that is older is none.
const STALE_INTERVALS: u32 = 5;

fn open(port: &Path, baud: u32) -> Opened<SerialPort> {
    let mut serial = SerialPort::open(port, baud).map_err(|error| why(port, &error))?;
    let timeouts = serial
        .set_read_timeout(READ_WITHIN)
        .and_then(|()| serial.set_write_timeout(WRITE_WITHIN));
    timeouts.map_err(|error| why(port, &error))?;
    Ok(serial)
}

pub(super) fn drive(port: &Path, baud: u32, actuator: &Actuator) -> Opened<Box<dyn Drive>> {
    let line = actuator.line.as_deref().unwrap_or("{value}");
    let (before, after) = line
        .split_once("{value}")
        .ok_or("the line has no place for the value")?;
    Ok(Box::new(Said {
        port: open(port, baud)?,
        before: before.to_owned(),
        after: after.to_owned(),
        at_zero: actuator.raw_at_zero,
        per_unit: actuator.raw_per_unit,
        said: None,
    }))
}

/// Commands as lines.
struct Said {
    port: SerialPort,
    before: String,
    after: String,
    at_zero: f64,
    per_unit: f64,
    /// What was said last, and when.
    said: Option<(f64, Duration)>,
}

impl Said {
    fn say(&self, raw: f64) -> io::Result<()> {
        let mut text = ShortText::<LINE_MAX>::new();
        writeln!(text, "{}{raw:.3}{}", self.before, self.after).map_err(io::Error::other)?;
        self.port.write_all(text.as_bytes())
    }
}

impl Drive for Said {
    fn set(&mut self, now: Duration, value: Option<f64>) -> io::Result<()> {
        let raw = self.at_zero + self.per_unit * value.unwrap_or(0.0);
        let is_news = self
            .said
            .is_none_or(|(said, at)| said.to_bits() != raw.to_bits() || now.saturating_sub(at) >= SAY_AGAIN);
        if is_news {
            self.said = None;
            self.say(raw)?;
            self.said = Some((raw, now));
        }
        Ok(())
    }
}

impl Drop for Said {
    fn drop(&mut self) {
        let _ = self.say(self.at_zero);
    }
}

pub(super) fn source(port: &Path, baud: u32, sensor: &Sensor) -> Opened<Box<dyn Source>> {
    let prefix = sensor
        .prefix
        .clone()
        .ok_or("what a line begins with is not described")?;
    Ok(Box::new(Heard {
        port: open(port, baud)?,
        prefix,
        line: Vec::with_capacity(LINE_MAX),
        heard: None,
        stale_after: Duration::from_millis(sensor.interval_ms.into()) * STALE_INTERVALS,
    }))
}

/// The newest line with a prefix.
struct Heard {
    port: SerialPort,
    prefix: String,
    /// What came of a line so far.
    line: Vec<u8>,
    heard: Option<(f64, Duration)>,
    stale_after: Duration,
}

impl Source for Heard {
    fn read(&mut self, now: Duration) -> io::Result<f64> {
        let mut bytes = [0; 256];
        // A port that never ends to speak must not hold the reader.
        for _ in 0..16 {
            match self.port.read(&mut bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => bytes[..length].iter().for_each(|byte| self.take(*byte, now)),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => break,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        match self.heard {
            Some((value, at)) if now.saturating_sub(at) <= self.stale_after => Ok(value),
            _ => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("no line {:?} came lately", self.prefix),
            )),
        }
    }
}

impl Heard {
    fn take(&mut self, byte: u8, now: Duration) {
        if byte != b'\n' && byte != b'\r' {
            // The beginning of a line that is too long is forgotten with the rest of it.
            if self.line.len() <= LINE_MAX {
                self.line.push(byte);
            }
            return;
        }
        let line = std::str::from_utf8(&self.line)
            .ok()
            .filter(|line| line.len() <= LINE_MAX);
        let value = line
            .and_then(|line| line.trim().strip_prefix(&self.prefix))
            .and_then(|rest| rest.trim().parse().ok());
        if let Some(value) = value {
            self.heard = Some((value, now));
        }
        self.line.clear();
    }
}
