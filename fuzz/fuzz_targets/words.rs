//! Any bytes, read as a time, topic, id or word.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    muster_fuzz::words::words(data);
});
