//! Any bytes, read as what a checkpoint keeps.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    muster_fuzz::entry::snapshot(data);
});
