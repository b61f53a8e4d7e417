//! Any bytes, read as server-sent events, cut anywhere.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    muster_fuzz::sse_law::sse(data);
});
