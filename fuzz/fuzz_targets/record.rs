//! Any bytes, read as what the store of a machine keeps.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    muster_fuzz::record_law::record(data);
});
