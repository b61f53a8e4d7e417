//! Any bytes, as the configuration file of a machine.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    muster_fuzz::config::config::<muster_machine::config::Settings>(data, |settings| {
        let _ = settings.options("host");
    });
});
