//! Any bytes, read as where a page ended.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    muster_fuzz::paging::cursor(data);
});
