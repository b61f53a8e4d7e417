//! Any bytes, decoded as what a machine said.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    muster_fuzz::link::decode_machine(data);
});
