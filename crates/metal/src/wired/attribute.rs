//! Files of the kernel that hold one value. They are opened once and read from their start each time.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use super::parts::{ContactInput, Drive, Opened, ShortText, Source, Switch, why};
use crate::wiring::Actuator;

/// So much of a file is looked at.
const READ_MAX: usize = 64;

/// A file that holds a number.
pub(super) struct Attribute {
    file: File,
}

impl Attribute {
    pub(super) fn open(path: &Path, writable: bool) -> Opened<Self> {
        let file = OpenOptions::new().read(!writable).write(writable).open(path);
        let file = file.map_err(|error| why(path, &error))?;
        Ok(Self { file })
    }

    /// The first word in it, as a number.
    pub(super) fn value(&self) -> io::Result<f64> {
        let mut bytes = [0; READ_MAX];
        let length = self.file.read_at(&mut bytes, 0)?;
        let text = std::str::from_utf8(&bytes[..length]).ok();
        let word = text.and_then(|text| text.split_ascii_whitespace().next());
        word.and_then(|word| word.parse().ok())
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it holds no number"))
    }

    pub(super) fn write(&self, value: i64) -> io::Result<()> {
        let mut text = ShortText::<24>::new();
        writeln!(text, "{value}").map_err(io::Error::other)?;
        self.file.write_all_at(text.as_bytes(), 0)
    }
}

pub(super) fn contact(path: &Path) -> Opened<Box<dyn ContactInput>> {
    Ok(Box::new(Attribute::open(path, false)?))
}

impl ContactInput for Attribute {
    fn is_active(&mut self) -> io::Result<bool> {
        Ok(self.value()? != 0.0)
    }
}

pub(super) fn source(path: &Path) -> Opened<Box<dyn Source>> {
    Ok(Box::new(Attribute::open(path, false)?))
}

impl Source for Attribute {
    fn read(&mut self, _: Duration) -> io::Result<f64> {
        self.value()
    }
}

pub(super) fn switch(path: &Path) -> Opened<Box<dyn Switch>> {
    Ok(Box::new(Written {
        attribute: Attribute::open(path, true)?,
        at_zero: 0.0,
        per_unit: 1.0,
        written: None,
    }))
}

/// An attribute that holds what is asked of an actuator.
pub(super) fn drive(path: &Path, actuator: &Actuator) -> Opened<Box<dyn Drive>> {
    Ok(Box::new(Written {
        attribute: Attribute::open(path, true)?,
        at_zero: actuator.raw_at_zero,
        per_unit: actuator.raw_per_unit,
        written: None,
    }))
}

/// Whole numbers, written when they change.
struct Written {
    attribute: Attribute,
    at_zero: f64,
    per_unit: f64,
    written: Option<i64>,
}

impl Written {
    fn put(&mut self, value: f64) -> io::Result<()> {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "limits are checked, and the cast saturates"
        )]
        let raw = (self.at_zero + self.per_unit * value).round() as i64;
        if self.written != Some(raw) {
            // What failed is tried again, whatever it was before.
            self.written = None;
            self.attribute.write(raw)?;
            self.written = Some(raw);
        }
        Ok(())
    }
}

impl Switch for Written {
    fn set(&mut self, on: bool) -> io::Result<()> {
        self.put(f64::from(u8::from(on)))
    }
}

impl Drive for Written {
    fn set(&mut self, _: Duration, value: Option<f64>) -> io::Result<()> {
        self.put(value.unwrap_or(0.0))
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        // Nobody is left who could be told.
        let _ = self.put(0.0);
    }
}
