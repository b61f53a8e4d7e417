//! What a device can be for its user: a contact, a switch, a drive, a source of readings.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// A device that was opened, or why not, for a person.
pub(super) type Opened<T> = Result<T, String>;

/// Opens and closes by itself.
pub(super) trait ContactInput: Send {
    /// Whether it is active: a circuit that is closed.
    fn is_active(&mut self) -> io::Result<bool>;
    /// What becomes readable when it changes; without one it is only looked at from time to time.
    fn edges(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// Is switched on and off. Whoever is dropped switches off.
pub(super) trait Switch: Send {
    fn set(&mut self, on: bool) -> io::Result<()>;
}

/// Moves something. Whoever is dropped brings it to rest.
pub(super) trait Drive: Send {
    /// This, in the actuator's unit; nothing: rest. Called in every turn: what changes nothing costs nothing.
    fn set(&mut self, now: Duration, value: Option<f64>) -> io::Result<()>;
}

/// Gives readings.
pub(super) trait Source: Send {
    /// A raw value, before scale and offset.
    fn read(&mut self, now: Duration) -> io::Result<f64>;
}

/// A switch as a drive: on for everything above zero.
pub(super) fn switched(switch: Box<dyn Switch>) -> Box<dyn Drive> {
    Box::new(Switched { switch, on: None })
}

struct Switched {
    switch: Box<dyn Switch>,
    on: Option<bool>,
}

impl Drive for Switched {
    fn set(&mut self, _: Duration, value: Option<f64>) -> io::Result<()> {
        let on = value.is_some_and(|value| value > 0.0);
        if self.on != Some(on) {
            self.switch.set(on)?;
            self.on = Some(on);
        }
        Ok(())
    }
}

/// Why a device could not be opened, in words.
pub(super) fn why(what: &std::path::Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("not present: there is no {}", what.display()),
        io::ErrorKind::PermissionDenied => {
            format!("not permitted: {} belongs to somebody else", what.display())
        }
        _ => format!("{}: {error}", what.display()),
    }
}

/// Whether a device went away, and must be opened anew.
pub(super) fn is_gone(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let gone = [Errno::NODEV, Errno::NXIO, Errno::IO, Errno::BADF, Errno::SHUTDOWN];
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof
    ) || error
        .raw_os_error()
        .is_some_and(|code| gone.iter().any(|errno| errno.raw_os_error() == code))
}

/// A short text in memory of its own: the safety loop formats without allocating.
pub(super) struct ShortText<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> ShortText<N> {
    pub(super) const fn new() -> Self {
        Self {
            bytes: [0; N],
            length: 0,
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl<const N: usize> std::fmt::Write for ShortText<N> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.length + text.len();
        let room = self.bytes.get_mut(self.length..end).ok_or(std::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}
