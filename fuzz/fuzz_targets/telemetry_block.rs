//! Any bytes, read as a block of samples.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    muster_fuzz::codec_law::telemetry_block(data);
});
