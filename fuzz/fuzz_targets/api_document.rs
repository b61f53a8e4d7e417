//! Any bytes, read as documents of the REST API.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    muster_fuzz::api::api_document(data);
});
