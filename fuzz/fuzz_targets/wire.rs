//! Any bytes, read as WebSocket frames, cut anywhere.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    muster_fuzz::wire_law::wire(data);
});
