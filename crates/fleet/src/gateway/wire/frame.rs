//! Single frames, as a server reads and writes them. Source: RFC 6455, 5.2 to 5.5 and 7.4.

use super::WireError;

/// Longest payload of a control frame, in bytes.
const CONTROL_MAX_BYTES: u64 = 125;
/// Longest head of a frame that a server writes, in bytes.
const HEAD_MAX_BYTES: usize = 10;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    fn of(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return None,
        })
    }

    fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// A frame, where it lies.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub(super) opcode: Opcode,
    /// Whether it is the last of its message.
    pub(super) last: bool,
    /// Without its mask.
    pub(super) payload: &'a [u8],
    /// The length of all of it, in bytes.
    pub(super) length: usize,
}

/// Takes the first frame apart and its mask off; none while not all of it is there. What cannot be accepted is refused as
/// soon as that can be seen.
pub(super) fn parse(bytes: &mut [u8], payload_max_bytes: usize) -> Result<Option<Frame<'_>>, WireError> {
    let [first, second, ..] = *bytes else {
        return Ok(None);
    };
    if first & 0x70 != 0 {
        return Err(WireError::Protocol(
            "reserved bits are set, and no extension was agreed",
        ));
    }
    let Some(opcode) = Opcode::of(first & 0x0f) else {
        return Err(WireError::Protocol("a frame of an unknown kind"));
    };
    let last = first & 0x80 != 0;
    if second & 0x80 == 0 {
        return Err(WireError::Protocol("a frame of a client must be masked"));
    }
    let Some((payload_bytes, extended)) = payload_length(second & 0x7f, &bytes[2..])? else {
        return Ok(None);
    };
    if opcode.is_control() && (!last || payload_bytes > CONTROL_MAX_BYTES) {
        return Err(WireError::Protocol(
            "a control frame is whole and has at most 125 bytes",
        ));
    }
    if payload_bytes > payload_max_bytes as u64 {
        return Err(WireError::TooLong {
            bytes: payload_bytes,
            limit: payload_max_bytes,
        });
    }
    let (mask_at, payload_at) = (2 + extended, 6 + extended);
    let length = payload_at + payload_bytes as usize;
    let Some(frame) = bytes.get_mut(..length) else {
        return Ok(None);
    };
    let (head, payload) = frame.split_at_mut(payload_at);
    unmask(
        payload,
        [
            head[mask_at],
            head[mask_at + 1],
            head[mask_at + 2],
            head[mask_at + 3],
        ],
    );
    Ok(Some(Frame {
        opcode,
        last,
        payload,
        length,
    }))
}

/// The length of the payload, and how many bytes more say it.
fn payload_length(short: u8, bytes: &[u8]) -> Result<Option<(u64, usize)>, WireError> {
    let (length, extended, least) = match (short, bytes) {
        (126, [a, b, ..]) => (u64::from(u16::from_be_bytes([*a, *b])), 2, 126),
        (127, [a, b, c, d, e, f, g, h, ..]) => {
            (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), 8, 65_536)
        }
        (126 | 127, _) => return Ok(None),
        (short, _) => (u64::from(short), 0, 0),
    };
    if length < least || length > i64::MAX as u64 {
        return Err(WireError::Protocol(
            "a length must be said in as few bytes as it needs",
        ));
    }
    Ok(Some((length, extended)))
}

/// Takes the mask off. Source: RFC 6455, 5.3.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let twice = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut words = payload.chunks_exact_mut(8);
    for word in &mut words {
        let bytes: [u8; 8] = [
            word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7],
        ];
        word.copy_from_slice(&(u64::from_ne_bytes(bytes) ^ twice).to_ne_bytes());
    }
    for (byte, mask) in words.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

/// What a close says. Source: RFC 6455, 5.5.1, and the registry of close codes.
pub(super) fn close(payload: &[u8]) -> Result<Option<(u16, &str)>, WireError> {
    match payload {
        [] => Ok(None),
        [_] => Err(WireError::Protocol("a close code has two bytes")),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                return Err(WireError::Protocol("a close code that may not be said"));
            }
            Ok(Some((code, super::text(reason)?)))
        }
    }
}

/// The head of a frame that a server writes, and its length.
pub(super) fn head(first: u8, payload_bytes: usize) -> ([u8; HEAD_MAX_BYTES], usize) {
    let mut head = [first, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let length = match payload_bytes {
        0..=125 => {
            head[1] = payload_bytes as u8;
            2
        }
        126..=65_535 => {
            head[1] = 126;
            head[2..4].copy_from_slice(&(payload_bytes as u16).to_be_bytes());
            4
        }
        _ => {
            head[1] = 127;
            head[2..10].copy_from_slice(&(payload_bytes as u64).to_be_bytes());
            10
        }
    };
    (head, length)
}
