//! What must hold for any bytes at all, a module a subject. The fuzz targets call these laws with bytes that a fuzzer
//! found; the tests of the crates that own the decoders include the same files and call them with mutations of the corpus,
//! on a stable compiler.
//!
//! A law panics when it is broken and says whether the bytes were accepted.

pub mod api;
pub mod entry;
pub mod filter;
pub mod json;
pub mod link;
pub mod live;
pub mod paging;
pub mod words;

// Decoders that are nobody's business outside of their crates are compiled here once more, from the same files.

/// The server's end of WebSockets.
#[path = "../../crates/fleet/src/gateway"]
mod gateway {
    #[allow(dead_code, reason = "only reading is fuzzed")]
    pub mod wire;
}
use gateway::wire::{Incoming, Wire};
#[path = "wire.rs"]
pub mod wire_law;

#[path = "../../crates/client/src/sse.rs"]
mod sse;
use sse::SseDecoder;
#[path = "sse.rs"]
pub mod sse_law;

#[path = "../../crates/store/src/varint.rs"]
mod varint;
#[path = "varint.rs"]
pub mod varint_law;
