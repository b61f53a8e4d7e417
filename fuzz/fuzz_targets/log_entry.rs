//! Any bytes, read as an entry of the log.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    muster_fuzz::entry::log_entry(data);
});
