//! What must hold for any bytes at all, a module a subject. The fuzz targets call these laws with bytes that a fuzzer
//! found; the tests of the crates that own the decoders include the same files and call them with mutations of the corpus,
//! on a stable compiler.
//!
//! A law panics when it is broken and says whether the bytes were accepted.

pub mod api;
pub mod config;
pub mod entry;
pub mod filter;
pub mod json;
pub mod link;
pub mod live;
pub mod manifest;
pub mod metal;
pub mod paging;
pub mod query;
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
#[allow(dead_code, reason = "the law has a limit of its own")]
mod sse;
use sse::SseDecoder;
#[path = "sse.rs"]
pub mod sse_law;

#[path = "../../crates/store/src/varint.rs"]
mod varint;
#[path = "varint.rs"]
pub mod varint_law;

/// How the store of the server writes samples.
#[allow(dead_code, reason = "a part of it is fuzzed")]
#[path = "../../crates/store/src/telemetry"]
mod telemetry {
    /// As in the module of the same name of `muster-store`.
    mod memory {
        use muster_model::vocabulary::Quality;

        #[derive(Clone, Copy, Debug, PartialEq)]
        pub(super) struct Stored {
            pub(super) at: i64,
            pub(super) value: f64,
            pub(super) metric: u32,
            pub(super) quality: Quality,
        }
    }
    mod codec;
    #[path = "../../../../fuzz/src/codec.rs"]
    pub mod law;
}
pub use telemetry::law as codec_law;

/// How the store of a machine writes records.
#[path = "../../crates/machine/src/store"]
mod machine_store {
    /// As in the module of the same name of `muster-machine`.
    #[derive(Debug)]
    pub(crate) enum StoreError {
        Encode(#[allow(dead_code, reason = "shown")] serde_json::Error),
    }
    mod record;
    #[path = "../../../../fuzz/src/record.rs"]
    pub mod law;
}
pub use machine_store::law as record_law;
