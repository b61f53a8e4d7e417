//! Any bytes, read as what a client of the live API asks.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    muster_fuzz::live::live_client(data);
});
