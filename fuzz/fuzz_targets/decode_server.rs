//! Any bytes, decoded as what the server said.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    muster_fuzz::link::decode_server(data);
});
