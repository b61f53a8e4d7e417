//! Any bytes, as a file of the kernel.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    muster_fuzz::metal::metal(data);
});
