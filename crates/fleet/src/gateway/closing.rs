//! How connections end: the close code for what went wrong, and a reason that fits into a close frame.

use tokio_tungstenite::tungstenite;
use tungstenite::error::{CapacityError, Error, ProtocolError};

/// Longest reason in a close frame, in bytes. Source: RFC 6455, 5.5.
const REASON_MAX_BYTES: usize = 123;

/// A reason that fits into a close frame, cut between characters.
pub fn short(reason: &str) -> &str {
    let mut end = reason.len().min(REASON_MAX_BYTES);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    &reason[..end]
}

/// The close code and reason for a socket's error; none where nobody is there to read it.
pub fn close_of(error: axum::Error) -> Option<(u16, String)> {
    let error = error.into_inner();
    match error.downcast_ref::<Error>() {
        Some(Error::Capacity(CapacityError::MessageTooLong { size, max_size })) => Some((
            1009,
            format!("message of {size} bytes: at most {max_size} are accepted"),
        )),
        Some(Error::Capacity(other)) => Some((1009, other.to_string())),
        Some(Error::Utf8(_)) => Some((1007, "text that is not UTF-8".to_owned())),
        Some(
            Error::ConnectionClosed
            | Error::AlreadyClosed
            | Error::Io(_)
            | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake),
        ) => None,
        Some(Error::Protocol(protocol)) => Some((1002, protocol.to_string())),
        Some(other) => Some((1002, other.to_string())),
        None => {
            tracing::debug!(%error, "a socket's error of an unknown kind");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn a_reason_is_cut_between_characters() {
        assert_eq!(short("short"), "short");
        let long = "ä".repeat(100);
        assert_eq!(short(&long).len(), 122);
    }
}
