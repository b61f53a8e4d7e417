//! Any bytes, read as what the live API tells.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    muster_fuzz::live::live_server(data);
});
