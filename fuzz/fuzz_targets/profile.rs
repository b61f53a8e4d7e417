//! Any bytes, as a profile of faults.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    muster_fuzz::config::config::<muster_sim::world::Faults>(data, |_| {});
});
