//! Any bytes, read as numbers.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    muster_fuzz::varint_law::varint(data);
});
