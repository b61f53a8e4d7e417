//! Hardware watchdogs: the computer is reset unless somebody writes in time. Source: the kernel's
//! Documentation/watchdog/watchdog-api.rst.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use super::parts::{Opened, why};
use crate::linux::files::number;

/// Said before it is closed in order: without it a closed watchdog resets the computer.
const MAGIC_CLOSE: &[u8] = b"V";

pub(super) struct Watchdog {
    file: File,
    every: Duration,
    fed: Option<Duration>,
}

impl Watchdog {
    /// From now on the computer is reset unless it is fed.
    pub(super) fn open(sys: &Path, path: &Path, timeout_s: u32) -> Opened<Self> {
        let file = OpenOptions::new().write(true).open(path);
        let file = file.map_err(|error| why(path, &error))?;
        let waits_s = waits_s(sys, path).unwrap_or(timeout_s).min(timeout_s).max(1);
        Ok(Self {
            file,
            every: Duration::from_secs(waits_s.into()) / 4,
            fed: None,
        })
    }

    /// Feeds it, as often as it needs.
    pub(super) fn feed(&mut self, now: Duration) -> std::io::Result<()> {
        if self.fed.is_none_or(|fed| now.saturating_sub(fed) >= self.every) {
            self.file.write_all(b"\0")?;
            self.fed = Some(now);
        }
        Ok(())
    }

    /// Lets go of it in order: it does not reset the computer.
    pub(super) fn release(&mut self) {
        let _ = self.file.write_all(MAGIC_CLOSE);
    }
}

/// How long it waits, as its driver says.
pub(super) fn waits_s(sys: &Path, path: &Path) -> Option<u32> {
    let name = match path.file_name()?.to_str()? {
        "watchdog" => "watchdog0",
        name => name,
    };
    number(&sys.join("class/watchdog").join(name).join("timeout"))
}
