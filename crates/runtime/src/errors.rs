//! An error with all its causes on one line.

use std::error::Error;
use std::fmt::Write;

/// The error and its causes, from the outside in, with `: ` between them.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // Writing into a String does not fail.
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}
