//! Any bytes, decoded as what the server said.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| muster_fuzz::decode_server(data));
