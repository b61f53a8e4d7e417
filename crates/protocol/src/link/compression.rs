//! Messages made small: zstd with a dictionary that both ends have.
//!
//! A binary frame holds the same message as a text frame would, compressed with the dictionary whose id was agreed in
//! `hello` and `welcome`. Each frame stands for itself, so a connection keeps nothing between two of them: [`pack`] and
//! [`unpack`] share one [`Compressor`] and one [`Decompressor`] among all connections of a thread. The dictionary is
//! trained by the example `train-dictionary`; a dictionary that was ever shipped is never changed, a new one gets a new id.

use std::cell::RefCell;

use zstd::zstd_safe;

use super::limits::Limits;

#[cfg(test)]
mod tests;

/// What both ends know by heart of what machines and servers say.
static DICTIONARY: &[u8] = include_bytes!("compression/dictionary.bin");

/// The id of the dictionary, as `hello.dictionaries` and `welcome.dictionary` name it.
///
/// Source: RFC 8878, 5: magic number, then the id, both little-endian.
pub const DICTIONARY_ID: u32 = {
    let bytes = include_bytes!("compression/dictionary.bin");
    u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]])
};

/// Messages are short: more effort gains little.
const LEVEL: i32 = 3;

/// Messages below this are sent as text: what surrounds a compressed frame would eat what is gained.
pub const COMPRESS_MIN_BYTES: usize = 64;

thread_local! {
    // Nothing is carried from one message to the next, so what comes out depends on what goes in alone.
    static PACKING: RefCell<Option<Compressor>> = const { RefCell::new(None) };
    static UNPACKING: RefCell<Option<Decompressor>> = const { RefCell::new(None) };
}

/// A binary frame that holds this message; none where text is as short, or where zstd failed: then text is sent.
pub fn pack(text: &str) -> Option<Vec<u8>> {
    if text.len() < COMPRESS_MIN_BYTES {
        return None;
    }
    PACKING.with_borrow_mut(|packing| {
        if packing.is_none() {
            *packing = Compressor::new().ok();
        }
        let frame = packing.as_mut()?.compress(text).ok()?;
        (frame.len() < text.len()).then_some(frame)
    })
}

/// The message in a binary frame.
pub fn unpack(frame: &[u8], limits: &Limits) -> Result<String, CompressionError> {
    UNPACKING.with_borrow_mut(|unpacking| {
        let decompressor = match unpacking {
            Some(decompressor) => decompressor,
            None => unpacking.insert(Decompressor::new()?),
        };
        decompressor.decompress(frame, limits)
    })
}

/// Why bytes are no compressed message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompressionError {
    /// It would be too long.
    #[error("message of {bytes} bytes once decompressed: at most {limit} are accepted")]
    TooLarge {
        /// How long it would be.
        bytes: u64,
        /// What is accepted.
        limit: usize,
    },
    /// It does not say how long it is, so nothing is decompressed.
    #[error("a compressed message says how long it is")]
    LengthMissing,
    /// Another dictionary, or none.
    #[error("compressed with dictionary {given}: {DICTIONARY_ID} was agreed")]
    Dictionary {
        /// Its id; zero for none.
        given: u32,
    },
    /// Not zstd, or damaged.
    #[error("not a zstd frame that can be decompressed")]
    Damaged,
    /// Not text inside.
    #[error("a compressed message is UTF-8")]
    NotText,
    /// The library could not do its work.
    #[error("zstd failed: {0}")]
    Failed(String),
}

impl CompressionError {
    /// A word for metrics.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too_large",
            Self::LengthMissing
            | Self::Dictionary { .. }
            | Self::Damaged
            | Self::NotText
            | Self::Failed(_) => "compression",
        }
    }

    /// The WebSocket close code that says it. Source: RFC 6455, 7.4.1.
    pub const fn close_code(&self) -> u16 {
        match self {
            Self::TooLarge { .. } => 1009,
            Self::Dictionary { .. } => 1003,
            Self::LengthMissing => 1008,
            Self::Damaged | Self::NotText => 1007,
            Self::Failed(_) => 1011,
        }
    }
}

/// Makes messages small. Holds some hundred KiB: keep one a thread, not one a connection.
pub struct Compressor(zstd::bulk::Compressor<'static>);

impl Compressor {
    /// One that uses the dictionary.
    pub fn new() -> Result<Self, CompressionError> {
        zstd::bulk::Compressor::with_dictionary(LEVEL, DICTIONARY)
            .map(Self)
            .map_err(|error| CompressionError::Failed(error.to_string()))
    }

    /// A binary frame that holds this message.
    pub fn compress(&mut self, text: &str) -> Result<Vec<u8>, CompressionError> {
        self.0
            .compress(text.as_bytes())
            .map_err(|error| CompressionError::Failed(error.to_string()))
    }
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressor").finish_non_exhaustive()
    }
}

/// Takes messages out of binary frames. Holds some hundred KiB: keep one a thread, not one a connection.
pub struct Decompressor(zstd::bulk::Decompressor<'static>);

impl Decompressor {
    /// One that uses the dictionary.
    pub fn new() -> Result<Self, CompressionError> {
        zstd::bulk::Decompressor::with_dictionary(DICTIONARY)
            .map(Self)
            .map_err(|error| CompressionError::Failed(error.to_string()))
    }

    /// The message in a binary frame. What would be longer than any message may be is refused before there is room for it;
    /// the decoder then holds the message to the limit of its type.
    pub fn decompress(&mut self, frame: &[u8], limits: &Limits) -> Result<String, CompressionError> {
        let bytes = match zstd_safe::get_frame_content_size(frame) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Err(CompressionError::LengthMissing),
            Err(_) => return Err(CompressionError::Damaged),
        };
        let limit = limits.state_frame_max_bytes;
        if bytes > limit as u64 {
            return Err(CompressionError::TooLarge { bytes, limit });
        }
        let given = zstd_safe::get_dict_id_from_frame(frame).map_or(0, std::num::NonZero::get);
        if given != DICTIONARY_ID {
            return Err(CompressionError::Dictionary { given });
        }
        // What the frame said is the room there is: one that lied, or another behind it, does not fit.
        let text = self
            .0
            .decompress(frame, bytes as usize)
            .map_err(|_| CompressionError::Damaged)?;
        String::from_utf8(text).map_err(|_| CompressionError::NotText)
    }
}

impl std::fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decompressor").finish_non_exhaustive()
    }
}
