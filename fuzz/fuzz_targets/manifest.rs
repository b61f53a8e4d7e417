//! Any bytes, read as the manifest of a release.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    muster_fuzz::manifest::manifest(data);
});
