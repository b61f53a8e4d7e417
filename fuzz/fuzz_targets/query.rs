//! Any bytes, read as a query string.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    muster_fuzz::query::query(data);
});
