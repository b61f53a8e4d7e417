//! Small files of the kernel: the ones that must be there, and the ones that may be.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::MetalError;
use crate::limits::MAX_FILE_BYTES;

/// The content of a file that every Linux has.
pub(crate) fn required(path: &Path) -> Result<String, MetalError> {
    read(path).map_err(|source| MetalError::Read {
        path: path.into(),
        source,
    })
}

/// The content of a file that may be absent, empty or refused; without the NULs and blanks around it.
pub(crate) fn optional(path: &Path) -> Option<String> {
    let text = read(path).ok()?;
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!text.is_empty()).then(|| text.to_owned())
}

/// The number in a file that may be absent, empty or refused.
pub(crate) fn number<T: FromStr>(path: &Path) -> Option<T> {
    optional(path)?.parse().ok()
}

/// What is in a directory, by name; nothing if there is no such directory.
pub(crate) fn entries(directory: &Path) -> Result<Vec<(String, PathBuf)>, MetalError> {
    let fail = |source| MetalError::Read {
        path: directory.into(),
        source,
    };
    let listing = match fs::read_dir(directory) {
        Ok(listing) => listing,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(fail(error)),
    };
    let mut entries = Vec::new();
    for entry in listing {
        let entry = entry.map_err(fail)?;
        // The kernel gives its devices plain names; a name that is no text is none of them.
        if let Ok(name) = entry.file_name().into_string() {
            entries.push((name, entry.path()));
        }
    }
    // "zone10" comes after "zone9".
    entries.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
    Ok(entries)
}

/// The error for a file that holds something else than it should.
pub(crate) fn malformed(path: &Path, expected: &'static str, found: &str) -> MetalError {
    MetalError::Format {
        path: path.into(),
        expected,
        found: found.chars().take(MetalError::FOUND_CHARS).collect(),
    }
}

/// Not there, or not for this user: both mean that the device cannot be seen from here.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::PermissionDenied
    )
}

fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}
