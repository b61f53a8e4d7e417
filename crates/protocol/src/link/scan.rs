//! One look over the bytes before any parser: how deep, and how long the longest string.
//!
//! It runs in constant memory, so that a hostile frame is refused before anything recurses or allocates for it. It does
//! not decide whether the bytes are JSON: what is malformed here is malformed for the parser, too.

use super::decode::DecodeError;
use super::limits::Limits;

/// Refuses what is nested too deeply or holds too long a string.
pub(super) fn check_shape(text: &str, limits: &Limits) -> Result<(), DecodeError> {
    let bytes = text.as_bytes();
    // Nearly every message is so short, and opens so little, that nothing in it can be too much.
    // `{` and `[` differ in one bit. Counted in bytes, in pieces that cannot overflow one, so that many go at once.
    let in_piece = |piece: &[u8]| piece.iter().map(|byte| u8::from(byte | 0x20 == b'{')).sum::<u8>();
    let opened: usize = bytes.chunks(128).map(|piece| usize::from(in_piece(piece))).sum();
    if bytes.len() <= limits.string_max_bytes && opened <= limits.depth_max {
        return Ok(());
    }
    let mut depth = 0usize;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                let start = at + 1;
                at = start;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                let length = at.min(bytes.len()) - start;
                if length > limits.string_max_bytes {
                    return Err(DecodeError::StringTooLong {
                        bytes: length,
                        limit: limits.string_max_bytes,
                    });
                }
            }
            b'{' | b'[' => {
                depth += 1;
                if depth > limits.depth_max {
                    return Err(DecodeError::TooDeep {
                        limit: limits.depth_max,
                    });
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    Ok(())
}
