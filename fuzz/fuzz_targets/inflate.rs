//! Any bytes, taken as a compressed frame.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    muster_fuzz::link::inflate(data);
});
